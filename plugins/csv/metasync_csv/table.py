"""A file in memory, for writing: rows that are not touched keep their exact text, also those that an import rejects."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from metasync.contract import ImportIncomplete
from metasync_csv.files import Encoding, Held, check_unchanged, compressed, configured, holding, reading
from metasync_csv.layout import File, Layout
from metasync_csv.scan import check_header, widen_field_limit
from metasync_csv.values import folded

LINE_ENDS = {"crlf": "\r\n", "lf": "\n"}


@dataclass(kw_only=True, slots=True, eq=False)
class Row:
    """One record."""

    cells: list[str]
    raw: str | None
    """Its text as it stands in the file; None: it was changed, and is written anew."""
    number: int = -1
    """Its key in `Table.rows`."""


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
    _index: dict[str, dict[str, set[int]]] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The header's names."""
        return self.header.cells

    def whole(self, row: Row) -> bool:
        """True for a row that an import takes: it has as many cells as the header, and no NUL."""
        return len(row.cells) == len(self.columns) and not any("\0" in cell for cell in row.cells)

    def lookup(self, column: str, cell: str) -> list[Row]:
        """The rows with this value, whatever its case, spaces and Unicode form."""
        if column not in self.columns:
            return []
        if column not in self._index:
            index: dict[str, set[int]] = {}
            at = self.columns.index(column)
            for number, row in self.rows.items():
                if len(row.cells) > at and (key := folded(row.cells[at])):
                    index.setdefault(key, set()).add(number)
            self._index[column] = index
        return [self.rows[number] for number in sorted(self._index[column].get(folded(cell), ()))]

    def get(self, row: Row, column: str) -> str:
        """A cell; empty where the column does not exist."""
        return row.cells[self.columns.index(column)] if column in self.columns else ""

    def set(self, row: Row, values: dict[str, str]) -> None:
        """Change cells. Raises `ValueError`, having changed nothing, where the file cannot hold one."""
        cells = list(row.cells)
        for column, cell in values.items():
            cells[self.columns.index(column)] = cell
        self.check(cells)
        for column, index in self._index.items():
            at = self.columns.index(column)
            if cells[at] != row.cells[at]:
                index.get(folded(row.cells[at]), set()).discard(row.number)
                if key := folded(cells[at]):
                    index.setdefault(key, set()).add(row.number)
        row.cells, row.raw, self.dirty = cells, None, True

    def add(self, values: dict[str, str]) -> Row:
        """Append a row. Raises `ValueError` where the file cannot hold it."""
        row = Row(cells=[values.get(column, "") for column in self.columns], raw=None, number=self._next)
        self.check(row.cells)
        self.rows[row.number] = row
        for column, index in self._index.items():
            if key := folded(self.get(row, column)):
                index.setdefault(key, set()).add(row.number)
        self._next += 1
        self.dirty = True
        return row

    def remove(self, row: Row) -> None:
        """Take a row out."""
        del self.rows[row.number]
        for column, index in self._index.items():
            index.get(folded(self.get(row, column)), set()).discard(row.number)
        self.dirty = True

    def add_column(self, name: str) -> None:
        """A further column at the end; every whole row gets an empty cell."""
        self.check([*self.columns, name])
        for row in self.rows.values():
            if len(row.cells) == len(self.columns):
                row.cells, row.raw = [*row.cells, ""], None
        self.header = Row(cells=[*self.columns, name], raw=None)
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

    def content(self) -> bytes:
        """The whole file."""
        rows: list[Row] = [self.header, *self.rows.values()]
        if self.trailer is not None:
            count = [str(sum(1 for row in self.rows.values() if row.cells))] if len(self.trailer.cells) > 1 else []
            rows.append(Row(cells=[self.trailer.cells[0], *count], raw=None))
        body = "".join(self._texts(rows)).encode(self.encoding.codec)
        data = self.encoding.mark + body
        # no time and no name inside: the same rows give the same bytes
        return gzip.compress(data, mtime=0) if compressed(self.file, self.layout) else data

    def _texts(self, rows: Iterable[Row]) -> Iterator[str]:
        for row in rows:
            if row.raw is None:
                yield self.layout.dialect.row(row.cells) + self.newline
            else:
                # the last row of the file may lack its line end, and may no longer be the last
                yield row.raw if row.raw.endswith(("\n", "\r")) else row.raw + self.newline


def load(file: File, layout: Layout) -> Table:
    """The file as a table. A missing one is made of the option `create`. Raises `ImportIncomplete` and `Unavailable`."""
    widen_field_limit()
    newline = LINE_ENDS.get(layout.options["newline"])
    with holding(file) as held:
        if held is None:
            if not layout.options["create"]:
                raise ImportIncomplete(f"{file.path} does not exist; put it there, or name its header under `create`")
            return _new(file, layout, configured(layout), newline, None)
        try:
            table = _loaded(held, layout, newline)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ImportIncomplete(f"{file.path} cannot be read: {error}; correct the file before it is written to") from error
        check_unchanged(held)
    if layout.options["trailer"] and table.trailer is None:
        _take_trailer(table, layout.options["trailer"])
    return table


def _loaded(held: Held, layout: Layout, newline: str | None) -> Table:
    file = held.file
    with reading(held, layout) as (opened, digesting):
        records = _records(opened.lines, layout)
        # blank lines above the header are dropped when the file is written
        header = next((row for row in records if row.cells), None)
        if header is None:
            if not layout.options["create"]:
                raise ImportIncomplete(f"{file.path} has no header; write one into it, or name it under `create`")
            return _new(file, layout, opened.encoding, newline, digesting.digest())
        check_header(header.cells, file, layout)
        assert header.raw is not None
        kept = header.raw[len(header.raw.rstrip("\r\n")) :]
        table = Table(file=file, layout=layout, header=header, encoding=opened.encoding, newline=newline or kept or "\r\n", digest=None)
        for number, row in enumerate(records):
            row.number = number
            table.rows[number] = row
        table._next = len(table.rows)
        table.digest = digesting.digest()
    return table


def _new(file: File, layout: Layout, encoding: Encoding, newline: str | None, digest: bytes | None) -> Table:
    header = Row(cells=list(layout.options["create"]), raw=None)
    table = Table(file=file, layout=layout, header=header, encoding=encoding, newline=newline or "\r\n", digest=digest)
    if layout.options["trailer"]:
        table.trailer = Row(cells=[layout.options["trailer"], "0"], raw=None)
    return table


def _take_trailer(table: Table, trailer: str) -> None:
    number = next((number for number in reversed(table.rows) if table.rows[number].cells), None)
    if number is None or table.rows[number].cells[0] != trailer:
        raise ImportIncomplete(f"{table.file.path} does not end with the trailer {trailer!r}; it is not whole, so it is not written to")
    table.trailer = table.rows.pop(number)


def _records(lines: Iterable[str], layout: Layout) -> Iterator[Row]:
    """Rows with their text."""
    taken: list[str] = []

    def watched() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    for cells in layout.dialect.reader(watched()):
        yield Row(cells=cells, raw="".join(taken))
        taken.clear()
