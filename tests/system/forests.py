"""Two forests, an OU of our own in each, and the product between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .documents import domain
from .ldap_dump import Dump, dump
from .product import Product, changes

if TYPE_CHECKING:
    from lab.samba import Samba

UNITS = ("Staff", "Imported", "Teams", "GAL", "Leavers")
DOMAIN_LOCAL = -2147483644
"""The type of a security group that takes members from other domains."""
ENABLED = 512 | 32
"""Without a password: nobody signs in to it."""


def readable_sid(raw: bytes) -> str:
    """`S-1-5-21-...`, MS-DTYP 2.4.2.2."""
    parts = [int.from_bytes(raw[at : at + 4], "little") for at in range(8, 8 + 4 * raw[1], 4)]
    return "-".join(["S", str(raw[0]), str(int.from_bytes(raw[2:8], "big")), *map(str, parts)])


class Side:
    """One forest, below one OU, changed behind the product's back."""

    def __init__(self, samba: Samba, unit: str) -> None:
        self.samba, self.unit = samba, unit
        self.tag = unit.partition(",")[0][-4:]
        with samba.connect() as connection:
            for name in UNITS:
                connection.add(self.dn(name), "organizationalUnit")

    def dn(self, *names: str) -> str:
        """`dn("Staff")`, `dn("Anna", "Staff")`: the last one is the OU."""
        *first, last = names
        return ",".join([*(f"CN={name}" for name in first), f"OU={last}", self.unit])

    def user(self, name: str, ou: str = "Staff", **more: Any) -> str:
        """A person; the DN."""
        values = {
            "sAMAccountName": f"{self.tag}-{name.lower().replace(' ', '.')}"[:20],
            "displayName": name,
            "mail": f"{name.lower().replace(' ', '.')}@{self.tag}.example",
            "userAccountControl": ENABLED,
            **more,
        }
        return self._add(self.dn(name, ou), "user", values)

    def group(self, name: str, members: Sequence[str] = (), **more: Any) -> str:
        """A group; the DN."""
        values: dict[str, Any] = {"sAMAccountName": f"{self.tag}-{name}", "description": f"All of {name}", **more}
        return self._add(self.dn(name, "Teams"), "group", {**values, **({"member": list(members)} if members else {})})

    def change(self, dn: str, **values: Any) -> None:
        """Set attributes; None clears."""
        with self.samba.connect() as connection:
            connection.modify(dn, {name: [("MODIFY_REPLACE", [] if value is None else [value])] for name, value in values.items()})

    def join(self, group: str, *members: str) -> None:
        """Somebody comes into a group."""
        with self.samba.connect() as connection:
            connection.modify(group, {"member": [("MODIFY_ADD", list(members))]})

    def rename(self, dn: str, relative: str, superior: str | None = None) -> None:
        """A rename, a move."""
        with self.samba.connect() as connection:
            connection.modify_dn(dn, relative, new_superior=superior)

    def delete(self, dn: str) -> None:
        """An object goes."""
        with self.samba.connect() as connection:
            connection.delete(dn)

    def dump(self) -> Dump:
        """Everything below our OU."""
        return dump(self.samba, self.unit)

    def names(self, ou: str) -> dict[str, Mapping[str, frozenset[bytes]]]:
        """cn -> object, of what lies directly in an OU."""
        place = ("," + self.dn(ou)).casefold()
        found = {}
        for held in self.dump().values():
            (dn,) = held["dn"]
            relative = dn.decode()
            if relative.casefold().endswith(place) and relative.startswith("CN="):
                found[relative[3 : -len(place)]] = held
        return found

    def _add(self, dn: str, kind: str, values: Mapping[str, Any]) -> str:
        with self.samba.connect() as connection:
            connection.add(dn, kind, dict(values))
        return dn


class Forests:
    """contoso, fabrikam, and a document between them."""

    def __init__(self, contoso: Side, fabrikam: Side, folder: Path) -> None:
        self.contoso, self.fabrikam = contoso, fabrikam
        secrets = {"contoso-bind": contoso.samba.service.password, "fabrikam-bind": fabrikam.samba.service.password}
        self.product = Product(folder, secrets=secrets)

    def load(self, profiles: str, *, before: str = "", directories: str = "", contoso: str = "", fabrikam: str = "") -> None:
        """Accept a document with these profiles; names in capitals stand for the OUs. `contoso`, `fabrikam`: further keys of these."""
        for side, word in ((self.contoso, "CONTOSO"), (self.fabrikam, "FABRIKAM")):
            profiles = profiles.replace(f"{word}-TAG", side.tag).replace(word, side.unit)
        self.product.load(
            'engagement: merger\nplugins: {standard: ">=0.1", csv: ">=0.1", ad: ">=0.1"}\ndirectories:\n'
            + domain(self.contoso.samba, self.contoso.unit, name="contoso", password="contoso-bind", more=contoso)
            + domain(self.fabrikam.samba, self.fabrikam.unit, name="fabrikam", password="fabrikam-bind", more=fabrikam)
            + f"{directories}{before}\nprofiles:\n{profiles}"
        )

    def cycle(self) -> list[tuple[str, str]]:
        """Import, plan, export; what was planned. The plan behind it is empty."""
        plans = self.product.plan()
        if plans:
            written = self.product.export(plans)
            assert written == {"confirmed": sum(len(one["changes"]) for one in plans)}, self.product("problems")
            assert changes(self.product.plan_only()) == [], "the second plan is empty"
        return changes(plans)

    def settled(self) -> Counter[str]:
        """`cycle`, by operation."""
        return Counter(operation for operation, _ in self.cycle())


@contextmanager
def forests(two: tuple[Samba, Samba], folder: Path) -> Iterator[Forests]:
    """An OU in each forest, which go at the end."""
    made: list[tuple[Samba, str]] = []
    try:
        for samba in two:
            made.append((samba, samba.make_unit("merger")))
        yield Forests(Side(*made[0]), Side(*made[1]), folder)
    finally:
        for samba, unit in made:
            samba.remove_tree(unit)
