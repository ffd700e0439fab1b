"""A real HTTPS server on a loopback address."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from lab.certificate import make


@dataclass(frozen=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Answers as it was told to, the last answer for ever."""

    def __init__(self, context: ssl.SSLContext, *, host: str = "localhost", address: str = "127.0.0.1") -> None:
        self._host = host
        self.posted: list[Posted] = []
        self.answers: list[tuple[int, dict[str, str]]] = [(204, {})]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posted.append(Posted(self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                code, headers = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                if code == 0:
                    self.close_connection = True
                    return
                self.send_response(code)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing beside the test's own output."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that does not trust us says so to the test."""

        self.server = Server((address, 0), Handler)
        # Each connection shakes hands in a thread of its own.
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"https://{self._host}:{self.server.server_port}/hook/very-secret-path"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def receiver(certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "*")
    made = Receiver(certificate[1])
    yield made
    made.close()
