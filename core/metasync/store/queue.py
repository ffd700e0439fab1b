"""Queries of the queue: which batches may be worked now, who takes one, and who is waked by its end.

A run on the queue has one batch of its own (kind `run`), which tells it from its beginning as far as it comes, and one for each step. It
waits for these; the end of each makes it ready again. Whoever is killed leaves a lease that runs out, and somebody else takes the batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select, update

from metasync import liveness
from metasync.store.backend import Backend
from metasync.store.batches import BatchRow, as_batch
from metasync.store.tables import batch, lease, run

RUN, EXPORT, ONCE = "run", "export", "once"
"""Kinds of batches that are no step: the run itself; an export, which its directory's lease guards; one that only remembers a decision."""
LONGEST = timedelta(minutes=5)
"""No batch rests for as long as this: where one seems to, the clock went back meanwhile."""
FEW = 8
"""Batches of one engagement that are looked at together."""


def runnable(connection: Connection, engagement_id: int, *, now: datetime, limit: int = FEW) -> list[BatchRow]:
    """What may be worked for an engagement, in the order in which it should be: the steps of the run that is under way; else the run that
    waits longest. Others may take it at the same moment."""
    under_way = select(run.c.id).where(run.c.engagement_id == engagement_id, run.c.state == "running", run.c.dispatch.is_not(None))
    current = connection.execute(under_way).scalars().first()
    if current is None:
        next_one = select(run.c.id).where(run.c.engagement_id == engagement_id, run.c.state == "queued").order_by(run.c.id).limit(1)
        current = connection.execute(next_one).scalars().first()
    if current is None:
        return []
    mine = select(batch).where(batch.c.run_id == current).order_by(batch.c.id)
    due = or_(batch.c.due_at.is_(None), batch.c.due_at <= now, batch.c.due_at >= now + LONGEST)
    ready = connection.execute(mine.where(batch.c.state == "ready", due).limit(limit)).all()
    left = [row for row in connection.execute(mine.where(batch.c.state == "leased")) if _may_be_taken(row, now)]
    return [as_batch(row) for row in sorted([*ready, *left], key=lambda row: int(row.id))[:limit]]


def _may_be_taken(row: Row[Any], now: datetime) -> bool:
    if row.state == "ready":
        return row.due_at is None or not now < row.due_at < now + LONGEST
    return row.lease_until is None or row.lease_until <= now or (row.owner is not None and liveness.is_dead(row.owner))


def take(backend: Backend, connection: Connection, batch_id: int, *, owner: str, until: datetime, now: datetime) -> BatchRow | None:
    """Lease a batch; None: somebody else has it, or it is done."""
    query = backend.claimable(select(batch).where(batch.c.id == batch_id))
    row = connection.execute(query).one_or_none()
    if row is None or row.state not in ("ready", "leased") or not _may_be_taken(row, now):
        return None
    values = {"state": "leased", "owner": owner, "fence": row.fence + 1, "lease_until": until, "due_at": None, "attempts": row.attempts + 1}
    connection.execute(update(batch).where(batch.c.id == batch_id).values(**values))
    taken = connection.execute(select(batch).where(batch.c.id == batch_id)).one()
    return as_batch(taken)


def holds(connection: Connection, batch_id: int, fence: int) -> bool:
    """Is the batch leased to whoever took it with this fence? On a server nobody takes it over before the transaction that asks has ended,
    whatever lane he is in."""
    query = select(batch.c.id).where(*_mine(batch_id, fence)).with_for_update(read=True)
    return connection.execute(query).one_or_none() is not None


def renew(connection: Connection, batch_id: int, fence: int, *, until: datetime) -> bool:
    """Lease it for longer; False: somebody else has it by now."""
    return connection.execute(update(batch).where(*_mine(batch_id, fence)).values(lease_until=until)).rowcount == 1


def give_back(connection: Connection, batch_id: int, fence: int, *, due_at: datetime | None = None, begun: bool = True) -> bool:
    """Let somebody else work it, at `due_at` at the earliest. `begun`: False where nothing was done, so that it does not count."""
    values: dict[str, Any] = {"state": "ready", "owner": None, "lease_until": None, "due_at": due_at, "nudged": None}
    if not begun:
        values["attempts"] = batch.c.attempts - 1
    return connection.execute(update(batch).where(*_mine(batch_id, fence)).values(**values)).rowcount == 1


def rest(connection: Connection, batch_id: int, *, due_at: datetime) -> None:
    """Leave a batch that nobody works alone until then."""
    connection.execute(update(batch).where(batch.c.id == batch_id, batch.c.state == "ready").values(due_at=due_at))


def wait(connection: Connection, batch_id: int, fence: int, steps: Sequence[Collection[int]], *, given_up: bool = False) -> bool:
    """Lay a run's batch aside until all steps of one of these groups have ended; False: they did meanwhile, and the run can go on. Either
    way whoever told it came as far as it comes: that it was begun does not count, unless that is why it was `given_up`."""
    goes_on = _one_ended(connection, steps)
    values: dict[str, Any] = {"state": "ready" if goes_on else "waiting", "owner": None, "lease_until": None, "nudged": None}
    if not given_up:
        values["attempts"] = 0
    connection.execute(update(batch).where(*_mine(batch_id, fence)).values(**values, what={"waits": [sorted(one) for one in steps]}))
    return not goes_on


