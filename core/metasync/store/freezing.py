"""Queries of freezing: what is pending, as a plan takes it, and the changes of a plan while it is made.

Streams are read by key, in portions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, or_, select, tuple_, update

from metasync.contract import Operation
from metasync.store import codec
from metasync.store.backend import Backend
from metasync.store.tables import change, directory, join, object_, pending, pending_member

PORTION = 1000
COLUMNS = (
    "engagement_id",
    "plan_id",
    "profile",
    "object_id",
    "identity_id",
    "source",
    "directory_id",
    "kind",
    "target_id",
    "anchor",
    "label",
    "operation",
    "stage",
    "before",
    "after",
    "rules",
    "revision",
    "tag",
    "state",
    "attempts",
    "fence",
)
CREATES = """
SELECT pending.id, pending.object_id, directory.name, object.anchor, pending.identity_id, pending.directory_id, pending.kind,
       pending.target_id, pending.anchor, pending.label, pending.operations, pending.reference_operations
FROM pending
LEFT JOIN object ON object.id = pending.object_id
LEFT JOIN directory ON directory.id = object.directory_id
WHERE pending.engagement_id = ? AND pending.profile = ? AND pending.object_id > ? AND pending.anchor IS {}NULL
ORDER BY pending.object_id LIMIT ?"""


class PendingObject(NamedTuple):
    """What one profile wants to do to one object."""

    id: int
    object_id: int
    source: str
    """`directory/anchor` of the source object."""
    identity_id: int | None
    directory_id: int
    kind: str
    target_id: int | None
    anchor: str | None
    label: str
    operations: bytes
    reference_operations: bytes | None


class PendingMember(NamedTuple):
    """One member that a group shall gain or lose."""

    object_id: int
    source: str
    identity_id: int | None
    target_id: int | None
    anchor: str | None
    label: str
    """Of the group."""
    attribute: str
    member_key: str
    member_created: bool
    member_label: str
    operation: Operation
    rule: str


def pending_objects(
    backend: Backend,
    connection: Connection,
    engagement_id: int,
    profile: str,
    *,
    creates: bool,
    objects: Collection[int] | None = None,
) -> Iterator[list[PendingObject]]:
    """What the profile wants to do, page by page: either to objects that exist, or the creates."""
    query = CREATES.format("" if creates else "NOT ")
    last = 0
    while rows := backend.fetch(connection, query, engagement_id, profile, last, PORTION):
        last = rows[-1][1]
        yield [
            PendingObject(number, object_id, f"{name}/{anchor}" if anchor is not None else "", *rest)
            for number, object_id, name, anchor, *rest in rows
            if objects is None or object_id in objects
        ]


def pending_members(
    connection: Connection,
    engagement_id: int,
    profile: str,
    *,
    target_id: int,
    target_kind: str,
    objects: Collection[int] | None = None,
) -> Iterator[list[PendingMember]]:
    """The members that the profile's groups shall gain or lose, page by page. `target_id` is the target directory."""
    own, other = join.alias("own"), join.alias("other")
    key = (pending_member.c.object_id, pending_member.c.attribute, pending_member.c.member_key)
    query = (
        select(
            pending_member,
            directory.c.name.label("source_directory"),
            object_.c.anchor.label("source_anchor"),
            object_.c.label.label("source_label"),
            own.c.identity_id,
            pending.c.identity_id.label("pending_identity"),
            pending.c.label.label("pending_label"),
            other.c.anchor.label("group_anchor"),
            other.c.object_id.label("group_id"),
        )
        .select_from(
            pending_member.outerjoin(object_, object_.c.id == pending_member.c.object_id)
            .outerjoin(directory, directory.c.id == object_.c.directory_id)
            .outerjoin(pending, and_(pending.c.profile == pending_member.c.profile, pending.c.object_id == pending_member.c.object_id))
            .outerjoin(own, own.c.object_id == pending_member.c.object_id)
            .outerjoin(
                other,
                and_(
                    other.c.identity_id == func.coalesce(own.c.identity_id, pending.c.identity_id),
                    other.c.directory_id == target_id,
                    other.c.kind == target_kind,
                ),
            )
        )
        .where(pending_member.c.engagement_id == engagement_id, pending_member.c.profile == profile)
        .order_by(*key)
        .limit(PORTION)
    )
    if objects is not None and len(objects) <= PORTION:
        query = query.where(pending_member.c.object_id.in_(list(objects)))
    last: tuple[int, str, str] = (0, "", "")
    while rows := connection.execute(query.where(tuple_(*key) > last)).all():
        last = (rows[-1].object_id, rows[-1].attribute, rows[-1].member_key)
        yield [_member(row) for row in rows if objects is None or row.object_id in objects]


