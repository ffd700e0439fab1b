"""The rows of a file, a block of lines at a time: the same as `csv.reader` gives them, in half the time.

`csv.reader` looks at every sign. Where each line of a block is one row, and each quote stands at an end of its cell, `str.split` finds the
same cells; whatever is not so certain is left to the `csv` module. Nothing here guesses: each way either proves that it is right or is
not taken.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain

from metasync.contract import ImportIncomplete
from metasync_csv.files import BLOCK
from metasync_csv.layout import Dialect


def blocks(lines: io.TextIOWrapper) -> Iterator[str]:
    """The text that is left, in parts that end where a line ends."""
    while text := lines.read(BLOCK):
        yield text + lines.readline()


class Rows:
    """Takes the text of one file apart."""

    def __init__(self, dialect: Dialect, width: int, field_size: int) -> None:
        self.dialect, self.width, self.most = dialect, width, field_size * width + 1000
        self.delimiter, self.quote, self.escape = dialect.delimiter, dialect.quote or "", dialect.escape or ""
        self._closed = _closed(re.escape(self.quote), re.escape(self.delimiter), dialect.double_quote) if self.quote else re.compile("")

    def lines(self, text: str) -> list[str] | None:
        """The lines without their ends; None unless all of them end alike and none is blank."""
        if text[-1] != "\n" or (self.escape and self.escape in text):
            return None
        lines = text.splitlines()
        # so many breaks and no other: `splitlines` knows more of them than a file does, and a single \r is one
        return lines if len(lines) == text.count("\n") and "" not in lines else None

    def rows(self, text: str) -> list[list[str]] | None:
        """All rows of a block; None if they are not certain."""
        lines, quote, delimiter = self.lines(text), self.quote, self.delimiter
        if lines is None:
            return None
        if not quote or quote not in text:
            return [line.split(delimiter) for line in lines]
        rows: list[list[str]] = []
        quoted = self._quoted
        for line in lines:
            row = quoted(line) if quote in line else line.split(delimiter)
            if row is None:
                return None
            rows.append(row)
        return rows

    def column(self, text: str, at: int) -> list[str] | None:
        """One cell of each row of a block; None if the rows are not certain."""
        lines, quote, delimiter, stop = self.lines(text), self.quote, self.delimiter, at + 1
        if lines is None:
            return None
        try:
            if not quote or quote not in text:
                return [line.split(delimiter, stop)[at] for line in lines]
            if text.count(quote) >= self.width * len(lines):  # most cells are quoted: the search below would stop at each of them
                rows = self.rows(text)
                return None if rows is None else [row[at] for row in rows]
            if self._closed.match(text) is None:
                return None
            return [self._cell(line, at) if quote in line else line.split(delimiter, stop)[at] for line in lines]
        except LookupError:
            return None

    def _cell(self, line: str, at: int) -> str:
        """One cell of a line whose quotes are known to be right."""
        head = line.split(self.delimiter, at + 1)
        if any(self.quote in cell for cell in head[: at + 1]):
            return (self._quoted(line) or [])[at]
        return head[at]

    def _quoted(self, line: str) -> list[str] | None:
        """A row with quotes; None unless each of them opens a cell at its start or closes it at its end."""
        quote, delimiter = self.quote, self.delimiter
        parts = line.split(quote)
        last = len(parts) - 1
        if last % 2:
            return None  # the row goes on in the next line
        if last == 2 * self.width and not parts[0] and not parts[-1]:
            # as many quotes as it takes to quote every cell: with a seam between any two of them, none is left for the cells
            row = line[1:-1].split(f"{quote}{delimiter}{quote}")
            return row if len(row) == self.width else None
        row, begun = parts[0].split(delimiter), ""
        for at in range(1, last, 2):
            if row[-1]:
                return None  # a sign before the opening quote
            if not parts[at + 1] and at + 1 < last:  # two quotes: one that belongs to the cell
                if not self.dialect.double_quote:
                    return None
                begun += parts[at] + quote
                continue
            row[-1], begun = begun + parts[at], ""
            after = parts[at + 1].split(delimiter)
            if after[0]:
                return None  # a sign behind the closing quote
            row += after[1:]
        return row

    def closely(self, text: str, lines: Iterator[str], path: str, number: int = 0) -> Iterator[tuple[list[str], str]]:
        """Each row of any block, also a blank one, with its text; the last row may take further lines. `number`: of the first line, for
        messages. Raises `ImportIncomplete` for what is no row, and for a row that is longer than its cells may be."""
        pending = io.StringIO(text, newline="")
        for line in pending:
            row = self._line(line)
            if row is None:
                row, line = self._parsed(line, chain(pending, lines), f"{path}: the row at line {number}")
            yield row, line
            number += line.count("\n")

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
                if size > self.most:
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
