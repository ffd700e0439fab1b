"""The engine's lease: two runs on one engagement never write at once, also where a copy of the engine is started elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from metasync.contract import MetasyncError
from metasync.lease import Lease
from metasync.store.backend import Backend


class EngineBusy(MetasyncError):
    """Another run works on this engagement; wait for it, or stop it with `metasync stop RUN`."""


class EngineLease(Lease):
    """Held while a run works.

    >>> with EngineLease(backend, "contoso") as lease:
    ...     assert not lease.lost.is_set()
    """

    def __init__(self, backend: Backend, engagement: str, on_beat: Callable[[EngineLease], None] | None = None) -> None:
        """`on_beat` is called in the lease's thread after every beat, also after the one that found it lost."""
        super().__init__(backend, f"engine/{engagement}")
        self._on_beat = on_beat

    def _busy(self, holder: str) -> MetasyncError:
        return EngineBusy(
            f"another run works on this engagement ({holder}); wait for it, or see `metasync runs` and stop it with `metasync stop RUN`"
        )

    def _after_beat(self) -> None:
        if self._on_beat is not None:
            self._on_beat(self)
