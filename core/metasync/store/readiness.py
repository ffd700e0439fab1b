"""Queries of what is still to be done, or on its way, for people: what speaks against handing them over."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select

from metasync.contract import Operation
from metasync.store import codec
from metasync.store import dirty as dirty_rows
from metasync.store import pending as pending_rows
from metasync.store.portions import portions
from metasync.store.rows import PendingOperation
from metasync.store.tables import change, dirty, hold, join, object_, pending, pending_member, pending_replaced, problem, sync_state

OPEN = ("approved", "in_flight", "written")
"""States of changes of which no import has told the end."""


class Stand(NamedTuple):
    """How a source object stands under a profile."""

    profile: str
    object_id: int
    status: str
    reason: str


class Wish(NamedTuple):
    """What a profile wants to do."""

    profile: str
    object_id: int
    operations: list[PendingOperation]


class Membership(NamedTuple):
    """A group that somebody shall join or leave."""

    profile: str
    group_id: int
    operation: Operation
    member_key: str
    created: bool
    """The key is `directory/anchor` of a source object, for an object that is still to be created."""


class Under(NamedTuple):
    """A change that is not at its end."""

    profile: str
    object_id: int
    state: str
    plan_id: int
    run_id: int | None


class Trouble(NamedTuple):
    """What stands against an object."""

    of: str
    object_id: int
    code: str
    text: str
    severity: str


class Hold(NamedTuple):
    """What an undo restored."""

    profile: str
    object_id: int
    attribute: str


def _in(connection: Connection, query: Any, column: Any, ids: Collection[Any]) -> Iterator[Any]:
    for part in portions(sorted(ids)):
        yield from connection.execute(query.where(column.in_(part)))


def stands(connection: Connection, object_ids: Collection[int]) -> list[Stand]:
    """How these source objects stood when they were last synchronised."""
    query = select(*(sync_state.c[name] for name in Stand._fields))
    return [Stand._make(row) for row in _in(connection, query, sync_state.c.object_id, object_ids)]


def wishes(connection: Connection, object_ids: Collection[int]) -> list[Wish]:
    """What is pending for these source objects, also for what gives way to theirs."""
    query = select(pending.c.profile, pending.c.object_id, pending.c.operations, pending.c.reference_operations)
    leaving = _in(connection, select(pending_replaced), pending_replaced.c.object_id, object_ids)
    gives_way = {(row.profile, row.object_id): codec.decode_operations(row.operations) for row in leaving}
    return [
        Wish(
            row.profile,
            row.object_id,
            [*pending_rows.restored(row.operations, row.reference_operations), *gives_way.get((row.profile, row.object_id), ())],
        )
        for row in _in(connection, query, pending.c.object_id, object_ids)
    ]


def memberships(connection: Connection, engagement_id: int, keys: Collection[str]) -> list[Membership]:
    """What is pending for these as members: by anchors in targets, or `directory/anchor` of source objects."""
    columns = (pending_member.c.profile, pending_member.c.object_id, pending_member.c.operation, pending_member.c.member_key)
    query = select(*columns, pending_member.c.member_created).where(pending_member.c.engagement_id == engagement_id)
    rows = _in(connection, query, pending_member.c.member_key, keys)
    return [Membership(row[0], row[1], Operation(row[2]), row[3], bool(row[4])) for row in rows]


def to_be_looked_at(connection: Connection, object_ids: Collection[int], now: datetime) -> list[tuple[str, int]]:
    """(profile, source object) of what changed since it was last synchronised."""
    whole = dirty.c.member_id.in_((*dirty_rows.ALL, dirty_rows.REFERENCES))
    query = select(dirty.c.profile, dirty.c.object_id).distinct().where(whole, or_(dirty.c.due_at.is_(None), dirty.c.due_at <= now))
    return [(row[0], row[1]) for row in _in(connection, query, dirty.c.object_id, object_ids)]


def under_way(connection: Connection, object_ids: Collection[int]) -> list[Under]:
    """What was approved or sent and is not at its end."""
    query = select(change.c.profile, change.c.object_id, change.c.state, change.c.plan_id, func.max(change.c.run_id))
    query = query.where(change.c.state.in_(OPEN)).group_by(change.c.profile, change.c.object_id, change.c.state, change.c.plan_id)
    return [Under._make(row) for row in _in(connection, query, change.c.object_id, object_ids)]


def problems(connection: Connection, engagement_id: int, object_ids: Collection[int]) -> list[Trouble]:
    """What stands against these objects."""
    query = select(problem.c.of, problem.c.object_id, problem.c.code, problem.c.text, problem.c.severity)
    query = query.where(problem.c.engagement_id == engagement_id).order_by(problem.c.severity, problem.c.id)
    return [Trouble._make(row) for row in _in(connection, query, problem.c.object_id, object_ids)]


def of_area(connection: Connection, engagement_id: int, area: str) -> list[Trouble]:
    """What stands in one area, the worst first."""
    query = select(problem.c.of, problem.c.object_id, problem.c.code, problem.c.text, problem.c.severity)
    query = query.where(problem.c.engagement_id == engagement_id, problem.c.area == area)
    return [Trouble._make(row) for row in connection.execute(query.order_by(problem.c.severity, problem.c.id))]


def holds(connection: Connection, object_ids: Collection[int]) -> list[Hold]:
    """What undos hold of these source objects."""
    query = select(hold.c.profile, hold.c.object_id, hold.c.attribute).order_by(hold.c.id)
    return [Hold._make(row) for row in _in(connection, query, hold.c.object_id, object_ids)]


class Place(NamedTuple):
    """An object of an identity, imported or not yet."""

    identity_id: int
    directory_id: int
    kind: str
    anchor: str
    object_id: int | None
    label: str | None
    state: str | None
    created: bool


def places(connection: Connection, identity_ids: Collection[int]) -> list[Place]:
    """All objects of these identities."""
    columns = (join.c.identity_id, join.c.directory_id, join.c.kind, join.c.anchor, join.c.object_id, object_.c.label, object_.c.state)
    query = select(*columns, join.c.created).select_from(join.outerjoin(object_, object_.c.id == join.c.object_id))
    query = query.order_by(join.c.directory_id, join.c.id)
    return [Place._make((*row[:7], bool(row[7]))) for row in _in(connection, query, join.c.identity_id, identity_ids)]
