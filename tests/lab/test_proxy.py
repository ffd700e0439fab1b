"""What the proxy does to lines, as whoever is at their end sees it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from .proxy import Proxy, Way


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says whatever it hears, in two parts."""

    def serve(line: socket.socket) -> None:
        with line, contextlib.suppress(ConnectionError):
            while data := line.recv(100):
                line.sendall(data[:1])
                line.sendall(data[1:])

    def accept() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(line,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def said(line: socket.socket, text: bytes) -> bytes:
    """What comes back until the line ends. Raises `ConnectionResetError`, and `TimeoutError` where it does neither."""
    found = b""
    line.sendall(text)
    while len(found) < len(text) and (more := line.recv(100)):
        found += more
    return found


@pytest.mark.parametrize("way", [Way.CUT, Way.RESET, Way.DEATH])
def test_every_line_ends_at_the_byte_and_in_its_way(echo: int, way: Way) -> None:
    """Also those on which nothing is under way: whoever waits for the next word of one hears of it."""
    proxy = Proxy("127.0.0.1", echo)
    try:
        lines = [socket.create_connection(("127.0.0.1", proxy.port), timeout=10) for _ in range(3)]
        assert [said(line, b"anybody?") for line in lines] == [b"anybody?"] * 3
        proxy.cut(4, way)
        with lines[0] as busy:
            found = b""
            busy.sendall(b"hello")
            try:
                while more := busy.recv(100):
                    found += more
            except ConnectionResetError:
                assert way is Way.RESET
            assert b"hell".startswith(found) and (found == b"hell" or way is Way.RESET)
        for line in lines[1:]:
            with line:
                if way is Way.RESET:
                    with pytest.raises(ConnectionResetError):
                        line.recv(1)
                else:
                    assert line.recv(1) == b""
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as another:
            proxy.left = None
            if way is not Way.DEATH:
                assert said(another, b"hello") == b"hello"
                return
            with contextlib.suppress(ConnectionError):
                assert said(another, b"hello") == b"", "no line is taken"
    finally:
        proxy.close()


def test_what_stalls_ends_once_it_is_mended(echo: int) -> None:
    proxy = Proxy("127.0.0.1", echo)
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as line:
            proxy.cut(2, Way.STALL)
            line.sendall(b"hello")
            assert line.recv(1) + line.recv(1) == b"he"
            line.settimeout(0.3)
            with pytest.raises(TimeoutError):
                line.recv(1)
            assert proxy.broke
            line.settimeout(10)
            proxy.mend()
            assert line.recv(1) == b""
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as line:
            assert said(line, b"hello") == b"hello"
    finally:
        proxy.close()
