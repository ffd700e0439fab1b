"""The lease of one directory: only its holder writes there, and only with time left."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from sqlalchemy import Connection

from metasync.contract import MetasyncError
from metasync.lease import TTL, Lease, LeaseLost
from metasync.store import batches as batch_rows
from metasync.store import queue
from metasync.store.backend import Backend
from metasync.store.errors import StoreError

MARGIN = 5.0
"""No write begins with less than this left, in seconds."""
LOOK = 0.5
"""Nor longer than this after the last look at who holds it: a clock that jumps gives a lease away before its time, and whoever stood still
meanwhile knows of neither."""


class DirectoryBusy(MetasyncError):
    """Another process exports to this directory; wait for it to end, or stop it with `metasync stop RUN`."""


class DirectoryLease(Lease):
    """Held while changes are written to one directory.

    >>> with DirectoryLease(backend, "contoso", "fabrikam") as lease:
    ...     lease.ensure()
    """

    def __init__(self, backend: Backend, engagement: str, directory: str) -> None:
        super().__init__(backend, f"export/{engagement}/{directory}")
        self._directory = directory
        self.batch_id: int | None = None
        """The batch whose row shows until when it is leased."""

    def __enter__(self) -> Self:
        super().__enter__()
        if self.holder_may_live:
            # He looks before each write whether it is still his: the last that he began before is over, or nobody waits for it.
            self._end.wait(2 * LOOK)
        return self

    def ensure(self) -> None:
        """Before a write: it is ours, with time left. Raises `LeaseLost`."""
        if self.left() < TTL.total_seconds() - LOOK:
            try:
                self.renew()
            except StoreError:
                if self.left() < MARGIN:
                    raise
        if self.lost.is_set():
            raise self._taken_over()

    def _busy(self, holder: str) -> MetasyncError:
        return DirectoryBusy(
            f"{holder} exports to {self._directory} at present; "
            "wait for it to end, or see `metasync runs` and stop it with `metasync stop RUN`"
        )

    def _hold(self, connection: Connection, until: datetime) -> bool:
        return super()._hold(connection, until) and self._has_batch(connection)

    def _ours(self, connection: Connection) -> bool:
        return super()._ours(connection) and self._has_batch(connection)

    def _has_batch(self, connection: Connection) -> bool:
        """Whoever stood still until its lease ran out may meanwhile have been taken for dead, and its run have ended."""
        return self.batch_id is None or queue.holds(connection, self.batch_id, self.fence)

    def _renewed(self, connection: Connection, until: datetime) -> None:
        if self.batch_id is not None:
            batch_rows.change_batch(connection, self.batch_id, lease_until=until)

    def _taken_over(self) -> MetasyncError:
        return LeaseLost(f"another process took over the export to {self._directory}; this one stops and records nothing more")
