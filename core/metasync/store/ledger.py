"""Queries of the ledger: changes and batches from the approval to the confirmation.

Every statement that ends an attempt names the fence, so that whoever lost the lease changes nothing any more. Which state follows which is
decided in `exporting`, not here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, tuple_, update

from metasync.contract import Kind, Operation
from metasync.store import codec
from metasync.store.backend import Backend
from metasync.store.labels import any_case
from metasync.store.portions import portions
from metasync.store.rows import MOVED_MEMBERS
from metasync.store.tables import change, directory, join, plan

PORTION = 1000
MEMBER_OPERATIONS = (Operation.MEMBER_ADD.value, Operation.MEMBER_REMOVE.value)
STATES = ("planned", "approved", "in_flight", "written", "confirmed", "not_reimported", "rejected", "stale", "superseded")
"""Every state of a change."""
DONE = ("written", "confirmed", "not_reimported")
FAILED = ("rejected", "stale", "superseded")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRow:
    """One change as the ledger holds it."""

    id: int
    plan_id: int
    run_id: int | None
    batch_id: int | None
    profile: str
    object_id: int
    identity_id: int | None
    source: str
    directory_id: int
    kind: Kind
    target_id: int | None
    anchor: str | None
    label: str
    operation: Operation
    stage: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    rules: Mapping[str, str]
    revision: int
    tag: str
    state: str
    attempts: int
    fence: int
    due_at: datetime | None
    error: str | None
    written_at: datetime | None
    undone_by: int | None


# --- changes ---------------------------------------------------------------------------------------------------------------------------


def changes(
    connection: Connection,
    engagement_id: int,
    *,
    plan_id: int,
    operations: Collection[str] = (),
    states: Collection[str] = (),
    text: str = "",
    after_id: int = 0,
    limit: int = PORTION,
) -> list[ChangeRow]:
    """Changes of a plan in the order of their numbers, behind `after_id`. `text`: a part of the object's name, of its anchor, or of the
    source object's name."""
    query = select(change).where(*_those(connection, engagement_id, plan_id, operations, states, text), change.c.id > after_id)
    return [as_change_row(row) for row in connection.execute(query.order_by(change.c.id).limit(limit))]


def count_those(connection: Connection, engagement_id: int, *, plan_id: int, operations: Collection[str] = (), text: str = "") -> int:
    """How many changes of a plan these filters let through."""
    query = select(func.count()).select_from(change).where(*_those(connection, engagement_id, plan_id, operations, (), text))
    return int(connection.execute(query).scalar_one())


def _those(
    connection: Connection, engagement_id: int, plan_id: int, operations: Collection[str], states: Collection[str], text: str
) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [change.c.engagement_id == engagement_id, change.c.plan_id == plan_id]
    if operations:
        where.append(change.c.operation.in_(sorted(operations)))
    if states:
        where.append(change.c.state.in_(sorted(states)))
    if text:
        names = (any_case(connection, column) for column in (change.c.label, change.c.anchor, change.c.source))
        where.append(or_(*(name.icontains(text, autoescape=True) for name in names)))
    return where


def last_of(connection: Connection, plan_id: int) -> int:
    """The number of a plan's last change; those of later plans are higher."""
    return int(connection.execute(select(func.max(change.c.id)).where(change.c.plan_id == plan_id)).scalar() or 0)


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, ChangeRow]:
    """These changes."""
    return {row.id: as_change_row(row) for part in portions(ids) for row in connection.execute(select(change).where(change.c.id.in_(part)))}


def approved(
    connection: Connection, plan_id: int, *, after: tuple[int, int], below: int, now: datetime, limit: int = PORTION
) -> list[ChangeRow]:
    """Changes that may be written now, in the order of export, behind `after` = (stage, id) and below a stage."""
    query = (
        select(change)
        .where(
            change.c.plan_id == plan_id,
            change.c.state == "approved",
            tuple_(change.c.stage, change.c.id) > after,
            change.c.stage < below,
            or_(change.c.due_at.is_(None), change.c.due_at <= now),
        )
        .order_by(change.c.stage, change.c.id)
        .limit(limit)
    )
    return [as_change_row(row) for row in connection.execute(query)]


