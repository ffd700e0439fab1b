"""Tables for a person: the promises, and the costs that they were divided by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .rows import NOT_YET, ROWS, Found, Line, Row, short

HEADINGS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def promises(found: Mapping[str, Found], only: Sequence[str], allowed: Mapping[str, float]) -> tuple[list[str], list[Line]]:
    """The table of rows, and its lines."""
    table = ["| store | what | objects | measured | at most | |", "|---|---|---|---|---|---|"]
    every: list[Line] = []
    for store, one in found.items():
        for row in ROWS:
            if only and row.name not in only:
                continue
            lines = row.lines(one, allowed)
            every += lines
            for line in lines:
                unit = f" {line.unit}" if line.unit else ""
                begin = f"| {HEADINGS[store]} | {line.text} | {line.size} | {line.measured:.3g}{unit}"
                if line.allowed is None and row.allowed is None:
                    table.append(f"{begin} | nothing promised | |")
                elif line.allowed is None:
                    table.append(f"{begin} | from {short(row.least)} on | |")
                else:
                    table.append(f"{begin} | {line.allowed:g}{unit} | {'OVER' if line.over else 'ok'} |")
            broken = [size for what, size in one.failed if what == row.what]
            for size in broken:
                table.append(f"| {HEADINGS[store]} | {row.text} | {short(size)} | did not come to its end | {_most(row)} | FAILED |")
            if not lines and not broken:
                table.append(f"| {HEADINGS[store]} | {row.text} | - | not measured: needs {row.needs} | {_most(row)} | |")
    if not only:
        table += [f"| both | {text} | - | by `script/bench queue`, into RESULTS-queue.md | | |" for text in NOT_YET]
    return table, every


def _most(row: Row) -> str:
    return "nothing promised" if row.allowed is None else f"{row.allowed:g}"


def costs(found: Mapping[str, Found]) -> list[str]:
    """Every step that was measured, in CPU seconds and objects per second."""
    table = ["| store | measured on | objects | step | CPU seconds | objects/s |", "|---|---|---|---|---|---|"]
    for store, one in found.items():
        for (what, size), seconds in sorted(one.seconds.items(), key=lambda item: item[0]):
            for step, cost in seconds.items():
                done = 1000 if step.startswith("1,000") else size // 100 if step.startswith("delta") else size
                table.append(f"| {HEADINGS[store]} | {what} | {short(size)} | {step} | {cost:.3f} | {min(done, size) / cost:,.0f} |")
    return table
