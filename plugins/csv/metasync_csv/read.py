"""The second pass: rows become entries and rejects, page by page."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from metasync.contract import Entry, ImportIncomplete, Item, Kind, ReadRequest, Reject, Values
from metasync_csv.files import check_unchanged, reading
from metasync_csv.layout import File, Layout
from metasync_csv.scan import Scan
from metasync_csv.values import Cells, Decode, anchor_of, folded, shown

Places = Mapping[str, Sequence[tuple[File, int]]]
Build = Callable[[Sequence[str]], dict[str, Values]]


class RowRejected(ValueError):
    """A row that cannot be taken, with the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One requested attribute and where it is read."""

    attribute: str
    at: int
    column: str
    decode: Decode | None


def wanted(header: Sequence[str], kind: Kind, request: ReadRequest, file: File, layout: Layout, cells: Cells) -> tuple[Wanted, ...]:
    """The requested attributes that the file has. Raises `ImportIncomplete` for a column that must be there and is not: everything in
    it would read as cleared."""
    found: list[Wanted] = []
    for attribute in sorted(request.attributes.get(kind, frozenset())):
        name = layout.column_name(attribute)
        if name in header:
            found.append(Wanted(attribute=attribute, at=header.index(name), column=name, decode=cells.decoder(layout.column(name))))
        elif not layout.may_be_missing(attribute):
            raise ImportIncomplete(
                f"{file.path} has no column {name!r}, which the document reads for kind {kind}; its columns are "
                f"{', '.join(map(repr, header))}. "
                "Correct the document or the file; with `header: open` a missing column reads as empty"
            )
    return tuple(sorted(found, key=lambda part: part.at))  # in the order of the file: it lies so in memory


def builder(parts: Sequence[Wanted]) -> Build:
    """A function from a row to its attributes; an empty cell is an absent attribute. It is written out as straight-line code, which
    halves the time of an import. What the document and the file name enters as constants and never as code."""
    lines = ["def build(row):", "    attributes = {}", "    try:"]
    names: dict[str, object] = {"RowRejected": RowRejected}
    for number, part in enumerate(parts):
        lines.append(f"        if cell := row[{part.at:d}]:")
        if part.decode is None:
            lines.append(f"            attributes[{part.attribute!r}] = cell")
        else:
            names[f"decode_{number}"] = part.decode
            lines.append(f"            column = {part.column!r}")
            lines.append(f"            if (value := decode_{number}(cell)) is not None:")
            lines.append(f"                attributes[{part.attribute!r}] = value")
    lines += ["        return attributes", "    except ValueError as error:"]
    lines.append('        raise RowRejected(f"column {column!r}: {error}") from None')
    code = compile("\n".join(lines), "<rows of a CSV file>", "exec")
    exec(code, names)  # noqa: S102 - our own template; names are constants in it
    build: Build = names["build"]  # type: ignore[assignment]
    return build


def pages(found: Scan, request: ReadRequest, layout: Layout, cells: Cells, twice: Places) -> Iterator[list[Item]]:
    """Every row of one file as an entry or a reject, in portions of the page size. Raises `ImportIncomplete` if the file is not what the
    first pass saw."""
    file, header = found.file, found.header
    kinds = [kind for kind in request.kinds if kind in layout.kinds and file.kind in (None, kind)]
    builders = {kind: builder(wanted(header, kind, request, file, layout, cells)) for kind in kinds}
    held = found.held
    if held is None:
        return
    rows = _Rows(found, layout, builders, twice)
    try:
        with reading(held, layout) as (opened, digesting):
            yield from rows.pages(layout.dialect.reader(opened.lines), max(1, request.page_size))
            digest = digesting.digest()
    except (csv.Error, UnicodeDecodeError) as error:
        raise ImportIncomplete(
            f"{file.path} cannot be read to its end: {error}; a quote is not closed or stands in the wrong place"
        ) from error
    if rows.records != found.records or digest != found.digest:
        raise ImportIncomplete(f"{file.path} is still being written: two readings of it differ. Import again when its writer is done")
    check_unchanged(held)


class _Rows:
    """Turns rows into items, and counts them."""

    def __init__(self, found: Scan, layout: Layout, builders: Mapping[Kind, Build], twice: Places) -> None:
        self.file, self.header, self.layout, self.builders, self.twice = found.file, found.header, layout, builders, twice
        self.width, self.at = len(found.header), found.header.index(layout.anchor)
        self.kind_at = found.header.index(layout.kind_column) if layout.kind_column else None
        self.last = found.records if layout.options["trailer"] else -1
        self.suspicious = found.nul or found.long
        self.torn_end = found.records if found.open_end else -1
        self.number = 0
        """Of the row that was read last, from 1, blank ones included: what a spreadsheet shows."""
        self.blank = 0
        self.records = 0
        """Rows that are not blank, without the header; known at the end."""

    def pages(self, reader: Iterator[list[str]], size: int) -> Iterator[list[Item]]:
        """The hot loop: a usual row is made into an entry here, any other is looked at by `_one`. A page is never empty."""
        for row in reader:
            self.number += 1
            if row:
                break  # the header
        kind, at, width = self.file.kind, self.at, self.width
        build = self.builders.get(kind) if kind is not None else None
        usual = not self.twice and not self.suspicious and kind is not None and build is not None
        usual = usual and self.last < 0 and self.torn_end < 0
        first, number = self.number + 1, self.number
        page: list[Item] = []
        add = page.append
        for number, row in enumerate(reader, start=first):
            if usual and len(row) == width and (anchor := row[at].strip()) and anchor.isascii():
                try:
                    add(Entry(anchor=anchor, kind=kind, attributes=build(row)))  # type: ignore[arg-type, misc]  # `usual` says that they are there
                except RowRejected as error:
                    self.number = number
                    add(self._reject(str(error), anchor))
            else:
                self.number = number
                if item := self._one(row, number - first - self.blank + 1):
                    add(item)
            if len(page) >= size:
                yield page
                page = []
                add = page.append
        self.records = number - first - self.blank + 1
        if page:
            yield page

    def _one(self, row: Sequence[str], record: int) -> Item | None:
        if not row:
            self.blank += 1
            return None
        layout = self.layout
        if record == self.last:
            return None  # the trailer, which the first pass has looked at
        if len(row) != self.width or self.suspicious:
            reason = _torn(row, self.width, self.header, layout)
            if reason:
                return self._reject(reason, _sure_anchor(row, self.width, self.at))
        anchor = anchor_of(row[self.at])
        if record == self.torn_end:
            reason = (
                "the file ends behind an empty cell without a line break, so the row may be half-written; end the file with a line break"
            )
            return self._reject(reason, anchor or None)
        if not anchor:
            return self._reject(f"the anchor column {layout.anchor!r} is empty; give the row its anchor")
        if self.twice and (places := self.twice.get(folded(anchor))):
            return self._reject(_ambiguous(row[self.at], places), anchor)
        kind = self.file.kind
        if self.kind_at is not None:
            word = row[self.kind_at].strip().casefold()
            if word not in layout.words:
                reason = f"column {layout.kind_column!r}: {shown(row[self.kind_at])} is no kind; known are {', '.join(layout.words)}"
                return self._reject(reason, anchor)
            kind = layout.words[word]
        build = self.builders.get(kind) if kind is not None else None
        if kind is None or build is None:
            return None
        try:
            return Entry(anchor=anchor, kind=kind, attributes=build(row))
        except RowRejected as error:
            return self._reject(str(error), anchor)

    def _reject(self, reason: str, anchor: str | None = None) -> Reject:
        return Reject(where=_where(self.file, self.number), reason=reason, anchor=anchor)


def _where(file: File, number: int) -> str:
    return f"{file.label} row {number}"


def _ambiguous(cell: str, places: Sequence[tuple[File, int]]) -> str:
    """All rows with one anchor: they are one problem, so that each of them names the others."""
    if len({file.path for file, _ in places}) == 1:
        named, rows = [str(number) for _, number in places], "rows "
    else:
        named, rows = [_where(file, number) for file, number in places], ""
    some = [*named[:9], f"{len(named) - 9} more"] if len(named) > 10 else named
    all_, none, advice = ("both", "neither", "one") if len(named) == 2 else ("all", "none", "all but one")
    return (
        f"{rows}{', '.join(some[:-1])} and {some[-1]} {all_} have the anchor {shown(cell)}; {none} was taken. Remove {advice} (case, "
        "spaces and Unicode forms do not count)"
    )


def _torn(row: Sequence[str], width: int, header: Sequence[str], layout: Layout) -> str | None:
    """Why this row cannot be taken at all."""
    if len(row) != width:
        return f"{len(row)} cells instead of {width}; a delimiter is missing, or one inside a value is not quoted. The row was not taken"
    limit: int = layout.options["field_size"]
    for name, cell in zip(header, row, strict=True):
        if "\0" in cell:
            return f"column {name!r} holds a NUL character; the file is damaged or not in the encoding {layout.options['encoding']!r}"
        if len(cell) > limit:
            return f"column {name!r} holds {len(cell)} characters, more than the {limit} of `field size`"
    return None


def _sure_anchor(row: Sequence[str], width: int, at: int) -> str | None:
    """The anchor of a torn row, if it is certain: with a cell too few or too many, only what stands first is where it should be."""
    if len(row) != width and at:
        return None
    anchor = anchor_of(row[at])
    return anchor if anchor and "\0" not in anchor else None
