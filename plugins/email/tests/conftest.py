"""A real mail server (aiosmtpd) on a loopback address, with TLS."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from lab.certificate import make

Start = Callable[..., "Box"]


class Box:
    """What arrived, and how."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.refuses: dict[str, str] = {}
        """Address -> the answer to it."""
        self.answer = "250 OK"
        self.port = 0

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            self.mails.append(envelope)
            self.encrypted.append(session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None)
        return self.answer


class _Controller(Controller):
    """Takes any free port, and says which."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def start(certificate: tuple[Path, ssl.SSLContext]) -> Iterator[Start]:
    """`start("starttls")`, `start("tls")` or `start("none")`; with `password` it asks for a sign-in."""
    running: list[Controller] = []

    def begin(encryption: str, *, password: str | None = None) -> Box:
        box = Box()

        def known(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
            right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"metasync", (password or "").encode())
            return AuthResult(success=right, handled=right)

        more: dict[str, Any] = {"auth_required": True, "authenticator": known} if password is not None else {}
        if encryption == "starttls":
            more |= {"tls_context": certificate[1], "require_starttls": True}
        elif encryption == "tls":
            more |= {"ssl_context": certificate[1], "auth_require_tls": False}
        controller = _Controller(box, hostname="127.0.0.1", port=0, **more)
        controller.start()
        running.append(controller)
        box.port = controller.port
        return box

    yield begin
    for one in running:
        one.stop()
