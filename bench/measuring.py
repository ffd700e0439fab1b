"""Runs the measurements, each in a new process on new databases, in turns, and takes medians."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from lab.postgres import Cluster, cluster

from .rows import Found

DATABASES = 4
"""That one measurement may use."""
ONE_TIME = 100_000
"""From this size on, a measurement is made once."""

Say = Callable[[str], None]


class Failed(Exception):
    """A measurement did not come to its end."""


@contextmanager
def server_for(store: str) -> Iterator[Cluster | None]:
    """The server that a store needs. Its own maintenance is off: it would count to whatever runs at that moment."""
    if store == "sqlite":
        yield None
        return
    with cluster("autovacuum=off", "shared_buffers=256MB", "max_wal_size=4GB", "jit=off") as server:
        yield server


def measure(root: Path, server: Cluster | None, asked: Sequence[tuple[str, int]], turns: int, say: Say) -> Found:
    """Everything asked for, as (what, size), on one store."""
    found = Found()
    samples: dict[tuple[str, int], list[dict[str, Any]]] = {one: [] for one in asked}
    for turn in range(turns):
        for what, size in asked:
            if turn and size >= ONE_TIME:
                continue
            say(f"{'PostgreSQL' if server else 'SQLite'}: {what}, {size:,} objects, turn {turn + 1}")
            try:
                samples[what, size].append(_child(root, server, what, size))
            except Failed as failure:
                say(str(failure))
                found.failed[what, size] = str(failure)
    for one in found.failed:
        del samples[one]
    for one, several in samples.items():
        found.seconds[one] = {step: median(sample["seconds"][step] for sample in several) for step in several[0]["seconds"]}
        peaks = [sample["peak"] for sample in several if "peak" in sample]
        if peaks:
            found.peaks[one] = max(peaks)
        growths = [sample["growth"] for sample in several if "growth" in sample]
        if growths:
            found.growths[one] = max(growths)
    return found


UNDONE = 10_000
"""Changes of the run that is taken back."""


def wanted(whats: Collection[str], sizes: Sequence[int], crowd: int) -> list[tuple[str, int]]:
    """What has to be measured: with expressions on the smallest size alone, for it differs by what it adds per object."""
    asked = [(what, size) for what in ("working", "settled") for size in sizes] + [("files", size) for size in sizes if size < 1_000_000]
    asked += [("expressions", sizes[0]), ("crowd", crowd), ("members", crowd)]
    asked += [("looking", size) for size in sizes] + [("undoing", min(UNDONE, size)) for size in sizes[:1]]
    return [one for one in asked if one[0] in whats]


def _child(root: Path, server: Cluster | None, what: str, size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="metasync-bench-") as folder:
        names = [f"bench{number}" for number in range(DATABASES)]
        process = server.processes()[0] if server else None
        urls = [server.database(name) if server else f"sqlite:///{folder}/{name}.db" for name in names]
        asked = json.dumps({"what": what, "size": size, "folder": folder, "urls": urls, "server": process})
        command = [sys.executable, "-m", "bench.child", asked]
        environment = {**os.environ, "METASYNC_DEVELOPMENT": "1"}
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment)
        if server:
            for name in names:
                server.psql(f'DROP DATABASE "{name}" WITH (FORCE)')
    if done.returncode != 0:
        raise Failed(f"{what} of {size:,} objects: {done.stderr.strip()[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
