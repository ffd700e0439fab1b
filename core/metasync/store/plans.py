"""Queries of plans and approvals: reading what is pending, freezing it as changes, and finding it again.

Streams are read by key, in portions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, tuple_, update

from metasync.contract import Kind, Operation, Schema
from metasync.store import codec
from metasync.store.tables import approval, change, directory, join, object_, pending, pending_member, plan, problem

PORTION = 1000
UNWRITTEN = ("planned", "approved")
LIVE = ("planned", "approved")
"""States of a plan whose changes may still be written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRow:
    """One profile's frozen changes."""

    id: int
    profile: str
    purpose: str
    run_id: int
    state: str
    hash: str
    configuration: str
    revision: int
    created: datetime
    counts: Mapping[str, int]
    joined: int
    exceeded: Sequence[Mapping[str, Any]]
    undoes: int | None
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRow:
    """Somebody let a plan be written."""

    plan_id: int
    profile: str
    hash: str
    configuration: str
    beyond: tuple[str, ...]
    reason: str
    author: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingRow:
    """What one profile wants to do to one object."""

    id: int
    object_id: int
    source: str
    """`directory/anchor` of the source object."""
    identity_id: int | None
    directory_id: int
    kind: Kind
    target_id: int | None
    anchor: str | None
    label: str
    operations: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingMember:
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


def get(connection: Connection, engagement_id: int, plan_id: int) -> PlanRow | None:
    """One plan of this engagement."""
    row = connection.execute(select(plan).where(plan.c.engagement_id == engagement_id, plan.c.id == plan_id)).one_or_none()
    return _plan(row) if row else None


def of_profile(
    connection: Connection, engagement_id: int, profile: str, *, states: Collection[str] = (), purpose: str | None = None
) -> list[PlanRow]:
    """The plans of a profile, newest first."""
    query = select(plan).where(plan.c.engagement_id == engagement_id, plan.c.profile == profile)
    if states:
        query = query.where(plan.c.state.in_(states))
    if purpose:
        query = query.where(plan.c.purpose == purpose)
    return [_plan(row) for row in connection.execute(query.order_by(plan.c.id.desc()))]


def of_run(connection: Connection, engagement_id: int, run_id: int) -> list[PlanRow]:
    """The plans that a run made."""
    query = select(plan).where(plan.c.engagement_id == engagement_id, plan.c.run_id == run_id)
    return [_plan(row) for row in connection.execute(query.order_by(plan.c.id))]


def of_ids(connection: Connection, engagement_id: int, plan_ids: Collection[int]) -> list[PlanRow]:
    """These plans, in the order of their numbers."""
    query = select(plan).where(plan.c.engagement_id == engagement_id, plan.c.id.in_(list(plan_ids)))
    return [_plan(row) for row in connection.execute(query.order_by(plan.c.id))]


def newest(connection: Connection, engagement_id: int, *, limit: int = 50, states: Collection[str] = ()) -> list[PlanRow]:
    """The last plans, newest first."""
    query = select(plan).where(plan.c.engagement_id == engagement_id)
    if states:
        query = query.where(plan.c.state.in_(states))
    return [_plan(row) for row in connection.execute(query.order_by(plan.c.id.desc()).limit(limit))]


def add(connection: Connection, values: Mapping[str, Any]) -> int:
    """A new plan; its number."""
    return int(connection.execute(insert(plan).values(**values).returning(plan.c.id)).scalar_one())


def change_plan(connection: Connection, plan_id: int, **values: Any) -> None:
    """Give a plan these values."""
    connection.execute(update(plan).where(plan.c.id == plan_id).values(**values))


def pending_rows(
    connection: Connection, engagement_id: int, profile: str, *, creates: bool, objects: Collection[int] | None = None
) -> Iterator[list[PendingRow]]:
    """What the profile wants to do, page by page: either to objects that exist, or the creates."""
    query = (
        select(pending, directory.c.name.label("source_directory"), object_.c.anchor.label("source_anchor"))
        .select_from(
            pending.outerjoin(object_, object_.c.id == pending.c.object_id).outerjoin(directory, directory.c.id == object_.c.directory_id)
        )
        .where(pending.c.engagement_id == engagement_id, pending.c.profile == profile)
        .where(pending.c.anchor.is_(None) if creates else pending.c.anchor.is_not(None))
        .order_by(pending.c.object_id)
        .limit(PORTION)
    )
    if objects is not None and len(objects) <= PORTION:
        query = query.where(pending.c.object_id.in_(list(objects)))
    last = 0
    while rows := connection.execute(query.where(pending.c.object_id > last)).all():
        last = rows[-1].object_id
        yield [_pending(row) for row in rows if objects is None or row.object_id in objects]


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


