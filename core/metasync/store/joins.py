"""Queries of identities, joins and decisions made by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, delete, exists, func, insert, or_, select, update

from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.tables import change, decision, identity, join, object_

SOURCE = "source"
"""The rule by which an identity's first object belongs to it."""
COLUMNS = (
    "engagement_id",
    "identity_id",
    "directory_id",
    "kind",
    "anchor",
    "object_id",
    "rule",
    "revision",
    "run_id",
    "author",
    "created",
)


class JoinRow(NamedTuple):
    """An object's place in the metaverse."""

    id: int
    identity_id: int
    directory_id: int
    kind: str
    anchor: str
    object_id: int | None
    profile: str | None
    rule: str
    revision: int
    run_id: int | None
    author: str
    created: bool
    done: tuple[Mapping[str, Any], ...]
    gone: bool
    """Its object was deleted in the directory."""


def _rows(connection: Connection, condition: Any) -> list[JoinRow]:
    columns = [join.c[name] for name in JoinRow._fields[:-1]]
    query = select(*columns, object_.c.state).select_from(join.outerjoin(object_, object_.c.id == join.c.object_id)).where(condition)
    rows = cast(Iterable[Any], connection.execute(query))
    return [
        JoinRow._make((*row[:10], author, bool(created), tuple(done or ()), state == "gone"))
        for row in rows
        for author, created, done, state in (row[10:],)
    ]


def of_objects(connection: Connection, object_ids: Collection[int]) -> dict[int, JoinRow]:
    """object id -> its join."""
    return {row.object_id: row for part in portions(object_ids) for row in _rows(connection, join.c.object_id.in_(part)) if row.object_id}


def of_identities(connection: Connection, identity_ids: Collection[int]) -> dict[int, list[JoinRow]]:
    """identity id -> all its joins, in a lasting order."""
    found: dict[int, list[JoinRow]] = {}
    for part in portions(identity_ids):
        for row in _rows(connection, join.c.identity_id.in_(part)):
            found.setdefault(row.identity_id, []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: (row.directory_id, row.kind, row.id))
    return found


def having_partner(connection: Connection, object_ids: Collection[int], directory_id: int, kind: str) -> set[int]:
    """Those of these objects that are not gone, and whose identity has an object of this kind in the directory that is not gone either."""
    own, other, there = join.alias("own"), join.alias("other"), object_.alias("there")
    found: set[int] = set()
    for part in portions(object_ids):
        query = (
            select(own.c.object_id)
            .join(other, other.c.identity_id == own.c.identity_id)
            .join(object_, object_.c.id == own.c.object_id)
            .outerjoin(there, there.c.id == other.c.object_id)
            .where(own.c.object_id.in_(part), other.c.directory_id == directory_id, other.c.kind == kind, object_.c.state != "gone")
            .where(func.coalesce(there.c.state, "") != "gone")
        )
        found |= set(connection.execute(query).scalars())
    return found


def of_anchor(connection: Connection, directory_id: int, anchor: str) -> JoinRow | None:
    """The join of an object by its anchor."""
    rows = _rows(connection, (join.c.directory_id == directory_id) & (join.c.anchor == anchor))
    return rows[0] if rows else None


def of_anchors(connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, JoinRow]:
    """anchor -> the join of that object."""
    parts = (_rows(connection, (join.c.directory_id == directory_id) & join.c.anchor.in_(part)) for part in portions(anchors))
    return {row.anchor: row for rows in parts for row in rows}


def unseen(connection: Connection, directory_id: int) -> list[JoinRow]:
    """Joins of what was created here, which no import has shown although nothing that was written to it waits for one."""
    waiting = (change.c.directory_id == directory_id) & (change.c.anchor == join.c.anchor) & change.c.state.in_(("in_flight", "written"))
    return _rows(connection, (join.c.directory_id == directory_id) & join.c.object_id.is_(None) & ~exists().where(waiting))


def new_identities(connection: Connection, engagement_id: int, kinds: Sequence[str]) -> list[int]:
    """One new identity per kind given, in that order."""
    if not kinds:
        return []
    query = insert(identity).returning(identity.c.id, sort_by_parameter_order=True)
    return list(connection.execute(query, [{"engagement_id": engagement_id, "kind": kind} for kind in kinds]).scalars())


def last_identity(connection: Connection) -> int:
    """The highest number of an identity."""
    return connection.execute(select(func.max(identity.c.id))).scalar() or 0


