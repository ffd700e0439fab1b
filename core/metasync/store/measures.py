"""Queries of what is watched from outside: numbers by engagement, cheap enough to be asked for every few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from metasync.store.tables import batch, directory, plan, problem, run, step


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Of one engagement."""

    runs: Mapping[tuple[str, str], int]
    """(kind, state) -> number of runs."""
    oldest_queued: datetime | None
    """Since when the first run waits on the queue."""
    last_done: Mapping[str, datetime]
    """Kind -> when the last run of it ended well, or waits for a person."""
    batches: Mapping[tuple[str, str], int]
    """(kind, state) -> number of batches that are not done."""
    plans: Mapping[str, int]
    """State -> number of plans that wait for something."""
    problems: Mapping[tuple[str, str], int]
    """(area, severity) -> number of problems."""
    imported: Mapping[str, datetime]
    """Directory -> when it was last read completely."""
    steps: Mapping[tuple[int, str, str], tuple[int, int | None]]
    """(run, step, of) -> (done, total), of what is worked now."""


def measure(connection: Connection, engagement_id: int) -> Measures:
    """All of them."""
    runs = select(run.c.kind, run.c.state, func.count()).where(run.c.engagement_id == engagement_id).group_by(run.c.kind, run.c.state)
    oldest = select(func.min(run.c.queued)).where(run.c.engagement_id == engagement_id, run.c.state == "queued")
    ended = (
        select(run.c.kind, func.max(run.c.finished))
        .where(run.c.engagement_id == engagement_id, run.c.state.in_(("done", "waiting")))
        .group_by(run.c.kind)
    )
    open_batches = (
        select(batch.c.kind, batch.c.state, func.count())
        .where(batch.c.engagement_id == engagement_id, batch.c.state != "done")
        .group_by(batch.c.kind, batch.c.state)
    )
    waiting = (
        select(plan.c.state, func.count())
        .where(plan.c.engagement_id == engagement_id, plan.c.state.in_(("planned", "approved")))
        .group_by(plan.c.state)
    )
    wrong = (
        select(problem.c.area, problem.c.severity, func.count())
        .where(problem.c.engagement_id == engagement_id)
        .group_by(problem.c.area, problem.c.severity)
    )
    imported = select(directory.c.name, directory.c.completed).where(
        directory.c.engagement_id == engagement_id, directory.c.completed.is_not(None)
    )
    working = (
        select(step.c.run_id, step.c.name, step.c.of, step.c.done, step.c.total)
        .join(run, run.c.id == step.c.run_id)
        .where(run.c.engagement_id == engagement_id, run.c.state == "running", step.c.state == "running")
    )
    return Measures(
        runs={(kind, state): number for kind, state, number in connection.execute(runs)},
        oldest_queued=connection.execute(oldest).scalar(),
        last_done={kind: at for kind, at in connection.execute(ended) if at is not None},
        batches={(kind, state): number for kind, state, number in connection.execute(open_batches)},
        plans={row[0]: row[1] for row in connection.execute(waiting)},
        problems={(area, severity): number for area, severity, number in connection.execute(wrong)},
        imported={row[0]: row[1] for row in connection.execute(imported)},
        steps={(number, name, of): (done, total) for number, name, of, done, total in connection.execute(working)},
    )
