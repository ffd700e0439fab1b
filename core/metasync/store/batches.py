"""Queries of batches: what one worker does at a time, and under whose lease. Which of them may be worked now is in `store.queue`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from metasync.store.tables import batch, change

PORTION = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRow:
    """One work partition: all changes of a run to one directory, or one step of a run on the queue."""

    id: int
    engagement_id: int
    run_id: int
    kind: str
    of: str
    directory_id: int | None
    """Of an export."""
    state: str
    """`ready`, `leased`, `waiting` for other batches of its run, or `done`."""
    nonce: str
    owner: str | None
    fence: int
    attempts: int
    what: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None


def add(
    connection: Connection,
    engagement_id: int,
    *,
    run_id: int,
    nonce: str,
    at: datetime,
    kind: str = "export",
    of: str = "",
    directory_id: int | None = None,
    state: str = "ready",
    what: Mapping[str, Any] | None = None,
    result: Any = None,
) -> int:
    """A new batch; its number."""
    row = insert(batch).values(
        engagement_id=engagement_id,
        run_id=run_id,
        kind=kind,
        of=of,
        directory_id=directory_id,
        state=state,
        nonce=nonce,
        fence=0,
        attempts=0,
        created=at,
        what=what,
        result=result,
    )
    return int(connection.execute(row.returning(batch.c.id)).scalar_one())


def get(connection: Connection, batch_id: int) -> BatchRow | None:
    """One batch."""
    row = connection.execute(select(batch).where(batch.c.id == batch_id)).one_or_none()
    return as_batch(row) if row else None


def of_run(connection: Connection, run_id: int) -> list[BatchRow]:
    """All batches of a run, in the order in which they were made."""
    return [as_batch(row) for row in connection.execute(select(batch).where(batch.c.run_id == run_id).order_by(batch.c.id))]


def not_done(connection: Connection, engagement_id: int, directory_id: int) -> list[BatchRow]:
    """Batches of a directory that are not done."""
    query = select(batch).where(batch.c.engagement_id == engagement_id, batch.c.directory_id == directory_id, batch.c.state != "done")
    return [as_batch(row) for row in connection.execute(query.order_by(batch.c.id))]


def change_batch(connection: Connection, batch_id: int, **values: Any) -> None:
    """Give a batch these values."""
    connection.execute(update(batch).where(batch.c.id == batch_id).values(**values))


def assign(connection: Connection, batch_id: int, *, run_id: int, directory_id: int, plan_ids: Collection[int]) -> int:
    """Give a batch all changes of these plans that may still be written to its directory; how many."""
    mine = update(change).where(
        change.c.plan_id.in_(list(plan_ids)), change.c.directory_id == directory_id, change.c.state.in_(("approved", "in_flight"))
    )
    return connection.execute(mine.values(batch_id=batch_id, run_id=run_id)).rowcount


def changes_of(connection: Connection, batch_id: int) -> Iterator[tuple[int, str, str, str]]:
    """(id, tag, state, error) of a batch's changes, in the order of their numbers: what the audit hashes. The caller's transaction keeps
    them as they are."""
    query = select(change.c.id, change.c.tag, change.c.state, change.c.error).where(_of(batch_id)).order_by(change.c.id)
    for row in connection.execute(query.execution_options(yield_per=PORTION)):
        yield row.id, row.tag, row.state, row.error or ""


def plans_of(connection: Connection, batch_id: int) -> list[int]:
    """The plans that a batch has changes of."""
    return list(connection.execute(select(change.c.plan_id).distinct().where(_of(batch_id)).order_by(change.c.plan_id)).scalars())


def count(connection: Connection, batch_id: int) -> dict[str, int]:
    """How many changes of a batch stand in each state."""
    query = select(change.c.state, func.count()).where(_of(batch_id)).group_by(change.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def _of(batch_id: int) -> ColumnElement[bool]:
    """The changes of a batch, which are among those of its run: these are found by an index."""
    run = select(batch.c.run_id).where(batch.c.id == batch_id).scalar_subquery()
    return and_(change.c.run_id == run, change.c.batch_id == batch_id)


def as_batch(row: Row[Any]) -> BatchRow:
    return BatchRow(
        id=row.id,
        engagement_id=row.engagement_id,
        run_id=row.run_id,
        kind=row.kind,
        of=row.of,
        directory_id=row.directory_id,
        state=row.state,
        nonce=row.nonce,
        owner=row.owner,
        fence=row.fence,
        attempts=row.attempts,
        what=row.what or {},
        result=row.result,
    )
