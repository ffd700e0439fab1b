"""One batch of the queue, worked by whoever takes it: a step of a run, an export, or the run itself, which is told from its beginning as
far as it comes. Safe to be called twice, late, and with numbers that were forged: it does what the database says is to be done, or nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from metasync import logs
from metasync.contract import MetasyncError, Stopped
from metasync.exporting.batches import ExportOutcome, end_left, work_slice
from metasync.exporting.lease import DirectoryBusy
from metasync.lease import HEARTBEAT, Lease, LeaseLost
from metasync.runs.doing import NotYet
from metasync.runs.lease import EngineBusy, EngineLease
from metasync.runs.outcome import RunOutcome
from metasync.runs.queued import Queued
from metasync.runs.record import ActiveRun, ended, is_over, note_begin, note_end, tell
from metasync.runs.steps import WORK
from metasync.runs.verbs import VERBS, Telling
from metasync.store import batches, queue
from metasync.store import runs as rows
from metasync.store.backend import Backend
from metasync.store.batches import BatchRow
from metasync.store.errors import StoreError
from metasync.words import failure, writes
from metasync.workspace import Workspace

SLICE = 30.0
"""Seconds that an export is worked before it is given back: far below the time after which a queue takes a message for lost."""
REST = timedelta(seconds=3)
"""How long a batch rests whose turn it is not."""
ATTEMPTS = 3
"""So often a step is begun that ends in an error nobody foresaw, or takes its process with it."""
REVISION = "revision"
"""What a run remembers of the document that it was begun under."""

_log = logging.getLogger(__name__)


class Taken(MetasyncError):
    """Somebody else works this batch, or it is done."""


class BatchLease(Lease):
    """Held while one batch is worked; kept in the batch's own row."""

    transaction = "queue.take"

    def __init__(self, backend: Backend, batch_id: int, on_beat: Callable[[Lease], None]) -> None:
        # Nothing but the batch's own row is written: whoever works another one need not wait for it, nor it for him.
        super().__init__(backend.beside_others(), f"batch {batch_id}", on_beat)
        self._batch_id = batch_id
        self.row: BatchRow | None = None
        self.begun = True
        """False: what ended it was the database, which is no fault of the batch, and does not count as an attempt."""

    def _take(self, connection: Connection, until: datetime) -> int:
        now = self._backend.now(connection)
        self.row = queue.take(self._backend, connection, self._batch_id, owner=self.owner, until=until, now=now)
        if self.row is None:
            raise Taken(f"batch {self._batch_id} is worked by somebody else, or done")
        return self.row.fence

    def _hold(self, connection: Connection, until: datetime) -> bool:
        return queue.renew(connection, self._batch_id, self.fence, until=until)

    def _ours(self, connection: Connection) -> bool:
        return queue.holds(connection, self._batch_id, self.fence)

    def _give_back(self, connection: Connection, at: datetime) -> None:
        """What was not ended or laid aside meanwhile may be taken at once."""
        queue.give_back(connection, self._batch_id, self.fence, begun=self.begun)


def work(workspace: Workspace, batch_id: int, nonce: str) -> bool:
    """Work one batch as far as it comes; was there anything to do? `workspace.stop` ends it soon, and leaves the rest to others. Raises
    `StoreError` where the database is gone: then somebody else takes the batch over."""
    with workspace.backend.read() as connection:
        row = batches.get(connection, batch_id)
    if row is None or row.nonce != nonce or not nonce or row.state == "done" or row.engagement_id != workspace.engagement_id:
        return False
    with logs.about(engagement=workspace.engagement.name, run=row.run_id, batch=row.id):
        try:
            began = time.monotonic()
            if row.kind != queue.RUN and _ends(workspace, row):
                return True
            worked = _export(workspace, row) if row.kind == queue.EXPORT else _Batch(workspace, row.id).work()
            if worked:
                _log.info("worked %s of %s", row.kind, row.of, extra={"seconds": round(time.monotonic() - began, 3)})
            return worked
        except (Taken, LeaseLost) as error:
            _log.info("%s", error)
            return False


def _ends(workspace: Workspace, row: BatchRow) -> bool:
    """Is the step of a run that is to end, since it was asked to, or the document is another one by now? Then nothing of it is begun any
    more: the run is told, and ends."""
    with workspace.backend.read() as connection:
        revision = queue.decided(connection, row.run_id, REVISION)
        if not rows.asked_to_stop(connection, row.run_id) and revision in (None, workspace.engagement.revision):
            return False
    with workspace.backend.write() as connection:
        queue.rest(connection, row.id, due_at=workspace.backend.now(connection) + REST)
        queue.wake(connection, row.run_id, anyhow=True)
    return True


