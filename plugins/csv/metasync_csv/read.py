"""The second pass: rows become entries and rejects, page by page."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from xxhash import xxh3_128_digest

from metasync.contract import Entry, ImportIncomplete, Item, Kind, ReadRequest, Reject, Versioned
from metasync_csv.build import Build, RowRejected, builder, wanted
from metasync_csv.files import check_unchanged, held_digest, reading
from metasync_csv.header import read_header
from metasync_csv.layout import File, Layout
from metasync_csv.rows import Block, Rows
from metasync_csv.scan import Scan
from metasync_csv.values import Cells, anchor_of, folded, shown

Places = Mapping[str, Sequence[tuple[File, int]]]


def pages(found: Scan, request: ReadRequest, layout: Layout, cells: Cells, twice: Places) -> Iterator[list[Item]]:
    """Every row of one file as an entry or a reject, in portions of the page size. Raises `ImportIncomplete` if the file is not what the
    first pass saw."""
    file, header = found.file, found.header
    kinds = [kind for kind in request.kinds if kind in layout.kinds and file.kind in (None, kind)]
    builders = {kind: builder(wanted(header, kind, request, file, layout, cells)) for kind in kinds}
    held = found.held
    if held is None or not header:
        return
    rows = Rows(layout.dialect, len(header), layout.options["field_size"])
    items = _Items(found, rows, layout, builders, twice, request)
    if found.kept is not None:
        yield from items.pages(_given_up(found.kept), iter(()), request.page_size)
        digest = held_digest(held)
    else:
        try:
            with reading(held, layout) as (opened, digesting):
                read_header(opened, file, layout)
                yield from items.pages(rows.blocks(opened.lines), opened.lines, request.page_size)
                digest = digesting.digest()
        except UnicodeDecodeError as error:
            raise ImportIncomplete(f"{file.path} cannot be read to its end: {error}") from error
    if items.records != found.records or digest != found.digest:
        raise ImportIncomplete(f"{file.path} is still being written: two readings of it differ. Import again when its writer is done")
    check_unchanged(held)


def _given_up(blocks: deque[Block]) -> Iterator[Block]:
    """Each of them, and no reference to it any more."""
    while blocks:
        yield blocks.popleft()


class _Items:
    """Turns rows into items, and counts them."""

    def __init__(
        self,
        found: Scan,
        rows: Rows,
        layout: Layout,
        builders: Mapping[Kind, Build],
        twice: Places,
        request: ReadRequest,
    ) -> None:
        self.file, self.header, self.layout, self.builders, self.twice = found.file, found.header, layout, builders, twice
        self.versions, self.compares = request.versions, request.compares
        self.basis = _basis(found, request, layout)
        self.rows = rows
        self.width, self.at = len(found.header), found.header.index(layout.anchor)
        self.kind_at = found.header.index(layout.kind_column) if layout.kind_column else None
        self.last = found.records if layout.options["trailer"] else -1
        self.torn_end = found.records if found.open_end else -1
        self.number = found.top
        """Of the row that was read last, from 1, blank ones included: what a spreadsheet shows."""
        self.records = 0
        """Rows that are not blank, without the header; known at the end."""

    def pages(self, blocks: Iterator[Block], more: Iterator[str], size: int) -> Iterator[list[Item]]:
        """The items of these blocks, in portions; none is empty. `more`: where a row that goes on behind its block finds its end."""
        page: list[Item] = []
        size = max(1, size)
        for block in blocks:
            page += self._items(block, more)
            if len(page) >= size:
                whole = len(page) // size * size
                yield from (page[start : start + size] for start in range(0, whole, size))
                del page[:whole]
        if page:
            yield page

    def _items(self, block: Block, more: Iterator[str]) -> list[Item]:
        """All at once where they are as usual, else one by one."""
        if self.compares and (unread := self._unread(block)) is not None:
            self.number += len(unread)
            self.records += len(unread)
            return unread
        rows, suspicious = self.rows.rows(block), block.suspicious
        if rows is None:
            close = list(self.rows.closely(block, more, self.file.path))
            rows = [row for row, _ in close]
            suspicious = True  # a row that goes on is longer than its block says
        entries = None if suspicious else self._usual(rows, block.lines)
        if entries is not None:
            self.number += len(rows)
            self.records += len(rows)
            return entries
        items: list[Item] = []
        for row in rows:
            self.number += 1
            if row:
                self.records += 1
                if item := self._one(row, suspicious):
                    items.append(item)
        return items

    def _unread(self, block: Block) -> list[Item] | None:
        """The rows of a block by their versions, without looking at more of them than the anchor; None if it is not so simple."""
        kind, lines = self.file.kind, block.lines
        if kind not in self.builders or lines is None or block.suspicious or (cells := self.rows.column(block, self.at)) is None:
            return None
        anchors = self._anchors(cells)
        if kind is None or anchors is None:
            return None
        first, read = self.number + 1, self._read
        return [
            Versioned(anchor=anchor, kind=kind, version=version, read=partial(read, kind, line, number, version))
            for number, (anchor, version, line) in enumerate(zip(anchors, self._versions(lines), lines, strict=True), start=first)
        ]

    def _read(self, kind: Kind, line: str, number: int, version: bytes) -> Entry | Reject:
        """What one of them is."""
        row = self.rows.row(line)
        if len(row) != self.width and (torn := self._torn(row, number)) is not None:
            return torn
        return self._entry(row, number, anchor_of(row[self.at]), kind, version)

    def _versions(self, lines: Sequence[str]) -> list[bytes]:
        """The version of each of these rows: all that its values follow from."""
        basis = self.basis
        return [basis + line.encode("utf-8", "surrogatepass") for line in lines]

    def _usual(self, rows: Sequence[list[str]], lines: Sequence[str] | None) -> list[Item] | None:
        """The entries of whole rows of one kind, each of which can be taken; None if these are not such rows."""
        kind = self.file.kind
        build = self.builders.get(kind) if kind is not None else None
        if kind is None or build is None or set(map(len, rows)) != {self.width}:
            return None
        anchors = self._anchors([row[self.at] for row in rows])
        if anchors is None:
            return None
        try:
            if lines is None or not self.versions:
                return [Entry(anchor=anchor, kind=kind, attributes=build(row, anchor)) for anchor, row in zip(anchors, rows, strict=True)]
            return [
                Entry(anchor=anchor, kind=kind, attributes=build(row, anchor), version=version)
                for anchor, row, version in zip(anchors, rows, self._versions(lines), strict=True)
            ]
        except RowRejected:
            return None

    def _anchors(self, cells: Sequence[str]) -> list[str] | None:
        """The anchors in these cells, one of each row that comes next; None unless each of the rows is an object of its own."""
        if self.records < max(self.last, self.torn_end) <= self.records + len(cells):
            return None
        anchors, joined = list(cells), "\n".join(cells)
        if not joined.isascii() or "\n".join(joined.split()) != joined:
            anchors = list(map(anchor_of, cells))
        if not all(anchors) or (self.twice and not self.twice.keys().isdisjoint(map(folded, anchors))):
            return None
        return anchors

    def _one(self, row: Sequence[str], suspicious: bool) -> Item | None:
        layout, number = self.layout, self.number
        if self.records == self.last:
            return None  # the trailer, which the first pass has looked at
        if (len(row) != self.width or suspicious) and (torn := self._torn(row, number)) is not None:
            return torn
        anchor = anchor_of(row[self.at])
        if self.records == self.torn_end:
            reason = (
                "the file ends behind an empty cell without a line break, so the row may be half-written; end the file with a line break"
            )
            return self._reject(reason, number, anchor or None)
        if not anchor:
            return self._reject(f"the anchor column {layout.anchor!r} is empty; give the row its anchor", number)
        if self.twice and (places := self.twice.get(folded(anchor))):
            return self._reject(_ambiguous(row[self.at], places), number, anchor)
        kind = self.file.kind
        if self.kind_at is not None:
            word = row[self.kind_at].strip().casefold()
            if word not in layout.words:
                reason = f"column {layout.kind_column!r}: {shown(row[self.kind_at])} is no kind; known are {', '.join(layout.words)}"
                return self._reject(reason, number, anchor)
            kind = layout.words[word]
        if kind is None or kind not in self.builders:
            return None
        return self._entry(row, number, anchor, kind)

    def _entry(self, row: Sequence[str], number: int, anchor: str, kind: Kind, version: bytes | None = None) -> Entry | Reject:
        """A whole row that has an anchor of its own."""
        try:
            return Entry(anchor=anchor, kind=kind, attributes=self.builders[kind](row, anchor), version=version)
        except RowRejected as error:
            return self._reject(str(error), number, anchor)

    def _torn(self, row: Sequence[str], number: int) -> Reject | None:
        """Why a row cannot be taken at all; None: it can."""
        reason = _torn(row, self.width, self.header, self.layout)
        return self._reject(reason, number, _sure_anchor(row, self.width, self.at)) if reason else None

    def _reject(self, reason: str, number: int, anchor: str | None = None) -> Reject:
        return Reject(where=_where(self.file, number), reason=reason, anchor=anchor)


def _basis(found: Scan, request: ReadRequest, layout: Layout) -> bytes:
    """Of all that decides, beside its text, what a row means."""
    asked = [(kind.value, sorted(request.attributes.get(kind, ()))) for kind in sorted(request.kinds)]
    return xxh3_128_digest(layout.fingerprint() + repr((found.header, found.file.kind, asked)).encode("utf-8", "surrogatepass"))


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
