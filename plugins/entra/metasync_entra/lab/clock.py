"""The tenant's time. Tests move it instead of sleeping; everything that waits, expires or lags in the tenant reads it here."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Runs with the machine's time, from wherever it was moved to; or stands still once frozen."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen: float | None = None

    def now(self) -> float:
        """Seconds since 1970, in the tenant's own time."""
        return time.time() + self._offset if self._frozen is None else self._frozen

    def advance(self, seconds: float) -> None:
        """Move it on. It never goes back: a directory's journal is in order."""
        if seconds < 0:
            raise ValueError("the clock of the lab tenant never goes back")
        if self._frozen is None:
            self._offset += seconds
        else:
            self._frozen += seconds

    def freeze(self) -> None:
        """Let it stand until it is moved."""
        self._frozen = self.now()

    def thaw(self) -> None:
        """Let it run again, from where it stands."""
        if self._frozen is not None:
            self._offset = self._frozen - time.time()
            self._frozen = None


def iso(seconds: float) -> str:
    """As Graph writes a time: whole seconds, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
