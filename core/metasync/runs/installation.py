"""The engagements that one process works for: opened when they are needed, at their newest revisions, and left alone for a while where that
cannot be done. One that is broken holds up no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from metasync import liveness
from metasync.contract import Dispatcher, MetasyncError, RunBatch
from metasync.lease import TTL, Lease
from metasync.opening import Settings, open_workspace
from metasync.runs.dispatch import Database, make_dispatcher
from metasync.store import leases, queue, revisions
from metasync.store.backend import Backend
from metasync.store.errors import StoreError
from metasync.workspace import Workspace

AGAIN = timedelta(seconds=15)
"""How long after a nudge a batch that nobody took is nudged again: the message was lost, or waits behind many."""
REST = 10.0
"""Seconds for which an engagement is left alone that cannot be opened."""
FORGOTTEN = timedelta(hours=1)
"""How long a worker that was killed is remembered."""

_log = logging.getLogger(__name__)


class Presence(Lease):
    """Tells those who wait for a run that somebody is there to work it."""

    def __init__(self, workspace: Workspace) -> None:
        self._beginning = queue.worker_names(workspace.engagement_id)
        super().__init__(workspace.backend, self._beginning + liveness.owner())

    def _take(self, connection: Connection, until: datetime) -> int:
        leases.forget_old(connection, self._beginning, before=self._backend.now(connection) - FORGOTTEN)
        return leases.take(connection, self.name, owner=self.owner, until=until)

    def _give_back(self, connection: Connection, at: datetime) -> None:
        leases.forget(connection, self.name, fence=self.fence)


@dataclass(kw_only=True)
class _Open:
    """An engagement that is open."""

    workspace: Workspace
    stack: ExitStack


class Installation:
    """Not to be shared by threads; a forked child makes its own."""

    def __init__(
        self,
        settings: Sequence[Settings],
        stop: threading.Event,
        run_batch: RunBatch,
        *,
        present: bool = False,
        called: threading.Event | None = None,
    ) -> None:
        """`present`: let it be known that here is a worker. `called`: set when there may be something to do, where a database tells."""
        self._settings = [replace(one, stop=stop) for one in settings]
        self._stop = stop
        self._run_batch = run_batch
        self._present = present
        self._called = called
        self._open: dict[int, _Open] = {}
        self._left_alone: dict[int, float] = {}
        self._dispatchers: dict[int, Dispatcher] = {}

    def close(self) -> None:
        """Give everything back."""
        for at in list(self._open):
            self._shut(at)

    def workspaces(self) -> list[Workspace]:
        """Those of all engagements that can be opened now."""
        return [one for at in range(len(self._settings)) if (one := self._workspace(at)) is not None]

    @contextmanager
    def trying(self, workspace: Workspace) -> Iterator[None]:
        """Without its database an engagement is left alone for a moment, and all others go on."""
        try:
            yield
        except StoreError as error:
            for at, one in self._open.items():
                if one.workspace.backend is workspace.backend:
                    self._left_alone[at] = time.monotonic() + 1
            _log.warning("the database of %s cannot be used now: %s", workspace.engagement.name, error)

    def sweep(self, workspace: Workspace) -> None:
        """Tell the dispatcher of what may be worked and it was not told of, or was long ago."""
        dispatcher = self.dispatcher(workspace)
        if isinstance(dispatcher, Database):
            return  # whoever has nothing to do looks, and is called by the database itself
        backend = workspace.backend.until(self._stop)
        with backend.read() as connection:
            now = backend.now(connection)
            found = queue.to_nudge(connection, workspace.engagement_id, now=now, since=now - AGAIN, lasts=TTL)
        for row in found:
            try:
                dispatcher.nudge(row.run_id, row.id, row.nonce)
            except Exception as error:
                _log.warning("%s could not be told of batch %s: %s", dispatcher.name, row.id, error)
                return
        if found:
            with backend.write() as connection:
                queue.set_nudged(connection, [row.id for row in found], at=backend.now(connection))

    def dispatcher(self, workspace: Workspace) -> Dispatcher:
        """The one that has its batches worked."""
        made = self._dispatchers.get(workspace.engagement_id)
        if made is None:
            made = make_dispatcher(workspace.dispatch, workspace.host.dispatchers, self._run_batch, workspace.queue)
            self._dispatchers[workspace.engagement_id] = made
        return made

    def _workspace(self, at: int) -> Workspace | None:
        if self._left_alone.get(at, 0) > time.monotonic():
            return None
        try:
            known = self._open.get(at)
            if known is not None:
                with known.workspace.backend.until(self._stop).read() as connection:
                    newest = revisions.newest_number(connection, known.workspace.engagement_id)
                if newest == known.workspace.engagement.revision:
                    return known.workspace
                self._shut(at)
            with ExitStack() as stack:
                workspace = stack.enter_context(open_workspace(self._settings[at]))
                if self._present:
                    stack.enter_context(Presence(replace(workspace, backend=workspace.backend.until(self._stop))))
                if self._called is not None:
                    stack.enter_context(_listening(workspace.backend, self._called))
                self._open[at] = _Open(workspace=workspace, stack=stack.pop_all())
        except MetasyncError as error:
            self._left_alone[at] = time.monotonic() + REST
            _log.error("%s is left alone for %d s: %s", self._settings[at].engagement, REST, error)
            return None
        return workspace

    def _shut(self, at: int) -> None:
        one = self._open.pop(at)
        self._dispatchers.pop(one.workspace.engagement_id, None)
        try:
            one.stack.close()
        except StoreError as error:
            _log.warning("the database of %s cannot be used now: %s", one.workspace.engagement.name, error)


@contextmanager
def _listening(backend: Backend, called: threading.Event) -> Iterator[None]:
    """`called` is set at each call of the database for somebody who has nothing to do."""
    stop = threading.Event()
    thread = threading.Thread(target=backend.listen, args=(called.set, stop), name="listening", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(REST)  # a server that does not answer holds nobody up for longer
