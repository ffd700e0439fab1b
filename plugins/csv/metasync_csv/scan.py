"""The first pass over a file: is it whole, and which anchors stand there more than once?

It runs before anything is delivered, so that both rows of a duplicate are rejected and a torn file delivers nothing. A row is split only
as far as its anchor.
"""

from __future__ import annotations

import csv
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import chain

from metasync.contract import ImportIncomplete, SourceEmpty
from metasync_csv.files import Held, check_checksum, check_quiet, check_unchanged, decodable_lines, reading
from metasync_csv.header import check_header, read_header
from metasync_csv.layout import File, Layout
from metasync_csv.rows import Block, Rows
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
    open_end: bool = False
    """The last row has no line end and its last cell is empty: nobody can tell whether something was to follow."""
    last: str = ""
    """The text of the last row that is not blank."""
    kept: deque[Block] | None = None
    """The whole text behind the header; None: there was no room for it."""
    room: int = 0
    """Bytes that are left for the text of other files."""
    top: int = 0
    """The number of the header's row: blank ones may stand above it."""


def widen_field_limit() -> None:
    """Python's own limit of 131,072 characters is one per process; ours is an option, checked where rows are read."""
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))


def scan(file: File, held: Held | None, layout: Layout, room: int = 0) -> Scan:
    """Look at the whole file once; keep its text if there is room for it. Raises `SourceEmpty`, `ImportIncomplete` and `Unavailable`."""
    widen_field_limit()
    if held is None:
        return _missing(file, layout, room)
    check_quiet(held, layout.options["quiet_for"])
    try:
        with reading(held, layout) as (opened, digesting):
            top, header = read_header(opened, file, layout)
            found = Scan(file=file, header=header, held=held, room=room, top=top)
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


def _missing(file: File, layout: Layout, room: int) -> Scan:
    header: list[str] = layout.options["create"]
    if not header:
        raise SourceEmpty(
            f"{file.path} does not exist; nothing was deleted. Put it there, or name the header of a new target under `create`"
        )
    return Scan(file=file, header=list(header), room=room)


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


def _scan_rows(lines: TextIOWrapper, found: Scan, layout: Layout) -> None:
    """Block by block: at once where every line is one row for sure, else row by row."""
    header, at = found.header, found.header.index(layout.anchor)
    rows = Rows(layout.dialect, len(header), layout.options["field_size"])
    number, text, room, kept = 2, "", found.room, deque[Block]()
    for block in rows.blocks(lines):
        cells = rows.column(block, at)
        if cells is not None and block.lines is not None:
            found.records += len(cells)
            found.hashes.extend(map(hash, _keys(cells)))
            found.last = text = block.lines[-1] + "\n"
            number += len(cells)
            block.text, block.certain = "", True
        else:
            taken = []
            for row, text in rows.closely(block, lines, found.file.path, number):
                number += text.count("\n")
                taken.append(text)
                if row:
                    found.records += 1
                    found.last = text
                    if len(row) > at and (key := folded(row[at])):
                        found.hashes.append(hash(key))
            block = rows.block("".join(taken))
        room -= block.size
        if room > 0:
            kept.append(block)
        else:
            kept.clear()
    if room > 0:
        found.kept, found.room = kept, room
    if text and not text.endswith(("\n", "\r")):
        _check_last(found.last, found, layout)


def _keys(cells: Sequence[str]) -> list[str]:
    """The anchors in these cells, folded."""
    joined = "\n".join(cells)
    if joined.isascii():
        joined = joined.lower()
        keys = joined.split()
        if "\n".join(keys) == joined:  # none is empty or has a space
            return keys
    return [key for key in map(folded, cells) if key]


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
