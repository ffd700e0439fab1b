"""Two servers never get one port, whoever starts them."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from lab import ports
from lab.packages import LabError

ANOTHER_PROCESS = """
import random, sys
from lab import ports
ports.TRIES = 1
ports.random.randrange = lambda first, end: int(sys.argv[1])
with ports.reserved_port():
    pass
"""


def tried_elsewhere(port: int) -> str:
    """What another process says that wants just this one."""
    tests = str(Path(__file__).resolve().parents[1])
    return subprocess.run([sys.executable, "-c", ANOTHER_PROCESS, str(port)], cwd=tests, capture_output=True, text=True).stderr


def test_a_port_is_nobody_elses_while_its_server_is_away() -> None:
    with ports.reserved_port() as port:
        assert "is free" in tried_elsewhere(port)
    assert tried_elsewhere(port) == ""


def test_a_port_where_somebody_listens_is_left_alone() -> None:
    with ports.reserved_port() as port, closing(socket.socket()) as one:
        one.bind(("127.0.0.2", port))
        one.listen()
        assert not ports._nobody_listens(port)


def test_none_is_one_that_the_system_gives_to_outgoing_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    with ExitStack() as stack:
        assert all(ports.FIRST <= stack.enter_context(ports.reserved_port()) < max(first, ports.FIRST + ports.TRIES) for _ in range(50))
    monkeypatch.setattr(ports, "TRIES", 1)
    with ports.reserved_port() as port:
        monkeypatch.setattr(ports.random, "randrange", lambda first, end: port)
        with pytest.raises(LabError, match="is free"), ports.reserved_port():
            pass
