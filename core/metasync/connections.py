"""How many connections to a directory are open at once: the document's `rate: {connections: N}`. Each that may be open holds one of N
leases in the database, whichever process or run of the engagement it is of; whoever gets too few waits, and says so."""

from __future__ import annotations

import secrets
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
    from metasync.engagement.model import Directory
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


def limit_of(directory: Directory) -> int | None:
    """How many connections the document allows at once."""
    limit = directory.rate.get("connections")
    return None if limit is None else int(limit)


@contextmanager
def allowed(workspace: Workspace, directory: str, number: int) -> Iterator[None]:
    """While so many connections to a directory may be open: all of them, or, where the document allows fewer, those. Waits until they are
    free; raises `Stopped`, or `Unavailable`."""
    limit = limit_of(workspace.engagement.directories[directory])
    if limit is None:
        yield
        return
    with ExitStack() as stack:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                # All or none: of two who each hold a part, each would wait for the other's.
                with ExitStack() as some:
                    for _ in range(min(number, limit)):
                        some.enter_context(ConnectionLease(workspace, directory, limit))
                    stack.push(some.pop_all())
                break
            except NoneIsFree as error:
                text = f"the document allows {counted(limit, 'connection')} to {directory} at once, open by {error}"
                if time.monotonic() > until:
                    raise Unavailable(f"{text}; allow more by its `rate`, or let fewer work at once") from error
                workspace.report(0, None, f"{directory} waits: {text}")
            # Not all of them at the same moment.
            if workspace.stop.wait(LOOK * (0.5 + secrets.randbelow(100) / 100)):
                raise Stopped
        yield
