"""Files as bytes and text: opening, byte order marks, gzip, digests, and whether somebody is still writing."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import xxhash

from metasync.contract import ImportIncomplete, SourceEmpty, Unavailable
from metasync_csv.layout import File, Layout

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BLOCK = 1 << 16

MARKS = (  # the longer one first: the mark of UTF-32-LE begins with that of UTF-16-LE
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WITH_MARK = {
    "utf-8-sig": (codecs.BOM_UTF8, "utf-8"),
    "utf-16": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-32": (codecs.BOM_UTF32_LE, "utf-32-le"),
}
"""Encodings that are written with a mark. Without one they are read as little-endian, on every machine."""

Stamp = tuple[int, int]
"""Size and time of the last change: differs when somebody wrote into the file. A file that was replaced whole is another file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How the text of a file is encoded."""

    codec: str
    mark: bytes = b""
    """The byte order mark at its start."""


@dataclass(kw_only=True, slots=True)
class OpenFile:
    """A file being read as text."""

    lines: io.TextIOWrapper
    """With their line ends, whichever they are."""
    encoding: Encoding


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A file that stays open from one pass to the next, so that both see the same one even where it is replaced meanwhile."""

    file: File
    raw: io.FileIO
    stamp: Stamp


class Blocks(io.BufferedReader):
    """Hands out large blocks: the text layer asks for 8 KiB at a time, which costs as much as parsing a part of them."""

    def read1(self, size: int = -1, /) -> bytes:
        return super().read1(max(size, BLOCK))


class Digesting(io.RawIOBase):
    """Passes bytes on and keeps their digest."""

    def __init__(self, raw: io.FileIO, *, checksum: bool = False) -> None:
        self._raw = raw
        self._hash = xxhash.xxh3_128()
        self._checksum = hashlib.sha256() if checksum else None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        count = self._raw.readinto(buffer) or 0
        block = memoryview(buffer)[:count]
        self._hash.update(block)
        if self._checksum is not None:
            self._checksum.update(block)
        return count

    @property
    def checksum(self) -> str:
        """SHA-256 of what `digest` has read, in hexadecimal."""
        return self._checksum.hexdigest() if self._checksum is not None else ""

    def digest(self) -> bytes:
        """Of all bytes of the file, to tell two states of it apart; those not asked for yet are read now."""
        scratch = bytearray(BLOCK)
        while self.readinto(scratch):
            pass
        return self._hash.digest()


