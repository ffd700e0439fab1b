"""A Redis server of a test's own: Debian's redis-server, on ports of its own of the loopback address.

    with broker() as redis:
        run("worker", "--dispatch", "celery", environment={"METASYNC_BROKER": redis.url})
        redis.kill()
        redis.start()

It wants a password, and with `log=True` it writes what it is told to an append-only file, as in production. With a `certificate` (of
`certificate.make`) it is at `secure_url`, too.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .packages import LabError, apt_install, search_path
from .ports import reserved_port

PACKAGES = ("redis-server",)
PATIENCE = 30
"""Seconds to wait for the server to start or end."""


class Broker:
    """One server."""

    def __init__(self, folder: Path, port: int, secure_port: int, *, log: bool, certificate: Path | None = None) -> None:
        self.folder, self.port, self.secure_port = folder, port, secure_port
        self.password = secrets.token_urlsafe(18)
        self._log, self._certificate = log, certificate
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For `--broker`, password included."""
        return self.url_with(self.password)

    def url_with(self, password: str) -> str:
        """The same with another password, or none."""
        return f"redis://:{password}@127.0.0.1:{self.port}/0" if password else f"redis://127.0.0.1:{self.port}/0"

    def secure_url(self, authorities: Path | None, host: str = "127.0.0.1") -> str:
        """The same over TLS, for whoever trusts these authorities, or those of the machine."""
        trusted = f"?ssl_ca_certs={authorities}" if authorities else ""
        return f"rediss://:{self.password}@{host}:{self.secure_port}/0{trusted}"

    def start(self) -> None:
        """Start it, and wait until it answers; the ports stay the same."""
        settings = self.folder / "redis.conf"  # a password has no place among arguments, which everybody reads
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self.folder}",
            f"requirepass {self.password}",
            f"appendonly {'yes' if self._log else 'no'}",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
        ]
        if self._certificate is not None:
            lines += [f"tls-port {self.secure_port}", "tls-auth-clients no", "bind 127.0.0.1 127.0.0.2"]
            lines += [f"tls-cert-file {self._certificate}", f"tls-key-file {self._certificate}"]
        settings.write_text("\n".join(lines) + "\n", encoding="ascii")
        settings.chmod(0o600)
        with (self.folder / "log").open("ab") as said:
            self._server = subprocess.Popen([_program(), str(settings)], stdout=said, stderr=said, cwd="/", start_new_session=True)
        _wait(self._answers, f"redis-server did not start; see {self.folder / 'log'}")

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it stand still: the network takes what is sent, and nobody answers."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def flush(self) -> None:
        """Somebody deletes everything."""
        self.ask("FLUSHALL")

    def fill(self) -> None:
        """Its memory is full: whatever would need more is refused."""
        self.ask("CONFIG", "SET", "maxmemory", "1")

    def empty(self) -> None:
        """It has memory again."""
        self.ask("CONFIG", "SET", "maxmemory", "0")

    def ask(self, *command: str | bytes) -> bytes:
        """What it answers to one command, as it comes over the line. Raises `LabError`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as line, line.makefile("rb") as said:
            line.sendall(_told("AUTH", self.password) + _told(*command))
            if not said.readline().startswith(b"+OK"):
                raise LabError("redis-server refused the password")
            answer = _read(said.readline, said.read)
        if answer.startswith(b"-"):
            raise LabError(f"redis-server: {answer.decode(errors='replace').strip()}")
        return answer

    def _answers(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            said = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
            raise LabError(f"redis-server ended at once: {said[-600:]}")
        # While it loads its file, it answers that it does.
        with suppress(OSError, LabError):
            return self.ask("PING").startswith(b"+PONG")
        return False

    def _send(self, number: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._server is None:
            return
        self._server.send_signal(number)
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"redis-server (process {self._server.pid}) did not end") from error
        self._server = None


@contextmanager
def broker(*, log: bool = True, certificate: Path | None = None) -> Iterator[Broker]:
    """A running server, removed at the end. `log`: with an append-only file; `certificate`: over TLS, too, by this PEM file of certificate
    and key. Raises `LabError`."""
    folder = Path(tempfile.mkdtemp(prefix="metasync-redis-"))
    with reserved_port() as port, reserved_port() as secure_port:
        server = Broker(folder, port, secure_port, log=log, certificate=certificate)
        try:
            server.start()
            yield server
        finally:
            server.kill()
            shutil.rmtree(folder, ignore_errors=True)


def why_not() -> str | None:
    """Why no server can be started here, in words; None where nothing stands in the way."""
    if os.name != "posix":
        return "the throw-away Redis server needs a POSIX system"
    if _found() is None:
        return "Redis is not installed (on Debian: apt-get install redis-server)"
    return None


def install(say: Callable[[str], None]) -> None:
    """Install Debian's package where it is missing and we may, without starting its service. Raises `LabError`."""
    if _found() is not None:
        return
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LabError(why_not() or "")
    say(f"installing Debian packages: {' '.join(PACKAGES)}")
    apt_install(PACKAGES)
    if _found() is None:
        raise LabError(f"apt-get installed its packages, but still {why_not()}")


def _found() -> str | None:
    return shutil.which("redis-server", path=search_path())


def _program() -> str:
    if (reason := why_not()) is not None:
        raise LabError(reason)
    return _found() or ""


def _told(*words: str | bytes) -> bytes:
    """A command, as RESP writes it."""
    given = [one.encode() if isinstance(one, str) else one for one in words]
    return b"*%d\r\n" % len(given) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in given)


def _read(line: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    """One answer: of texts their bytes, of lists one part per line, of the rest the line."""
    first = line()
    if first[:1] == b"$" and int(first[1:]) >= 0:
        return read(int(first[1:]) + 2)[:-2]
    if first[:1] == b"*":
        return b"\n".join(_read(line, read) for _ in range(int(first[1:])))
    return first


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise LabError(otherwise)
        time.sleep(0.05)  # a server that starts tells nobody
