"""A PostgreSQL server of a test's own: a throw-away cluster from Debian's package, on a port of its own of the loopback address.

    with cluster() as server:
        backend = open_store(server.database("metasync"))
        server.kill()
        server.start()

Its default collation is English, so that whatever is ordered by it differs from SQLite's order. It does not flush to disk: what is
killed here is its processes, never the machine.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from .packages import LabError, apt_install
from .ports import reserved_port

PACKAGES = ("postgresql",)
USER = "metasync"
PATIENCE = 60
"""Seconds to wait for the server to start or stop."""
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/metasync-lab.conf")


class Cluster:
    """One server. Its processes belong to the user `postgres` where we are root, since PostgreSQL refuses to run as root."""

    def __init__(self, folder: Path, programs: Path, port: int, settings: Sequence[str]) -> None:
        self.folder, self.port = folder, port
        self.log = folder / "log"
        self._programs, self._settings = programs, settings
        self._password = secrets.token_urlsafe(18)
        self._server: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make the data directory."""
        word = self.folder / "password"
        word.write_text(self._password, encoding="ascii")
        _give(self.folder)
        _give(word)
        options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={word}", "--encoding=UTF8", "--data-checksums", "--no-sync"]
        options += ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
        command = [str(self._programs / "initdb"), *options, str(self.folder / "data")]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **_as_postgres())
        word.unlink()
        if done.returncode != 0:
            raise LabError(f"initdb failed: {(done.stderr or done.stdout).strip()[-600:]}")

    def start(self) -> None:
        """Start it, and wait until it answers; the port stays the same."""
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories=", "fsync=off"]
        settings += ["dynamic_shared_memory_type=mmap", *self._settings]  # in its folder: elsewhere what a killed server had would stay
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        for one in settings:
            command += ["-c", one]
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True, **_as_postgres())
        _wait(self._answers, f"PostgreSQL did not start; see {self.log}")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End it in good order, or at once (`immediate`: the next start recovers from its log)."""
        processes = self.processes()
        if processes:
            os.kill(processes[0], signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        self._ended(processes)

    def kill(self) -> None:
        """SIGKILL the server and every process of it."""
        processes = self.processes()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._ended(processes)

    def freeze(self) -> None:
        """Stop all its processes where they are; the network takes what is sent, and nobody answers."""
        for process in self.processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        for process in self.processes():
            os.kill(process, signal.SIGCONT)

    def processes(self) -> list[int]:
        """The server's process, then those that it started."""
        if self._server is None or self._server.poll() is not None:
            return []
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text(encoding="ascii")
        return [self._server.pid, *(int(one) for one in children.split())]

    def database(self, name: str) -> str:
        """Make an empty database; its URL, password included."""
        self.psql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{name}"

    def psql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as the owner of everything; what it prints."""
        command = [str(self._programs / "psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        if done.returncode != 0:
            raise LabError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def _answers(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise LabError(f"PostgreSQL ended at once: {self.log.read_text(encoding='utf-8', errors='replace')[-600:]}")
        # Whoever answers at this port could be somebody else; what a server writes here is what pg_ctl waits for, too.
        try:
            said = (self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split("\n")
        except OSError:
            return False
        return self._server is not None and said[0] == str(self._server.pid) and len(said) > 7 and said[7].strip() == "ready"

    def _ended(self, processes: Sequence[int]) -> None:
        """Wait for the server and everything that it started: a new one refuses to start beside the old ones' shared memory."""
        if self._server is None:
            return
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"PostgreSQL (process {self._server.pid}) did not end") from error
        self._server = None
        _wait(lambda: not any(map(_lives, processes)), "processes of PostgreSQL did not end")


@contextmanager
def cluster(*settings: str) -> Iterator[Cluster]:
    """A running server, removed at the end. `settings`: further ones, such as `shared_buffers=256MB`. Raises `LabError`."""
    folder = Path(tempfile.mkdtemp(prefix="metasync-postgres-"))
    with reserved_port() as port:
        server = Cluster(folder, _programs(), port, settings)
        try:
            server.create()
            server.start()
            yield server
        finally:
            server.kill()
            shutil.rmtree(folder, ignore_errors=True)


def why_not() -> str | None:
    """Why no server can be started here, in words; None where nothing stands in the way."""
    if os.name != "posix" or not Path("/proc/self/task").exists():
        return "the throw-away PostgreSQL server needs Linux"
    if _found() is None:
        return "PostgreSQL 15 or newer is not installed (on Debian: apt-get install postgresql)"
    return None


def install(say: Callable[[str], None]) -> None:
    """Install Debian's package where it is missing and we may, without the server that it would set up. Raises `LabError`."""
    if _found() is not None:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LabError(why_not() or "")
    say(f"installing Debian packages: {' '.join(PACKAGES)}")
    NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    NO_CLUSTER.write_text("create_main_cluster = false\n", encoding="ascii")
    try:
        apt_install(PACKAGES)
    finally:
        NO_CLUSTER.unlink(missing_ok=True)
    if _found() is None:
        raise LabError(f"apt-get installed its packages, but still {why_not()}")


def _found() -> Path | None:
    """The folder of the newest server programs."""
    versions = [(int(one.parent.name), one) for one in Path("/usr/lib/postgresql").glob("*/bin") if re.fullmatch("[0-9]+", one.parent.name)]
    usable = [(number, one) for number, one in versions if number >= 15 and (one / "postgres").exists()]
    return max(usable)[1] if usable else None


def _programs() -> Path:
    if (reason := why_not()) is not None:
        raise LabError(reason)
    found = _found()
    assert found is not None
    return found


def _as_postgres() -> dict[str, object]:
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise LabError(otherwise)
        time.sleep(0.05)  # a server that starts or ends tells nobody
