"""Lines that cannot be had or trusted: each says what to do, and no password leaves."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Context, MetasyncError, NotTrusted, SecretMissing, SignInRefused, Unavailable
from metasync.testing.context import TestContext
from metasync_ad import connecting, session
from metasync_ad.connector import ActiveDirectory
from metasync_ad.controllers import Controller
from metasync_ad.options import ADOptions
from metasync_ad.settings import Settings

from .certificates import authority

PASSWORD = "Canary-Passw0rd-4711"


@pytest.fixture
def stranger_ca(tmp_path: Path) -> Path:
    """A certificate authority that nobody knows."""
    path = tmp_path / "stranger.pem"
    path.write_bytes(authority("Stranger").pem)
    return path


def test_a_wrong_password_says_so_and_is_not_repeated(connect: Any, samba: Any) -> None:
    connector = connect(password=PASSWORD)
    with pytest.raises(SignInRefused, match="password is wrong") as refused:
        connector.check()
    assert PASSWORD not in str(refused.value) and samba.service.name in str(refused.value)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were connected to, in order."""
    hosts: list[str] = []

    def counting(controller: Controller, settings: Settings, context: Context) -> Any:
        hosts.append(controller.host)
        return connecting.connect(controller, settings, context)

    monkeypatch.setattr(session, "connect", counting)
    return hosts


def test_a_wrong_password_is_tried_on_one_server_alone(connect: Any, samba: Any, tried: list[str]) -> None:
    with pytest.raises(SignInRefused):
        connect(password=PASSWORD, servers=[samba.address, samba.address]).check()
    assert len(tried) == 1  # each refusal counts towards the lock-out


def test_a_certificate_of_an_unknown_authority_is_refused_before_the_bind(connect: Any, stranger_ca: Path) -> None:
    connector = connect(**{"ca file": str(stranger_ca)})
    with pytest.raises(NotTrusted, match="ca file"):
        connector.check()


def test_a_certificate_for_another_name_is_refused(connect: Any) -> None:
    with pytest.raises(NotTrusted, match="certificate name"):
        connect(**{"certificate name": None}).check()  # the address is not in the certificate


def test_a_ca_file_that_is_not_there_is_named_as_the_cause(connect: Any) -> None:
    with pytest.raises(NotTrusted, match="ca file"):
        connect(**{"ca file": "/nowhere/ca.pem"}).check()


def test_starttls_works_too(connect: Any) -> None:
    assert connect(tls="starttls").check().identity.startswith("S-1-5-21-")


def test_the_next_server_is_asked_where_one_does_not_answer(connect: Any, samba: Any) -> None:
    connector = connect(servers=["127.0.0.77", samba.address])
    assert connector.check().identity.startswith("S-1-5-21-")
    assert connector.session.server == samba.address


def test_a_process_stays_with_the_server_that_answered(connect: Any, samba: Any, tried: list[str]) -> None:
    """Another one may be behind."""
    connect(servers=["127.0.0.78", samba.address]).check()
    connect(servers=["127.0.0.78", samba.address]).check()
    assert tried == ["127.0.0.78", samba.address, samba.address]


def test_a_base_that_is_no_domain_is_named(connect: Any, samba: Any) -> None:
    with pytest.raises(Unavailable, match="is not the head of a domain"):
        connect(base=f"OU=Staff,{samba.base}").check()


def connector(port: int, tls: str, ca: Path, servers: list[str] | None = None, secret: str = "bind") -> ActiveDirectory:
    options = {
        "servers": servers or ["127.0.0.1"],
        "base": "DC=contoso,DC=test",
        "bind": "svc@contoso.test",
        "password": {"secret": secret},
        "ca file": str(ca),
        "port": port,
        "tls": tls,
        "connect timeout": 2,
        "receive timeout": 2,
    }
    return ActiveDirectory(ADOptions().load(options), TestContext("contoso", secrets={"bind": PASSWORD}))


class Listener:
    """A server that answers every message with the same bytes and remembers what it was told."""

    def __init__(self, answer: bytes) -> None:
        self.heard = bytearray()
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                with line:
                    line.settimeout(5)
                    with contextlib.suppress(OSError):
                        while data := line.recv(65536):
                            self.heard += data
                            line.sendall(self._answer)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


REFUSES_STARTTLS = bytes.fromhex("300c02010178070a010204000400")
AGREES_THEN_PLAIN = bytes.fromhex("300c02010178070a010004000400")


@pytest.fixture(
    params=[(REFUSES_STARTTLS, "starttls"), (AGREES_THEN_PLAIN, "starttls"), (b"plain\n", "ldaps")], ids=["stripped", "lying", "plain"]
)
def listener(request: pytest.FixtureRequest) -> Iterator[tuple[Listener, str]]:
    """A server without encryption, and the setting that meets it."""
    answer, tls = request.param
    made = Listener(answer)
    yield made, tls
    made.close()


def test_a_server_without_encryption_never_hears_the_password(listener: tuple[Listener, str], stranger_ca: Path) -> None:
    server, tls = listener
    with pytest.raises(Unavailable) as refused:
        connector(server.port, tls, stranger_ca).check()
    assert server.heard and PASSWORD.encode() not in server.heard
    assert PASSWORD not in str(refused.value)


def test_a_port_where_nobody_listens_says_so(stranger_ca: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match=f"port {port}"):
        connector(port, "ldaps", stranger_ca).check()


def test_an_unknown_host_says_so(stranger_ca: Path) -> None:
    with pytest.raises(Unavailable, match=r"dc1\.invalid"):
        connector(636, "ldaps", stranger_ca, servers=["dc1.invalid"]).check()


def test_a_secret_that_is_not_set_is_named(stranger_ca: Path) -> None:
    with pytest.raises((SecretMissing, MetasyncError), match="nowhere"):
        connector(636, "ldaps", stranger_ca, secret="nowhere").check()


def test_a_call_whose_time_is_over_does_not_begin(connect: Any) -> None:
    late = connect()
    late.context.deadline = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(Unavailable, match="time for this call"):
        late.check()
