"""The lease of one directory: only its holder writes there, and only with time left."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from metasync.contract import MetasyncError
from metasync.lease import Lease
from metasync.store import batches as batch_rows
from metasync.store import leases
from metasync.store.backend import Backend

MARGIN = 5.0
"""No write begins with less than this left, in seconds."""


class DirectoryBusy(MetasyncError):
    """Another process exports to this directory; wait for it to end, or stop it with `metasync stop RUN`."""


class LeaseLost(MetasyncError):
    """Another process took over the export to this directory; this one stops and records nothing more."""


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

    def check(self, connection: Connection) -> None:
        """In a transaction that claims or records: it is still ours. Raises `LeaseLost`."""
        held = leases.get(connection, self.name)
        if held is None or held.fence != self.fence:
            self.lost.set()
            raise self._taken_over()

    def ensure(self) -> None:
        """Before a write: it is ours, with time left. Raises `LeaseLost`."""
        if self.lost.is_set() or (self.left() < MARGIN and not self.renew()):
            raise self._taken_over()

    def _busy(self, holder: str) -> MetasyncError:
        return DirectoryBusy(
            f"{holder} exports to {self._directory} at present; "
            "wait for it to end, or see `metasync runs` and stop it with `metasync stop RUN`"
        )

    def _renewed(self, connection: Connection, until: datetime) -> None:
        if self.batch_id is not None:
            batch_rows.change_batch(connection, self.batch_id, lease_until=until)

    def _taken_over(self) -> LeaseLost:
        return LeaseLost(f"another process took over the export to {self._directory}; this one stops and records nothing more")