def _export(workspace: Workspace, row: BatchRow) -> bool:
    """A slice of an export, under the lease of its directory."""
    with workspace.backend.read() as connection:
        of = rows.get(connection, workspace.engagement_id, row.run_id)
    assert of is not None
    run = ActiveRun(id=row.run_id, workspace=replace(workspace, stop=threading.Event(), author=of.author))

    def told(inside: Workspace, export: Callable[[Workspace], ExportOutcome]) -> ExportOutcome:
        with _watched(run, workspace.stop), run.step("export", row.of, batch_id=row.id) as (step, reporting):
            outcome = export(reporting)
            step.text = "; ".join(outcome.unavailable.values()) or (writes(outcome.counts) if outcome.later is None else "")
            if outcome.unavailable:
                step.state = "failed"
            return outcome

    try:
        outcome = work_slice(run.workspace, row.id, row.nonce, SLICE, told)
    except DirectoryBusy:
        with workspace.backend.write() as connection:
            queue.rest(connection, row.id, due_at=workspace.backend.now(connection) + REST)
        return False
    except (StoreError, LeaseLost):
        raise
    except Stopped:
        return False  # this worker leaves before it has begun
    except Exception:
        # It is closed with what it came to; whoever works goes on with what is next.
        _log.exception("the export to %s failed", row.of)
        return True
    return bool(outcome.counts or outcome.unavailable) or outcome.later is not None


