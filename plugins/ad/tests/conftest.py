"""Fixtures: the lab's forest (tests/lab of the repository), and connectors bound to it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Change, DirectorySettings, Entry, Kind, Operation, ReadRequest, Result
from metasync.testing.context import TestContext
from metasync_ad.connector import ActiveDirectory
from metasync_ad.options import ADOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from lab.samba import Account, Samba, samba, samba_unit, two_sambas

__all__ = ["samba", "samba_unit", "two_sambas"]

Connect = Callable[..., ActiveDirectory]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What needs the lab says so by its fixture."""
    for item in items:
        if {"samba", "two_sambas"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lab)


def options_for(samba: Samba, account: Account, **more: Any) -> dict[str, Any]:
    """Options of the document, for this forest."""
    plain = {
        "servers": [samba.address],
        "base": samba.base,
        "bind": account.name,
        "password": {"secret": "bind"},
        "ca file": str(samba.ca),
        "certificate name": samba.host,
    }
    return {name: value for name, value in {**plain, **more}.items() if value is not None}


@pytest.fixture
def connect(samba: Samba) -> Iterator[Connect]:
    """Make connectors: `connect()` binds as the service account, `connect(account, option=...)` otherwise."""
    made: list[ActiveDirectory] = []

    def make(
        account: Account | None = None,
        *,
        settings: DirectorySettings | None = None,
        password: str | None = None,
        without: Collection[str] = (),
        **more: Any,
    ) -> ActiveDirectory:
        account = account or samba.service
        context = TestContext(
            samba.domain, secrets={"bind": password or account.password}, settings=settings or DirectorySettings(mark="adminDescription")
        )
        loaded = ADOptions().load(options_for(samba, account, **more, **dict.fromkeys(without)))
        made.append(ActiveDirectory(loaded, context))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


class Directory:
    """One OU of the test domain, and short ways to change and read it through the connector."""

    def __init__(self, connector: ActiveDirectory, unit: str) -> None:
        self.connector, self.unit = connector, unit
        self._numbers = itertools.count(1)

    def change(self, operation: Operation, anchor: str | None = None, *, kind: Kind = Kind.USER, **more: Any) -> Change:
        """A change with an id of its own."""
        number = next(self._numbers)
        return Change(id=str(number), operation=operation, kind=kind, anchor=anchor, label=f"object {number}", tag=f"{number:032x}", **more)

    def write(self, *changes: Change) -> list[Result]:
        """The results, in the order of the changes."""
        results = {result.id: result for result in self.connector.write(changes)}
        assert set(results) == {change.id for change in changes}
        return [results[change.id] for change in changes]

    def make(self, name: str, *, kind: Kind = Kind.USER, mark: str | None = None, **attributes: Any) -> str:
        """Create an object; returns its anchor."""
        after = {"name": name, "path": self.unit, **attributes}
        (result,) = self.write(self.change(Operation.CREATE, kind=kind, after=after, mark=mark))
        assert result.anchor is not None, result.detail
        return result.anchor

    def read(self, *attributes: str, page_size: int = 1000) -> dict[str, Entry]:
        """Everything in the unit, by anchor."""
        kinds = frozenset({Kind.USER, Kind.GROUP, Kind.CONTACT, Kind.CONTAINER})
        wanted = frozenset(attributes) | {"name", "path"}
        request = ReadRequest(stream="all", kinds=kinds, attributes=dict.fromkeys(kinds, wanted), under=(self.unit,), page_size=page_size)
        pages = list(self.connector.read(request))
        assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
        entries = [item for page in pages for item in page.items]
        assert all(isinstance(entry, Entry) for entry in entries)
        return {entry.anchor: entry for entry in entries if isinstance(entry, Entry)}

    def one(self, anchor: str, *attributes: str) -> dict[str, Any]:
        """The attributes of one object."""
        return dict(self.read(*attributes)[anchor].attributes)


@pytest.fixture
def directory(connect: Connect, samba_unit: str) -> Directory:
    """An OU of the test's own, through the service account."""
    return Directory(connect(), samba_unit)
