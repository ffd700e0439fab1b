"""One process that keeps others alive: the tree of `metasync up`, and a worker with several processes.

Whoever ends without being asked is started again, later each time. Asked to end, it asks all others, and waits until what they have in hand
is finished. Killed, it takes nobody with it: its children see that it is gone, and end by themselves.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

PARENT = "METASYNC_PARENT"
"""Tells a child the process that looks after it."""
LOOK = 0.2
FIRST, LONGEST = 1.0, 30.0
"""Seconds before a child that ended is started again: doubled each time, anew once one lived for a minute."""
STEADY = 60.0
PATIENCE = 60.0
"""Seconds for which children may finish what they have in hand, before they are killed."""

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Child:
    """One process to be kept alive."""

    name: str
    arguments: Sequence[str]
    """Of the command `metasync`."""
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    pause: float = FIRST
    due: float = 0.0
    ends: list[int] = field(default_factory=list)
    """The exit codes so far."""


def supervise(children: Sequence[Child], stop: threading.Event, environment: Mapping[str, str] | None = None) -> None:
    """Keep them alive until `stop`, then end them all. Raises nothing: a child that cannot live is tried again, and logged."""
    try:
        while not stop.is_set():
            for child in children:
                _look(child, environment)
            stop.wait(LOOK)
    finally:
        _end(children)


def _look(child: Child, environment: Mapping[str, str] | None) -> None:
    now = time.monotonic()
    if child.process is None:
        if now >= child.due:
            child.began = now
            child.process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-m", "metasync", *child.arguments],
                env={**os.environ, **(environment or {}), PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                # A Ctrl-C at the terminal is for the one that looks after them all.
                start_new_session=True,
            )
        return
    code = child.process.poll()
    if code is None:
        return
    child.process = None
    child.ends.append(code)
    if now - child.began > STEADY:
        child.pause = FIRST
    child.due = now + child.pause
    _log.error("%s ended with %s; it is started again in %d s", child.name, code, child.pause)
    child.pause = min(LONGEST, child.pause * 2)


def _end(children: Sequence[Child]) -> None:
    alive = [child.process for child in children if child.process is not None]
    for process in alive:
        process.terminate()
    until = time.monotonic() + PATIENCE
    for process in alive:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """It, and what it started: each child is the first of its session."""
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