def in_flight(connection: Connection, engagement_id: int, profile: str) -> set[int]:
    """Source objects of which a change is being written, or may have been: they are planned again only once that is known."""
    # Directory by directory: asked for several at once, SQLite reads the profile's whole history instead.
    known = connection.execute(select(directory.c.id).where(directory.c.engagement_id == engagement_id)).scalars().all()
    query = select(change.c.object_id).where(change.c.profile == profile, change.c.state == "in_flight")
    return {found for number in known for found in connection.execute(query.where(change.c.directory_id == number)).scalars()}


def joined(connection: Connection, engagement_id: int, *, sources: Collection[int], source_kind: str, target: int, target_kind: str) -> int:
    """How many identities have an object on both sides: what percentages of limits are of."""
    own, other = join.alias("own"), join.alias("other")
    has_source = (
        select(own.c.id)
        .where(own.c.identity_id == other.c.identity_id, own.c.directory_id.in_(list(sources)), own.c.kind == source_kind)
        .exists()
    )
    # Whoever was deleted there keeps his join, so that a restore finds it; he is not joined any more.
    query = select(func.count()).select_from(other.outerjoin(object_, object_.c.id == other.c.object_id))
    query = query.where(or_(object_.c.id.is_(None), object_.c.state != "gone"))
    query = query.where(other.c.engagement_id == engagement_id, other.c.directory_id == target, other.c.kind == target_kind, has_source)
    return int(connection.execute(query).scalar_one())


def images(connection: Connection, object_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """object id -> its attributes as last imported, without references."""
    query = select(object_.c.id, object_.c.blob).where(object_.c.id.in_(list(object_ids)))
    return {row.id: codec.decode(row.blob) for row in connection.execute(query)}


def add(backend: Backend, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert changes, in the order given. All have the same columns."""
    if rows:
        columns = list(rows[0])
        stored = backend.stored(connection, change, columns, (tuple(row.values()) for row in rows))
        backend.insert(connection, change, columns, stored)


def add_frozen(backend: Backend, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert changes as tuples in the order of `COLUMNS`, their rules as JSON."""
    backend.insert(connection, change, COLUMNS, backend.stored(connection, change, COLUMNS, rows, ready=("rules",)))


class Numbered(NamedTuple):
    """One change of a plan that is being frozen."""

    id: int
    object_id: int


def by_tags(connection: Connection, plan_id: int, tags: Collection[str]) -> dict[str, Numbered]:
    """Tag -> change, of these tags of one plan. The plan is gone through once: an index of tags would cost each change of every plan more
    than its other indexes, and only plans that take something back or in turns ask for any."""
    wanted, found = set(tags), {}
    if wanted:
        query = select(change.c.tag, change.c.id, change.c.object_id).where(change.c.plan_id == plan_id).order_by(change.c.id)
        for tag, *about in connection.execute(query.execution_options(yield_per=PORTION)):
            if tag in wanted:
                found[tag] = Numbered(*about)
    return found


def bring_forward(connection: Connection, plan_id: int, about: Numbered, stage: int) -> None:
    """Give a change an earlier stage, and with it all that comes before it on the same object."""
    connection.execute(
        update(change)
        .where(change.c.plan_id == plan_id, change.c.object_id == about.object_id, change.c.id <= about.id, change.c.stage > stage)
        .values(stage=stage)
    )


def by_id(connection: Connection, change_id: int) -> Row[Any]:
    """One change, as its row."""
    return connection.execute(select(change).where(change.c.id == change_id)).one()


def set_before(connection: Connection, change_id: int, before: bytes) -> None:
    """Give a change that is being frozen another before-image."""
    connection.execute(update(change).where(change.c.id == change_id, change.c.state == "planned").values(before=before))


def _member(row: Row[Any]) -> PendingMember:
    return PendingMember(
        object_id=row.object_id,
        source=f"{row.source_directory}/{row.source_anchor}",
        identity_id=row.identity_id if row.identity_id is not None else row.pending_identity,
        target_id=row.group_id,
        anchor=row.group_anchor,
        label=row.pending_label or row.source_label or row.source_anchor,
        attribute=row.attribute,
        member_key=row.member_key,
        member_created=row.member_created,
        member_label=row.label,
        operation=Operation(row.operation),
        rule=row.rule,
    )
