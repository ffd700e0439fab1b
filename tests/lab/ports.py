"""Ports of the loopback address for servers of the tests' own: each belongs to one server as long as it lives.

A port that the system names as free is nobody's until a server listens there, and again while a killed one is away: a second server, or
any connection that goes out, may get it meanwhile. So these lie below those that the system gives away by itself, and each is locked for
all processes of this machine.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from .packages import LabError

FIRST = 20_000
TRIES = 1_000


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port where nobody listens, and that nobody else gets from here until the end of this block. Raises `LabError`."""
    import fcntl  # not on Windows, where none of these servers runs

    folder = Path("/tmp") / f"metasync-ports-{os.getuid()}"  # the same for those whose TMPDIR is another
    folder.mkdir(mode=0o700, exist_ok=True)
    end = _first_that_the_system_gives()
    for _ in range(TRIES):
        port = random.randrange(FIRST, end)
        with (folder / str(port)).open("w") as claim:
            with suppress(BlockingIOError):
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _nobody_listens(port):
                    yield port
                    return
    raise LabError(f"none of {TRIES} ports from {FIRST} to {end} is free; see `ss -ltn` for who listens there")


def _first_that_the_system_gives() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        first = 49_152  # RFC 6335, section 6
    return max(first, FIRST + TRIES)


def _nobody_listens(port: int) -> bool:
    with closing(socket.socket()) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: what a former one said last does not count
        try:
            one.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
