"""What this machine is, and how much of it is free at the moment."""

from __future__ import annotations

import multiprocessing
import os
import platform
import sqlite3
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

SPIN = 0.5
"""Seconds that a core is asked for."""


def free() -> list[float]:
    """The share of a core that a busy process gets now: of one process alone, then of each of one per core at once."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with context.Pool(cores) as pool:
        pool.map(_spin, [0.01] * cores)
        alone = pool.map(_spin, [SPIN])
        together = pool.map(_spin, [SPIN] * cores, chunksize=1)
    return [*alone, *together]


def described(root: Path) -> list[str]:
    """Date, commit, versions and processor, a line each."""
    commit = subprocess.run(["git", "-C", str(root), "log", "-1", "--format=%h %s"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(["git", "-C", str(root), "status", "--porcelain", "core", "plugins"], capture_output=True, text=True).stdout
    return [
        f"date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"commit: {commit or 'unknown'}" + (" (with changes)" if changed.strip() else ""),
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.machine()}",
        f"processor: {_processor()}, {os.cpu_count()} cores",
    ]


def _spin(seconds: float) -> float:
    end, began, used = time.monotonic() + seconds, time.monotonic(), time.process_time()
    while time.monotonic() < end:
        pass
    return (time.process_time() - used) / (time.monotonic() - began)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