def in_flight(
    connection: Connection, plan_ids: Collection[int], *, after: tuple[int, int], now: datetime, below: int, limit: int = PORTION
) -> list[ChangeRow]:
    """Changes whose outcome is not known and that may be read back now, in the order of export."""
    query = (
        select(change)
        .where(
            change.c.plan_id.in_(list(plan_ids)),
            change.c.state == "in_flight",
            tuple_(change.c.stage, change.c.id) > after,
            change.c.stage < below,
            or_(change.c.due_at.is_(None), change.c.due_at <= now),
        )
        .order_by(change.c.stage, change.c.id)
        .limit(limit)
    )
    return [as_change_row(row) for row in connection.execute(query)]


def left_in_flight(connection: Connection, directory_id: int, now: datetime) -> list[int]:
    """Plans with changes to a directory whose outcome is not known, and that may be read back now; not those that exporters carry."""
    query = (
        select(change.c.plan_id)
        .distinct()
        .join(plan, plan.c.id == change.c.plan_id)
        .where(
            change.c.directory_id == directory_id,
            change.c.state == "in_flight",
            plan.c.purpose != "exporter",
            or_(change.c.due_at.is_(None), change.c.due_at <= now),
        )
    )
    return sorted(connection.execute(query).scalars())


def obstacles(connection: Connection, plan_ids: Collection[int], now: datetime) -> Iterator[tuple[int, int, int, int, Operation, str, str]]:
    """(plan, object, stage, id, operation, state, error) of changes that later ones of the same object depend on and that are not done:
    refused, outdated, in flight, or due later. Members depend on nothing of one another and are not among them, but those that go over."""
    query = (
        select(change.c.plan_id, change.c.object_id, change.c.stage, change.c.id, change.c.operation, change.c.state, change.c.error)
        .where(
            change.c.plan_id.in_(list(plan_ids)),
            or_(change.c.operation.not_in(MEMBER_OPERATIONS), change.c.stage.in_(MOVED_MEMBERS)),
            or_(
                change.c.state.in_(("in_flight", *FAILED)),
                and_(change.c.state == "approved", change.c.due_at.is_not(None), change.c.due_at > now),
            ),
        )
        .order_by(change.c.stage, change.c.id)
    )
    for row in connection.execute(query).all():
        yield row.plan_id, row.object_id, row.stage, row.id, Operation(row.operation), row.state, row.error or ""


def next_due(connection: Connection, plan_ids: Collection[int], below: int) -> datetime | None:
    """When the first of the changes that wait becomes due; None where nothing waits for a time."""
    query = select(func.min(change.c.due_at)).where(
        change.c.plan_id.in_(list(plan_ids)), change.c.state.in_(("approved", "in_flight")), change.c.stage < below
    )
    return connection.execute(query).scalar()


