"""The first pass over a file: is it whole, and which anchors stand there more than once?

It runs before anything is delivered, so that both rows of a duplicate are rejected and a torn file delivers nothing. It costs half of a
full parse: a row is split only as far as its anchor, and the `csv` module is asked only about rows whose quotes are unusual.
"""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TextIO

from metasync.contract import ImportIncomplete, SourceEmpty
from metasync_csv.files import BLOCK, Held, check_checksum, check_quiet, check_unchanged, decodable_lines, reading
from metasync_csv.header import check_header, read_header
from metasync_csv.layout import Dialect, File, Layout
from metasync_csv.values import folded

PARTS = 500_000
"""How many hashes are compared at once: bounds memory for files of millions of rows."""


@dataclass(kw_only=True, slots=True)
class Scan:
    """What the first pass found."""

    file: File
    header: list[str]
    digest: bytes = b""
    held: Held | None = None
    """None: the file does not exist yet, and may."""
    records: int = 0
    """Rows that are not blank, without the header, with the trailer."""
    hashes: array[int] = field(default_factory=lambda: array("q"))
    nul: bool = False
    open_end: bool = False
    """The last row has no line end and its last cell is empty: nobody can tell whether something was to follow."""
    long: bool = False
    """Some record is so long that a cell might pass the `field size`."""
    last: str = ""
    """The text of the last row that is not blank."""


def widen_field_limit() -> None:
    """Python's own limit of 131,072 characters is one per process; ours is an option, checked where rows are read."""
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))


def scan(file: File, held: Held | None, layout: Layout) -> Scan:
    """Look at the whole file once. Raises `SourceEmpty`, `ImportIncomplete` and `Unavailable`."""
    widen_field_limit()
    if held is None:
        return _missing(file, layout)
    check_quiet(held, layout.options["quiet_for"])
    try:
        with reading(held, layout) as (opened, digesting):
            header = read_header(opened, file, layout)
            found = Scan(file=file, header=header, held=held)
            if header:
                check_header(header, file, layout)
                _scan_rows(opened.lines, found, layout)
            found.digest = digesting.digest()
            checksum = digesting.checksum
    except UnicodeDecodeError as error:
        raise ImportIncomplete(where_undecodable(held, layout, error)) from error
    check_unchanged(held)
    if layout.options["checksum"]:
        check_checksum(file, checksum)
    _check_rows(found, layout)
    return found


def _missing(file: File, layout: Layout) -> Scan:
    header: list[str] = layout.options["create"]
    if not header:
        raise SourceEmpty(
            f"{file.path} does not exist; nothing was deleted. Put it there, or name the header of a new target under `create`"
        )
    return Scan(file=file, header=list(header))


def emptiness(held: Held) -> str:
    """What is the matter with a file that has no header."""
    size = held.stamp[0]
    return f"has no header: its {size} bytes hold no row" if size else "is empty (0 bytes) and has no header"


def _check_rows(found: Scan, layout: Layout) -> None:
    path = found.file.path
    if not found.header:
        if layout.options["may_be_empty"] and layout.options["create"]:
            found.header = list(layout.options["create"])
            return
        state = emptiness(found.held) if found.held is not None else "has no header"
        raise SourceEmpty(f"{path} {state}; it was held and nothing was deleted. Write the file again, with its header")
    rows = found.records - (1 if layout.options["trailer"] else 0)
    if rows < 0:
        raise ImportIncomplete(f"{path} has no trailer {layout.options['trailer']!r}; it is not whole yet, and nothing was deleted")
    if rows == 0 and not layout.options["may_be_empty"]:
        raise SourceEmpty(
            f"{path} has a header but no row; it was held and nothing was deleted. If that is right, set `may be empty: true`"
        )
    if layout.options["trailer"]:
        _check_trailer(next(iter(layout.dialect.reader([found.last], strict=False)), []), rows, path, layout.options["trailer"])


def _check_trailer(row: Sequence[str], rows: int, path: str, trailer: str) -> None:
    """Raises `ImportIncomplete` unless the last row is the trailer and names the right number."""
    if row[:1] != [trailer]:
        raise ImportIncomplete(f"{path} does not end with the trailer {trailer!r}; it is not whole yet, and nothing was deleted")
    count = row[1].strip() if len(row) > 1 else ""
    if count and count != str(rows):
        raise ImportIncomplete(f"{path} holds {rows} rows, but its trailer says {count!r}; it is not whole, and nothing was deleted")


