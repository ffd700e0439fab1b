"""What is printed: results on stdout, progress and messages on stderr, tables that are clear at 80 columns, JSON for programs.

Nothing from a directory is ever read as markup, and none of its control characters reaches the terminal.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from metasync.contract import Reference

PATIENCE = 1.0
"""Seconds before progress is shown: what is quicker needs none."""
PORTION = 1000
"""Rows of an endless table that are laid out together."""

# Control characters, and the signs that turn the direction of writing: a name must not be able to rewrite the screen around it.
_UNSAFE = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"} | {
    code: f"\\u{code:04x}" for code in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}

STYLES = {"error": "bold red", "warning": "yellow", "notice": "cyan", "good": "green", "dim": "dim", "heading": "bold"}


def clean(text: object) -> str:
    """Text that cannot move the cursor, change colours or turn the writing round."""
    return str(text).translate(_UNSAFE)


def console(file: TextIO) -> Console:
    """A console without any codes where it is not a terminal or NO_COLOR is set."""
    plain = bool(os.environ.get("NO_COLOR")) or not file.isatty()
    if plain:
        return Console(file=file, color_system=None, force_terminal=False, markup=False, highlight=False, emoji=False)
    return Console(file=file, markup=False, highlight=False, emoji=False)


class Output:
    """Where one command prints to."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._cut = False
        """A result has begun, and has not come to its end."""
        for stream in (sys.stdout, sys.stderr):
            # A name that the terminal's encoding lacks must not end the command.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self.results = console(sys.stdout)
        self.messages = console(sys.stderr)

    def say(self, text: str = "", style: str = "") -> None:
        """A message to the person: on stderr."""
        self.messages.print(Text(clean(text), style=STYLES.get(style, style)), soft_wrap=True)

    def line(self, text: str = "", style: str = "") -> None:
        """A line of the result: on stdout, unless JSON is."""
        if not self.as_json:
            self.results.print(Text(clean(text), style=STYLES.get(style, style)), soft_wrap=True)

    def pairs(self, rows: Iterable[tuple[str, object]]) -> None:
        """Names and values, one pair a line."""
        if not self.as_json:
            grid = Table.grid(padding=(0, 2))
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            for name, value in rows:
                grid.add_row(Text(clean(name), style="dim"), Text(clean(value)))
            self.grid(grid)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", right: Sequence[str] = ()) -> None:
        """A table: on stdout, unless JSON is. Cells are folded, never cut off. The last column takes what room is left."""
        if self.as_json:
            return
        made = Table(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            show_edge=False,
            title=Text(clean(title), style="bold") if title else None,
            title_justify="left",
        )
        for name in columns:
            made.add_column(name, justify="right" if name in right else "left", overflow="fold")
        for row in rows:
            made.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
        self.grid(made)

    def grid(self, table: Table) -> None:
        """A table, without the spaces that fill its lines up: they are in the way of whoever copies or compares it."""
        if self.as_json:
            return
        with self.results.capture() as capture:
            self.results.print(table)
        lines = (line.rstrip() for line in capture.get().split("\n"))
        self.results.file.write("\n".join(lines).rstrip("\n") + "\n")

    def rows(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
        """A table that may be endless, portion by portion as its rows come: the columns of each portion are as wide as it needs. How many
        rows there were."""
        number = 0
        rest = iter(rows)
        while portion := list(islice(rest, PORTION)):
            self.table(columns if not number else [""] * len(columns), portion)
            number += len(portion)
        return number

    def json(self, value: object) -> None:
        """The result for programs, where `--json` asks for it. Iterators in it are written as lists, item by item as they come.

        Nothing follows a result that was cut off: it would be no JSON either, and the exit code tells.
        """
        if not self.as_json or self._cut:
            return
        self._cut = True
        for piece in pieces(value):
            sys.stdout.write(piece)
        sys.stdout.write("\n")
        self._cut = False


def pieces(value: object, depth: int = 0) -> Iterator[str]:
    """A value as JSON, bit by bit: the very text that `json.dumps(plain(value), indent=1)` makes where iterators are lists."""
    inner = "\n" + " " * (depth + 1)
    if isinstance(value, Iterator) or (isinstance(value, (list, tuple)) and any(map(_comes_bit_by_bit, value))):
        before = "["
        for one in value:
            yield before + inner
            yield from pieces(one, depth + 1)
            before = ","
        yield "[]" if before == "[" else "\n" + " " * depth + "]"
    elif isinstance(value, Mapping) and any(map(_comes_bit_by_bit, value.values())):
        before = "{"
        for name, one in value.items():
            yield f"{before}{inner}{json.dumps(plain(name), ensure_ascii=False)}: "
            yield from pieces(one, depth + 1)
            before = ","
        yield "\n" + " " * depth + "}"
    else:
        yield json.dumps(plain(value), indent=1, ensure_ascii=False).replace("\n", "\n" + " " * depth)


def _comes_bit_by_bit(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_comes_bit_by_bit, value.values()))
    return isinstance(value, Iterator) or (isinstance(value, (list, tuple)) and any(map(_comes_bit_by_bit, value)))


def styled(text: object, style: str) -> Text:
    """A cell with a style."""
    return Text(clean(text), style=STYLES.get(style, style))


def plain(value: object) -> Any:
    """As JSON knows it: times in ISO 8601 and UTC, bytes in base64, references by key and value."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Reference):
        return {"reference": value.value} if value.key == "anchor" else {"reference": value.value, "key": value.key}
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(one) for one in value), key=str)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Path):
        return str(value)
    return value


def shown(value: object) -> str:
    """A value as a person reads it in a table."""
    if value is None:
        return "(nothing)"
    if isinstance(value, tuple):
        return " | ".join(shown(one) for one in value) or "(nothing)"
    if isinstance(value, Reference):
        return value.value if value.key in ("anchor", "created for") else f"{value.key}={value.value}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(plain(value))


def when(moment: datetime | None) -> str:
    """A time, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if moment else ""


class Reporter:
    """Shows how far a command is: bars on a terminal, else one line per step. Called from several threads."""

    def __init__(self, output: Output) -> None:
        self._console = output.messages
        self._live = self._console.is_terminal
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: set[str] = set()

    def __call__(self, done: int, total: int | None, what: str) -> None:
        step, _, detail = what.partition(": ")
        with self._lock:
            if not self._live:
                self._say_once(step)
                return
            if time.monotonic() - self._began < PATIENCE:
                return
            progress = self._shown()
            if step not in self._tasks:
                for other in self._tasks.values():
                    if total is None:
                        progress.update(other, visible=bool(not progress.tasks[other].finished))
                self._tasks[step] = progress.add_task(clean(step), total=total, detail="")
            progress.update(self._tasks[step], completed=done, total=total, detail=clean(detail))

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None
                self._tasks.clear()

    def _say_once(self, step: str) -> None:
        if step and step not in self._said:
            self._said.add(step)
            self._console.print(Text(clean(step) + " ..."), soft_wrap=True)

    def _shown(self) -> Progress:
        shown = self._progress
        if shown is None:
            shown = self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=self._console,
                transient=True,
            )
            shown.start()
        return shown
