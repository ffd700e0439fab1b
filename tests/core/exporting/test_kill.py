"""kill -9 of an export, again and again: nothing is lost and nothing is repeated (I1, I2)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from metasync.contract import Operation
from metasync.planning import approve, freeze
from metasync.store import audit
from metasync.store import tables as t

HERE = Path(__file__).parent
PEOPLE, KILLS = (4000, 50) if os.environ.get("METASYNC_CHAOS_WHOLE") else (800, 10)

RESUMED = 15.0
"""Seconds from the start of the next process to its first write, at the most."""


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_i1_i2_ten_kills_of_an_export_of_800_creates_lose_nothing_and_repeat_nothing(bench: Any, tmp_path: Path) -> None:
    """I1: no change is lost. I2: no change is applied twice, on a target that counts creates and would accept a second one."""
    for number in range(PEOPLE):
        bench.pend_create(bench.person(f"p{number}"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.counts == {Operation.CREATE: PEOPLE}
    approve(bench.workspace, plan.id, reason="good")
    log = tmp_path / "target.log"
    dice = random.Random(7)
    waits = []
    for _ in range(KILLS):
        before, began = len(lines(log)), time.monotonic()
        enough = before + dice.randint(5, 70)
        with start(bench, log, plan.id) as victim:
            while (now := len(lines(log))) < enough:
                assert victim.poll() is None, victim.communicate()
                if now > before > 0:
                    before = 0
                    waits.append(time.monotonic() - began)
            victim.kill()
            victim.communicate()
    assert max(waits) < RESUMED, f"it goes on at once: {waits}"
    assert len(lines(log)) < PEOPLE
    with start(bench, log, plan.id) as last:
        out, error = last.communicate(timeout=120)
    assert last.returncode == 0, error
    assert "{}" in out, out
    created = [line.split()[1] for line in lines(log)]
    assert len(created) == len(set(created)) == PEOPLE
    assert bench.states(plan.id) == {"written": PEOPLE}
    assert sum(1 for one in bench.rows(t.join) if one.created) == PEOPLE
    with bench.backend.read() as connection:
        assert audit.verify(connection) == []
        closed = [row for row in audit.rows(connection) if row.action == "export"]
    assert len(closed) == len(bench.rows(t.batch)), "every batch is audited, also those whose process was killed"


def start(bench: Any, log: Path, plan: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "victim.py"), str(HERE.parent / "conftest.py"), str(bench.backend.path), str(log), str(plan)]
    return subprocess.Popen([*command, str(bench.run("export"))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
