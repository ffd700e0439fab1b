"""A worker: one process that works batches for some engagements, one after another, until it is asked to end.

It asks the database what may be worked. A dispatcher of a plugin may tell it at once; whatever it was not told of, it finds by itself.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from metasync import liveness
from metasync.contract import Dispatcher, MetasyncError
from metasync.lease import Lease
from metasync.opening import Settings, open_workspace
from metasync.runs import working
from metasync.runs.dispatch import make_dispatcher
from metasync.store import queue, revisions
from metasync.store.errors import StoreError
from metasync.workspace import Workspace

POLL = 0.5
"""Seconds between two looks of an idle worker."""
SWEEP = 3.0
"""Seconds between two looks for what no dispatcher was told of."""
AGAIN = timedelta(seconds=15)
"""How long after a nudge a batch that nobody took is nudged again: the message was lost, or waits behind many."""
SULK = 10.0
"""Seconds for which an engagement rests that cannot be opened."""

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Open:
    """An engagement that is open."""

    workspace: Workspace
    revision: int
    stack: ExitStack


class Worker:
    """Works for these engagements. Not to be shared by threads; a forked child makes its own."""

    def __init__(self, settings: Sequence[Settings], stop: threading.Event) -> None:
        self._settings = [replace(one, stop=stop) for one in settings]
        self.stop = stop
        self._open: dict[int, _Open] = {}
        self._rest: dict[int, float] = {}
        self._dispatchers: dict[int, Dispatcher] = {}

    def close(self) -> None:
        """Give everything back."""
        for one in self._open.values():
            one.stack.close()
        self._open.clear()

    def workspaces(self) -> Iterator[Workspace]:
        """Those of all engagements that can be opened now; first those that have the fewest batches at work."""
        found = [one for at in range(len(self._settings)) if (one := self._workspace(at)) is not None]
        if len(found) > 1:
            found.sort(key=_at_work)
        yield from found

    def work_next(self) -> bool:
        """Work one batch, of whatever engagement; was there any?"""
        for workspace in self.workspaces():
            try:
                with workspace.backend.read() as connection:
                    found = queue.runnable(connection, workspace.engagement_id, now=workspace.backend.now(connection))
                for row in found:
                    if self.stop.is_set():
                        return False
                    if working.work(workspace, row.id, row.nonce):
                        self.sweep(workspace)
                        return True
            except StoreError as error:
                self._trouble(workspace, error)
        return False

    def run_batch(self, run: int, batch: int, nonce: str) -> None:
        """What a dispatcher's message asks for: the batch is of whichever engagement knows the nonce."""
        for workspace in self.workspaces():
            try:
                if working.work(workspace, batch, nonce):
                    self.sweep(workspace)
                    return
            except StoreError as error:
                self._trouble(workspace, error)

    def sweep(self, workspace: Workspace) -> None:
        """Tell the dispatcher of what may be worked and it was not told of, or was long ago."""
        dispatcher = self._dispatcher(workspace)
        with workspace.backend.read() as connection:
            now = workspace.backend.now(connection)
            found = queue.to_nudge(connection, workspace.engagement_id, now=now, since=now - AGAIN)
        for row in found:
            try:
                dispatcher.nudge(row.run_id, row.id, row.nonce)
            except Exception as error:
                _log.warning("%s could not be told of batch %s: %s", dispatcher.name, row.id, error)
                return
        if found:
            with workspace.backend.write() as connection:
                queue.set_nudged(connection, [row.id for row in found], at=workspace.backend.now(connection))

    def sweep_all(self) -> None:
        """The same for all engagements."""
        for workspace in self.workspaces():
            try:
                self.sweep(workspace)
            except StoreError as error:
                self._trouble(workspace, error)

    @contextmanager
    def known(self) -> Iterator[None]:
        """While it lasts, the databases know that there is a worker."""
        with ExitStack() as stack:
            seen: set[str] = set()
            for workspace in self.workspaces():
                if workspace.backend.url not in seen:
                    seen.add(workspace.backend.url)
                    stack.enter_context(Lease(workspace.backend, f"worker/{liveness.owner()}"))
            yield

    def _dispatcher(self, workspace: Workspace) -> Dispatcher:
        made = self._dispatchers.get(workspace.engagement_id)
        if made is None:
            made = make_dispatcher(workspace.dispatch, workspace.host.dispatchers, self.run_batch, workspace.queue)
            self._dispatchers[workspace.engagement_id] = made
        return made

    def _workspace(self, at: int) -> Workspace | None:
        """An engagement, at its newest revision. None: it cannot be opened now; that is logged, and it rests for a while."""
        if self._rest.get(at, 0) > time.monotonic():
            return None
        try:
            known = self._open.get(at)
            if known is not None:
                with known.workspace.backend.read() as connection:
                    newest = revisions.newest_number(connection, known.workspace.engagement_id)
                if newest == known.revision:
                    return known.workspace
                self._open.pop(at).stack.close()
            stack = ExitStack()
            workspace = stack.enter_context(open_workspace(self._settings[at]))
            self._open[at] = _Open(workspace=workspace, revision=workspace.engagement.revision, stack=stack)
        except MetasyncError as error:
            self._rest[at] = time.monotonic() + SULK
            _log.error("%s is left alone for %d s: %s", self._settings[at].engagement, SULK, error)
            return None
        return workspace

    def _trouble(self, workspace: Workspace, error: StoreError) -> None:
        for at, one in self._open.items():
            if one.workspace.backend is workspace.backend:
                self._rest[at] = time.monotonic() + 1
        _log.warning("the database cannot be used now: %s", error)


def _at_work(workspace: Workspace) -> int:
    try:
        with workspace.backend.read() as connection:
            return queue.leased(connection).get(workspace.engagement_id, 0)
    except StoreError:
        return 0


def serve(settings: Sequence[Settings], stop: threading.Event, *, parent: int | None = None) -> None:
    """Work until `stop`; also until the parent is gone, which cannot say so any more."""
    worker = Worker(settings, stop)
    try:
        with worker.known():
            swept = 0.0
            while not stop.is_set() and (parent is None or os.getppid() == parent):
                if time.monotonic() - swept > SWEEP:
                    swept = time.monotonic()
                    worker.sweep_all()
                if not worker.work_next():
                    stop.wait(POLL)
    finally:
        worker.close()
