"""CPU seconds of this process and, on PostgreSQL, of every process of the server; peak memory of this process."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Meter:
    """Adds up what each step costs. `server`: the process that the server was started as."""

    def __init__(self, server: int | None = None) -> None:
        self.server = server
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, spent: Callable[[], float] = lambda: 0.0) -> Iterator[None]:
        """Measure what happens inside. `spent` tells the seconds used up to now for what is not to be counted."""
        gc.collect()
        before, aside = self.now(), spent()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + max(1e-6, self.now() - before - (spent() - aside))

    def now(self) -> float:
        """CPU seconds used up to now."""
        return time.process_time() + (server_seconds(self.server) if self.server else 0.0)


def server_seconds(server: int) -> float:
    """CPU seconds of a server and of all that it started, also of what has ended meanwhile."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split()
    own = _stat(server)
    return (sum(own) + sum(sum(_stat(int(one))[:2]) for one in children)) / TICKS


def peak_megabytes() -> float:
    """The most memory that this process ever held."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the kernel does not tell a process's peak memory")


def forget_peak() -> float:
    """Begin anew with the peak memory; what is held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_megabytes()


def _stat(process: int) -> list[int]:
    """utime, stime, cutime and cstime of a process; nothing of one that has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return [0, 0, 0, 0]
    return [int(one) for one in text.rpartition(")")[2].split()[11:15]]
