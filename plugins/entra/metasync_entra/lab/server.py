"""Listeners: HTTPS on loopback addresses alone, one thread for each connection."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from metasync_entra.lab.messages import JSON, Answer, Request

LARGEST_BODY = 16 * 1024 * 1024


def need_loopback(address: str) -> None:
    """Refuse an address that others reach: the tenant's secrets are known to everybody who starts one."""
    try:
        fine = ipaddress.ip_address(address).is_loopback
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(f"the lab tenant listens on loopback addresses alone, such as 127.0.0.1, not on {address}")


class Listener:
    """One server, in threads of this process."""

    def __init__(self, context: ssl.SSLContext, serve: Callable[[Request], Answer], *, address: str, port: int = 0, name: str) -> None:
        need_loopback(address)
        handler = type("LabHandler", (_Handler,), {"serve": staticmethod(serve)})
        self._server = _Server((address, port), handler)
        # Each connection shakes hands in a thread of its own.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name=f"lab {name}", daemon=True)
        self._thread.start()
        self.url = f"https://localhost:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening and end what is open."""
        self._server.shutdown()
        self._server.server_close()
        self._server.end_all()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end_all(self) -> None:
        """Clients that keep their connections notice."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us, or goes away, is no matter of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "MetasyncLab"
    sys_version = ""
    wbufsize = 65_536
    disable_nagle_algorithm = True
    timeout = 120
    serve: Callable[[Request], Answer]

    def handle_any(self) -> None:
        """All methods alike."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._send(Answer(status=411 if self.headers.get("Transfer-Encoding") else 413, raw=b"", kind="text/plain"))
            return
        body = self.rfile.read(int(length))
        split = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(split.path),
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            headers={name.casefold(): value for name, value in self.headers.items()},
            body=body,
        )
        answer = self.serve(request)
        if answer.wait:
            time.sleep(answer.wait)  # the fault of a slow answer, which a test or a person asked for
        self._send(answer)

    def __getattr__(self, name: str) -> Any:
        """do_GET and the like. A method that Graph does not know is refused by it, not by http.server."""
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def _send(self, answer: Answer) -> None:
        body = answer.raw
        if body is None:
            body = b"" if answer.content is None else orjson.dumps(answer.content)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if body or answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        if body:
            self.send_header("Content-Type", answer.kind)
            if answer.kind == JSON:
                self.send_header("OData-Version", "4.0")
        self.end_headers()
        if answer.cut is not None:
            self._cut(body[: answer.cut])
            return
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self, part: bytes) -> None:
        """Send a part, then reset the connection."""
        self.wfile.write(part)
        self.wfile.flush()
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the trace is asked for by the control plane."""
