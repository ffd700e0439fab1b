"""Queries of what became of one object: its changes and its problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, select

from metasync.contract import Operation
from metasync.store import codec
from metasync.store.tables import change, plan, problem, sync_state


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """One change of an object."""

    plan_id: int
    run_id: int | None
    operation: str
    state: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    error: str | None
    written_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """One problem of an object."""

    code: str
    attribute: str
    text: str


def changes_of(connection: Connection, profile: str, object_id: int, attribute: str | None, most: int) -> list[Past]:
    """The changes that a profile made for a source object, newest first; with `attribute`, those that touched it."""
    query = select(change).where(change.c.profile == profile, change.c.object_id == object_id).order_by(change.c.id.desc())
    found: list[Past] = []
    for row in connection.execute(query):
        before, after = codec.decode(row.before), codec.decode(row.after)
        if attribute is not None and attribute not in after and attribute not in before:
            continue
        found.append(_past(row, before, after))
        if len(found) == most:
            break
    return found


def newest_written(connection: Connection, profile: str, object_id: int, operation: Operation) -> Past | None:
    """The last such operation that a profile wrote for a source object."""
    query = select(change).where(
        change.c.profile == profile,
        change.c.object_id == object_id,
        change.c.operation == operation.value,
        change.c.state.in_(("written", "confirmed")),
    )
    row = connection.execute(query.order_by(change.c.id.desc()).limit(1)).first()
    return None if row is None else _past(row, codec.decode(row.before), codec.decode(row.after))


def _past(row: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Past:
    return Past(
        plan_id=row.plan_id,
        run_id=row.run_id,
        operation=row.operation,
        state=row.state,
        before=before,
        after=after,
        error=row.error,
        written_at=row.written_at,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Since:
    """What a run wrote of an object after its profile last synchronised it."""

    run_id: int
    undo: bool
    states: frozenset[str]
    """Of its changes."""


def written_since(connection: Connection, profile: str, object_id: int) -> Since | None:
    """What the newest run that exported changes of a source object did since the last synchronisation; None: nothing."""
    query = (
        select(change.c.run_id, change.c.state, plan.c.purpose)
        .join(plan, plan.c.id == change.c.plan_id)
        .join(sync_state, and_(sync_state.c.profile == change.c.profile, sync_state.c.object_id == change.c.object_id))
        .where(change.c.profile == profile, change.c.object_id == object_id, change.c.run_id >= sync_state.c.run_id)
    )
    rows = [row for row in connection.execute(query) if row.state != "superseded"]
    if not rows:
        return None
    newest = max(row.run_id for row in rows)
    of_it = [row for row in rows if row.run_id == newest]
    return Since(run_id=newest, undo=any(row.purpose == "undo" for row in of_it), states=frozenset(row.state for row in of_it))


def problems_of(connection: Connection, profile: str, object_id: int) -> list[Trouble]:
    """What stands against an object, by the order in which it was found."""
    query = select(problem).where(problem.c.of == profile, problem.c.object_id == object_id).order_by(problem.c.id)
    return [Trouble(code=row.code, attribute=row.attribute, text=row.text) for row in connection.execute(query)]
