"""A directory that takes whatever it is told, and gives it back when it is read: what an export costs is the engine's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from metasync.contract import (
    Change,
    Check,
    Connector,
    Entry,
    Found,
    Kind,
    Operation,
    Options,
    Outcome,
    Page,
    Presence,
    ReadRequest,
    Reference,
    Result,
    Schema,
    Values,
    hookimpl,
)

from .ready import asked, schema


@dataclass
class Held:
    """What the directory holds."""

    objects: dict[str, tuple[Kind, dict[str, Values | None], dict[str, Reference]]] = field(default_factory=dict)
    """Anchor -> kind, values, members: one joiner in a large group costs one entry."""
    spent: float = 0.0
    """CPU seconds that went into the directory itself."""

    def fill(self, entries: Iterable[Entry]) -> None:
        """What stands in it from the beginning."""
        for entry in entries:
            values: dict[str, Values | None] = dict(entry.attributes)
            members = {one.value: one for one in values.pop("members", None) or () if isinstance(one, Reference)}
            self.objects[entry.anchor] = (entry.kind, values, members)


class SinkConnector(Connector):
    """Reads and writes a `Held`."""

    name = "sink"
    title = "A directory in memory, for measuring"
    Options = Options
    commit_size = 1000
    held: ClassVar[Held]

    def check(self) -> Check:
        return Check(identity="sink")

    def discover(self) -> Schema:
        known = schema()
        return Schema(kinds={kind: replace(one, operations=frozenset(Operation)) for kind, one in known.kinds.items()})

    def read(self, request: ReadRequest) -> Iterator[Page]:
        began = time.process_time()
        every = [asked(self._entry(anchor), request) for anchor, (kind, _, _) in self.held.objects.items() if kind in request.kinds]
        self.held.spent += time.process_time() - began
        for start in range(0, len(every), request.page_size):
            yield Page(items=tuple(every[start : start + request.page_size]))
        yield Page(items=(), complete=True)

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        began = time.process_time()
        done = [Result(id=one.id, outcome=Outcome.APPLIED, anchor=self._apply(one)) for one in changes]
        self.held.spent += time.process_time() - began
        yield from done

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        for one in changes:
            there = one.anchor in self.held.objects
            yield Found(id=one.id, presence=Presence.PRESENT if there else Presence.ABSENT, anchor=one.anchor)

    def _apply(self, change: Change) -> str:
        anchor = change.anchor or change.tag
        if change.operation is Operation.DELETE:
            self.held.objects.pop(anchor, None)
            return anchor
        values, members = self.held.objects.setdefault(anchor, (change.kind, {}, {}))[1:]
        values.update({"cn" if name == "name" else name: value for name, value in change.after.items()})
        if change.operation is Operation.MEMBER_ADD and change.member is not None:
            members[change.member.value] = change.member
        elif change.member is not None:
            members.pop(change.member.value, None)
        return anchor

    def _entry(self, anchor: str) -> Entry:
        kind, values, members = self.held.objects[anchor]
        there: dict[str, Values] = {name: value for name, value in values.items() if value not in (None, ())}
        if members:
            there["members"] = tuple(members.values())
        return Entry(anchor=anchor, kind=kind, attributes=there)


class SinkPlugin:
    """Brings the connector into a host."""

    def __init__(self, held: Held) -> None:
        class Bound(SinkConnector):
            """The connector over this plugin's directory."""

        Bound.held = held
        self.connector = Bound

    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        """The one connector."""
        return (self.connector,)
