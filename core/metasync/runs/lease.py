"""The engine's lease: two runs on one engagement never write at once, also where a copy of the engine is started elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from metasync.contract import MetasyncError
from metasync.lease import Lease
from metasync.store import runs
from metasync.store.backend import Backend


class EngineBusy(MetasyncError):
    """Another run works on this engagement; wait for it, or stop it with `metasync stop RUN`."""


class EngineLease(Lease):
    """Held while a run works.

    >>> with EngineLease(backend, "contoso") as lease:
    ...     assert not lease.lost.is_set()
    """

    def __init__(
        self, backend: Backend, engagement: str, on_beat: Callable[[Lease], None] | None = None, *, of_run: int | None = None
    ) -> None:
        """`on_beat` is called in the lease's thread after every beat, also after the one that found it lost. `of_run`: a run on the queue,
        whose steps are worked by others meanwhile."""
        super().__init__(backend, f"engine/{engagement}", on_beat)
        self._engagement = engagement
        self._of_run = of_run

    def _take(self, connection: Connection, until: datetime) -> int:
        fence = super()._take(connection, until)
        other = runs.on_the_queue(connection, self._engagement)
        if other is not None and other != self._of_run:
            raise EngineBusy(
                f"run {other} of this engagement is on the queue and not done; wait for it, see `metasync runs --follow`, "
                f"or stop it with `metasync stop {other}`"
            )
        return fence

    def _busy(self, holder: str) -> MetasyncError:
        return EngineBusy(
            f"another run works on this engagement ({holder}); wait for it, or see `metasync runs` and stop it with `metasync stop RUN`"
        )