def _one_ended(connection: Connection, groups: Sequence[Collection[int]]) -> bool:
    """Has a group nothing left that is not done?"""
    left = select(batch.c.id).where(batch.c.id.in_(sorted({one for group in groups for one in group})), batch.c.state != "done")
    open_ones = set(connection.execute(left).scalars())
    return any(open_ones.isdisjoint(group) for group in groups)


def decided(connection: Connection, run_id: int, name: str) -> Any:
    """What was decided once for a run; None: not yet."""
    query = select(batch.c.result).where(batch.c.run_id == run_id, batch.c.kind == ONCE, batch.c.of == name)
    found = connection.execute(query).scalar()
    return None if found is None else found["value"]


def at_work(connection: Connection, run_id: int, *, now: datetime) -> list[int]:
    """The steps of a run that somebody works now, as far as anybody can tell."""
    query = select(batch).where(batch.c.run_id == run_id, batch.c.kind != RUN, batch.c.state == "leased").order_by(batch.c.id)
    return [row.id for row in connection.execute(query) if not _may_be_taken(row, now)]


def lay_aside(connection: Connection, batch_id: int, *, due_at: datetime, what: Mapping[str, Any]) -> None:
    """Let somebody else go on with a batch, at `due_at` at the earliest; whoever calls holds its directory."""
    values = {"state": "ready", "owner": None, "lease_until": None, "due_at": due_at, "nudged": None, "what": dict(what)}
    connection.execute(update(batch).where(batch.c.id == batch_id).values(**values))


def done(connection: Connection, batch_id: int, *, result: Mapping[str, Any]) -> None:
    """A batch ended with this, and its run goes on."""
    values = {"state": "done", "owner": None, "lease_until": None, "result": dict(result)}
    connection.execute(update(batch).where(batch.c.id == batch_id).values(**values))
    run_id = connection.execute(select(batch.c.run_id).where(batch.c.id == batch_id)).scalar_one()
    wake(connection, run_id)


def wake(connection: Connection, run_id: int, *, anyhow: bool = False) -> None:
    """Have a run that waits told again, once all that it waits for has ended; `anyhow`: also before. Those who end steps of one run do so
    one after another, by the lock on the run's batch: each sees what those before him ended."""
    mine = and_(batch.c.run_id == run_id, batch.c.kind == RUN, batch.c.state == "waiting")
    what = connection.execute(select(batch.c.what).where(mine).with_for_update()).scalar() or {}
    # A run that an older release laid aside does not say what it waits for.
    if anyhow or "waits" not in what or _one_ended(connection, what["waits"]):
        connection.execute(update(batch).where(mine).values(state="ready", due_at=None, nudged=None))


def close(connection: Connection, run_id: int, *, result: Mapping[str, Any]) -> None:
    """End what is left of a run's batches, whoever works them: he finds that out before he records anything."""
    left = and_(batch.c.run_id == run_id, batch.c.state != "done")
    values = {"state": "done", "owner": None, "lease_until": None, "result": dict(result), "fence": batch.c.fence + 1}
    connection.execute(update(batch).where(left).values(**values))


def to_nudge(connection: Connection, engagement_id: int, *, now: datetime, since: datetime, lasts: timedelta) -> list[BatchRow]:
    """What may be worked and nobody was told of since then, or since whoever was told took it and died. `lasts`: how long a lease does."""
    found = runnable(connection, engagement_id, now=now)
    query = select(batch.c.id, batch.c.nudged, batch.c.lease_until).where(batch.c.id.in_([one.id for one in found]))
    due = {number for number, nudged, until in connection.execute(query) if _untold(nudged, since, until and until - lasts)}
    return [one for one in found if one.id in due]


def _untold(nudged: datetime | None, since: datetime, beat: datetime | None) -> bool:
    """`beat`: when whoever took it and died was known to live last."""
    return nudged is None or nudged <= since or (beat is not None and nudged <= beat)


def set_nudged(connection: Connection, batch_ids: Sequence[int], *, at: datetime) -> None:
    """Somebody is told of them."""
    connection.execute(update(batch).where(batch.c.id.in_(batch_ids)).values(nudged=at))


def leased(connection: Connection) -> dict[int, int]:
    """Engagement -> how many of its batches are worked now."""
    query = select(batch.c.engagement_id, func.count()).where(batch.c.state == "leased").group_by(batch.c.engagement_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def waiting_runs(connection: Connection, engagement_id: int, before: int) -> int:
    """How many runs stand on the queue before this one."""
    query = select(func.count()).where(run.c.engagement_id == engagement_id, run.c.state.in_(("queued", "running")), run.c.id < before)
    return int(connection.execute(query).scalar_one())


def workers(connection: Connection, engagement_id: int, now: datetime) -> list[str]:
    """The owners of all workers that live and work for an engagement."""
    mine = lease.c.name.startswith(worker_names(engagement_id), autoescape=True)
    found = connection.execute(select(lease.c.owner).where(mine, lease.c.until > now)).scalars()
    return [one for one in found if not liveness.is_dead(one)]


def worker_names(engagement_id: int) -> str:
    """How the leases begin by which workers let it be known that they are there."""
    return f"worker/{engagement_id}/"


def _mine(batch_id: int, fence: int) -> tuple[Any, ...]:
    return (batch.c.id == batch_id, batch.c.state == "leased", batch.c.fence == fence)