def _scan_rows(lines: TextIO, found: Scan, layout: Layout) -> None:
    """Block by block: at once where every line is one row for sure, else row by row."""
    dialect = layout.dialect
    at, limit = found.header.index(layout.anchor), layout.options["field_size"]
    delimiter = dialect.delimiter
    usual = dialect.escape is None and (dialect.quote is None or dialect.double_quote)
    rows = _Heads(dialect, at, len(found.header)) if usual and dialect.quote else None
    number, line = 1, ""
    while block := lines.readlines(BLOCK):
        text = "".join(block)
        if usual and text[-1] in "\r\n" and "\0" not in text and (len(text) <= limit or max(map(len, block)) <= limit):
            heads: list[list[str] | None]
            if rows is None or rows.quote not in text:
                # split copies the rest of the line, which an anchor in front does without
                heads = [line.split(delimiter, at + 1) for line in block] if at else [[line[: line.find(delimiter)]] for line in block]
            else:
                heads = [rows(line) if rows.quote in line else line.split(delimiter, at + 1) for line in block]
            keys = _keys(heads, at)
            if keys is not None:
                found.hashes.extend(map(hash, keys))
                found.records += len(keys)
                number += len(block)
                line = found.last = block[-1]
                continue
        pending = iter(block)
        following = chain(pending, lines)  # a quoted row may go on beyond the block
        for line in pending:
            number += 1
            line = _scan_row(line, following, number, found, layout, rows)
            found.last = line if line.strip("\r\n") else found.last
    if line and not line.endswith(("\n", "\r")):
        _check_last(line, found, layout)


def _keys(heads: list[list[str] | None], at: int) -> list[str] | None:
    """The folded anchors of simple rows; None where some row is not simple: quotes that need a closer look, a blank line, an anchor with
    spaces or beyond ASCII."""
    try:
        keys = [head[at] for head in heads]  # type: ignore[index]  # None is not simple, and a TypeError
    except (IndexError, TypeError):
        return None
    joined = "".join(keys)
    if not joined.isascii():
        return None
    words = joined.split(None, 1)
    if len(words) != 1 or len(words[0]) != len(joined):
        # the line end is among them where the anchor stands last
        keys = [key.rstrip("\r\n") for key in keys]
        if any(key.split() != [key] for key in keys):
            return None
    return [key.lower() for key in keys] if all(keys) else None


def _scan_row(line: str, following: Iterator[str], number: int, found: Scan, layout: Layout, heads: _Heads | None) -> str:
    """One row, which may take the following lines. Its whole text."""
    dialect, limit = layout.dialect, layout.options["field_size"]
    at = found.header.index(layout.anchor)
    head: list[str] | None = None
    if heads is not None:
        head = heads(line) if heads.quote in line else line.split(dialect.delimiter, at + 1)
    if head is None:
        head, line = _parse_one(line, following, dialect, found.file.path, number, limit * len(found.header) + 1000)
    found.nul = found.nul or "\0" in line
    found.long = found.long or len(line) > limit
    if len(head) > at and (key := folded(head[at])):
        found.records += 1
        found.hashes.append(hash(key))
    elif line.strip("\r\n"):
        found.records += 1
    return line


class _Heads:
    """The cells of a line up to the anchor, if it certainly is one whole row; else None, and the `csv` module decides."""

    def __init__(self, dialect: Dialect, at: int, width: int) -> None:
        self.quote, self.delimiter, self.stop = dialect.quote or "", dialect.delimiter, at + 1
        self.between, self.seams = self.quote + self.delimiter + self.quote, width - 1
        self.at, self.few = at, 8

    def __call__(self, line: str) -> list[str] | None:
        quote, between, seams = self.quote, self.between, self.seams
        bare = line.rstrip("\r\n")
        if bare[0] == quote and bare[-1] == quote and bare.count(between) == seams and bare.count(quote) == 2 * seams + 2:
            # every cell is quoted, and no cell holds a quote
            return bare[1:-1].split(between, self.stop)
        return self._walk(bare)

    def _walk(self, line: str) -> list[str] | None:
        """From quote to quote: each must open at the start of a cell or close at its end, or be doubled inside."""
        quote, delimiter, size, stop = self.quote, self.delimiter, len(line), self.stop
        head: list[str] = []
        start, at = 0, line.find(quote)
        for _ in range(self.few):
            if at < 0:
                if len(head) < stop:
                    head += line[start:].split(delimiter, stop)
                return head
            if at and line[at - 1] != delimiter:
                return None
            close = line.find(quote, at + 1)
            while close >= 0 and line[close + 1 : close + 2] == quote:
                close = line.find(quote, close + 2)
            if close < 0 or (close + 1 < size and line[close + 1] != delimiter):
                return None
            if len(head) < stop:
                if at > start:
                    head += line[start : at - 1].split(delimiter, stop)
                head.append(line[at + 1 : close].replace(quote + quote, quote))
            start = close + 2
            at = line.find(quote, start)
        return None


