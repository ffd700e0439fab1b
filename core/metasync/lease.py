"""A lease: one process at a time acts, and nobody waits for the dead. Of the engine it is in `runs.lease`, of a directory in
`exporting.lease`.

It lasts 10 s by the database's clock and is renewed every 3 s by a thread of its own, also while the holder is in the midst of a call. Its
fence grows with every holder: what a late one still wants to record is refused.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from metasync import liveness
from metasync.contract import MetasyncError
from metasync.store import leases
from metasync.store.backend import Backend

TTL = timedelta(seconds=10)
HEARTBEAT = 3.0

_log = logging.getLogger(__name__)


class Lease:
    """Held while its context lasts; `lost` is set as soon as it is known that somebody else holds it."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self.name = name
        self.owner = liveness.owner()
        self.fence = 0
        self.lost = threading.Event()
        self._until = 0.0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        asked = time.monotonic()
        with self._backend.write(durable=True) as connection:
            now = self._backend.now(connection)
            held = leases.get(connection, self.name)
            if held is not None and held.until > now and not liveness.is_dead(held.owner):
                machine, _, rest = held.owner.partition(":")
                raise self._busy(f"process {rest.partition(':')[0]} on {machine.partition('/')[0]}")
            self.fence = leases.take(connection, self.name, owner=self.owner, until=now + TTL)
        self._until = asked + TTL.total_seconds()
        self._thread = threading.Thread(target=self._beat, name=f"lease {self.name}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        with self._backend.write() as connection:
            leases.give_back(connection, self.name, fence=self.fence, at=self._backend.now(connection))

    def renew(self) -> bool:
        """Hold it for another `TTL`; False once somebody else holds it."""
        asked = time.monotonic()
        with self._backend.write() as connection:
            until = self._backend.now(connection) + TTL
            if not leases.renew(connection, self.name, fence=self.fence, until=until):
                self.lost.set()
                return False
            self._renewed(connection, until)
        self._until = asked + TTL.total_seconds()
        return True

    def left(self) -> float:
        """For how many seconds it is ours at least, whatever became of the database."""
        return self._until - time.monotonic()

    def _busy(self, holder: str) -> MetasyncError:
        """What to raise where another process holds it."""
        return MetasyncError(f"{holder} holds {self.name}; wait for it to end")

    def _renewed(self, connection: Connection, until: datetime) -> None:
        """In the transaction that renews it."""

    def _after_beat(self) -> None:
        """In the lease's thread, after every beat, also after the one that found it lost."""

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT):
            try:
                held = self.renew()
                self._after_beat()
                if not held:
                    return
            except Exception as error:  # a busy database: the next beat tries again, and the lease outlives two missed beats
                _log.warning("the lease %s was not renewed: %s", self.name, error)
