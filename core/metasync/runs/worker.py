"""A worker: one process that works batches for some engagements, one after another, until it is asked to end.

It asks the database what may be worked. A dispatcher of a plugin may tell it at once; whatever it was not told of, it finds by itself.
"""

from __future__ import annotations

import mmap
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from metasync.contract import Dispatcher, MetasyncError
from metasync.opening import Settings, open_workspace
from metasync.runs import working
from metasync.runs.dispatch import NO_WORKER, dispatcher_class
from metasync.runs.installation import Installation
from metasync.store import queue
from metasync.store.errors import StoreError
from metasync.workspace import Workspace

POLL = 0.5
"""Seconds between two looks of an idle worker."""
SWEEP = 3.0
"""Seconds between two looks for what no dispatcher was told of."""


class Worker:
    """Works for these engagements. Not to be shared by threads; a forked child makes its own."""

    def __init__(
        self, settings: Sequence[Settings], stop: threading.Event, *, present: bool = False, called: threading.Event | None = None
    ) -> None:
        """`present`: let it be known that here is a worker. `called`: as of `Installation`."""
        self.stop = stop
        self.installation = Installation(settings, stop, self.run_batch, present=present, called=called)

    def work_next(self) -> bool:
        """Work one batch, first of the engagement that has the fewest at work; was there any?"""
        workspaces = self.installation.workspaces()
        for workspace in sorted(workspaces, key=self._at_work) if len(workspaces) > 1 else workspaces:
            with self.installation.trying(workspace):
                with workspace.backend.until(self.stop).read() as connection:
                    found = queue.runnable(connection, workspace.engagement_id, now=workspace.backend.now(connection))
                for row in found:
                    if self.stop.is_set():
                        return False
                    if working.work(workspace, row.id, row.nonce):
                        self.installation.sweep(workspace)
                        return True
        return False

    def run_batch(self, run: int, batch: int, nonce: str) -> None:
        """What a dispatcher's message asks for: the batch is of whichever engagement knows the nonce."""
        for workspace in self.installation.workspaces():
            with self.installation.trying(workspace):
                if working.work(workspace, batch, nonce):
                    self.installation.sweep(workspace)
                    return

    def sweep(self) -> None:
        """Tell the dispatchers of what they were not told of."""
        for workspace in self.installation.workspaces():
            with self.installation.trying(workspace):
                self.installation.sweep(workspace)

    def _at_work(self, workspace: Workspace) -> int:
        try:
            with workspace.backend.until(self.stop).read() as connection:
                return queue.leased(connection).get(workspace.engagement_id, 0)
        except StoreError:
            return 0


def default_processes(settings: Sequence[Settings]) -> int:
    """How many workers one machine is best off with: SQLite lets one write at a time."""
    return 1 if all(one.url.startswith("sqlite") for one in settings) else os.cpu_count() or 1


class _Served:
    """What a dispatcher's own workers are handed: each child that it forks opens the engagements for itself."""

    def __init__(self, settings: Sequence[Settings], engagements: Sequence[str], processes: int) -> None:
        self.engagements = engagements
        self.processes = processes
        self._settings = settings
        self._listener = os.getpid()
        self._mine: tuple[int, Worker] | None = None
        # One byte that forked children share with their parent.
        self._leaving = mmap.mmap(-1, 1)

    def run_batch(self, run: int, batch: int, nonce: str) -> None:
        if self._mine is None or self._mine[0] != os.getpid():
            stop = threading.Event()
            self._mine = (os.getpid(), Worker(self._settings, stop))
            threading.Thread(target=self._watch, args=(stop,), name="leaving", daemon=True).start()
        self._mine[1].run_batch(run, batch, nonce)

    def leave(self) -> None:
        self._leaving[0] = 1

    def _watch(self, stop: threading.Event) -> None:
        """In a child: end when all shall, or when the process is gone that would say so."""
        while not self._leaving[0] and os.getppid() == self._listener:
            time.sleep(POLL)  # neither a shared byte nor the end of a parent wakes anybody
        stop.set()


def dispatcher_of(settings: Sequence[Settings]) -> tuple[type[Dispatcher], list[Mapping[str, Any]]]:
    """The dispatcher that has their batches worked, and what it is told of each. Raises `MetasyncError` where one cannot be opened."""
    found: list[tuple[type[Dispatcher], Mapping[str, Any]]] = []
    for one in settings:
        with open_workspace(one) as workspace:
            cls = dispatcher_class(workspace.dispatch, workspace.host.dispatchers)
            if cls is None:
                raise MetasyncError(NO_WORKER)
            cls(_nobody, workspace.queue)  # says now what it lacks, and not to a log
            found.append((cls, workspace.queue))
    return found[0][0], [told for _, told in found]


def _nobody(run: int, batch: int, nonce: str) -> None:
    raise MetasyncError("this process works no batches")


def listens(settings: Sequence[Settings]) -> bool:
    """Has their dispatcher workers of its own?"""
    cls, _ = dispatcher_of(settings)
    return cls.serve is not Dispatcher.serve


def listen(settings: Sequence[Settings], processes: int, *, parent: int | None = None) -> None:
    """Let the dispatcher's own workers work, until SIGTERM; also until the parent is gone, which cannot send it any more. Opens nothing in
    this process, which will be forked."""
    cls, told = dispatcher_of(settings)
    served = _Served(settings, [str(one["engagement"]) for one in told], processes)
    if parent is not None:
        threading.Thread(target=_until_gone, args=(parent,), name="parent", daemon=True).start()
    cls(served.run_batch, told[0]).serve(served)


def _until_gone(parent: int) -> None:
    """The dispatcher has its own way to end, which SIGTERM begins."""
    while os.getppid() == parent:
        time.sleep(POLL)  # the end of a parent wakes nobody
    os.kill(os.getpid(), signal.SIGTERM)


def sweep(settings: Sequence[Settings], stop: threading.Event, *, parent: int | None = None) -> None:
    """Beside those who listen: let it be known that they are there, and tell the dispatcher again of what got lost, until `stop`."""
    worker = Worker(settings, stop, present=True)
    try:
        while not stop.is_set() and (parent is None or os.getppid() == parent):
            worker.sweep()
            stop.wait(SWEEP)
    finally:
        worker.installation.close()


def serve(settings: Sequence[Settings], stop: threading.Event, *, parent: int | None = None) -> None:
    """Work until `stop`; also until the parent is gone, which cannot say so any more."""
    called = threading.Event()
    worker = Worker(settings, stop, present=True, called=called)
    swept = 0.0
    try:
        while not stop.is_set() and (parent is None or os.getppid() == parent):
            if time.monotonic() - swept > SWEEP:
                swept = time.monotonic()
                worker.sweep()
            if not worker.work_next():
                # Also heard while it looked: then it looks again at once.
                called.wait(POLL)
            called.clear()
    finally:
        worker.installation.close()
