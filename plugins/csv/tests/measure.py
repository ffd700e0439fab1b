"""Measures import and export of a file of 100,000 rows, against `csv.reader` alone: `python plugins/csv/tests/measure.py`."""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from metasync.contract import Change, Kind, Operation, ReadRequest
from metasync.testing.context import TestContext
from metasync_csv.connector import CsvConnector
from metasync_csv.options import CsvOptions

ROWS, COLUMNS = 100_000, 24


def make(path: Path, quoted: bool) -> None:
    """A file with an empty cell in seven."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", *(f"a{at}" for at in range(COLUMNS))])
        for row in range(ROWS):
            cells = [f"value {at} of {row}" if (row + at) % 7 else "" for at in range(COLUMNS - 1)]
            writer.writerow([f"E{row:07}", *cells, "Doe, John" if quoted else "Doe"])


def best(work: Callable[[], None]) -> float:
    """The least CPU time of several tries: other programs only ever add to it."""
    times = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure(path: Path, quoted: bool) -> None:
    """Print one line per measurement."""
    make(path, quoted)
    connector = CsvConnector(CsvOptions().load({"path": str(path), "anchor": "id"}), TestContext())
    wanted = frozenset(f"a{at}" for at in range(COLUMNS))
    request = ReadRequest(stream="all", kinds=frozenset({Kind.USER}), attributes={Kind.USER: wanted})

    def alone() -> None:
        with path.open(newline="", encoding="utf-8") as stream:
            for _ in csv.reader(stream):
                pass

    def ours() -> None:
        for _ in connector.read(request):
            pass

    base, full = best(alone), best(ours)
    print(f"import, {'a quoted cell in each row' if quoted else 'no quoted cell'}: {full:.2f} s, {full / base:.2f} times csv.reader")
    for call in (1, 2):
        changes = [
            Change(id=str(row), operation=Operation.DELETE, kind=Kind.USER, anchor=f"E{row:07}", label="")
            for row in range(call * 100, call * 100 + 100)
        ]
        start = time.process_time()
        results = list(connector.write(changes))
        print(f"call {call} with {len(results)} changes: {time.process_time() - start:.2f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for with_quotes in (False, True):
            measure(Path(folder) / "people.csv", with_quotes)
