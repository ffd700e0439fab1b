"""Fixtures: a lab tenant of the test's own, and connectors to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Change, DirectorySettings, Entry, Gone, Item, Kind, Operation, Page, Patch, ReadRequest, Result
from metasync.testing.context import TestContext
from metasync_entra.connector import EntraID
from metasync_entra.lab import Lab, tenant
from metasync_entra.lab.permissions import EVERYTHING
from metasync_entra.options import EntraOptions

Connect = Callable[..., EntraID]
MARK = "extensionAttribute15"
ROLES = EVERYTHING


def options_for(lab: Lab, **more: Any) -> dict[str, Any]:
    """Options of the document, for this tenant."""
    return {name: value for name, value in {**lab.options, **more}.items() if value is not None}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """An empty tenant."""
    with tenant(folder=tmp_path, roles=ROLES) as running:
        yield running


class MovingContext(TestContext):
    """Whoever waits lets the tenant's time pass."""

    def __init__(self, lab: Lab, **more: Any) -> None:
        super().__init__("contoso", **more)
        self.lab = lab

    def wait(self, until: Any, why: str) -> None:
        before = self.now
        super().wait(until, why)
        self.lab.control.clock(advance=max(0.0, (self.now - before).total_seconds()))


@pytest.fixture
def connect(lab: Lab) -> Iterator[Connect]:
    """Make connectors to the tenant: `connect(option=...)`."""
    made: list[EntraID] = []

    def make(*, settings: DirectorySettings | None = None, secrets: dict[str, str] | None = None, **more: Any) -> EntraID:
        context = MovingContext(lab, secrets=secrets or {}, settings=settings or DirectorySettings(mark=MARK))
        made.append(EntraID(EntraOptions().load(options_for(lab, **more)), context))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


class Directory:
    """The tenant through the connector, in few words."""

    def __init__(self, connector: EntraID, lab: Lab) -> None:
        self.connector, self.lab = connector, lab
        self._numbers = itertools.count(1)

    def change(self, operation: Operation, anchor: str | None = None, *, kind: Kind = Kind.USER, **more: Any) -> Change:
        """A change with an id of its own."""
        number = next(self._numbers)
        more.setdefault("mark", f"metasync:{number:032x}" if operation is Operation.CREATE else None)
        label, tag = f"object {number}", f"{number:032x}"
        return Change(id=str(number), operation=operation, kind=kind, anchor=anchor, label=label, tag=tag, **more)

    def write(self, *changes: Change) -> list[Result]:
        """The results, in the order of the changes."""
        results = {result.id: result for result in self.connector.write(changes)}
        assert set(results) == {change.id for change in changes}
        return [results[change.id] for change in changes]

    def create(self, name: str, kind: Kind = Kind.USER, **attributes: Any) -> Change:
        """A change that makes somebody."""
        more = {"userPrincipalName": f"{name}@contoso.com"} if kind is Kind.USER else {}
        more |= {"mail": f"{name}@elsewhere.test"} if kind is Kind.GUEST else {}
        return self.change(Operation.CREATE, kind=kind, after={"displayName": name, **more, **attributes})

    def make(self, name: str, kind: Kind = Kind.USER, **attributes: Any) -> str:
        """Create somebody; the anchor."""
        (result,) = self.write(self.create(name, kind, **attributes))
        assert result.anchor is not None, result.detail
        return result.anchor

    def request(self, stream: str = "users", attributes: Collection[str] = ("displayName",), *, page_size: int = 1000) -> ReadRequest:
        """What to read."""
        kinds = {"users": {Kind.USER, Kind.GUEST}, "groups": {Kind.GROUP}, "contacts": {Kind.CONTACT}}[stream]
        return ReadRequest(
            stream=stream, kinds=frozenset(kinds), attributes=dict.fromkeys(kinds, frozenset(attributes)), page_size=page_size
        )

    def pages(self, stream: str = "users", *attributes: str, **more: Any) -> list[Page]:
        """Everything of a stream."""
        return list(self.connector.read(self.request(stream, attributes or ("displayName",), **more)))

    def read(self, stream: str = "users", *attributes: str, **more: Any) -> dict[str, Entry]:
        """Everything of a stream, by anchor."""
        pages = self.pages(stream, *attributes, **more)
        assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
        entries = [item for page in pages for item in page.items]
        assert len({one.anchor for one in entries}) == len(entries)
        return {one.anchor: one for one in entries if isinstance(one, Entry)}

    def start(self, stream: str = "users", *attributes: str) -> str:
        """A cursor."""
        cursor = self.pages(stream, *attributes)[-1].cursor
        assert cursor is not None
        return cursor

    def follow(self, cursor: str, stream: str = "users", *attributes: str) -> tuple[dict[str, Entry | Patch | Gone], str]:
        """What changed, by anchor, and the next cursor."""
        pages = list(self.connector.follow(self.request(stream, attributes or ("displayName",)), cursor))
        assert pages[-1].complete and pages[-1].cursor
        items: list[Item] = [item for page in pages for item in page.items]
        assert len({one.anchor for one in items}) == len(items), "an object stands twice in a delta"
        return {str(one.anchor): one for one in items if isinstance(one, Entry | Patch | Gone)}, pages[-1].cursor


@pytest.fixture
def directory(connect: Connect, lab: Lab) -> Directory:
    """The tenant, by the application's certificate."""
    return Directory(connect(), lab)