def unfinished(connection: Connection, plan_ids: Collection[int]) -> dict[int, int]:
    """plan -> how many of its changes may still be written."""
    query = (
        select(change.c.plan_id, func.count())
        .where(change.c.plan_id.in_(list(plan_ids)), change.c.state.in_(("planned", "approved", "in_flight")))
        .group_by(change.c.plan_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def finished(connection: Connection, plan_ids: Collection[int]) -> dict[int, int]:
    """plan of which runs wrote something and nothing is left to write -> the last of these runs."""
    open_ = unfinished(connection, plan_ids)
    query = select(change.c.plan_id, func.max(change.c.run_id)).where(change.c.plan_id.in_(list(plan_ids)), change.c.run_id.is_not(None))
    return {row[0]: row[1] for row in connection.execute(query.group_by(change.c.plan_id)) if row[0] not in open_}


def count(connection: Connection, plan_ids: Collection[int]) -> dict[str, int]:
    """How many changes of these plans stand in each state."""
    query = select(change.c.state, func.count()).where(change.c.plan_id.in_(list(plan_ids))).group_by(change.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def count_of_run(connection: Connection, engagement_id: int, run_id: int) -> dict[str, int]:
    """How many changes that a run exported stand in each state."""
    where = (change.c.engagement_id == engagement_id, change.c.run_id == run_id)
    return {row[0]: row[1] for row in connection.execute(select(change.c.state, func.count()).where(*where).group_by(change.c.state))}


def directories_of(connection: Connection, plan_ids: Collection[int]) -> dict[int, set[int]]:
    """directory -> the plans with changes to it."""
    found: dict[int, set[int]] = {}
    query = select(change.c.directory_id, change.c.plan_id).distinct().where(change.c.plan_id.in_(list(plan_ids)))
    for row in connection.execute(query):
        found.setdefault(row.directory_id, set()).add(row.plan_id)
    return found


def claim(
    connection: Connection,
    ids: Collection[int],
    *,
    run_id: int,
    batch_id: int,
    fence: int,
    due_at: datetime | None,
    state: str = "approved",
) -> list[ChangeRow]:
    """Take changes into flight; those that really are ours now, in the order of export. `due_at`: before when nothing may be read into an
    absence. Commit before writing."""
    update_ = (
        update(change)
        .where(change.c.id.in_(list(ids)), change.c.state == state)
        .values(state="in_flight", run_id=run_id, batch_id=batch_id, fence=fence, attempts=change.c.attempts + 1, due_at=due_at, error=None)
    )
    connection.execute(update_)
    query = select(change).where(
        change.c.id.in_(list(ids)), change.c.state == "in_flight", change.c.batch_id == batch_id, change.c.fence == fence
    )
    return [as_change_row(row) for row in connection.execute(query.order_by(change.c.stage, change.c.id))]


def adopt(connection: Connection, ids: Collection[int], *, run_id: int, batch_id: int, fence: int) -> list[ChangeRow]:
    """Take over changes that somebody else left in flight."""
    connection.execute(
        update(change)
        .where(change.c.id.in_(list(ids)), change.c.state == "in_flight")
        .values(run_id=run_id, batch_id=batch_id, fence=fence)
    )
    query = select(change).where(
        change.c.id.in_(list(ids)), change.c.state == "in_flight", change.c.batch_id == batch_id, change.c.fence == fence
    )
    return [as_change_row(row) for row in connection.execute(query.order_by(change.c.stage, change.c.id))]


def still_ours(connection: Connection, ids: Collection[int], *, fence: int) -> set[int]:
    """Those of these changes whose attempts are still ours to end: no other owner took the lease, and nobody ended them."""
    found: set[int] = set()
    for part in portions(ids):
        query = select(change.c.id).where(change.c.id.in_(part), change.c.state == "in_flight", change.c.fence == fence)
        found |= set(connection.execute(query).scalars())
    return found


ENDED = ("state", "anchor", "written_at", "due_at", "error", "attempts")


def finish(backend: Backend, connection: Connection, rows: Iterable[tuple[Any, ...]], *, fence: int) -> None:
    """End attempts: the values of `ENDED`, then the change's number. Only where they are in flight under this fence."""
    stored = backend.stored(connection, change, (*ENDED, "id", "fence"), ((*row, fence) for row in rows))
    backend.update(connection, change, ENDED, ("id", "fence"), stored)


def hold_back(connection: Connection, ids: Collection[int], *, state: str, error: str) -> None:
    """Say why approved changes were not even begun: they stay approved, or are refused or sent back with what they depend on."""
    for part in portions(ids):
        connection.execute(update(change).where(change.c.id.in_(part), change.c.state == "approved").values(state=state, error=error))


def purposes(connection: Connection, plan_ids: Collection[int]) -> dict[int, str]:
    """plan -> what it is for."""
    query = select(plan.c.id, plan.c.purpose).where(plan.c.id.in_(list(plan_ids)))
    return {row.id: row.purpose for row in connection.execute(query)}


def mark_created(connection: Connection, join_ids: Collection[int]) -> None:
    """The objects of these joins were created by us."""
    for part in portions(join_ids):
        connection.execute(update(join).where(join.c.id.in_(part)).values(created=True))


def set_anchors(backend: Backend, connection: Connection, rows: Collection[tuple[str, int]]) -> None:
    """The target objects are known by now: (anchor, change)."""
    backend.update(connection, change, ("anchor",), ("id",), rows)


def close_plans(connection: Connection, plan_ids: Collection[int]) -> None:
    """Plans of which nothing may be written any more are exported."""
    open_ = unfinished(connection, plan_ids)
    done = [plan_id for plan_id in plan_ids if not open_.get(plan_id)]
    connection.execute(update(plan).where(plan.c.id.in_(done), plan.c.state == "approved").values(state="exported"))


# --- references ------------------------------------------------------------------------------------------------------------------------


def standing_for(
    connection: Connection, engagement_id: int, sources: Collection[tuple[str, str]], directory_id: int
) -> dict[tuple[str, str], list[tuple[str, str, str]]]:
    """(directory, anchor) of a source object -> (its kind, kind, anchor) of each object that stands for its identity elsewhere."""
    found: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    own, other = join.alias("own"), join.alias("other")
    by_directory: dict[str, list[str]] = {}
    for name, anchor in sources:
        by_directory.setdefault(name, []).append(anchor)
    for name, anchors in by_directory.items():
        for part in portions(anchors):
            query = (
                select(own.c.anchor, own.c.kind, other.c.kind.label("other_kind"), other.c.anchor.label("other_anchor"))
                .select_from(
                    own.join(directory, directory.c.id == own.c.directory_id).join(
                        other, and_(other.c.identity_id == own.c.identity_id, other.c.directory_id == directory_id)
                    )
                )
                .where(directory.c.engagement_id == engagement_id, directory.c.name == name, own.c.anchor.in_(part))
            )
            for row in connection.execute(query):
                found.setdefault((name, row.anchor), []).append((row.kind, row.other_kind, row.other_anchor))
    return found


def place_of(connection: Connection, identity_id: int, directory_id: int, kind: str) -> Row[Any] | None:
    """The join of an identity in a directory by kind, if there is one."""
    query = select(join).where(join.c.identity_id == identity_id, join.c.directory_id == directory_id, join.c.kind == kind)
    return connection.execute(query).one_or_none()


def places_of(connection: Connection, identity_ids: Collection[int], directory_id: int) -> dict[tuple[int, str], str]:
    """(identity, kind) -> the anchor of its object in a directory."""
    found: dict[tuple[int, str], str] = {}
    for part in portions(identity_ids):
        query = select(join.c.identity_id, join.c.kind, join.c.anchor).where(
            join.c.identity_id.in_(part), join.c.directory_id == directory_id
        )
        found |= {(row.identity_id, row.kind): row.anchor for row in connection.execute(query)}
    return found


def creating(connection: Connection, identity_ids: Collection[int], directory_id: int) -> set[tuple[int | None, str]]:
    """(identity, kind) of creates in a directory whose outcome is not known yet."""
    found: set[tuple[int | None, str]] = set()
    for part in portions(identity_ids):
        query = select(change.c.identity_id, change.c.kind).where(
            change.c.directory_id == directory_id,
            change.c.state == "in_flight",
            change.c.operation == Operation.CREATE.value,
            change.c.identity_id.in_(part),
        )
        found |= {(row.identity_id, row.kind) for row in connection.execute(query)}
    return found


# --- helpers ---------------------------------------------------------------------------------------------------------------------------


def as_change_row(row: Row[Any]) -> ChangeRow:
    return ChangeRow(
        id=row.id,
        plan_id=row.plan_id,
        run_id=row.run_id,
        batch_id=row.batch_id,
        profile=row.profile,
        object_id=row.object_id,
        identity_id=row.identity_id,
        source=row.source,
        directory_id=row.directory_id,
        kind=Kind(row.kind),
        target_id=row.target_id,
        anchor=row.anchor,
        label=row.label,
        operation=Operation(row.operation),
        stage=row.stage,
        before=codec.decode(row.before),
        after=codec.decode(row.after),
        rules=row.rules,
        revision=row.revision,
        tag=row.tag,
        state=row.state,
        attempts=row.attempts,
        fence=row.fence,
        due_at=row.due_at,
        error=row.error,
        written_at=row.written_at,
        undone_by=row.undone_by,
    )
