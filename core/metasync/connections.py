"""How many connections a directory is asked for at once: the document's `rate: {connections: N}`. Each that is open holds one of N leases
in the database, whichever process or run of the engagement it is of; whoever gets none waits, and says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from metasync import liveness
from metasync.contract import MetasyncError, Stopped, Unavailable
from metasync.lease import Lease
from metasync.store import leases
from metasync.words import counted

if TYPE_CHECKING:
    from metasync.workspace import Workspace

LOOK = 0.5
"""Seconds between two looks for one that became free."""
PATIENCE = 600.0
"""Seconds for which one is waited for: of two exports that hold the last connection to one directory and want one to the other's, each
would else wait for ever."""


class NoneIsFree(MetasyncError):
    """Every connection that the document allows is open."""


class ConnectionLease(Lease):
    """Held while one connection to a directory is open."""

    def __init__(self, workspace: Workspace, directory: str, limit: int) -> None:
        self._workspace, self._limit = workspace, limit
        self._beginning = f"connection/{workspace.engagement.name}/{directory}"
        # Whether what is done over the connection may still be recorded is for others to say.
        super().__init__(workspace.backend.unguarded(), self._beginning, self._beaten)

    def _take(self, connection: Connection, until: datetime) -> int:
        now, holders = self._backend.now(connection), []
        for number in range(1, self._limit + 1):
            name = f"{self._beginning}/{number}"
            held = leases.get(connection, name)
            if held is None or held.until <= now or liveness.is_dead(held.owner):
                self.name = name
                return leases.take(connection, name, owner=self.owner, until=until)
            holders.append(liveness.words(held.owner))
        raise NoneIsFree(", ".join(sorted(set(holders))))

    def _beaten(self, lease: Lease) -> None:
        if self.lost.is_set():
            # It stood still for so long that somebody else has the connection: what it does with its own ends as if it were to leave.
            self._workspace.stop.set()


@contextmanager
def allowed(workspace: Workspace, directory: str) -> Iterator[None]:
    """While a connection to a directory is open. Waits for one of those that the document allows; raises `Stopped`, or `Unavailable`."""
    limit = workspace.engagement.directories[directory].rate.get("connections")
    if limit is None:
        yield
        return
    with ExitStack() as stack:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                stack.enter_context(ConnectionLease(workspace, directory, int(limit)))
                break
            except NoneIsFree as error:
                text = f"the document allows {counted(int(limit), 'connection')} to {directory} at once, open by {error}"
                if time.monotonic() > until:
                    raise Unavailable(f"{text}; allow more by its `rate`, or let fewer work at once") from error
                workspace.report(0, None, f"{directory} waits: {text}")
            if workspace.stop.wait(LOOK):
                raise Stopped
        yield