@contextmanager
def _watched(run: ActiveRun, leaving: threading.Event) -> Iterator[None]:
    """Every few seconds, whether the run shall stop; and soon, whether this worker is to leave."""
    end = threading.Event()

    def beat() -> None:
        looked = time.monotonic()
        while not end.wait(0.2):
            if leaving.is_set():
                run.workspace.stop.set()
            if time.monotonic() - looked < HEARTBEAT:
                continue
            looked = time.monotonic()
            try:
                run.look()
            except Exception as error:  # a busy database: it looks again
                _log.warning("run %s could not be looked at: %s", run.id, error)

    thread = threading.Thread(target=beat, name=f"watch of run {run.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


class _Batch:
    """A step, or a run."""

    def __init__(self, workspace: Workspace, batch_id: int) -> None:
        self._outer = workspace
        self._batch_id = batch_id
        self._stop = threading.Event()

    def work(self) -> bool:
        """Take it, work it, say what it came to."""
        looked: list[ActiveRun] = []

        def watch(lease: Lease) -> None:
            if lease.lost.is_set() or self._outer.stop.is_set():
                self._stop.set()
            elif looked:
                looked[0].look()

        with BatchLease(self._outer.backend, self._batch_id, watch) as lease:
            assert lease.row is not None
            workspace = replace(self._outer, backend=self._outer.backend.guarded(lease.check), stop=self._stop)
            with workspace.backend.read() as connection:
                row = rows.get(connection, workspace.engagement_id, lease.row.run_id)
            assert row is not None
            workspace = replace(workspace, author=row.author)
            run = ActiveRun(id=row.id, workspace=workspace)
            looked.append(run)
            if row.finished is not None:
                return False  # a run that ended closed it meanwhile
            try:
                if lease.row.kind != queue.RUN:
                    return _worked(run, lease)
                # Not the guarded one: it is given back once the batch is laid aside, and is not ours any more.
                with EngineLease(self._outer.backend, workspace.engagement.name, of_run=run.id):
                    return _told(run, row, lease)
            except EngineBusy:
                _rest(workspace, lease.row, REST, begun=False)
                return False
            except StoreError:
                lease.begun = False
                raise


def _worked(run: ActiveRun, lease: BatchLease) -> bool:
    """One step."""
    batch, workspace = lease.row, run.workspace
    assert batch is not None
    result: dict[str, Any]
    try:
        if batch.attempts > ATTEMPTS:
            raise MetasyncError(f"{batch.kind} of {batch.of} was begun {ATTEMPTS} times, and its process ended each time; see the log")
        with run.step(batch.kind, batch.of, batch_id=batch.id) as (step, inside):
            result = {"value": WORK[batch.kind](run, step, inside, batch.of, batch.what)}
    except Stopped:
        with workspace.backend.read() as connection:
            leaving = not rows.asked_to_stop(connection, run.id)
        if leaving:
            _rest(workspace, batch, timedelta(0), begun=False)  # this worker leaves; somebody else goes on
            return True
        result = {"stopped": True, "value": None}
    except (StoreError, LeaseLost):
        raise
    except MetasyncError as error:
        result = {"error": str(error)}
    except Exception as error:
        _log.exception("%s of %s failed", batch.kind, batch.of)
        if batch.attempts < ATTEMPTS:
            _rest(workspace, batch, REST * batch.attempts)
            return True
        result = {"error": f"internal error: {failure(error)}"}
    with workspace.backend.beside_others().write("queue.done", durable=True) as connection:
        queue.done(connection, batch.id, result=result)
    lease.given_back = True
    return True


def _told(run: ActiveRun, row: rows.RunRow, lease: BatchLease) -> bool:
    """The run as far as it comes."""
    batch = lease.row
    assert batch is not None
    if row.state == "queued":
        _begin(run, row)
    worked = _tell(run, row, batch)
    lease.given_back = True
    return worked


def _begin(run: ActiveRun, row: rows.RunRow) -> None:
    workspace = run.workspace
    with workspace.backend.write("queue.begin", durable=True) as connection:
        now = workspace.backend.now(connection)
        left = rows.abandon(connection, workspace.engagement_id, text="its process ended before it did", at=now)
        rows.take_up(connection, run.id, at=now)
        note_begin(connection, workspace, run.id, row.kind, row.what)
    for number in left:
        is_over(workspace, number)
    tell(run, "metasync_run_started", row.what)


def _tell(run: ActiveRun, row: rows.RunRow, batch: BatchRow) -> bool:
    workspace = run.workspace
    with workspace.backend.read() as connection:
        doing = Queued(run, batches.of_run(connection, run.id))
        if rows.asked_to_stop(connection, run.id):
            workspace.stop.set()
    outcome: RunOutcome | None = None
    try:
        with ended(run):
            workspace.check_stop()
            if batch.attempts > ATTEMPTS:
                raise MetasyncError(f"run {run.id} was begun {ATTEMPTS} times, and the process that worked it ended each time; see the log")
            _same_document(workspace, doing)
            outcome = VERBS[row.kind](Telling(run=run, doing=doing), row.what, **row.options)
    except NotYet:
        _wait(workspace, batch, doing.waits_for)
        return True
    except (StoreError, LeaseLost):
        raise
    except Stopped:
        with workspace.backend.read() as connection:
            leaving = not rows.asked_to_stop(connection, run.id)
        if leaving:
            _rest(workspace, batch, timedelta(0), begun=False)  # this worker leaves; somebody else goes on
            return True
    except MetasyncError:
        pass  # `ended` keeps its words as the run's error, which `note_end` writes
    except Exception:
        # As everywhere at the border of a run: whoever works goes on with the next one, and `ended` keeps what sort of error it was.
        _log.exception("run %s failed", run.id)
    with workspace.backend.read() as connection:
        at_work = queue.at_work(connection, run.id, now=workspace.backend.now(connection))
    if at_work:
        # Of a run that was stopped they hear of it, too, and end what they have in hand; of one that failed they finish it. One that was
        # begun too often is not begun anew behind them.
        _wait(workspace, batch, [at_work], given_up=batch.attempts > ATTEMPTS)
        return True
    with workspace.backend.write("queue.end", durable=True) as connection:
        end_left(workspace, connection, run.id, run.error or "")
        note_end(connection, run)
        queue.close(connection, run.id, result={"outcome": outcome.as_json() if outcome is not None else None})
    tell(run, "metasync_run_finished", row.what)
    return True


def _same_document(workspace: Workspace, doing: Queued) -> None:
    """A run is of one revision: what its steps came to under another one means something else."""
    began = doing.once(REVISION, lambda: workspace.engagement.revision)
    if began != workspace.engagement.revision:
        raise MetasyncError(
            f"the document changed while the run was under way (revision {began}, now {workspace.engagement.revision}); run it again"
        )


def _wait(workspace: Workspace, batch: BatchRow, steps: Sequence[Collection[int]], *, given_up: bool = False) -> None:
    with workspace.backend.write("queue.wait", durable=True) as connection:
        queue.wait(connection, batch.id, batch.fence, steps, given_up=given_up)


def _rest(workspace: Workspace, batch: BatchRow, pause: timedelta, *, begun: bool = True) -> None:
    with workspace.backend.write() as connection:
        due_at = workspace.backend.now(connection) + pause
        queue.give_back(connection, batch.id, batch.fence, due_at=due_at, begun=begun)
