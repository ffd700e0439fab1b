"""Fixtures: a Redis server of a test's own (tests/lab of the repository), and real prefork workers that note what they are told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metasync_celery.dispatcher import CeleryDispatcher

TESTS = Path(__file__).resolve().parents[3] / "tests"
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from lab import redis as lab  # noqa: E402

PATIENCE = 90
"""Seconds for what takes one or two on a machine that has nothing else to do."""


@pytest.fixture
def redis() -> Iterator[lab.Broker]:
    """A broker for one test alone."""
    if (reason := lab.why_not()) is not None:
        pytest.skip(reason)
    with lab.broker() as server:
        yield server


class Listener:
    """Celery's own workers, two at once, in a process of its own; what they are told goes into a file."""

    def __init__(self, folder: Path, url: str, engagement: str) -> None:
        self.file, self.said = folder / f"{engagement}.told", folder / f"{engagement}.log"
        self.file.touch()
        environment = {**os.environ, "BROKER": url}
        command = [sys.executable, str(Path(__file__).with_name("listener.py")), engagement, str(self.file)]
        with self.said.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def told(self) -> list[str]:
        """RUN BATCH NONCE, in the order of their ends."""
        return self.file.read_text(encoding="utf-8").splitlines()

    @property
    def log(self) -> str:
        """All that it said."""
        return self.said.read_text(encoding="utf-8", errors="replace")

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it. Raises `AssertionError` with the log."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"the worker ended: {self.log}"
            assert time.monotonic() < end, f"told: {self.told}\n{self.log}"
            time.sleep(0.05)

    def ended(self, or_else: Callable[[], bool]) -> int | None:
        """Wait until it ends, or for something else; the exit code of the one."""
        end = time.monotonic() + PATIENCE
        while not or_else():
            if (code := self.process.poll()) is not None:
                return code
            assert time.monotonic() < end, self.log
            time.sleep(0.05)
        return None

    def children(self) -> list[int]:
        """The processes of the pool."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return [int(one) for one in found.split()]


@pytest.fixture
def listen(tmp_path: Path) -> Callable[..., object]:
    """`with listen(url, engagement) as workers:`"""

    @contextmanager
    def started(url: str, engagement: str = "contoso") -> Iterator[Listener]:
        workers = Listener(tmp_path, url, engagement)
        try:
            yield workers
        finally:
            workers.process.kill()
            workers.process.wait()

    return started


def dispatcher(url: str, engagement: str = "contoso") -> CeleryDispatcher:
    """Of somebody who nudges, and works nothing."""
    return CeleryDispatcher(lambda run, batch, nonce: None, {"broker": url, "engagement": engagement})
