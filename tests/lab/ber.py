"""Just enough of BER (X.690) to speak LDAP as a server: parts of one message, read and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x02, 0x04, 0x0A, 0x30, 0x31
CONSTRUCTED = 0x20


@dataclass(frozen=True)
class Part:
    """A tag with what it holds: bytes, and the parts in them where it is constructed."""

    tag: int
    content: bytes
    parts: tuple[Part, ...] = ()

    @property
    def number(self) -> int:
        """As an INTEGER or ENUMERATED."""
        return int.from_bytes(self.content, "big", signed=True)

    @property
    def text(self) -> str:
        """As UTF-8."""
        return self.content.decode("utf-8", "replace")


def length(data: bytes) -> int | None:
    """How many bytes the message at the beginning of `data` has; None while too few are there to tell."""
    if len(data) < 2:
        return None
    if data[1] < 0x80:
        return 2 + data[1]
    more = data[1] & 0x7F
    return 2 + more + int.from_bytes(data[2 : 2 + more], "big") if len(data) >= 2 + more else None


def parse(data: bytes) -> tuple[Part, ...]:
    """The parts that stand one behind the other."""
    found: list[Part] = []
    at = 0
    while at < len(data):
        size = length(data[at:])
        if size is None or at + size > len(data):
            raise ValueError("not BER, or not whole")
        head = 2 if data[at + 1] < 0x80 else 2 + (data[at + 1] & 0x7F)
        content = data[at + head : at + size]
        found.append(Part(data[at], content, parse(content) if data[at] & CONSTRUCTED else ()))
        at += size
    return tuple(found)


def encode(tag: int, *content: bytes) -> bytes:
    """A part made of bytes, or of parts."""
    whole = b"".join(content)
    size = len(whole)
    if size < 0x80:
        return bytes([tag, size]) + whole
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + whole


def integer(value: int, tag: int = INTEGER) -> bytes:
    """An INTEGER, or an ENUMERATED."""
    return encode(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes | str, tag: int = OCTETS) -> bytes:
    """An OCTET STRING."""
    return encode(tag, value.encode() if isinstance(value, str) else value)


def values(held: Sequence[bytes]) -> bytes:
    """A SET OF OCTET STRING."""
    return encode(SET, *(octets(one) for one in held))