def of_new_identities(backend: Backend, connection: Connection, identity_ids: list[int], directory_ids: Sequence[int]) -> set[int]:
    """The objects of these identities in these directories."""
    query = 'SELECT object_id FROM "join" WHERE identity_id IN ? AND directory_id IN ?'
    return {row[0] for row in backend.fetch(connection, query, identity_ids, list(directory_ids))} if identity_ids else set()


def new_among(backend: Backend, connection: Connection, object_ids: list[int], first: int) -> set[int]:
    """Those of these objects whose identities have numbers from `first` on."""
    query = 'SELECT object_id FROM "join" WHERE object_id IN ? AND identity_id >= ?'
    return {row[0] for row in backend.fetch(connection, query, object_ids, first)}


def add_newcomers(
    backend: Backend,
    connection: Connection,
    engagement_id: int,
    kind: str,
    rows: Sequence[tuple[int, str, int]],
    *,
    revision: int,
    run_id: int,
    author: str,
) -> Sequence[int]:
    """A new identity for each of these source objects (directory, anchor, id); the identities' numbers in that order."""
    numbers = backend.reserve_ids(connection, identity, len(rows))
    backend.insert(connection, identity, ("id", "engagement_id", "kind"), ((number, engagement_id, kind) for number in numbers))
    joined = (
        (engagement_id, number, directory_id, kind, anchor, object_id, SOURCE, revision, run_id, author, False)
        for number, (directory_id, anchor, object_id) in zip(numbers, rows, strict=True)
    )
    backend.insert(connection, join, COLUMNS, backend.stored(connection, join, COLUMNS, joined))
    return numbers


def add_partners(
    backend: Backend,
    connection: Connection,
    engagement_id: int,
    rows: Iterable[tuple[int, int, str, str, int, str, str, bool]],
    *,
    revision: int,
    run_id: int,
    author: str,
) -> None:
    """Join objects to identities that have none in their directory: (identity, directory, kind, anchor, object, profile, rule, created)."""
    columns = (*COLUMNS, "profile")
    joined = (
        (engagement_id, identity_id, directory_id, kind, anchor, object_id, rule, revision, run_id, author, created, profile)
        for identity_id, directory_id, kind, anchor, object_id, profile, rule, created in rows
    )
    backend.insert(connection, join, columns, backend.stored(connection, join, columns, joined))


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Join objects to identities. Raises `IntegrityError` where an object or an identity's place is taken."""
    if rows:
        connection.execute(insert(join), [{"done": None, "created": False, **row} for row in rows])


def remove(connection: Connection, join_ids: Collection[int]) -> None:
    """Take joins back."""
    for part in portions(join_ids):
        connection.execute(delete(join).where(join.c.id.in_(part)))


def set_done(connection: Connection, join_id: int, done: Sequence[Mapping[str, Any]]) -> None:
    """Record which steps of leaving we took, and may reverse."""
    connection.execute(update(join).where(join.c.id == join_id).values(done=list(done) or None))


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRow:
    """A decision made by hand."""

    id: int
    decision: str
    directory: str
    anchor: str
    other_directory: str | None
    other_anchor: str | None
    reason: str
    author: str
    at: datetime


def decisions(connection: Connection, engagement_id: int) -> list[DecisionRow]:
    """All decisions by hand, oldest first; people make few."""
    query = select(decision).where(decision.c.engagement_id == engagement_id).order_by(decision.c.id)
    return [
        DecisionRow(
            id=row.id,
            decision=row.decision,
            directory=row.directory,
            anchor=row.anchor,
            other_directory=row.other_directory,
            other_anchor=row.other_anchor,
            reason=row.reason,
            author=row.author,
            at=row.at,
        )
        for row in connection.execute(query)
    ]


def decide(connection: Connection, engagement_id: int, values: Mapping[str, Any]) -> None:
    """Record a decision; an earlier one about the same object (and, for a pair, the same other object) gives way."""
    about = (
        (decision.c.engagement_id == engagement_id)
        & (decision.c.directory == values["directory"])
        & (decision.c.anchor == values["anchor"])
    )
    other = values.get("other_directory")
    if other is not None:
        about &= or_(decision.c.other_directory.is_(None), decision.c.other_directory == other)
    connection.execute(delete(decision).where(about))
    connection.execute(insert(decision).values(engagement_id=engagement_id, **values))


def withdraw(connection: Connection, engagement_id: int, directory: str, anchor: str, kind: str) -> int:
    """Take a decision back; how many there were."""
    return connection.execute(
        delete(decision).where(
            (decision.c.engagement_id == engagement_id)
            & (decision.c.directory == directory)
            & (decision.c.anchor == anchor)
            & (decision.c.decision == kind)
        )
    ).rowcount
