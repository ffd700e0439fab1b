"""Queries of plans and their approvals. How a plan comes by its changes is in `freezing`, what becomes of them in `ledger`."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from metasync.store.tables import approval, change, directory, plan

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


class ContentHash:
    """SHA-256 over the sorted content of a plan's changes: no ids, tags, times or order of rows; the same on every store.

    Each change counts with the SHA-256 of its content; those are sorted in 256 parts, so that a million changes need 32 MB.
    """

    def __init__(self) -> None:
        self._parts = [bytearray() for _ in range(256)]

    def add(
        self,
        profile: str,
        source: str,
        directory: str,
        kind: str,
        target_id: int | None,
        anchor: str | None,
        operation: str,
        before: bytes,
        after: bytes,
    ) -> None:
        """One more change."""
        # An anchor that only the export made known is no part of what was approved.
        known = (anchor or "") if target_id is not None else ""
        fields = (
            f"{len(profile)}:{profile}{len(source)}:{source}{len(directory)}:{directory}{len(kind)}:{kind}{len(known)}:{known}"
            f"{len(operation)}:{operation}{len(before)}:{len(after)}:"
        )
        digest = hashlib.sha256(fields.encode("utf-8", "surrogatepass") + before + after).digest()
        self._parts[digest[0]] += digest

    def hexdigest(self) -> str:
        """The hash of all that was added."""
        whole = hashlib.sha256()
        for part in self._parts:
            for digest in sorted([bytes(part[start : start + 32]) for start in range(0, len(part), 32)]):
                whole.update(digest)
        return whole.hexdigest()


def content_hash(connection: Connection, plan_id: int, *, states: Collection[str] = ()) -> str:
    """The `ContentHash` of a plan's changes: all, or those in these states."""
    content = ContentHash()
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
        for _, *one in rows:
            content.add(*one)
    return content.hexdigest()


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
