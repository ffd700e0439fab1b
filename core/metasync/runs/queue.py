"""Putting a run on the queue, and following it until its end."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metasync.contract import MetasyncError, Stopped
from metasync.runs.dispatch import make_dispatcher
from metasync.runs.outcome import RunOutcome
from metasync.store import audit, batches, queue
from metasync.store import runs as rows
from metasync.store.errors import StoreError
from metasync.store.runs import RunRow, ScheduleRow
from metasync.workspace import Workspace

LOOK = 0.3
"""Seconds between two looks at a run that is followed."""
AWAY = 60.0
"""Seconds for which the database may be away from whoever follows a run."""
ENDED = ("done", "failed", "stopped", "waiting")


_log = logging.getLogger(__name__)


class RunFailed(MetasyncError):
    """A run on the queue failed, in the words of whoever worked it."""


class LeftAlone(Stopped):
    """The run is followed no more, and left to whoever works it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ordered:
    """A run on the queue."""

    run: int
    batch: int
    nonce: str


def order(
    workspace: Workspace, kind: str, what: Sequence[str], options: Mapping[str, Any], *, schedules: Sequence[ScheduleRow] = ()
) -> Ordered:
    """Put a run on the queue. Committed before it returns, so that a dispatcher may be told. `schedules` are stored with it, as those which
    asked for it: no start is lost, and none is made twice."""
    nonce = secrets.token_hex(16)
    with workspace.backend.write("queue.order", durable=True) as connection:
        at = workspace.backend.now(connection)
        run_id = rows.enqueue(
            connection,
            workspace.engagement_id,
            kind=kind,
            what=what,
            options=options,
            dispatch=workspace.dispatch,
            author=workspace.author,
            at=at,
        )
        batch_id = batches.add(connection, workspace.engagement_id, run_id=run_id, kind=queue.RUN, of=f"run {run_id}", nonce=nonce, at=at)
        detail = {"kind": kind, "what": list(what), "dispatch": workspace.dispatch}
        audit.append(connection, workspace.engagement_id, workspace.author, "run queued", f"run {run_id}", detail)
        for row in schedules:
            rows.set_schedule(connection, workspace.engagement_id, replace(row, run_id=run_id))
        workspace.backend.call(connection)
    return Ordered(run=run_id, batch=batch_id, nonce=nonce)


def nudge(ordered: Ordered, workspace: Workspace) -> None:
    """Tell the dispatcher of it. Where that fails, a sweep of the workers or of the scheduler tells it again: nothing is lost."""
    dispatcher = make_dispatcher(workspace.dispatch, workspace.host.dispatchers, _nobody, workspace.queue)
    try:
        dispatcher.nudge(ordered.run, ordered.batch, ordered.nonce)
    except Exception as error:
        _log.warning("%s could not be told of run %s, and will be again: %s", dispatcher.name, ordered.run, error)
        return
    with workspace.backend.write() as connection:
        queue.set_nudged(connection, [ordered.batch], at=workspace.backend.now(connection))


def ordered(workspace: Workspace, kind: str, what: Sequence[str], options: Mapping[str, Any]) -> RunOutcome:
    """Put a run on the queue and follow it to its end. Raises `Stopped` once it was asked to stop and has, `RunFailed` with its words."""
    make_dispatcher(workspace.dispatch, workspace.host.dispatchers, _nobody, workspace.queue)  # or nobody would ever be told of it
    found = order(workspace, kind, what, options)
    nudge(found, workspace)
    return follow(workspace, found)


def follow(workspace: Workspace, found: Ordered) -> RunOutcome:
    """Wait for the end of a run, and report how far it is meanwhile. Whoever wishes to stop asks the run to, and waits until it has; who
    wishes so once more leaves it to those who work it (`LeftAlone`)."""
    wishes, told = 0, False
    # Whoever wishes to stop while the server is away is heard at once.
    workspace = replace(workspace, backend=workspace.backend.until(workspace.stop))
    answered = time.monotonic()
    while True:
        try:
            if wishes and not told:
                stop(workspace, found.run)
                told = True
            ended = _look(workspace, found)
            answered = time.monotonic()
        except StoreError as error:
            # The run does not depend on us; whoever works it waits for the database, too.
            if time.monotonic() - answered > AWAY:
                raise
            workspace.report(0, None, f"run {found.run}: {error}")
        else:
            if ended is not None:
                return _outcome(*ended)
        if workspace.stop.wait(LOOK):
            # At once: whoever wishes so again while the database is asked must be heard.
            workspace.stop.clear()
            wishes += 1
            if wishes > 1:
                asked = "was asked to stop" if told else "could not be asked to stop, for the database did not answer,"
                raise LeftAlone(f"run {found.run} {asked} and is left to its workers; `metasync runs --follow` shows whether it has")


def _look(workspace: Workspace, found: Ordered) -> tuple[RunRow, Any] | None:
    """Report how far a run is; once it ended, it and what it came to."""
    with workspace.backend.read() as connection:
        row = rows.get(connection, workspace.engagement_id, found.run)
        assert row is not None
        if row.state in ENDED:
            batch = batches.get(connection, found.batch)
            return row, batch.result if batch is not None else None
        steps = [one for one in rows.steps(connection, found.run) if one.state == "running"]
        nobody = not queue.workers(connection, workspace.engagement_id, workspace.backend.now(connection))
        before = queue.waiting_runs(connection, workspace.engagement_id, found.run)
    if nobody:
        workspace.report(0, None, f"run {found.run} waits for a worker, and none is there; start `metasync worker` or `metasync up`")
    elif row.state == "queued":
        workspace.report(0, None, f"run {found.run} waits on the queue" + (f", {before} before it" if before else ""))
    for one in steps:
        workspace.report(one.done, one.total, f"{one.name} {one.of}: {one.text}" if one.text else f"{one.name} {one.of}")
    return None


def stop(workspace: Workspace, run_id: int) -> RunRow | None:
    """Ask a run to stop; one that was not begun ends at once. None: it is not under way."""
    with workspace.backend.write(durable=True) as connection:
        row = rows.get(connection, workspace.engagement_id, run_id)
        if row is None or not rows.ask_to_stop(connection, workspace.engagement_id, run_id):
            return None
        audit.append(connection, workspace.engagement_id, workspace.author, "stop", f"run {run_id}")
        if row.state == "queued":
            rows.end(connection, run_id, state="stopped", counts={}, error="asked to stop", at=workspace.backend.now(connection))
            queue.close(connection, run_id, result={})
        else:
            queue.wake(connection, run_id, anyhow=True)
        return rows.get(connection, workspace.engagement_id, run_id)


def _outcome(row: RunRow, result: Any) -> RunOutcome:
    stored = (result or {}).get("outcome")
    if stored is not None:
        return RunOutcome.from_json(stored)
    if row.state == "stopped":
        raise Stopped
    raise RunFailed(f"run {row.id} failed: {row.error}")


def _nobody(run: int, batch: int, nonce: str) -> None:
    """Whoever asks for a run works none."""
    raise MetasyncError("this process works no batches")
