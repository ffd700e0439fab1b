"""Not a test: Celery's workers of the plugin, as a program of its own: `listener.py ENGAGEMENT FILE`, with the broker's URL in BROKER.

A line in FILE for each batch that they are told to work. A nonce `slow...` takes a second; `dies...` takes its process with it, once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from metasync_celery.dispatcher import CeleryDispatcher


class Noted:
    """What the engine hands a dispatcher, but that nothing is worked."""

    processes = 2

    def __init__(self, engagement: str, file: Path) -> None:
        self.engagements: Sequence[str] = [engagement]
        self._file = file

    def run_batch(self, run: int, batch: int, nonce: str) -> None:
        met = self._file.with_suffix(f".{nonce}")
        if nonce.startswith("dies") and not met.exists():
            met.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if nonce.startswith("slow"):
            time.sleep(1)
        self._note(f"{run} {batch} {nonce}")

    def leave(self) -> None:
        self._note("leave")

    def _note(self, line: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def main() -> None:
    """Until SIGTERM."""
    engagement, file = sys.argv[1:]
    served = Noted(engagement, Path(file))
    CeleryDispatcher(served.run_batch, {"broker": os.environ.pop("BROKER"), "engagement": engagement}).serve(served)


if __name__ == "__main__":
    main()
