"""Queries of runs, their steps, and pausing: what was done, by whom, how far it came. Nothing here knows what a step does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from metasync.store import tables

LOOKED_BACK = 1000
"""So many runs of a kind are looked through for the one before."""

_run = tables.run.c
_step = tables.step.c


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """One run."""

    id: int
    kind: str
    state: str
    what: Sequence[str]
    author: str
    started: datetime
    finished: datetime | None
    stop: bool
    counts: Mapping[str, int]
    error: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of a run on the queue: what it was asked for with."""
    dispatch: str | None = None
    """Of a run on the queue: which dispatcher brings it to the workers."""
    queued: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRow:
    """One step of a run."""

    id: int
    name: str
    of: str
    state: str
    done: int
    total: int | None
    started: datetime
    finished: datetime | None
    text: str
    updated: datetime | None = None
    """When `done`, `total` and `text` were looked at last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleRow:
    """What a schedule knows of its profile."""

    profile: str
    next: datetime | None = None
    """When it is due; None: not before its last run ended."""
    rule: str | None = None
    """The words that `next` was worked out from."""
    run_id: int | None = None
    """The run that it was put on the queue with last."""


def begin(connection: Connection, engagement_id: int, *, kind: str, what: Sequence[str], author: str, at: datetime) -> int:
    """A new run, in state `running`; its number."""
    row = insert(tables.run).values(
        engagement_id=engagement_id, kind=kind, state="running", what=list(what), author=author, started=at, stop=False, counts={}
    )
    return int(connection.execute(row.returning(_run.id)).scalar_one())


def end(connection: Connection, run_id: int, *, state: str, counts: Mapping[str, int], error: str | None, at: datetime) -> None:
    """The run ended."""
    values = {"state": state, "counts": dict(counts), "error": error, "finished": at}
    connection.execute(update(tables.run).where(_run.id == run_id).values(**values))


def enqueue(
    connection: Connection,
    engagement_id: int,
    *,
    kind: str,
    what: Sequence[str],
    options: Mapping[str, Any],
    dispatch: str,
    author: str,
    at: datetime,
) -> int:
    """A new run, in state `queued`; its number."""
    row = insert(tables.run).values(
        engagement_id=engagement_id,
        kind=kind,
        state="queued",
        what=list(what),
        author=author,
        started=at,
        queued=at,
        stop=False,
        counts={},
        options=dict(options),
        dispatch=dispatch,
    )
    return int(connection.execute(row.returning(_run.id)).scalar_one())


def take_up(connection: Connection, run_id: int, *, at: datetime) -> None:
    """A run on the queue begins."""
    connection.execute(update(tables.run).where(_run.id == run_id).values(state="running", started=at))


def on_the_queue(connection: Connection, engagement: str) -> int | None:
    """The run of the engagement that workers are at, step by step."""
    mine = select(tables.engagement.c.id).where(tables.engagement.c.name == engagement).scalar_subquery()
    query = select(_run.id).where(_run.engagement_id == mine, _run.state == "running", _run.dispatch.is_not(None))
    return connection.execute(query).scalars().first()


def abandon(connection: Connection, engagement_id: int, *, text: str, at: datetime) -> list[int]:
    """End the runs that a killed process left `running`. Call it only under the engine's lease, when no run can be alive; those on the
    queue live on without a process."""
    left = select(_run.id).where(_run.engagement_id == engagement_id, _run.state == "running", _run.dispatch.is_(None))
    dead = list(connection.execute(left).scalars())
    if dead:
        connection.execute(update(tables.run).where(_run.id.in_(dead)).values(state="failed", error=text, finished=at))
        open_steps = update(tables.step).where(_step.run_id.in_(dead), _step.state == "running")
        connection.execute(open_steps.values(state="failed", text=text, finished=at))
    return dead


def ask_to_stop(connection: Connection, engagement_id: int, run_id: int) -> bool:
    """Ask a run to stop; False where no such run is running, or waits on the queue."""
    where = (_run.engagement_id == engagement_id, _run.id == run_id, _run.state.in_(("running", "queued")))
    return connection.execute(update(tables.run).where(*where).values(stop=True)).rowcount == 1


def asked_to_stop(connection: Connection, run_id: int) -> bool:
    """True once somebody asked this run to stop."""
    return bool(connection.execute(select(_run.stop).where(_run.id == run_id)).scalar())


def begin_step(connection: Connection, run_id: int, *, name: str, of: str, at: datetime, batch_id: int | None = None) -> int:
    """A new step, in state `running`; its number. Of a batch, whoever began it before and did not end it is ended."""
    if batch_id is not None:
        left = update(tables.step).where(_step.run_id == run_id, _step.batch_id == batch_id, _step.state == "running")
        connection.execute(left.values(state="failed", text="its process ended before it did", finished=at))
    values = {"run_id": run_id, "name": name, "of": of, "state": "running", "done": 0, "started": at, "text": "", "batch_id": batch_id}
    row = insert(tables.step).values(**values)
    return int(connection.execute(row.returning(_step.id)).scalar_one())


def end_step(connection: Connection, step_id: int, *, state: str, done: int, total: int | None, text: str, at: datetime) -> None:
    """The step ended."""
    values = {"state": state, "done": done, "total": total, "text": text, "finished": at}
    connection.execute(update(tables.step).where(_step.id == step_id).values(**values))


def step_goes_on(connection: Connection, step_id: int, *, done: int, total: int | None, text: str, at: datetime) -> None:
    """How far a running step is."""
    where = (_step.id == step_id, _step.state == "running")
    connection.execute(update(tables.step).where(*where).values(done=done, total=total, text=text, updated=at))


def get(connection: Connection, engagement_id: int, run_id: int) -> RunRow | None:
    """One run of this engagement."""
    row = connection.execute(select(tables.run).where(_run.engagement_id == engagement_id, _run.id == run_id)).one_or_none()
    return _as_run(row) if row else None


def newest(connection: Connection, engagement_id: int, *, limit: int = 20, kinds: Iterable[str] = ()) -> list[RunRow]:
    """The last runs, newest first."""
    query = select(tables.run).where(_run.engagement_id == engagement_id)
    if wanted := list(kinds):
        query = query.where(_run.kind.in_(wanted))
    return [_as_run(row) for row in connection.execute(query.order_by(_run.id.desc()).limit(limit))]


def oldest_open(connection: Connection, engagement_id: int) -> int:
    """The first run that is not at its end; else one more than the newest."""
    of = _run.engagement_id == engagement_id
    first = connection.execute(select(func.min(_run.id)).where(of, _run.state.in_(("queued", "running")))).scalar_one()
    return int(first or connection.execute(select(func.coalesce(func.max(_run.id), 0) + 1).where(of)).scalar_one())


def begun_since(connection: Connection, engagement_id: int, run_id: int) -> list[RunRow]:
    """This run and all after it, but for those that still wait on the queue, in their order."""
    query = select(tables.run).where(_run.engagement_id == engagement_id, _run.id >= run_id, _run.state != "queued").order_by(_run.id)
    return [_as_run(row) for row in connection.execute(query)]


def before(connection: Connection, engagement_id: int, row: RunRow, states: Sequence[str]) -> RunRow | None:
    """The run before this one that was of the same kind and of the same, and ended in one of these states."""
    return _alike(connection, engagement_id, row, states, _run.id < row.id, _run.id.desc())


def behind(connection: Connection, engagement_id: int, row: RunRow, states: Sequence[str]) -> RunRow | None:
    """The first such run after this one."""
    return _alike(connection, engagement_id, row, states, _run.id > row.id, _run.id.asc())


def _alike(
    connection: Connection, engagement_id: int, row: RunRow, states: Sequence[str], where: ColumnElement[bool], order: ColumnElement[Any]
) -> RunRow | None:
    like = (_run.engagement_id == engagement_id, _run.kind == row.kind, _run.state.in_(states), where)
    query = select(_run.id, _run.what).where(*like).order_by(order).limit(LOOKED_BACK)
    number = next((one.id for one in connection.execute(query) if tuple(one.what) == tuple(row.what)), None)
    return None if number is None else get(connection, engagement_id, number)


def in_states(connection: Connection, engagement_id: int, states: Sequence[str], *, limit: int = 20) -> list[RunRow]:
    """The first runs in these states."""
    query = select(tables.run).where(_run.engagement_id == engagement_id, _run.state.in_(states)).order_by(_run.id).limit(limit)
    return [_as_run(row) for row in connection.execute(query)]


def count_in_states(connection: Connection, engagement_id: int, states: Sequence[str]) -> int:
    """How many runs are in these states."""
    query = select(func.count()).select_from(tables.run).where(_run.engagement_id == engagement_id, _run.state.in_(states))
    return int(connection.execute(query).scalar_one())


def steps(connection: Connection, run_id: int) -> list[StepRow]:
    """The steps of a run, in their order."""
    found = connection.execute(select(tables.step).where(_step.run_id == run_id).order_by(_step.id))
    return [
        StepRow(
            id=row.id,
            name=row.name,
            of=row.of,
            state=row.state,
            done=row.done,
            total=row.total,
            started=row.started,
            finished=row.finished,
            text=row.text,
            updated=row.updated,
        )
        for row in found
    ]


def schedules(connection: Connection, engagement_id: int) -> dict[str, ScheduleRow]:
    """Profile -> what its schedule knows."""
    where = tables.schedule.c
    found = connection.execute(select(where.profile, where.next, where.rule, where.run_id).where(where.engagement_id == engagement_id))
    return {row.profile: ScheduleRow(**row._mapping) for row in found}


def set_schedule(connection: Connection, engagement_id: int, row: ScheduleRow) -> None:
    """Keep what a schedule knows."""
    where = tables.schedule.c
    values = {"next": row.next, "rule": row.rule, "run_id": row.run_id}
    of_profile = (where.engagement_id == engagement_id, where.profile == row.profile)
    if connection.execute(update(tables.schedule).where(*of_profile).values(**values)).rowcount == 0:
        connection.execute(insert(tables.schedule).values(engagement_id=engagement_id, profile=row.profile, paused=False, **values))


def set_paused(connection: Connection, engagement_id: int, profiles: Iterable[str], paused: bool) -> None:
    """Pause these profiles, or let them go on."""
    where = tables.schedule.c
    for profile in profiles:
        of_profile = (where.engagement_id == engagement_id, where.profile == profile)
        if connection.execute(update(tables.schedule).where(*of_profile).values(paused=paused)).rowcount == 0:
            connection.execute(insert(tables.schedule).values(engagement_id=engagement_id, profile=profile, paused=paused))


def paused(connection: Connection, engagement_id: int) -> frozenset[str]:
    """The profiles that are paused."""
    where = tables.schedule.c
    found = connection.execute(select(where.profile).where(where.engagement_id == engagement_id, where.paused.is_(True)))
    return frozenset(found.scalars())


def _as_run(row: Row[Any]) -> RunRow:
    return RunRow(
        id=row.id,
        kind=row.kind,
        state=row.state,
        what=tuple(row.what),
        author=row.author,
        started=row.started,
        finished=row.finished,
        stop=row.stop,
        counts=row.counts,
        error=row.error,
        options=row.options or {},
        dispatch=row.dispatch,
        queued=row.queued,
    )
