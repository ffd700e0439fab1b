"""Queries of what gives way to an object of another profile (`replaces:`): beside a row of `pending`, the object that goes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select

from metasync.contract import Kind
from metasync.store import codec
from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.rows import PendingOperation, State
from metasync.store.tables import directory, link, object_, pending, pending_replaced

PORTION = 500
COLUMNS = ("engagement_id", "profile", "object_id", "directory_id", "kind", "target_id", "anchor", "label", "operations")


class Replaced(NamedTuple):
    """An object of the target that gives way."""

    object_id: int
    """The source object for which it does."""
    directory_id: int
    kind: Kind
    target_id: int
    anchor: str
    label: str
    operations: Sequence[PendingOperation]


class Leaver(NamedTuple):
    """The same as a plan takes it."""

    replaced: Replaced
    source: str
    """`directory/anchor` of the source object."""
    identity_id: int | None
    successor_id: int | None
    """The object that takes its place; None while that is to be created."""
    successor: str | None
    """That one's anchor."""


class Membership(NamedTuple):
    """A group of the target that holds somebody."""

    member_id: int
    id: int
    anchor: str
    label: str
    attribute: str
    privileged: bool
    blob: bytes


def put(
    backend: Backend, connection: Connection, engagement_id: int, profile: str, object_ids: Collection[int], rows: Sequence[Replaced]
) -> None:
    """Replace what gives way for these source objects."""
    for part in portions(object_ids):
        connection.execute(delete(pending_replaced).where(pending_replaced.c.profile == profile, pending_replaced.c.object_id.in_(part)))
    stored = (
        (
            engagement_id,
            profile,
            row.object_id,
            row.directory_id,
            row.kind.value,
            row.target_id,
            row.anchor,
            row.label,
            codec.encode_operations(list(row.operations)),
        )
        for row in rows
    )
    backend.insert(connection, pending_replaced, COLUMNS, backend.stored(connection, pending_replaced, COLUMNS, stored))


def forget(connection: Connection, engagement_id: int, profile: str) -> None:
    """Nothing gives way to this profile's objects any more."""
    about = (pending_replaced.c.engagement_id == engagement_id) & (pending_replaced.c.profile == profile)
    connection.execute(delete(pending_replaced).where(about))


def of_object(connection: Connection, profile: str, object_id: int) -> Replaced | None:
    """What gives way for one source object."""
    query = select(pending_replaced).where(pending_replaced.c.profile == profile, pending_replaced.c.object_id == object_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _replaced(row)


def leavers(connection: Connection, engagement_id: int, profile: str, objects: Collection[int] | None = None) -> Iterator[list[Leaver]]:
    """All that gives way to a profile's objects, page by page, in the order of the source objects."""
    query = (
        select(
            pending_replaced,
            directory.c.name.label("source_directory"),
            object_.c.anchor.label("source_anchor"),
            pending.c.identity_id,
            pending.c.target_id.label("successor_id"),
            pending.c.anchor.label("successor"),
        )
        .join(pending, (pending.c.profile == pending_replaced.c.profile) & (pending.c.object_id == pending_replaced.c.object_id))
        .join(object_, object_.c.id == pending_replaced.c.object_id)
        .join(directory, directory.c.id == object_.c.directory_id)
        .where(pending_replaced.c.engagement_id == engagement_id, pending_replaced.c.profile == profile)
        .order_by(pending_replaced.c.object_id)
        .limit(PORTION)
    )
    last = 0
    while rows := connection.execute(query.where(pending_replaced.c.object_id > last)).all():
        last = rows[-1].object_id
        yield [
            Leaver(_replaced(row), f"{row.source_directory}/{row.source_anchor}", row.identity_id, row.successor_id, row.successor)
            for row in rows
            if objects is None or row.object_id in objects
        ]


def memberships(connection: Connection, directory_id: int, member_ids: Collection[int]) -> dict[int, list[Membership]]:
    """member -> the groups of this directory that hold it as last imported, in the order of their anchors."""
    found: dict[int, list[Membership]] = {}
    for part in portions(member_ids):
        query = (
            select(link.c.target_id, *(object_.c[name] for name in ("id", "anchor", "label")), link.c.attribute)
            .add_columns(object_.c.privileged, object_.c.blob)
            .join(object_, object_.c.id == link.c.object_id)
            .where(
                link.c.target_id.in_(part),
                object_.c.directory_id == directory_id,
                object_.c.kind == Kind.GROUP.value,
                object_.c.state == State.LIVE.value,
                link.c.attribute == "members",
            )
            .order_by(link.c.target_id, object_.c.anchor)
        )
        for row in connection.execute(query):
            found.setdefault(row.target_id, []).append(Membership._make(row))
    return found


def _replaced(row: Any) -> Replaced:
    return Replaced(
        object_id=row.object_id,
        directory_id=row.directory_id,
        kind=Kind(row.kind),
        target_id=row.target_id,
        anchor=row.anchor,
        label=row.label,
        operations=codec.decode_operations(row.operations),
    )
