"""The rows of a file, a block of lines at a time: the same as `csv.reader` gives them, in half the time.

`csv.reader` looks at every sign. Where each line of a block is one row, and each quote stands at an end of its cell, `str.split` finds the
same cells; whatever is not so certain is left to the `csv` module. Nothing here guesses: each way either proves that it is right or is
not taken.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from metasync.contract import ImportIncomplete
from metasync_csv.files import BLOCK
from metasync_csv.layout import Dialect

LINE = 64
"""What a line takes in memory, beside its signs."""


@dataclass(kw_only=True, slots=True)
class Block:
    """A part of a file that ends where a line ends."""

    lines: list[str] | None
    """Without their ends; None unless all of them end alike and none is blank."""
    text: str
    """May be given up where the lines are known to be rows."""
    size: int
    """In memory, about."""
    suspicious: bool
    """A cell may hold a NUL, or more than it may."""
    certain: bool = False
    """Each line was found to be a row."""


class Rows:
    """Takes the text of one file apart."""

    def __init__(self, dialect: Dialect, width: int, field_size: int) -> None:
        self.dialect, self.width, self.field_size = dialect, width, field_size
        self.delimiter, self.quote, self.escape = dialect.delimiter, dialect.quote or "", dialect.escape or ""
        self._closed = _closed(re.escape(self.quote), re.escape(self.delimiter), dialect.double_quote) if self.quote else re.compile("")

    def blocks(self, lines: io.TextIOWrapper) -> Iterator[Block]:
        """The text that is left, in parts."""
        while text := lines.read(BLOCK):
            yield self.block(text + lines.readline())

    def block(self, text: str) -> Block:
        """A part of a file."""
        lines: list[str] | None = None
        if text[-1] == "\n" and not (self.escape and self.escape in text):
            if "\r" not in text:
                lines = text[:-1].split("\n")
            else:
                lines = text.splitlines()
                # so many breaks and no other: `splitlines` knows more of them than a file does, and a single \r is one
                if len(lines) != text.count("\n"):
                    lines = None
            if lines is not None and "" in lines:
                lines = None
        suspicious = "\0" in text or len(text) > self.field_size
        size = sys.getsizeof(text) + LINE * (len(lines) if lines is not None else 0)
        return Block(lines=lines, text=text, size=size, suspicious=suspicious)

    def rows(self, block: Block) -> list[list[str]] | None:
        """All rows of a block; None if they are not certain."""
        quote, delimiter, quoted = self.quote, self.delimiter, self._quoted
        if block.lines is None:
            return None
        if not quote:
            return [line.split(delimiter) for line in block.lines]
        rows = [quoted(line) if quote in line else line.split(delimiter) for line in block.lines]
        return None if None in rows else rows  # type: ignore[return-value]  # mypy does not see that none is None

    def column(self, block: Block, at: int) -> list[str] | None:
        """One cell of each row; None if the rows are not certain. Cheaper than all of them, and as sure."""
        lines, quote, delimiter, stop = block.lines, self.quote, self.delimiter, at + 1
        if lines is None:
            return None
        try:
            if quote and lines[0].count(quote) >= self.width:  # the search below would stop at each of them
                return [row[at] for row in self.rows(block) or [[]]]
            heads = [line.split(delimiter, stop) for line in lines]
            cells = [head[at] for head in heads]
            if not quote:
                return cells
            if not block.certain:
                if quote not in block.text:
                    return cells
                if self._closed.match(block.text) is None:
                    return None
            if at or quote in "".join(cells):  # a quoted cell up to there may hold a delimiter
                for number, head in enumerate(heads):
                    if any(quote in cell for cell in head[:stop]):
                        cells[number] = (self._quoted(lines[number]) or [])[at]
            return cells
        except IndexError:
            return None

    def _quoted(self, line: str) -> list[str] | None:
        """A row with quotes; None unless each of them opens a cell at its start, closes it at its end, or is doubled inside."""
        quote, delimiter = self.quote, self.delimiter
        parts = line.split(quote)
        if len(parts) == 3:
            before, cell, behind = parts
            if cell and (not before or before[-1] == delimiter) and (not behind or behind[0] == delimiter):
                # one quoted cell: nearly all rows that have any
                row = before.split(delimiter)
                row[-1] = cell
                if behind:
                    row += behind[1:].split(delimiter)
                return row
        if len(parts) % 2 == 0:
            return None  # the row goes on in the next line
        if len(parts) == 2 * self.width + 1 and not parts[0] and not parts[-1]:
            # as many quotes as it takes to quote every cell: with a seam between any two of them, none is left for the cells
            row = line[1:-1].split(f"{quote}{delimiter}{quote}")
            if len(row) == self.width:
                return row
        between = iter(parts)
        row = next(between).split(delimiter)
        for cell in between:
            if row.pop() or not cell:  # a sign before the opening quote, an empty cell, or a quote that belongs to the cell
                return self._doubled(parts)
            after = next(between).split(delimiter)
            if after[0]:
                return None  # a sign behind the closing quote
            after[0] = cell
            row += after
        return row

    def _doubled(self, parts: Sequence[str]) -> list[str] | None:
        """The same, of the parts of a line between its quotes, where cells may be empty and quotes doubled."""
        last = len(parts) - 1
        row, begun = parts[0].split(self.delimiter), ""
        for at in range(1, last, 2):
            if row[-1]:
                return None
            if not parts[at + 1] and at + 1 < last:  # two quotes: one that belongs to the cell
                if not self.dialect.double_quote:
                    return None
                begun += parts[at] + self.quote
                continue
            row[-1], begun = begun + parts[at], ""
            after = parts[at + 1].split(self.delimiter)
            if after[0]:
                return None
            row += after[1:]
        return row

    def closely(self, block: Block, more: Iterator[str], path: str, number: int = 0) -> Iterator[tuple[list[str], str]]:
        """Each row of any block, also a blank one, with its text; the last row may take more lines. `number`: of the first line, for
        messages. Raises `ImportIncomplete` for what is no row, and for a row that is longer than its cells may be."""
        pending = io.StringIO(block.text, newline="")
        for line in pending:
            row = self._line(line)
            if row is None:
                row, line = self._parsed(line, chain(pending, more), f"{path}: the row at line {number}")
            yield row, line
            number += line.count("\n")

    def row(self, line: str) -> list[str]:
        """The cells of a line that is a row for sure."""
        row = self._line(line)
        return next(self.dialect.reader([line])) if row is None else row

    def _line(self, line: str) -> list[str] | None:
        bare = line.rstrip("\r\n")
        if not bare:
            return []
        if self.escape and self.escape in bare:
            return None
        return self._quoted(bare) if self.quote and self.quote in bare else bare.split(self.delimiter)

    def _parsed(self, line: str, lines: Iterator[str], where: str) -> tuple[list[str], str]:
        """One row by the `csv` module, which may take further lines; and its whole text."""
        taken: list[str] = []

        def bounded() -> Iterator[str]:
            size = 0
            for part in chain((line,), lines):
                size += len(part)
                if size > self.field_size * self.width + 1000:
                    raise ImportIncomplete(f"{where} never ends; a quote there is probably not closed. Nothing was deleted")
                taken.append(part)
                yield part

        try:
            row = next(self.dialect.reader(bounded()), [])
        except csv.Error as error:
            raise ImportIncomplete(
                f"{where} cannot be read: {error}; a quote is not closed or stands in the wrong place. Nothing was deleted"
            ) from error
        return row, "".join(taken)


def _closed(quote: str, delimiter: str, double_quote: bool) -> re.Pattern[str]:
    """Matches a block in which each quote opens a cell at its start, closes it at its end, or is doubled inside, and no quoted cell has a
    line break. Possessive, so that a block that is not so is given up at once."""
    inside = f"[^{quote}\n]*+(?:{quote}{quote}[^{quote}\n]*+)*+" if double_quote else f"[^{quote}\n]*+"
    return re.compile(f"(?:[^{quote}]*+(?<![^{delimiter}\n]){quote}{inside}{quote}(?=[{delimiter}\r\n]))*+[^{quote}]*+\\Z")
