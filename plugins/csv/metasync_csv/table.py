"""A file in memory, for writing: rows that are not touched keep their exact text, also those that an import rejects."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import BinaryIO

from metasync.contract import ImportIncomplete
from metasync_csv.files import DigestingWriter, Encoding, Held, check_unchanged, compressed, configured, holding, reading
from metasync_csv.header import check_header
from metasync_csv.layout import Dialect, File, Layout
from metasync_csv.scan import scan, widen_field_limit
from metasync_csv.values import folded

ROWS_AT_ONCE = 1000
LINE_ENDS = {"crlf": "\r\n", "lf": "\n"}


class Row:
    """One record: its text as it stands in the file, taken apart only when it is asked for; or its cells, once they were changed."""

    __slots__ = ("_cells", "_dialect", "number", "raw")

    def __init__(self, dialect: Dialect, cells: list[str] | None = None, raw: str | None = None, number: int = -1) -> None:
        self._dialect = dialect
        self._cells = cells
        self.raw = raw
        """Its text; None: it was changed, and is written anew."""
        self.number = number
        """Its key in `Table.rows`."""

    @property
    def cells(self) -> list[str]:
        """Its cells; none of a blank line."""
        if self._cells is not None:
            return self._cells
        return next(self._dialect.reader([self.raw or ""]), [])

    def change(self, cells: list[str]) -> None:
        """Other cells, to be written anew."""
        self._cells, self.raw = cells, None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which rows are to be looked up."""

    anchors: frozenset[str]
    """Folded."""
    marks: frozenset[str]


@dataclass(kw_only=True, eq=False)
class Table:
    """One file, loaded whole."""

    file: File
    layout: Layout
    header: Row
    encoding: Encoding
    newline: str
    digest: bytes | None
    """Of the file that was loaded; None: there was none."""
    rows: dict[int, Row] = field(default_factory=dict)
    """By a number that never changes, in the order of the file."""
    trailer: Row | None = None
    dirty: bool = False
    _next: int = 0
    _index: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def fill(self, records: Iterable[tuple[list[str], str]], only: Wanted | None) -> None:
        """Take the rows in, with the index that every change asks for."""
        anchor_at = self.columns.index(self.layout.anchor)
        mark = self.layout.column_name(self.layout.mark) if self.layout.mark else None
        mark_at = self.columns.index(mark) if mark in self.columns else -1
        self._index[self.layout.anchor] = {}
        for cells, text in records:
            anchor = cells[anchor_at] if len(cells) > anchor_at else ""
            if only is None or folded(anchor) in only.anchors or (0 <= mark_at < len(cells) and cells[mark_at] in only.marks):
                row = Row(self.layout.dialect, None, text, self._next)
                self.rows[row.number] = row
                self._enter(self.layout.anchor, anchor, row)
            self._next += 1

    @property
    def columns(self) -> list[str]:
        """The header's names."""
        return self.header.cells

    def whole(self, row: Row) -> bool:
        """True for a row that an import takes: it has as many cells as the header, and no NUL."""
        cells = row.cells
        return len(cells) == len(self.columns) and not any("\0" in cell for cell in cells)

    def lookup(self, column: str, cell: str) -> list[Row]:
        """The rows with this value, whatever its case, spaces and Unicode form."""
        if column not in self.columns:
            return []
        if column not in self._index:
            self._index[column] = {}
            at = self.columns.index(column)
            for row in self.rows.values():
                cells = row.cells
                if len(cells) > at:
                    self._enter(column, cells[at], row)
        return [self.rows[number] for number in self._index[column].get(folded(cell), ())]

    def _enter(self, column: str, cell: str, row: Row) -> None:
        if key := folded(cell):
            self._index[column].setdefault(key, []).append(row.number)

    def _leave(self, column: str, cell: str, row: Row) -> None:
        if key := folded(cell):
            self._index[column][key].remove(row.number)

    def get(self, row: Row, column: str) -> str:
        """A cell; empty where the column does not exist."""
        return row.cells[self.columns.index(column)] if column in self.columns else ""

    def set(self, row: Row, values: dict[str, str]) -> None:
        """Change cells. Raises `ValueError`, having changed nothing, where the file cannot hold one."""
        cells = list(row.cells)
        for column, cell in values.items():
            cells[self.columns.index(column)] = cell
        self.check(cells)
        old = row.cells
        for column in self._index:
            at = self.columns.index(column)
            if cells[at] != old[at]:
                self._leave(column, old[at], row)
                self._enter(column, cells[at], row)
        row.change(cells)
        self.dirty = True

    def add(self, values: dict[str, str]) -> Row:
        """Append a row. Raises `ValueError` where the file cannot hold it."""
        row = Row(self.layout.dialect, [values.get(column, "") for column in self.columns], number=self._next)
        self.check(row.cells)
        self.rows[row.number] = row
        for column in self._index:
            self._enter(column, self.get(row, column), row)
        self._next += 1
        self.dirty = True
        return row

    def remove(self, row: Row) -> None:
        """Take a row out."""
        del self.rows[row.number]
        for column in self._index:
            self._leave(column, self.get(row, column), row)
        self.dirty = True

    def add_column(self, name: str) -> None:
        """A further column at the end; every whole row gets an empty cell."""
        self.check([*self.columns, name])
        for row in self.rows.values():
            cells = row.cells
            if len(cells) == len(self.columns):
                row.change([*cells, ""])
        self.header.change([*self.columns, name])
        self.dirty = True

    def check(self, cells: Sequence[str]) -> None:
        """Raises `ValueError` unless these cells, written and read again, are the same."""
        limit: int = self.layout.options["field_size"]
        for cell in cells:
            if "\0" in cell:
                raise ValueError("a value holds a NUL character, which no CSV file can; correct the value")
            if len(cell) > limit:
                raise ValueError(f"a value has {len(cell)} characters, more than the {limit} of `field size`")
            try:
                cell.encode(self.encoding.codec)
            except UnicodeEncodeError as error:
                sign = error.object[error.start]
                raise ValueError(
                    f"the character {sign!r} (U+{ord(sign):04X}) cannot be written in the file's encoding {self.encoding.codec}; "
                    "correct the value, or keep the file in utf-8"
                ) from None
        text = self.layout.dialect.row(cells) + self.newline
        try:
            back = list(self.layout.dialect.reader([text]))
        except csv.Error:
            back = []
        if back != [list(cells)]:
            raise ValueError("a value holds a delimiter, quote or line break that the options `quote` and `escape` leave no way to write")

    def write_to(self, stream: BinaryIO) -> bytes:
        """Write the whole file; its digest."""
        digesting = DigestingWriter(stream)
        if compressed(self.file, self.layout):
            # no time and no name inside: the same rows give the same bytes
            with gzip.GzipFile(filename="", mode="wb", fileobj=digesting, mtime=0) as packed:
                self._write_plain(packed)
        else:
            self._write_plain(digesting)
        return digesting.digest()

    def _write_plain(self, stream: DigestingWriter | gzip.GzipFile) -> None:
        stream.write(self.encoding.mark)
        rows = chain((self.header,), self.rows.values(), self._new_trailer())
        while some := list(islice(rows, ROWS_AT_ONCE)):
            stream.write("".join(map(self._text, some)).encode(self.encoding.codec))

    def _new_trailer(self) -> Iterator[Row]:
        if self.trailer is not None:
            cells = self.trailer.cells[:1]
            if len(self.trailer.cells) > 1:
                cells.append(str(sum(1 for row in self.rows.values() if row.cells)))
            yield Row(self.layout.dialect, cells)

    def _text(self, row: Row) -> str:
        if row.raw is None:
            return self.layout.dialect.row(row.cells) + self.newline
        # the last row of the file may lack its line end, and may no longer be the last
        return row.raw if row.raw.endswith(("\n", "\r")) else row.raw + self.newline


