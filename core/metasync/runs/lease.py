"""The engine's lease: two runs on one engagement never write at once, also where a copy of the engine is started elsewhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from metasync import liveness
from metasync.contract import MetasyncError
from metasync.store import leases
from metasync.store.backend import Backend

TTL = timedelta(seconds=10)
HEARTBEAT = 3.0

log = logging.getLogger(__name__)


class EngineBusy(MetasyncError):
    """Another run works on this engagement; wait for it, or stop it with `metasync stop RUN`."""


class EngineLease:
    """Held while a run works. A thread of its own renews it; `lost` is set as soon as somebody else holds it.

    >>> with EngineLease(backend, "contoso") as lease:
    ...     assert not lease.lost.is_set()
    """

    def __init__(self, backend: Backend, engagement: str, on_beat: Callable[[EngineLease], None] | None = None) -> None:
        """`on_beat` is called in the lease's thread after every beat, also after the one that found it lost."""
        self._backend = backend
        self._on_beat = on_beat
        self._name = f"engine/{engagement}"
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.owner = liveness.owner()
        self.fence = 0
        self.lost = threading.Event()

    def __enter__(self) -> EngineLease:
        with self._backend.write(durable=True) as connection:
            now = self._backend.now(connection)
            held = leases.get(connection, self._name)
            if held is not None and held.until > now and not liveness.is_dead(held.owner):
                machine, _, rest = held.owner.partition(":")
                raise EngineBusy(
                    f"another run works on this engagement (process {rest.partition(':')[0]} on {machine.partition('/')[0]}); "
                    "wait for it, or see `metasync runs` and stop it with `metasync stop RUN`"
                )
            self.fence = leases.take(connection, self._name, owner=self.owner, until=now + TTL)
        self._thread = threading.Thread(target=self._renew_until_ended, name="engine lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        with self._backend.write() as connection:
            leases.give_back(connection, self._name, fence=self.fence, at=self._backend.now(connection))

    def renew(self) -> bool:
        """Hold it for another `TTL`; False once somebody else holds it."""
        with self._backend.write() as connection:
            held = leases.renew(connection, self._name, fence=self.fence, until=self._backend.now(connection) + TTL)
        if not held:
            self.lost.set()
        return held

    def _renew_until_ended(self) -> None:
        while not self._end.wait(HEARTBEAT):
            try:
                held = self.renew()
                if self._on_beat is not None:
                    self._on_beat(self)
                if not held:
                    return
            except Exception as error:  # a busy database: the next beat tries again, and the lease outlives two missed beats
                log.warning("the engine's lease was not renewed: %s", error)
