"""A TCP proxy in front of a server, whose lines break at a byte of one's choice."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from enum import StrEnum

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close with RST instead of FIN."""


class Way(StrEnum):
    """What happens at that byte."""

    CUT = "cut"
    """All lines end as if the server had closed them; it takes new ones."""
    RESET = "reset"
    """All lines are reset; it takes new ones."""
    DEATH = "death"
    """All lines end, and none is taken until `mend`."""
    STALL = "stall"
    """Nothing comes through any more, in either direction and on new lines neither, until `mend`."""


class Proxy:
    """Listens on a free port of 127.0.0.1. `left` counts the bytes that may still come; None: any number."""

    def __init__(self, host: str, port: int, *, both: bool = False) -> None:
        """`both`: bytes of both directions count, else those from the server alone."""
        self._to, self._both = (host, port), both
        self._lock = threading.Lock()
        self.counted = 0
        """Bytes that came through since the beginning, of those that count."""
        self.left: int | None = None
        self._way = Way.DEATH
        self._open = True
        self._flowing = threading.Event()
        self._flowing.set()
        self._lines: list[socket.socket] = []
        self._resetting: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def broke(self) -> bool:
        """Whether it came to that byte."""
        return self.left == 0

    def cut(self, after: int = 0, way: Way = Way.DEATH) -> None:
        """Let so many more bytes through; then this happens."""
        self._way, self.left = way, after
        if not after:
            self._break()

    def mend(self) -> None:
        """Be a good line again; what was stalled is broken."""
        stalled = not self._flowing.is_set()
        self.left, self._open = None, True
        if stalled:
            self._end_lines()
        self._flowing.set()

    def close(self) -> None:
        """Stop listening."""
        self._end_lines()
        self._flowing.set()
        self._listener.close()

    # -- lines -------------------------------------------------------------------------------------------------------------------------

    def _break(self) -> None:
        if self._way is Way.STALL:
            self._flowing.clear()
            return
        self._open = self._way is not Way.DEATH
        self._end_lines(reset=self._way is Way.RESET)

    def _end_lines(self, *, reset: bool = False) -> None:
        lines, self._lines = self._lines, []
        for line in lines:
            with contextlib.suppress(OSError):
                if reset:
                    # Whoever waits for more of it is woken and closes it; until then it is not reset, and the other side is told nothing.
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    self._resetting.add(line)
                    line.shutdown(socket.SHUT_RD)
                else:
                    line.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self._open:
                    client.close()
                    continue
                server = socket.create_connection(self._to)
                self._lines += [client, server]
                threading.Thread(target=self._forward, args=(client, server, self._both), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                let, breaks = self._let_through(len(data)) if counts else (len(data), False)
                sink.sendall(data[:let])
                if breaks:
                    self._break()
                self._flowing.wait()
                if let < len(data):
                    break
        if source in self._resetting:
            source.close()  # the other direction does the same with the other one
            return
        for line in (source, sink):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _let_through(self, size: int) -> tuple[int, bool]:
        """How many of so many bytes, and whether it ends there. It happens once."""
        with self._lock:
            let = size if not self.left else min(size, self.left)
            self.counted += let
            if not self.left:
                return let, False
            self.left -= let
            return let, self.left == 0