def in_flight(connection: Connection, engagement_id: int, profile: str) -> set[int]:
    """Source objects of which a change is being written, or may have been: they are planned again only once that is known."""
    query = select(change.c.object_id).distinct()
    return set(
        connection.execute(
            query.where(change.c.engagement_id == engagement_id, change.c.profile == profile, change.c.state == "in_flight")
        ).scalars()
    )


def schema_of(connection: Connection, directory_id: int) -> Schema | None:
    """What the directory said last that it can hold."""
    blob = connection.execute(select(directory.c.schema).where(directory.c.id == directory_id)).scalar()
    return codec.decode_schema(blob) if blob else None


def images(connection: Connection, object_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """object id -> its attributes as last imported, without references."""
    query = select(object_.c.id, object_.c.blob).where(object_.c.id.in_(list(object_ids)))
    return {row.id: codec.decode(row.blob) for row in connection.execute(query)}


def freeze(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert changes, in the order given."""
    if rows:
        connection.execute(insert(change), list(rows))


def bring_forward(connection: Connection, plan_id: int, tag: str, stage: int) -> None:
    """Give a change an earlier stage, and with it all that comes before it on the same object."""
    row = connection.execute(select(change.c.id, change.c.object_id).where(change.c.tag == tag, change.c.plan_id == plan_id)).one()
    connection.execute(
        update(change)
        .where(change.c.plan_id == plan_id, change.c.object_id == row.object_id, change.c.id <= row.id, change.c.stage > stage)
        .values(stage=stage)
    )


def by_tag(connection: Connection, plan_id: int, tag: str) -> Row[Any]:
    """One change of a plan, as its row."""
    return connection.execute(select(change).where(change.c.tag == tag, change.c.plan_id == plan_id)).one()


def set_before(connection: Connection, change_id: int, before: bytes) -> None:
    """Give a change that is being frozen another before-image."""
    connection.execute(update(change).where(change.c.id == change_id, change.c.state == "planned").values(before=before))


def content_hash(connection: Connection, plan_id: int, *, states: Collection[str] = ()) -> str:
    """SHA-256 over the sorted content of a plan's changes: no ids, tags, times or order of rows; the same on every store.

    Each change counts with the SHA-256 of its content; those are sorted in 256 parts, so that a million changes need 32 MB.
    """
    parts = [bytearray() for _ in range(256)]
    query = (
        select(
            change.c.id,
            change.c.profile,
            change.c.source,
            directory.c.name,
            change.c.kind,
            change.c.target_id,
            change.c.anchor,
            change.c.operation,
            change.c.before,
            change.c.after,
        )
        .select_from(change.join(directory, directory.c.id == change.c.directory_id))
        .where(change.c.plan_id == plan_id)
        .order_by(change.c.id)
        .limit(PORTION * 5)
    )
    if states:
        query = query.where(change.c.state.in_(states))
    last = 0
    while rows := connection.execute(query.where(change.c.id > last)).all():
        last = rows[-1].id
        for _, profile, source, name, kind, target_id, anchor, operation, before, after in rows:
            # An anchor that only the export made known is no part of what was approved.
            known = (anchor or "") if target_id is not None else ""
            fields = (
                f"{len(profile)}:{profile}{len(source)}:{source}{len(name)}:{name}{len(kind)}:{kind}{len(known)}:{known}{len(operation)}:{operation}"
                f"{len(before)}:{len(after)}:"
            )
            digest = hashlib.sha256(fields.encode("utf-8", "surrogatepass") + before + after).digest()
            parts[digest[0]] += digest
    whole = hashlib.sha256()
    for part in parts:
        for digest in sorted(bytes(part[start : start + 32]) for start in range(0, len(part), 32)):
            whole.update(digest)
    return whole.hexdigest()


def counts_by_state(connection: Connection, plan_id: int) -> dict[str, int]:
    """How many changes of a plan stand in each state."""
    query = select(change.c.state, func.count()).where(change.c.plan_id == plan_id).group_by(change.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def supersede(
    connection: Connection, engagement_id: int, profile: str, purpose: str, *, newer: int, objects: Collection[int] | None = None
) -> None:
    """Take back what is unwritten of the profile's older plans of one purpose: of these objects, or of all."""
    older = [one.id for one in of_profile(connection, engagement_id, profile, states=(*LIVE, "empty"), purpose=purpose) if one.id < newer]
    for plan_id in older:
        where = [change.c.plan_id == plan_id, change.c.state.in_(UNWRITTEN)]
        text = f"plan {newer} is newer"
        if objects is None:
            connection.execute(update(change).where(*where).values(state="superseded", error=text))
        else:
            rest = list(objects)
            for start in range(0, len(rest), PORTION):
                some = change.c.object_id.in_(rest[start : start + PORTION])
                connection.execute(update(change).where(*where, some).values(state="superseded", error=text))
        open_ = select(change.c.id).where(change.c.plan_id == plan_id, change.c.state.in_((*UNWRITTEN, "in_flight"))).limit(1)
        if connection.execute(open_).first() is None:
            done = connection.execute(
                select(change.c.id).where(change.c.plan_id == plan_id, change.c.state != "superseded").limit(1)
            ).first()
            change_plan(connection, plan_id, state="exported" if done else "superseded")


def approve(connection: Connection, values: Mapping[str, Any]) -> None:
    """Record an approval, and let the plan's changes be written."""
    connection.execute(insert(approval).values(**values))
    connection.execute(
        update(change).where(change.c.plan_id == values["plan_id"], change.c.state == "planned").values(state="approved", due_at=None)
    )
    change_plan(connection, values["plan_id"], state="approved")


def approval_of(connection: Connection, plan_id: int) -> ApprovalRow | None:
    """The approval of a plan."""
    row = connection.execute(select(approval).where(approval.c.plan_id == plan_id).order_by(approval.c.id.desc()).limit(1)).one_or_none()
    return _approval(row) if row else None


def approvals_like(connection: Connection, engagement_id: int, profile: str, configuration: str, purpose: str) -> list[ApprovalRow]:
    """Approvals of a profile's plans of this purpose under this configuration, newest first."""
    query = (
        select(approval)
        .join(plan, plan.c.id == approval.c.plan_id)
        .where(
            approval.c.engagement_id == engagement_id,
            approval.c.profile == profile,
            approval.c.configuration == configuration,
            plan.c.purpose == purpose,
        )
        .order_by(approval.c.id.desc())
    )
    return [_approval(row) for row in connection.execute(query)]


def replace_problems(
    connection: Connection,
    engagement_id: int,
    area: str,
    of: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    objects: Collection[int] | None = None,
) -> None:
    """Let these be all problems of an area and profile (of these objects, where given)."""
    where = [problem.c.engagement_id == engagement_id, problem.c.area == area, problem.c.of == of]
    if objects is not None:
        where.append(problem.c.object_id.in_(list(objects)))
    connection.execute(delete(problem).where(*where))
    if rows:
        connection.execute(insert(problem), [{"engagement_id": engagement_id, "area": area, "of": of, **row} for row in rows])


def add_problems(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Further problems."""
    if rows:
        connection.execute(insert(problem), list(rows))


def clear_problems(
    connection: Connection, engagement_id: int, area: str, of: str, object_ids: Collection[int], codes: Collection[str] = ()
) -> None:
    """The problems of these objects are over."""
    rest = sorted(object_ids)
    for start in range(0, len(rest), PORTION):
        where = [problem.c.engagement_id == engagement_id, problem.c.area == area, problem.c.of == of]
        if codes:
            where.append(problem.c.code.in_(list(codes)))
        connection.execute(delete(problem).where(*where, problem.c.object_id.in_(rest[start : start + PORTION])))


def _plan(row: Row[Any]) -> PlanRow:
    return PlanRow(
        id=row.id,
        profile=row.profile,
        purpose=row.purpose,
        run_id=row.run_id,
        state=row.state,
        hash=row.hash,
        configuration=row.configuration,
        revision=row.revision,
        created=row.created,
        counts=row.counts,
        joined=row.joined,
        exceeded=tuple(row.exceeded),
        undoes=row.undoes,
        note=row.note,
    )


def _approval(row: Row[Any]) -> ApprovalRow:
    return ApprovalRow(
        plan_id=row.plan_id,
        profile=row.profile,
        hash=row.hash,
        configuration=row.configuration,
        beyond=tuple(row.beyond),
        reason=row.reason,
        author=row.author,
        at=row.at,
    )


def _pending(row: Row[Any]) -> PendingRow:
    return PendingRow(
        id=row.id,
        object_id=row.object_id,
        source=f"{row.source_directory}/{row.source_anchor}" if row.source_anchor is not None else "",
        identity_id=row.identity_id,
        directory_id=row.directory_id,
        kind=Kind(row.kind),
        target_id=row.target_id,
        anchor=row.anchor,
        label=row.label,
        operations=row.operations,
    )


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
