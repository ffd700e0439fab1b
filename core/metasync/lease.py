"""A lease: one process at a time acts, and nobody waits for the dead. Of the engine it is in `runs.lease`, of a directory in
`exporting.lease`.

It lasts 10 s by the database's clock and is renewed every 3 s by a thread of its own, also while the holder is in the midst of a call. Its
fence grows with every holder: what a late one still wants to record is refused.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import ClassVar, Self

from sqlalchemy import Connection

from metasync import liveness
from metasync.contract import MetasyncError
from metasync.store import leases
from metasync.store.backend import Backend
from metasync.store.errors import StoreError

TTL = timedelta(seconds=10)
HEARTBEAT = 3.0

_log = logging.getLogger(__name__)


class LeaseLost(MetasyncError):
    """Another process took over what this one works on; this one stops and records nothing more."""


class Lease:
    """Held while its context lasts; `lost` is set as soon as it is known that somebody else holds it."""

    transaction: ClassVar[str] = ""
    """The name of the one that takes it, in `metasync.faults`."""

    def __init__(self, backend: Backend, name: str, on_beat: Callable[[Lease], None] | None = None) -> None:
        """`on_beat` is called in the lease's thread after every beat, also after the one that found it lost."""
        self._backend = backend
        self.name = name
        self._on_beat = on_beat
        self.owner = liveness.owner()
        self.fence = 0
        self.holder_may_live = False
        """It ran out, and whoever held it neither gave it back nor is known to be dead: he may not know yet."""
        self.lost = threading.Event()
        self.given_back = False
        """What ended the work gave it back, too: nothing is left to do at the end."""
        self._until = 0.0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        asked = time.monotonic()
        with self._backend.write(self.transaction, durable=True) as connection:
            self.fence = self._take(connection, self._backend.now(connection) + TTL)
        self._until = asked + TTL.total_seconds()
        self._thread = threading.Thread(target=self._beat, name=f"lease {self.name}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        if self.given_back:
            return
        # Who just waited for a server in vain does not wait once more: the lease runs out by itself.
        backend = self._backend.until(self._end) if isinstance(error, StoreError) else self._backend
        with backend.write() as connection:
            self._give_back(connection, self._backend.now(connection))

    def renew(self) -> bool:
        """Hold it for another `TTL`; False once somebody else holds it."""
        asked = time.monotonic()
        with self._backend.until(self._end).write() as connection:
            until = self._backend.now(connection) + TTL
            if not self._hold(connection, until):
                self.lost.set()
                return False
            self._renewed(connection, until)
        self._until = asked + TTL.total_seconds()
        return True

    def left(self) -> float:
        """For how many seconds it is ours at least, whatever became of the database."""
        return self._until - time.monotonic()

    def check(self, connection: Connection) -> None:
        """In a transaction that records something: it is still ours. Raises what `_taken_over` gives."""
        if not self._ours(connection):
            self.lost.set()
            raise self._taken_over()

    def _take(self, connection: Connection, until: datetime) -> int:
        """Become the holder; the new fence. Raises what `_busy` gives where another process holds it."""
        held = leases.get(connection, self.name)
        self.holder_may_live = held is not None and held.owner not in ("", self.owner) and not liveness.is_dead(held.owner)
        if held is not None and held.until > self._backend.now(connection) and not liveness.is_dead(held.owner):
            raise self._busy(liveness.words(held.owner))
        return leases.take(connection, self.name, owner=self.owner, until=until)

    def _hold(self, connection: Connection, until: datetime) -> bool:
        """Hold it longer; False: somebody else has it by now."""
        return leases.renew(connection, self.name, fence=self.fence, until=until)

    def _ours(self, connection: Connection) -> bool:
        """Nobody else took it."""
        held = leases.get(connection, self.name)
        return held is not None and held.fence == self.fence

    def _give_back(self, connection: Connection, at: datetime) -> None:
        """Let it run out now."""
        leases.give_back(connection, self.name, fence=self.fence, at=at)

    def _busy(self, holder: str) -> MetasyncError:
        """What to raise where another process holds it."""
        return MetasyncError(f"{holder} holds {self.name}; wait for it to end")

    def _taken_over(self) -> MetasyncError:
        """What to raise where another process took it."""
        return LeaseLost(f"another process took over {self.name}; this one stops and records nothing more")

    def _renewed(self, connection: Connection, until: datetime) -> None:
        """In the transaction that renews it."""

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT):
            try:
                held = self.renew()
                if self._on_beat is not None:
                    self._on_beat(self)
                if not held:
                    return
            except Exception as error:  # a busy database: the next beat tries again, and the lease outlives two missed beats
                _log.warning("the lease %s was not renewed: %s", self.name, error)
