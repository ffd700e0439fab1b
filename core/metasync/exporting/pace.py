"""How fast a directory may be written: the document's `rate`. One export writes to a directory at a time, so it keeps the pace alone."""

from __future__ import annotations

import threading
import time

from metasync.pacing import taken

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Pace:
    """So many operations in a time, evenly: no second holds more than its share, but what a connector takes in one call."""

    def __init__(self, rate: str | None) -> None:
        """`rate`: such as `50/s`; None: as fast as it goes."""
        number, _, unit = (rate or "").partition("/")
        self._rate = int(number) / UNITS[unit] if rate else 0.0
        self._free_at = 0.0

    def wait(self, operations: int, stop: threading.Event) -> float:
        """Before so many operations: wait until they may begin, or `stop` is set; the seconds that it took."""
        if not self._rate:
            return 0.0
        now = time.monotonic()
        pause = max(0.0, self._free_at - now)
        self._free_at = taken(self._free_at, now, operations, self._rate)
        if pause:
            stop.wait(pause)
        return pause