class DigestingWriter(io.RawIOBase):
    """Writes bytes on and keeps the digest that `Digesting` will find."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = xxhash.xxh3_128()

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self._hash.update(data)
        return self._stream.write(data)

    def digest(self) -> bytes:
        """Of what was written."""
        return self._hash.digest()


def location(file: File) -> str:
    """Where the file really is: behind symbolic links, absolute."""
    return os.path.realpath(file.path)


def exists(file: File) -> bool:
    """Raises `SourceEmpty` for what is there and is no file, `Unavailable` if it cannot be looked at."""
    try:
        mode = os.stat(file.path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise Unavailable(f"{file.path} cannot be looked at: {error}; check the path and the rights on its folder") from error
    if not stat.S_ISREG(mode):
        raise SourceEmpty(f"{file.path} is {'a directory' if stat.S_ISDIR(mode) else 'no regular file'}; name the CSV file itself")
    return True


@contextmanager
def holding(file: File) -> Iterator[Held | None]:
    """The open file; None where there is none. Raises as `exists` does."""
    if not exists(file):
        yield None
        return
    try:
        raw = io.FileIO(file.path)
    except OSError as error:
        raise Unavailable(f"{file.path} cannot be read: {error.strerror}; check that it is there and its rights") from error
    with raw:
        yield Held(file=file, raw=raw, stamp=_stamp(raw))


def _stamp(raw: io.FileIO) -> Stamp:
    found = os.fstat(raw.fileno())
    return (found.st_size, found.st_mtime_ns)


def check_quiet(held: Held, seconds: int) -> None:
    """Raises `ImportIncomplete` if somebody wrote to the file less than so long ago."""
    if seconds and time.time() - held.stamp[1] / 1e9 < seconds:
        path = held.file.path
        raise ImportIncomplete(f"{path} is still being written: it changed less than {seconds} s ago (`quiet for`); import again later")


def check_unchanged(held: Held) -> None:
    """Raises `ImportIncomplete` if somebody wrote into the file since it was opened."""
    if _stamp(held.raw) != held.stamp:
        raise ImportIncomplete(
            f"{held.file.path} is still being written: it changed while it was read; import again when its writer is done"
        )


def compressed(file: File, layout: Layout) -> bool:
    """True where the file is read and written with gzip."""
    choice: bool | None = layout.options["gzip"]
    return file.path.lower().endswith(".gz") if choice is None else choice


def configured(layout: Layout) -> Encoding:
    """The encoding that the options name."""
    name = codecs.lookup(layout.options["encoding"]).name
    mark, codec = WITH_MARK.get(name, (b"", name))
    return Encoding(codec=codec, mark=mark)


def encoding_of(start: bytes, layout: Layout) -> Encoding:
    """The encoding of a file that starts like this: a mark counts more than the option."""
    for mark, codec in MARKS:
        if start.startswith(mark):
            return Encoding(codec=codec, mark=mark)
    return Encoding(codec=configured(layout).codec)


def file_digest(file: File) -> bytes | None:
    """Tells two states of a file apart; None where there is none. Raises as `exists` does."""
    with holding(file) as held:
        return None if held is None else held_digest(held)


def held_digest(held: Held) -> bytes:
    """The same of an open file, from its start."""
    try:
        held.raw.seek(0)
        return Digesting(held.raw).digest()
    except OSError as error:
        raise Unavailable(f"{held.file.path} cannot be read: {error.strerror}; check the file and its rights") from error


@contextmanager
def opening(held: Held, layout: Layout) -> Iterator[tuple[io.BufferedReader, Encoding, Digesting]]:
    """From the start: the file's bytes behind gzip and byte order mark, their encoding, and the digest in the making. Errors of the file
    come out as `Unavailable` or `ImportIncomplete`."""
    path = held.file.path
    try:
        held.raw.seek(0)
        digesting = Digesting(held.raw, checksum=layout.options["checksum"] is not None)
        plain: io.BufferedReader = Blocks(digesting, BLOCK)
        if compressed(held.file, layout):
            plain = Blocks(gzip.GzipFile(fileobj=plain, mode="rb"), BLOCK)
        encoding = encoding_of(plain.peek(4)[:4], layout)
        plain.read(len(encoding.mark))
        yield plain, encoding, digesting
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImportIncomplete(f"{path} is damaged or still being written: {error}; nothing was deleted") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error}; check the file and its rights") from error


@contextmanager
def reading(held: Held, layout: Layout) -> Iterator[tuple[OpenFile, Digesting]]:
    """The file's lines and, once they are read, its digest. An undecodable byte comes out as `UnicodeDecodeError`, because only who
    knows the rows can say where it is."""
    with opening(held, layout) as (plain, encoding, digesting):
        # newline="": line ends inside quoted cells stay as they are
        yield OpenFile(lines=io.TextIOWrapper(plain, encoding.codec, errors="strict", newline=""), encoding=encoding), digesting


def decodable_lines(held: Held, layout: Layout, stand_in: str) -> Iterator[str]:
    """The lines up to the first byte that cannot be decoded, with `stand_in` at its place."""
    with opening(held, layout) as (plain, encoding, _):
        decoder, pending = codecs.getincrementaldecoder(encoding.codec)("strict"), ""
        while True:
            block = plain.read(BLOCK)
            try:
                pending += decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                pending += error.object[: error.start].decode(encoding.codec) + stand_in
                block = b""
            if not block:
                yield from io.StringIO(pending, newline="")
                return
            *whole, pending = io.StringIO(pending, newline="") if pending else [""]
            yield from whole


def check_checksum(file: File, checksum: str) -> None:
    """Compare with the file beside it. Raises `ImportIncomplete`."""
    beside = file.path + ".sha256"
    try:
        with open(beside, encoding="ascii") as stream:
            words = stream.read(1000).split()
    except (OSError, UnicodeDecodeError) as error:
        raise ImportIncomplete(
            f"the checksum file {beside} cannot be read ({error}), so {file.label} is not proved whole; write it, then import again"
        ) from error
    if not words or words[0].lower() != checksum:
        raise ImportIncomplete(
            f"{file.path} does not have the checksum that {beside} names; it is damaged or still being written, import again when "
            "both are there"
        )
