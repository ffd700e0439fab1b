"""The scheduler: puts profiles on the queue when they are due. Several may be started; of each engagement one is active, by lease, and
another takes over."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from metasync import metrics as measuring
from metasync.contract import MetasyncError
from metasync.lease import Lease, LeaseLost
from metasync.opening import Settings
from metasync.runs import schedule
from metasync.runs.installation import Installation
from metasync.runs.queue import ENDED, nudge, order
from metasync.store import runs as rows
from metasync.store.backend import Backend
from metasync.store.errors import StoreError
from metasync.store.runs import ScheduleRow
from metasync.workspace import Workspace

TICK = 1.0
"""Seconds between two looks at what is due."""
SWEEP = 3
"""Every so many ticks, dispatchers are told of what they were not told of."""
METRICS_AGAIN = 30
"""Every so many ticks, the address of `--metrics` is tried again where somebody else has it."""
AUTHOR = "schedule"

_log = logging.getLogger(__name__)


class OneIsActive(MetasyncError):
    """Another scheduler is active; this one waits until it ends."""


class SchedulerLease(Lease):
    """Held by the one that is active for an engagement: those who share a database need not be of the same engagements."""

    def __init__(self, backend: Backend, engagement: str) -> None:
        super().__init__(backend, f"scheduler/{engagement}")

    def _busy(self, holder: str) -> MetasyncError:
        return OneIsActive(f"the scheduler of {holder} is active; this one takes over when it ends")


def tick(workspace: Workspace, now: datetime | None = None) -> list[str]:
    """Put on the queue what is due; the profiles. All of one engagement that are due together make one run."""
    planned = {name: one.schedule for name, one in workspace.engagement.profiles.items() if one.schedule is not None}
    if not planned:
        return []
    with workspace.backend.read() as connection:
        now = now or workspace.backend.now(connection)
        known = rows.schedules(connection, workspace.engagement_id)
        paused = rows.paused(connection, workspace.engagement_id)
        last = {one.run_id: rows.get(connection, workspace.engagement_id, one.run_id) for one in known.values() if one.run_id}
    due: list[str] = []
    changed: dict[str, ScheduleRow] = {}
    for name, rule in planned.items():
        row = known.get(name) or ScheduleRow(profile=name)
        if row.rule != schedule.words(rule):
            row = changed[name] = replace(row, rule=schedule.words(rule), next=schedule.first(rule, now))
        run = last.get(row.run_id) if row.run_id else None
        under_way = run is not None and run.state not in ENDED
        if row.next is None and not under_way:
            ended = run.finished if run is not None else now
            row = changed[name] = replace(row, next=schedule.following(rule, schedule.Last(planned=None, ended=ended), now))
        if row.next is None or row.next > now or under_way or name in paused:
            continue
        if schedule.missed(rule, row.next, now):
            _log.info("%s was to begin at %s, which was missed; it waits for the next time, as its schedule says", name, row.next)
            changed[name] = replace(row, next=schedule.first(rule, now))
            continue
        due.append(name)
        changed[name] = replace(row, next=schedule.following(rule, schedule.Last(planned=row.next, ended=None), now))
    if due:
        ordered = order(replace(workspace, author=AUTHOR), "run", due, {}, schedules=[changed.pop(name) for name in due])
        _log.info("put run %s of %s on the queue", ordered.run, ", ".join(due), extra={"engagement": workspace.engagement.name})
        nudge(ordered, workspace)
    if changed:
        with workspace.backend.write() as connection:
            for row in changed.values():
                rows.set_schedule(connection, workspace.engagement_id, row)
    return due


def serve(settings: Sequence[Settings], stop: threading.Event, *, parent: int | None = None, metrics: str = "") -> None:
    """Schedule until `stop`; also until the parent is gone, which cannot say so any more. `metrics`: where Prometheus is answered."""

    def nobody(run: int, batch: int, nonce: str) -> None:
        raise MetasyncError("a scheduler works no batches")

    installation = Installation(settings, stop, nobody)
    ticks = 0
    with ExitStack() as held:
        held.callback(installation.close)
        held.push(partial(_left_behind, stop))
        measured, answered = Installation(settings, stop, nobody), not metrics  # of the threads that answer
        held.callback(measured.close)
        active: dict[int, SchedulerLease | None] = {}
        while not stop.is_set() and (parent is None or os.getppid() == parent):
            if not answered and ticks % METRICS_AGAIN == 0:
                answered = _answer(metrics, measured, held, alone=parent is None)
            for workspace in installation.workspaces():
                with installation.trying(workspace):
                    backend = workspace.backend.until(stop)
                    lease = _active(replace(workspace, backend=backend), active, held)
                    if lease is None:
                        continue
                    with suppress(LeaseLost):  # it stood still, and another one took over
                        tick(replace(workspace, backend=backend.guarded(lease.check)))
                    if ticks % SWEEP == 0:
                        installation.sweep(workspace)
            ticks += 1
            stop.wait(TICK)


def _left_behind(stop: threading.Event, kind: object, error: BaseException | None, trace: object) -> bool:
    """Who was asked to end while the server is away cannot give back his leases: they run out by themselves."""
    if not (isinstance(error, StoreError) and stop.is_set()):
        return False
    _log.warning("%s; another scheduler takes over within ten seconds", error)
    return True


def _answer(address: str, measured: Installation, held: ExitStack, *, alone: bool) -> bool:
    """Have Prometheus answered. Who was started `alone` is read, and ends where that cannot be (`MetasyncError`); one that would be started
    again and again schedules without it."""
    try:
        held.callback(measuring.serve(address, measured.workspaces))
    except MetasyncError as error:
        if alone:
            raise
        _log.error("%s; runs are scheduled all the same, and the address is tried again every %d s", error, METRICS_AGAIN * TICK)
        return False
    return True


def _active(workspace: Workspace, active: dict[int, SchedulerLease | None], held: ExitStack) -> SchedulerLease | None:
    """The lease of the scheduler of this engagement, where this is it. Whether it is, is logged when that changes."""
    number, name = workspace.engagement_id, workspace.engagement.name
    mine = active.get(number)
    if mine is not None and not mine.lost.is_set():
        return mine
    waits = number in active and mine is None
    try:
        mine = active[number] = held.enter_context(SchedulerLease(workspace.backend, name))
    except OneIsActive as error:
        active[number] = None
        if not waits:
            _log.info("%s", error, extra={"engagement": name})
        return None
    _log.info("this scheduler is active", extra={"engagement": name})
    return mine
