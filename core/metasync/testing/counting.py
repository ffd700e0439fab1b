"""`CountingTarget`: a directory that would accept duplicates, and counts what it was told.

It proves the engine's own promises (I1, I2): nothing approved is lost, nothing is applied twice, whatever is killed. So it helps with
nothing: a create is always a new object, an update is applied as often as it comes, and no old value is compared. Everything stands in a
SQLite file, synchronously, which outlives the process that wrote it.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from marshmallow import fields, validate

from metasync.contract import (
    READ_ONLY,
    AttributeSchema,
    Change,
    Check,
    Connector,
    Entry,
    Found,
    Kind,
    KindSchema,
    Operation,
    Options,
    Outcome,
    Page,
    Presence,
    ReadRequest,
    Reference,
    Result,
    Role,
    Schema,
    Type,
    Values,
    hookimpl,
    option,
)
from metasync.testing.values import as_tuple, from_json, to_json

_OPERATIONS = frozenset(Operation) - {Operation.RESTORE, Operation.PASSWORD, Operation.SID}


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, timeout=30, isolation_level=None)
    try:
        _let_many_in(connection)
        # Processes are killed, the machine never is: what is committed outlives them without being flushed to the disk.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE IF NOT EXISTS object (anchor TEXT PRIMARY KEY, kind TEXT, tag TEXT, data TEXT)")
        connection.execute("CREATE INDEX IF NOT EXISTS object_tag ON object (tag)")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS applied (number INTEGER PRIMARY KEY, tag TEXT, operation TEXT, label TEXT, anchor TEXT)"
        )
        yield connection
    finally:
        connection.close()


def _let_many_in(connection: sqlite3.Connection) -> None:
    """Write-ahead logging. Of several who open a new file at once the database lets one have its way, and waits for none."""
    until = time.monotonic() + 30
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)  # a file tells nobody that it is free again


class CountingOptions(Options):
    """Where it counts, and how slowly."""

    file = option(fields.String(required=True), title="File", help="The SQLite file that holds the objects and the counts.")
    delay = option(
        fields.Integer(load_default=0, validate=validate.Range(min=0)),
        title="Delay",
        help="Milliseconds that each write takes, half of them before and half after it is in the file.",
    )


class CountingTarget(Connector):
    """Takes whatever it is told, as often as it is told."""

    name = "counting"
    title = "A target that counts, for tests"
    Options = CountingOptions
    commit_size = 10

    def check(self) -> Check:
        return Check(identity=f"counting:{Path(self.options['file']).resolve()}", software="counting")

    def discover(self) -> Schema:
        common = [
            AttributeSchema(name="anchor", role=Role.ANCHOR, allow=READ_ONLY),
            AttributeSchema(name="name", role=Role.NAME),
            AttributeSchema(name="path", role=Role.PATH),
            AttributeSchema(name="enabled", type=Type.BOOLEAN, role=Role.ENABLED),
            AttributeSchema(name="manager", type=Type.REFERENCE),
            AttributeSchema(name="proxyAddresses", multi=True),
            AttributeSchema(name="members", type=Type.REFERENCE, multi=True),
        ]
        attributes = {attribute.name: attribute for attribute in common}
        kinds = (Kind.USER, Kind.GROUP, Kind.CONTACT, Kind.CONTAINER)
        return Schema(kinds={kind: KindSchema(kind=kind, attributes=attributes, operations=_OPERATIONS, open=True) for kind in kinds})

    def read(self, request: ReadRequest) -> Iterator[Page]:
        items = []
        with _opened(Path(self.options["file"])) as connection:
            for anchor, kind, data in connection.execute("SELECT anchor, kind, data FROM object ORDER BY rowid").fetchall():
                if kind in request.kinds:
                    wanted = request.attributes.get(Kind(kind), frozenset())
                    attributes = {name: values for name, values in from_json(data).items() if name in wanted}
                    items.append(Entry(anchor=anchor, kind=Kind(kind), attributes=attributes))
        last = max(len(items) - 1, 0) // request.page_size * request.page_size
        for start in range(0, last + 1, request.page_size):
            yield Page(items=tuple(items[start : start + request.page_size]), complete=start == last)

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        with _opened(Path(self.options["file"])) as connection:
            for change in changes:
                self._pause()
                connection.execute("BEGIN IMMEDIATE")
                anchor = self._apply(connection, change)
                connection.execute(
                    "INSERT INTO applied (tag, operation, label, anchor) VALUES (?, ?, ?, ?)",
                    (change.tag, change.operation.value, change.label, anchor),
                )
                connection.execute("COMMIT")
                self._pause()
                yield Result(id=change.id, outcome=Outcome.APPLIED, anchor=anchor)

    def _pause(self) -> None:
        if self.options["delay"]:
            # Not time.sleep, which fails where a library shows this process another time.
            threading.Event().wait(self.options["delay"] / 2000)

    def _apply(self, connection: sqlite3.Connection, change: Change) -> str:
        if change.operation is Operation.CREATE:
            anchor = secrets.token_hex(8)
            data = to_json({name: values for name, values in change.after.items() if values is not None})
            connection.execute("INSERT INTO object VALUES (?, ?, ?, ?)", (anchor, change.kind.value, change.tag, data))
            return anchor
        anchor = change.anchor or ""
        if change.operation is Operation.DELETE:
            connection.execute("DELETE FROM object WHERE anchor = ?", (anchor,))
            return anchor
        row = connection.execute("SELECT data FROM object WHERE anchor = ?", (anchor,)).fetchone()
        if row is not None:
            attributes: dict[str, Values | None] = {**from_json(row[0]), **change.after}
            if change.member is not None:
                members = [value for value in as_tuple(attributes.get("members")) if value != change.member]
                attributes["members"] = (*members, *([change.member] if change.operation is Operation.MEMBER_ADD else []))
            data = to_json({name: values for name, values in attributes.items() if values not in (None, ())})
            connection.execute("UPDATE object SET data = ? WHERE anchor = ?", (data, anchor))
        return anchor

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        with _opened(Path(self.options["file"])) as connection:
            for change in changes:
                by = ("tag", change.tag) if change.operation is Operation.CREATE else ("anchor", change.anchor)
                row = connection.execute(f"SELECT anchor, data FROM object WHERE {by[0]} = ?", (by[1],)).fetchone()
                if row is None:
                    yield Found(id=change.id, presence=Presence.ABSENT, anchor=change.anchor)
                    continue
                present = from_json(row[1])
                seen: Mapping[str, Values] = {name: present[name] for name in {*change.before, *change.after} if name in present}
                if change.member is not None:
                    seen = {"members": (change.member,)} if change.member in as_tuple(present.get("members")) else {}
                yield Found(id=change.id, presence=Presence.PRESENT, anchor=row[0], by_mark=by[0] == "tag", attributes=seen)


class Counts:
    """What a counting target was told, read from its file while or after others write it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def _rows(self, query: str, *values: str) -> list[tuple[str, ...]]:
        with _opened(self.file) as connection:
            return connection.execute(query, values).fetchall()

    @property
    def total(self) -> int:
        """How many operations were applied."""
        return int(self._rows("SELECT count(*) FROM applied")[0][0])

    def by_label(self, operation: Operation = Operation.CREATE) -> Counter[str]:
        """How often an operation was applied to each label."""
        return Counter(label for (label,) in self._rows("SELECT label FROM applied WHERE operation = ?", operation.value))

    def by_tag(self) -> Counter[str]:
        """How often each change was applied."""
        return Counter(tag for (tag,) in self._rows("SELECT tag FROM applied"))

    def by_operation(self) -> Counter[str]:
        """How many of each operation were applied."""
        return Counter(operation for (operation,) in self._rows("SELECT operation FROM applied"))

    def lost(self, labels: Collection[str], operation: Operation = Operation.CREATE) -> list[str]:
        """The labels that were approved and never applied (I1)."""
        seen = self.by_label(operation)
        return sorted(label for label in labels if not seen[label])

    def repeated(self) -> dict[str, int]:
        """The changes that were applied more than once (I2): tag and how often."""
        return {tag: count for tag, count in self.by_tag().items() if count > 1}

    def duplicates(self) -> dict[str, int]:
        """The names of which there is more than one object."""
        names = Counter(str(from_json(data).get("name")) for (data,) in self._rows("SELECT data FROM object"))
        return {name: count for name, count in names.items() if count > 1}

    def references(self) -> set[str]:
        """The anchors that objects refer to; all of them should be there."""
        values = [
            value for (data,) in self._rows("SELECT data FROM object") for held in from_json(data).values() for value in as_tuple(held)
        ]
        return {value.value for value in values if isinstance(value, Reference)}


class CountingPlugin:
    """Registers the connector `counting`."""

    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        """The one connector."""
        return (CountingTarget,)