def _parse_one(line: str, lines: Iterator[str], dialect: Dialect, path: str, number: int, most: int) -> tuple[list[str], str]:
    """One row by the `csv` module, which may take further lines; and its whole text."""
    taken: list[str] = []

    def bounded() -> Iterator[str]:
        size = 0
        for part in chain((line,), lines):
            size += len(part)
            if size > most:
                raise ImportIncomplete(
                    f"{path}: the row at line {number} never ends; a quote there is probably not closed. Nothing was deleted"
                )
            taken.append(part)
            yield part

    try:
        row = next(dialect.reader(bounded()), [])
    except csv.Error as error:
        raise ImportIncomplete(
            f"{path}: the row at line {number} cannot be read: {error}; a quote is not closed or stands in the wrong place. Nothing "
            "was deleted"
        ) from error
    return row, "".join(taken)


def _check_last(line: str, found: Scan, layout: Layout) -> None:
    """The last row has no line end. That is usual, unless cells are missing too: then the writer is not done."""
    row: list[str] = next(iter(layout.dialect.reader([line], strict=False)), [])
    trailer: str | None = layout.options["trailer"]
    if layout.options["final_newline"]:
        raise ImportIncomplete(
            f"{found.file.path} does not end with a line break, so its last row may be half-written; nothing was deleted"
        )
    if len(row) < len(found.header) and not (trailer and row[:1] == [trailer]):
        raise ImportIncomplete(
            f"{found.file.path} ends in the middle of a row ({len(row)} of {len(found.header)} cells, no line break): it is "
            "half-written or cut off; nothing was deleted"
        )
    found.open_end = bool(row) and not row[-1] and row[:1] != [trailer]


def duplicates(scans: Sequence[Scan], layout: Layout) -> dict[str, list[tuple[File, int]]]:
    """Per folded anchor that stands in several rows: all of them."""
    hashes = scans[0].hashes
    if len(scans) > 1:
        hashes = array("q", chain.from_iterable(found.hashes for found in scans))
    suspects = _twice(hashes)
    if not suspects:
        return {}
    places: dict[str, list[tuple[File, int]]] = {}
    for found in scans:
        if found.held is None or not found.header:
            continue
        with reading(found.held, layout) as (opened, _):
            at = -1
            for number, row in enumerate(layout.dialect.reader(opened.lines, strict=False), start=1):
                if at < 0:
                    at = row.index(layout.anchor) if layout.anchor in row else -1
                elif len(row) > at and hash(key := folded(row[at])) in suspects:
                    places.setdefault(key, []).append((found.file, number))
    return {key: rows for key, rows in places.items() if len(rows) > 1}


def _twice(hashes: array[int]) -> set[int]:
    """The hashes that occur more than once; in parts, so that millions need little memory."""
    parts = len(hashes) // PARTS + 1
    twice: set[int] = set()
    for part in range(parts):
        some: Sequence[int] = hashes if parts == 1 else [value for value in hashes if value % parts == part]
        if len(set(some)) < len(some):
            twice.update(value for value, count in Counter(some).items() if count > 1)
    return twice


def where_undecodable(held: Held, layout: Layout, error: UnicodeDecodeError) -> str:
    """Row and column of the byte that cannot be decoded: read again, up to it."""
    number, row, header = 0, [""], [""]
    for number, row in enumerate(layout.dialect.reader(decodable_lines(held, layout, "?"), strict=False), start=1):
        if number == 1:
            header = row
    column = header[len(row) - 1] if number > 1 and len(row) <= len(header) else f"cell {len(row)}"
    wrong = error.object[error.start : error.start + 1].hex()
    return (
        f"{held.file.path}: row {number}, column {column!r}: the byte 0x{wrong} is not {error.encoding}; nothing was taken from the file. "
        "Correct it, or set `encoding` to what the file is written in"
    )
