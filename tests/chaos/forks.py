"""The command line as a process of its own that begins at once: forked from a process which has the product imported and did nothing yet.

    with Stable() as stable:
        program = stable.start(["run"], cwd=folder, environment=environment)
        program.signal(signal.SIGKILL)
        answer = program.answer()

Everything that these processes do is done by the product's own console script; only Python's start and the imports are saved. This file is
also the program that is forked.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

PATIENCE = 300.0
"""Seconds for one command; none takes nearly as long."""


class Program:
    """One command that runs, or has ended."""

    def __init__(self, command: Sequence[str], report: int, out: IO[str], err: IO[str], counts: Path) -> None:
        self.command = tuple(command)
        self._report, self._out, self._err, self._counts = report, out, err, counts
        self._heard = b""
        self.code: int | None = None
        """Its exit code, negative for a signal; None while it runs."""
        while b"\n" not in self._heard:
            self._hear(None)
        first, _, self._heard = self._heard.partition(b"\n")
        self.pid = int(first)

    def wait(self, seconds: float = PATIENCE) -> bool:
        """Wait until it has ended, for so long at most; whether it has."""
        while self.code is None and b"\n" not in self._heard:
            if not self._hear(seconds):
                return False
        if self.code is None:
            self.code = int(self._heard)
            os.close(self._report)
        return True

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if not self.wait(0):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def answer(self) -> Any:
        """What it said and how it ended; to be asked once. Raises `TimeoutError`, and has killed it then."""
        from system.product import Answer

        if not self.wait():
            self.signal(signal.SIGKILL)
            raise TimeoutError(f"{self.command} did not end")
        texts = []
        for file in (self._out, self._err):
            with file:
                file.seek(0)
                texts.append(file.read())
        return Answer(command=self.command, code=self.code or 0, out=texts[0], err=texts[1])

    def reached(self) -> dict[str, int]:
        """How often it reached each fault point; only of one that ended by itself and had nothing armed."""
        return dict(json.loads(self._counts.read_text()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.wait()
        for file in (self._out, self._err):
            file.close()

    def _hear(self, seconds: float | None) -> bool:
        if not select.select([self._report], [], [], seconds)[0]:
            return False
        said = os.read(self._report, 100)
        if not said:
            raise RuntimeError(f"whoever watches over {self.command} has gone")
        self._heard += said
        return True


class Stable:
    """The process that is forked for every command. `paths` are further places where plugins are installed."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*map(str, paths), *filter(None, sys.path)]),
            "METASYNC_DEVELOPMENT": "1",
        }
        command = [sys.executable, str(Path(__file__)), str(theirs.fileno())]
        self._server = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._folder = tempfile.TemporaryDirectory(prefix="metasync-forks-")
        self._number = 0

    def start(
        self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], typed: str = "", limits: Mapping[str, int] | None = None
    ) -> Program:
        """Begin a command. `limits`: resource limits by their names in the module `resource`."""
        self._number += 1
        counts = Path(self._folder.name) / str(self._number)
        order = {"command": list(command), "cwd": str(cwd), "environment": dict(environment), "counts": str(counts), "limits": limits or {}}
        out, err = _unnamed(), _unnamed()
        report, theirs = os.pipe()
        with _unnamed() as words:
            words.write(typed)
            words.seek(0)
            socket.send_fds(self._ours, [json.dumps(order).encode()], [theirs, words.fileno(), out.fileno(), err.fileno()])
        os.close(theirs)
        return Program(command, report, out, err, counts)

    def close(self) -> None:
        """End the process; what it began goes on to its own end."""
        self._ours.close()
        self._server.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _unnamed() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


# --- the other side --------------------------------------------------------------------------------------------------------------------


def serve(ours: socket.socket) -> None:
    """Fork for every order, until nobody is there to give one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever watches over a command is waited for by nobody
    while True:
        order, files, _, _ = socket.recv_fds(ours, 1 << 20, 4)
        if not order:
            return
        if os.fork() == 0:
            ours.close()
            watch(json.loads(order), files)
            os._exit(0)
        for file in files:
            os.close(file)


def watch(order: Mapping[str, Any], files: Sequence[int]) -> None:
    """Fork once more, and say the number of that process, and later how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    report, *streams = files
    pid = os.fork()
    if pid == 0:
        os.close(report)
        for number, file in enumerate(streams):
            os.dup2(file, number)
            os.close(file)
        os._exit(play(order))
    os.write(report, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def play(order: Mapping[str, Any]) -> int:
    """Do the command, as `metasync` does it; its exit code."""
    import io
    import resource

    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for name, most in order["limits"].items():
        resource.setrlimit(getattr(resource, name), (most, most))
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, mode, closefd=False), encoding="utf-8", errors="surrogateescape", line_buffering=True)
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    from metasync import faults
    from metasync.cli.main import run

    if "METASYNC_FAULT" in os.environ:
        code = run(order["command"])
    else:
        with faults.counted() as reached:
            code = run(order["command"])
        Path(order["counts"]).write_text(json.dumps(reached))
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def preload() -> None:
    """Everything that commands import."""
    import importlib

    for name in (
        "metasync.cli.main",
        "metasync.store.sqlite",
        "metasync.store.postgres",
        "metasync.testing.memory",
        "metasync.testing.counting",
        "metasync_standard",
        "metasync_csv",
        "metasync_ad",
        "alembic.command",
        "ldap3",
        "sqlalchemy.dialects.sqlite",
        "sqlalchemy.dialects.postgresql.psycopg",
        "metasync_celery.plugin",
        "celery.apps.worker",
        "celery.concurrency.prefork",
        "celery.worker.consumer",
        "kombu.transport.redis",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


if __name__ == "__main__":
    # Beside this file lies `site.py`, which is not Python's.
    sys.path[:] = [path for path in sys.path if path != str(Path(__file__).parent)]
    preload()
    serve(socket.socket(fileno=int(sys.argv[1])))