def load(file: File, layout: Layout, only: Wanted | None = None) -> Table:
    """The file as a table; with `only`, one to look up these rows in and never to write. A missing file is made of the option `create`.
    Raises `ImportIncomplete` for whatever an import would hold, as writing would make a half-written file look whole; and `Unavailable`."""
    widen_field_limit()
    newline = LINE_ENDS.get(layout.options["newline"])
    with holding(file) as held:
        if held is None:
            if not layout.options["create"]:
                raise ImportIncomplete(f"{file.path} does not exist; put it there, or name its header under `create`")
            return _new(file, layout, configured(layout), newline, None)
        found = scan(file, held, layout)
        if found.open_end:
            # written, it would get its line break, and whatever was to follow would read as cleared
            raise ImportIncomplete(
                f"{file.path} ends behind an empty cell without a line break, so its last row may be half-written; end the file with a "
                "line break"
            )
        try:
            table = _loaded(held, layout, newline, only)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ImportIncomplete(f"{file.path} cannot be read: {error}; correct the file before it is written to") from error
        check_unchanged(held)
        if table.digest != found.digest:
            raise ImportIncomplete(f"{file.path} is still being written: two readings of it differ. Try again when its writer is done")
    if layout.options["trailer"] and table.trailer is None and only is None:
        _take_trailer(table)
    return table


def _loaded(held: Held, layout: Layout, newline: str | None, only: Wanted | None) -> Table:
    file = held.file
    with reading(held, layout) as (opened, digesting):
        records = _records(opened.lines, layout)
        # blank lines above the header are dropped when the file is written
        header = next(((cells, raw) for cells, raw in records if cells), None)
        if header is None:
            if not layout.options["create"]:
                raise ImportIncomplete(f"{file.path} has no header; write one into it, or name it under `create`")
            return _new(file, layout, opened.encoding, newline, digesting.digest())
        names, text = header
        check_header(names, file, layout)
        newline = newline or text[len(text.rstrip("\r\n")) :] or "\r\n"
        head = Row(layout.dialect, names, text)
        table = Table(file=file, layout=layout, header=head, encoding=opened.encoding, newline=newline, digest=None)
        table.fill(records, only)
        table.digest = digesting.digest()
    return table


def _new(file: File, layout: Layout, encoding: Encoding, newline: str | None, digest: bytes | None) -> Table:
    header = Row(layout.dialect, list(layout.options["create"]))
    table = Table(file=file, layout=layout, header=header, encoding=encoding, newline=newline or "\r\n", digest=digest)
    if layout.options["trailer"]:
        table.trailer = Row(layout.dialect, [layout.options["trailer"], "0"])
    return table


def _take_trailer(table: Table) -> None:
    """The first pass has looked at it."""
    number = next(number for number in reversed(table.rows) if table.rows[number].cells)
    table.trailer = table.rows.pop(number)


def _records(lines: Iterable[str], layout: Layout) -> Iterator[tuple[list[str], str]]:
    """Cells and text of each row."""
    taken: list[str] = []

    def watched() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    for cells in layout.dialect.reader(watched()):
        yield cells, "".join(taken)
        taken.clear()
