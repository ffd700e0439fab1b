"""Queries of what became of one object: its changes and its problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from metasync.contract import Operation
from metasync.store import codec
from metasync.store.ledger import STATES
from metasync.store.problems import AREAS
from metasync.store.tables import change, plan, problem, sync_state

LOOKED_AT = 100
"""So many changes of an object, the newest ones, are searched for one attribute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """One change of an object."""

    plan_id: int
    run_id: int | None
    kind: str
    label: str
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
    """The changes that a profile made for a source object, newest first; with `attribute`, those of the newest `LOOKED_AT` that touched it.

    A group has a change for each of its members: so the newest of each state are found by the index, and no others are read.
    """
    limit = most if attribute is None else LOOKED_AT
    rows = [row for state in STATES for row in connection.execute(_newest(profile, object_id, state).limit(limit))]
    found: list[Past] = []
    for row in sorted(rows, key=lambda row: row.id, reverse=True)[:limit]:
        before, after = codec.decode(row.before), codec.decode(row.after)
        if attribute is not None and attribute not in after and attribute not in before:
            continue
        found.append(_past(row, before, after))
        if len(found) == most:
            break
    return found


def _newest(profile: str, object_id: int, state: str) -> Select[Any]:
    return select(change).where(*_of(profile, object_id, state)).order_by(change.c.run_id.desc(), change.c.id.desc())


def newest_written(connection: Connection, profile: str, object_id: int, operation: Operation) -> Past | None:
    """The last such operation that a profile wrote for a source object."""
    rows = [
        row
        for state in ("written", "confirmed")
        if (row := connection.execute(_newest(profile, object_id, state).where(change.c.operation == operation.value).limit(1)).first())
    ]
    row = max(rows, key=lambda row: row.id, default=None)
    return None if row is None else _past(row, codec.decode(row.before), codec.decode(row.after))


def _past(row: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Past:
    return Past(
        plan_id=row.plan_id,
        run_id=row.run_id,
        kind=row.kind,
        label=row.label,
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
    last = select(sync_state.c.run_id).where(sync_state.c.profile == profile, sync_state.c.object_id == object_id)
    synchronised = connection.execute(last).scalar()
    newest = {state: run for state in STATES if state != "superseded" and (run := _newest_run(connection, profile, object_id, state))}
    run_id = max(newest.values(), default=0)
    if synchronised is None or run_id < synchronised or not newest:
        return None
    states = [state for state in newest if newest[state] == run_id]
    # All changes of an object that a run wrote are of one plan, but where somebody exported several: then the first and the last tell.
    purposes = {
        purpose
        for state in states
        for order in (change.c.id, change.c.id.desc())
        for purpose in connection.execute(
            select(plan.c.purpose)
            .join(change, change.c.plan_id == plan.c.id)
            .where(*_of(profile, object_id, state), change.c.run_id == run_id)
            .order_by(order)
            .limit(1)
        ).scalars()
    }
    return Since(run_id=run_id, undo="undo" in purposes, states=frozenset(states))


def _newest_run(connection: Connection, profile: str, object_id: int, state: str) -> int | None:
    return connection.execute(select(func.max(change.c.run_id)).where(*_of(profile, object_id, state))).scalar()


def _of(profile: str, object_id: int, state: str) -> tuple[ColumnElement[bool], ...]:
    """The changes of one object in one state, as the index has them together."""
    return change.c.profile == profile, change.c.object_id == object_id, change.c.state == state


def problems_of(connection: Connection, engagement_id: int, profile: str, object_id: int) -> list[Trouble]:
    """What stands against an object, by the order in which it was found."""
    of_profile = problem.c.engagement_id == engagement_id, problem.c.area.in_(AREAS), problem.c.of == profile
    query = select(problem).where(*of_profile, problem.c.object_id == object_id).order_by(problem.c.id)
    return [Trouble(code=row.code, attribute=row.attribute, text=row.text) for row in connection.execute(query)]
