"""A TCP proxy in front of a domain controller that can cut the line."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Listens on a free port of 127.0.0.1. `left` counts the bytes that may still come from the server; None: any number."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self.left: int | None = None
        self.open = True
        self._lines: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, after: int = 0) -> None:
        """Break all lines once so many more bytes came from the server; none is taken again until `mend`."""
        self.left = after
        self.open = False
        if not after:
            self._break()

    def mend(self) -> None:
        """Be a good line again."""
        self.left, self.open = None, True

    def close(self) -> None:
        """Stop listening."""
        self._break()
        self._listener.close()

    def _break(self) -> None:
        lines, self._lines = self._lines, []
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self.open:
                    client.close()
                    continue
                server = socket.create_connection(self._to)
                self._lines += [client, server]
                threading.Thread(target=self._forward, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted and self.left is not None:
                    if len(data) > self.left:
                        sink.sendall(data[: self.left])
                        break
                    self.left -= len(data)
                sink.sendall(data)
        for line in (source, sink):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
