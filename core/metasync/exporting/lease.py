"""The lease of one directory: only its holder writes there, and only with time left.

It lasts 10 s, is renewed every 3 s by a thread of its own (also during a call), and its fence grows with every holder: what a late one
still wants to record is refused.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from types import TracebackType

from sqlalchemy import Connection

from metasync import liveness
from metasync.contract import MetasyncError
from metasync.store import leases, ledger
from metasync.store.backend import Backend

TTL = timedelta(seconds=10)
HEARTBEAT = 3.0
MARGIN = 5.0
"""No write begins with less than this left, in seconds."""

_log = logging.getLogger(__name__)


class DirectoryBusy(MetasyncError):
    """Another process exports to this directory; wait for it to end, or stop it with `metasync stop RUN`."""


class LeaseLost(MetasyncError):
    """Another process took over the export to this directory; this one stops and records nothing more."""


class DirectoryLease:
    """Held while changes are written to one directory.

    >>> with DirectoryLease(backend, "contoso", "fabrikam") as lease:
    ...     lease.ensure()
    """

    def __init__(self, backend: Backend, engagement: str, directory: str) -> None:
        self._backend = backend
        self._directory = directory
        self.name = f"export/{engagement}/{directory}"
        self.owner = liveness.owner()
        self.fence = 0
        self.batch_id: int | None = None
        self._until = 0.0
        self._end = threading.Event()
        self._lost = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> DirectoryLease:
        asked = time.monotonic()
        with self._backend.write(durable=True) as connection:
            now = self._backend.now(connection)
            held = leases.get(connection, self.name)
            if held is not None and held.until > now and not liveness.is_dead(held.owner):
                machine, pid, _ = held.owner.split(":")
                raise DirectoryBusy(
                    f"process {pid} on {machine.partition('/')[0]} exports to {self._directory} at present; "
                    "wait for it to end, or see `metasync runs` and stop it with `metasync stop RUN`"
                )
            self.fence = leases.take(connection, self.name, owner=self.owner, until=now + TTL)
        self._until = asked + TTL.total_seconds()
        self._thread = threading.Thread(target=self._beat, name=f"lease of {self._directory}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        with self._backend.write() as connection:
            leases.give_back(connection, self.name, fence=self.fence, at=self._backend.now(connection))

    def check(self, connection: Connection) -> None:
        """In a transaction that claims or records: it is still ours. Raises `LeaseLost`."""
        held = leases.get(connection, self.name)
        if held is None or held.fence != self.fence:
            self._lost.set()
            raise LeaseLost(f"another process took over the export to {self._directory}; this one stops and records nothing more")

    def ensure(self) -> None:
        """Before a write: it is ours, with time left. Raises `LeaseLost`."""
        if self._lost.is_set() or (self._until - time.monotonic() < MARGIN and not self._renew()):
            raise LeaseLost(f"another process took over the export to {self._directory}; this one stops and records nothing more")

    def _renew(self) -> bool:
        asked = time.monotonic()
        with self._backend.write() as connection:
            until = self._backend.now(connection) + TTL
            if not leases.renew(connection, self.name, fence=self.fence, until=until):
                self._lost.set()
                return False
            if self.batch_id is not None:
                ledger.change_batch(connection, self.batch_id, lease_until=until)
        self._until = asked + TTL.total_seconds()
        return True

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT):
            try:
                if not self._renew():
                    return
            except Exception as error:  # a busy database: the next beat tries again, and `ensure` stops the writes meanwhile
                _log.warning("the lease of %s was not renewed: %s", self._directory, error)
