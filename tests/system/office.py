"""A company whose HR files keep one OU of the domain in step: what most of these tests begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .company import SITES, Company
from .documents import company_to_domain
from .ldap_dump import Dump, dump
from .product import Product, changes, counts

if TYPE_CHECKING:
    from lab.samba import Samba


class Office:
    """HR files, a domain, and the product between them."""

    def __init__(self, samba: Samba, unit: str, folder: Path, size: int) -> None:
        self.samba, self.unit = samba, unit
        self.product = Product(folder, secrets={"domain-bind": samba.service.password})
        self.company = Company.of(size)
        with samba.connect() as connection:
            for name in (*SITES, "Leavers", "Teams", "Partners"):
                connection.add(f"OU={name},{unit}", "organizationalUnit")
        self.company.write(self.hr)
        self.product.load(company_to_domain(samba, unit))

    @property
    def hr(self) -> Path:
        """The folder of HR's files."""
        return self.product.folder / "hr"

    def first_day(self) -> Counter[str]:
        """Everything is created; what was done, by operation."""
        plans = self.product.plan()
        self.export(plans)
        return counts(plans)

    def plan(self) -> list[dict[str, Any]]:
        """What HR's files as they are now would change."""
        self.company.write(self.hr)
        return self.product.plan()

    def export(self, plans: Sequence[dict[str, Any]], *, beyond: Sequence[str] = ()) -> None:
        """Every change is confirmed by the import that follows."""
        written = self.product.export(plans, beyond=beyond)
        assert written == {"confirmed": sum(len(one["changes"]) for one in plans)}, self.product("problems")

    def day(self) -> list[tuple[str, str]]:
        """Plan, export, and see that the second plan is empty; what was planned."""
        plans = self.plan()
        self.export(plans)
        assert changes(self.product.plan_only()) == [], "the second plan is empty"
        return changes(plans)

    def live(self, *steps: Sequence[tuple[str, str]]) -> None:
        """A day on which just these changes are planned, all in one; the second plan is empty."""
        shown, expected = Counter(self.day()), Counter(change for step in steps for change in step)
        more, fewer = dict(shown - expected), dict(expected - shown)
        assert shown == expected, f"planned, and not expected: {more}; expected, and not planned: {fewer}"

    def dump(self) -> Dump:
        """Everything that is in the OU."""
        return dump(self.samba, self.unit)


@contextmanager
def office(samba: Samba, folder: Path, size: int) -> Iterator[Office]:
    """An office in an OU of its own, which goes when it closes."""
    unit = samba.make_unit("office")
    try:
        yield Office(samba, unit, folder, size)
        samba.remove_tree(f"OU=Teams,{unit}")  # first, or each person who goes is taken out of groups of thousands
    finally:
        samba.remove_tree(unit)
