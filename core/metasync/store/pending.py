"""Queries of what profiles want to do: operations by object, members of groups one by one. Plans freeze it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, exists, select, update

from metasync.contract import Kind, Operation
from metasync.store import codec
from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.rows import PendingOperation
from metasync.store.tables import object_, pending, pending_member, pending_replaced

COLUMNS = (
    "engagement_id",
    "profile",
    "object_id",
    "identity_id",
    "directory_id",
    "kind",
    "target_id",
    "anchor",
    "label",
    "operations",
    "run_id",
)
NOTHING = codec.encode_operations([])
"""Where nothing but references is pending."""
MEMBER_COLUMNS = (
    "engagement_id",
    "profile",
    "object_id",
    "member_key",
    "member_created",
    "attribute",
    "operation",
    "label",
    "rule",
)


@dataclass(kw_only=True, slots=True)
class PendingRow:
    """What one profile wants to do to one object."""

    object_id: int
    identity_id: int | None
    directory_id: int
    kind: Kind
    target_id: int | None
    anchor: str | None
    label: str
    operations: list[PendingOperation]
    """Those that set references belong to the others where there are any: a new object is created with its references."""


class MemberRow(NamedTuple):
    """One member to be added or removed."""

    object_id: int
    member_key: str
    member_created: bool
    attribute: str
    operation: Operation
    label: str
    rule: str


def of_objects(connection: Connection, profile: str, object_ids: Collection[int]) -> dict[int, PendingRow]:
    """source object -> what is pending for it."""
    found = {}
    for part in portions(object_ids):
        for row in connection.execute(select(pending).where(pending.c.profile == profile, pending.c.object_id.in_(part))):
            found[row.object_id] = _pending_row(row)
    return found


def add_creates(
    backend: Backend,
    connection: Connection,
    engagement_id: int,
    profile: str,
    run_id: int,
    directory_id: int,
    kind: Kind,
    rows: Iterable[tuple[int, int, str, bytes]],
) -> None:
    """What is pending for objects for which nothing was: (source object, identity, label, operations)."""
    stored = (
        (engagement_id, profile, object_id, identity_id, directory_id, kind.value, None, None, label, operations, run_id)
        for object_id, identity_id, label, operations in rows
    )
    backend.insert(connection, pending, COLUMNS, backend.stored(connection, pending, COLUMNS, stored))


def planned(backend: Backend, connection: Connection, profile: str, object_ids: Collection[int]) -> set[int]:
    """Those of these source objects for which an object is about to be created."""
    query = "SELECT object_id FROM pending WHERE profile = ? AND object_id IN ? AND anchor IS NULL"
    return {row[0] for row in backend.fetch(connection, query, profile, list(object_ids))}


def merged(operations: Sequence[PendingOperation], references: Sequence[PendingOperation]) -> list[PendingOperation]:
    """What belongs together is one operation: a new object is created with its references, and a change of values carries those that
    changed with them."""
    if not operations and len(references) == 1:
        return list(references)
    found = {one.operation: one for one in operations}
    for one in references:
        into = found.get(Operation.CREATE) or found.get(one.operation) or PendingOperation(operation=one.operation)
        found[into.operation] = replace(
            into, before={**into.before, **one.before}, after={**into.after, **one.after}, rules={**into.rules, **one.rules}
        )
    return list(found.values())


def on_targets(connection: Connection, target_ids: Collection[int]) -> list[PendingRow]:
    """What any profile wants to do to these target objects."""
    return [
        _pending_row(row)
        for part in portions(target_ids)
        for row in connection.execute(select(pending).where(pending.c.target_id.in_(part)).order_by(pending.c.id))
    ]


def put(
    backend: Backend,
    connection: Connection,
    engagement_id: int,
    profile: str,
    run_id: int,
    object_ids: Collection[int],
    rows: Sequence[PendingRow],
) -> None:
    """Replace what is pending for these objects (references, too; members excepted)."""
    for part in portions(object_ids):
        connection.execute(delete(pending).where(pending.c.profile == profile, pending.c.object_id.in_(part)))
    stored = (
        (
            engagement_id,
            profile,
            row.object_id,
            row.identity_id,
            row.directory_id,
            row.kind.value,
            row.target_id,
            row.anchor,
            row.label,
            codec.encode_operations(row.operations),
            run_id,
        )
        for row in rows
    )
    backend.insert(connection, pending, COLUMNS, backend.stored(connection, pending, COLUMNS, stored))


def put_references(
    backend: Backend,
    connection: Connection,
    engagement_id: int,
    profile: str,
    run_id: int,
    object_ids: Collection[int],
    rows: Sequence[PendingRow],
) -> None:
    """Replace what is pending for the single references of these objects; everything else that is pending for them stays."""
    query = "SELECT object_id, reference_operations IS NOT NULL FROM pending WHERE profile = ? AND object_id IN ?"
    there = {row[0]: bool(row[1]) for row in backend.fetch(connection, query, profile, list(object_ids))}
    changed = ((codec.encode_operations(row.operations), profile, row.object_id) for row in rows if row.object_id in there)
    backend.update(connection, pending, ("reference_operations",), ("profile", "object_id"), changed)
    columns = (*COLUMNS, "reference_operations")
    stored = (
        (
            engagement_id,
            profile,
            row.object_id,
            row.identity_id,
            row.directory_id,
            row.kind.value,
            row.target_id,
            row.anchor,
            row.label,
            NOTHING,
            run_id,
            codec.encode_operations(row.operations),
        )
        for row in rows
        if row.object_id not in there
    )
    backend.insert(connection, pending, columns, backend.stored(connection, pending, columns, stored))
    kept = {row.object_id for row in rows}
    over = [one for one, refers in there.items() if refers and one not in kept]
    for part in portions(over):
        about = (pending.c.profile == profile) & pending.c.object_id.in_(part)
        gives_way = exists().where(pending_replaced.c.profile == pending.c.profile, pending_replaced.c.object_id == pending.c.object_id)
        connection.execute(delete(pending).where(about, pending.c.operations == NOTHING, ~gives_way))
        connection.execute(update(pending).where(about).values(reference_operations=None))


def add_members(backend: Backend, connection: Connection, engagement_id: int, profile: str, rows: Iterable[MemberRow]) -> None:
    """Members that are not pending yet."""
    stored = (
        (engagement_id, profile, object_id, key, created, attribute, operation.value, label, rule)
        for object_id, key, created, attribute, operation, label, rule in rows
    )
    backend.insert(connection, pending_member, MEMBER_COLUMNS, backend.stored(connection, pending_member, MEMBER_COLUMNS, stored))


def naming_members(connection: Connection, profiles: Collection[str], member_ids: Collection[int]) -> list[tuple[str, int]]:
    """(profile, source group) for which one of these target objects is pending as a member, to be added or removed."""
    found: set[tuple[str, int]] = set()
    for part in portions(member_ids):
        query = (
            select(pending_member.c.profile, pending_member.c.object_id)
            .distinct()
            .join(object_, object_.c.anchor == pending_member.c.member_key)
            .where(object_.c.id.in_(part), pending_member.c.profile.in_(sorted(profiles)), pending_member.c.member_created.is_(False))
        )
        found |= {(row.profile, row.object_id) for row in connection.execute(query)}
    return sorted(found)


def drop_members(connection: Connection, profile: str, object_ids: Collection[int], attribute: str | None = None) -> None:
    """Nothing is pending for the members of these groups any more: in one attribute, or in any."""
    for part in portions(object_ids):
        about = (pending_member.c.profile == profile) & pending_member.c.object_id.in_(part)
        if attribute is not None:
            about &= pending_member.c.attribute == attribute
        connection.execute(delete(pending_member).where(about))


def drop_member_keys(connection: Connection, profile: str, object_id: int, attribute: str, keys: Collection[str]) -> None:
    """Nothing is pending for these members of a group any more."""
    about = and_(pending_member.c.profile == profile, pending_member.c.object_id == object_id, pending_member.c.attribute == attribute)
    for part in portions(keys):
        connection.execute(delete(pending_member).where(about, pending_member.c.member_key.in_(part)))


def _pending_row(row: Any) -> PendingRow:
    return PendingRow(
        object_id=row.object_id,
        identity_id=row.identity_id,
        directory_id=row.directory_id,
        kind=Kind(row.kind),
        target_id=row.target_id,
        anchor=row.anchor,
        label=row.label,
        operations=restored(row.operations, row.reference_operations),
    )


def restored(operations: bytes, references: bytes | None) -> list[PendingOperation]:
    """What is pending for an object, of the two columns that hold it."""
    found = codec.decode_operations(operations)
    return found if references is None else merged(found, codec.decode_operations(references))
