"""What became of objects that a complete import did not show: gone, or merely unread. Nothing is taken for gone without a reason to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from metasync.blame import answers
from metasync.contract import Change, Connector, Kind, Operation, Presence, SourceEmpty, Writes
from metasync.importing.compare import Comparison
from metasync.importing.request import Request
from metasync.store import objects
from metasync.store.backend import Backend
from metasync.store.rows import ObjectRow, Problem, Severity, State

PORTION = 2000
ASKED = 100
"""Objects that a connector is asked for in one call, or as many as it writes in one if that is more."""


@dataclass(slots=True)
class Decided:
    """About some objects that were not seen."""

    gone: dict[int, Kind]
    unread: dict[int, Kind]
    problems: list[Problem]


def settle(
    backend: Backend,
    connector: Connector,
    directory: str,
    directory_id: int,
    *,
    request: Request,
    comparison: Comparison,
    same_scope: bool,
) -> None:
    """Decide about every object that was not seen. Raises `SourceEmpty` where nothing at all was seen, and `Unavailable`."""
    with backend.read() as connection:
        missing = _missing(connection, directory_id, comparison)
        nothing = bool(missing) and not comparison.seen and not comparison.earlier
        live = objects.count(connection, directory_id).get(State.LIVE, 0) if nothing else 0
    if live:
        raise SourceEmpty(
            f"{directory} shows no object, but {live:,} were known: the import is held and nothing is taken for gone. "
            "If the directory is meant to be empty, take it out of the document; else check its source, then import again"
        )
    for start in range(0, len(missing), PORTION):
        with backend.read() as connection:
            rows = objects.get(connection, missing[start : start + PORTION])
        there = [row for row in rows.values() if row.state is not State.GONE]
        decided = _decide(connector, there, request=request, comparison=comparison, same_scope=same_scope)
        with backend.write("import.tombstones") as connection:
            if decided.gone:
                comparison.set_state(connection, decided.gone, State.GONE)
            if decided.unread:
                comparison.set_state(connection, decided.unread, State.UNREAD)
            comparison.problem(connection, *decided.problems)


def drop_kinds(backend: Backend, directory_id: int, *, request: Request, comparison: Comparison) -> None:
    """Objects of kinds that nobody asks for any more are unread from now on."""
    with backend.read() as connection:
        rows = objects.of_other_kinds(connection, directory_id, [kind.value for kind in request.kinds])
    if rows:
        with backend.write() as connection:
            comparison.set_state(connection, rows, State.UNREAD)


def _missing(connection: Connection, directory_id: int, comparison: Comparison) -> list[int]:
    seen, earlier = comparison.seen, comparison.earlier
    if not earlier and len(seen) == objects.total(connection, directory_id):
        return []  # what was seen is there, so that nothing else is
    return sorted(one for one in objects.ids(connection, directory_id) if one not in seen and one not in earlier)


def _decide(connector: Connector, rows: Sequence[ObjectRow], *, request: Request, comparison: Comparison, same_scope: bool) -> Decided:
    decided = Decided(gone={}, unread={}, problems=[])
    asked = [row for row in rows if row.kind in request.kinds]
    presence = _presence(connector, asked) if isinstance(connector, Writes) and not comparison.rejected_unnamed else {}
    for row in rows:
        if row.kind not in request.kinds:
            _unread(decided, row, None)
        elif comparison.rejected_unnamed:
            # A row that cannot be read does not say whose it is.
            text = "it was not seen, but entries were rejected that may be it; correct those, then import again"
            _unread(
                decided,
                row,
                Problem(code="not seen", text=f"{row.label}: {text}", severity=Severity.WARNING, object_id=row.id, anchor=row.anchor),
            )
        elif isinstance(connector, Writes):
            if presence.get(row.id) is Presence.ABSENT:
                decided.gone[row.id] = row.kind
            else:
                _unread(decided, row, _unreadable(row, presence.get(row.id)) if same_scope else None)
        elif same_scope and row.state is State.LIVE:
            decided.gone[row.id] = row.kind
        else:
            _unread(decided, row, None)
    return decided


def _unread(decided: Decided, row: ObjectRow, problem: Problem | None) -> None:
    if row.state is not State.UNREAD:
        decided.unread[row.id] = row.kind
    if problem is not None:
        decided.problems.append(problem)


def _unreadable(row: ObjectRow, presence: Presence | None) -> Problem:
    seen = "it is still there" if presence is Presence.PRESENT else "the directory cannot say whether it is still there"
    return Problem(
        code="unreadable",
        text=f"{row.label}: the import did not show it, but {seen}; it is not taken for gone. Check the account's rights to read it, and "
        "whether it was moved out of what is imported",
        severity=Severity.WARNING,
        object_id=row.id,
        anchor=row.anchor,
    )


def _presence(connector: Writes, rows: Sequence[ObjectRow]) -> Mapping[int, Presence]:
    """What the directory says of these objects when it is asked for each by its anchor."""
    found: dict[int, Presence] = {}
    size = max(ASKED, getattr(connector, "commit_size", 1))
    for start in range(0, len(rows), size):
        changes = [
            Change(id=str(row.id), operation=Operation.UPDATE, kind=row.kind, anchor=row.anchor, label=row.label)
            for row in rows[start : start + size]
        ]
        for one in answers(getattr(connector, "name", ""), partial(connector.find, changes)):
            found[int(one.id)] = one.presence
    return found
