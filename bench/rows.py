"""What is allowed: one row per promise, and how it follows from what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Found:
    """What was measured on one store: (what, size) -> step -> median of the CPU seconds; and peak memory, and by how much it grew."""

    seconds: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)
    peaks: dict[tuple[str, int], float] = field(default_factory=dict)
    growths: dict[tuple[str, int], float] = field(default_factory=dict)
    failed: dict[tuple[str, int], str] = field(default_factory=dict)
    """What did not come to its end, and what was said about it."""

    def sizes(self, what: str) -> list[int]:
        """The sizes that something was measured on, smallest first."""
        return sorted(size for kind, size in self.seconds if kind == what)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row on one size: what was measured, and the most that is allowed."""

    row: str
    text: str
    size: str
    measured: float
    allowed: float | None
    """None: nothing is promised for so small a size."""
    unit: str = ""

    @property
    def over(self) -> bool:
        """Is it more than allowed?"""
        return self.allowed is not None and self.measured > self.allowed


Measure = Callable[[Found], Iterator[tuple[str, int, float]]]
"""(size in words, the largest number of objects, measured) of each size."""
FIXED = 100_000
"""From so many objects on, 1% of them outweighs what any run costs by itself: some sixty statements for its steps, leases and audit, about
20 ms."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One promise."""

    name: str
    """For `--only`."""
    text: str
    allowed: float | None
    """None: nothing is promised; it is what a promise can be seen against."""
    what: str
    """Which measurement it needs."""
    measure: Measure
    unit: str = ""
    least: int = 0
    """From how many objects on it is promised; on fewer it is shown alone."""
    needs: str = ""
    """What it needs that not every run has; said where it is not measured."""

    def lines(self, found: Found, allowed: Mapping[str, float]) -> list[Line]:
        """What was measured of it, one line per size."""
        most = allowed.get(self.name, self.allowed)
        return [
            Line(row=self.name, text=self.text, size=words, measured=value, allowed=most if size >= self.least else None, unit=self.unit)
            for words, size, value in self.measure(found)
        ]


def short(size: int) -> str:
    """100000 -> 100k."""
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


def ratio(what: str, over: str | Sequence[str], under: str | Sequence[str]) -> Measure:
    """Steps of one measurement, divided by other steps of it."""
    steps, others = ([one] if isinstance(one, str) else one for one in (over, under))

    def measure(found: Found) -> Iterator[tuple[str, int, float]]:
        for size in found.sizes(what):
            seconds = found.seconds[what, size]
            yield short(size), size, sum(seconds[one] for one in steps) / sum(seconds[one] for one in others)

    return measure


def growth(what: str, step: str) -> Measure:
    """The exponent by which a step's cost grows with the number of objects: the slope through all sizes, in logarithms."""

    def measure(found: Found) -> Iterator[tuple[str, int, float]]:
        sizes = found.sizes(what)
        if len(sizes) < 2:
            return
        points = [(math.log(size), math.log(found.seconds[what, size][step])) for size in sizes]
        x, y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
        slope = sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)
        yield " -> ".join(map(short, sizes)), sizes[-1], slope

    return measure


def thousand(found: Found) -> Iterator[tuple[str, int, float]]:
    """The same thousand changes in a large and in a small company."""
    sizes = found.sizes("working")
    for small, large in pairwise(sizes):
        seconds = [found.seconds["working", size]["1,000 changes"] for size in (large, small)]
        yield f"{short(large)} / {short(small)}", large, seconds[0] / seconds[1]


def peak(what: str, least: int, beyond: int | None = None) -> Measure:
    """Peak memory of the sizes from `least`, up to but without `beyond`."""

    def measure(found: Found) -> Iterator[tuple[str, int, float]]:
        for (kind, size), most in sorted(found.peaks.items()):
            if kind == what and least <= size and (beyond is None or size < beyond):
                yield short(size), size, most

    return measure


def scaled(what: str, step: str, factor: float = 1) -> Measure:
    """What a step costs by itself, for what is promised in seconds: everybody waits for it, on whatever machine."""

    def measure(found: Found) -> Iterator[tuple[str, int, float]]:
        for size in found.sizes(what):
            yield short(size), size, found.seconds[what, size][step] * factor

    return measure


def grown(what: str) -> Measure:
    """By how much the peak memory grew while something large was shown or taken back."""

    def measure(found: Found) -> Iterator[tuple[str, int, float]]:
        for (kind, size), most in sorted(found.growths.items()):
            if kind == what:
                yield short(size), size, most

    return measure


ROWS = (
    Row(
        name="object-rows",
        text="object rows including digest / raw rows",
        allowed=1.5,
        what="working",
        measure=ratio("working", "object rows with digest", "raw object rows"),
    ),
    Row(
        name="object-rows-least",
        text="raw rows and, beside them, nothing but the JSON encoder and the digest / raw rows",
        allowed=None,
        what="working",
        measure=ratio("working", ("raw object rows", "JSON and digest alone"), "raw object rows"),
    ),
    Row(
        name="import",
        text="full import / raw rows of the same three tables",
        allowed=2,
        what="working",
        measure=ratio("working", "import", "raw rows of three tables"),
    ),
    Row(
        name="re-import",
        text="re-import with 1% changed / full import",
        allowed=0.25,
        least=FIXED,
        what="working",
        measure=ratio("working", "re-import with 1% changed", "import"),
    ),
    Row(
        name="re-import-csv",
        text="re-import with 1% changed / full import, through a CSV",
        allowed=0.45,
        what="files",
        measure=ratio("files", "re-import of the file with 1% changed", "import of the file"),
    ),
    Row(
        name="delta-import",
        text="delta import of 1% / full import",
        allowed=0.02,
        least=FIXED,
        what="working",
        measure=ratio("working", "delta import of 1%", "import"),
    ),
    Row(
        name="synchronise",
        text="full synchronisation, everything in step / decoding the source alone",
        allowed=6,
        what="settled",
        measure=ratio("settled", "full synchronisation", "decode the source"),
    ),
    Row(
        name="synchronise-cel",
        text="full synchronisation with two CEL expressions, everything in step / decoding the source alone",
        allowed=8,
        what="expressions",
        measure=ratio("expressions", "full synchronisation", "decode the source"),
    ),
    Row(
        name="delta-synchronise",
        text="delta synchronisation of 1% / first, everything created",
        allowed=0.05,
        least=FIXED,
        what="working",
        measure=ratio("working", "delta synchronisation of 1%", "first synchronisation"),
    ),
    Row(
        name="thousand",
        text="1,000 changes in a large company / in one of a tenth",
        allowed=1.5,
        # In a small one they are a tenth of everybody, and stand side by side.
        least=1_000_000,
        what="working",
        measure=thousand,
        needs="two sizes, and --large for what is promised",
    ),
    Row(
        name="csv-parse",
        text="CSV import parse / csv.reader",
        allowed=2.5,
        what="files",
        measure=ratio("files", "CSV parse", "csv.reader"),
    ),
    Row(
        name="csv-plan",
        text="CSV rows x 25, all creates, file to frozen plan / csv.reader",
        allowed=25,
        what="files",
        measure=ratio("files", "file to frozen plan", "csv.reader"),
    ),
    Row(
        name="csv-plan-raw",
        text="raw rows alone that the same leaves / csv.reader",
        allowed=None,
        what="files",
        measure=ratio("files", "raw rows of file to frozen plan", "csv.reader"),
    ),
    Row(
        name="csv-plan-rows",
        text="CSV rows x 25, all creates, file to frozen plan / its raw rows alone",
        allowed=None,
        what="files",
        measure=ratio("files", "file to frozen plan", "raw rows of file to frozen plan"),
    ),
    Row(
        name="growth-import",
        text="growth exponent of a full import",
        allowed=1.15,
        what="working",
        measure=growth("working", "import"),
        needs="two sizes",
    ),
    Row(
        name="growth-synchronise",
        text="growth exponent of a full synchronisation, everything in step",
        allowed=1.05,
        what="settled",
        measure=growth("settled", "full synchronisation"),
        needs="two sizes",
    ),
    Row(
        name="growth-first",
        text="growth exponent of a first synchronisation, everything created",
        allowed=1.05,
        what="working",
        measure=growth("working", "first synchronisation"),
        needs="two sizes",
    ),
    Row(
        name="memory-100k",
        text="peak memory, import and plan of 100k",
        allowed=200,
        what="working",
        measure=peak("working", 100_000, 1_000_000),
        unit="MB",
        needs="100k objects",
    ),
    Row(
        name="memory-1m",
        text="peak memory, import and plan of 1M",
        allowed=250,
        what="working",
        measure=peak("working", 1_000_000),
        unit="MB",
        needs="--large",
    ),
    Row(
        name="memory-group",
        text="peak memory, one group of 100,000 members",
        allowed=250,
        what="crowd",
        measure=peak("crowd", 100_000),
        unit="MB",
        needs="100k members",
    ),
    Row(
        name="first-row",
        text="CPU to the first row of a plan of up to 100,000 changes, or members of one group",
        allowed=1,
        what="looking",
        measure=scaled("looking", "first row"),
        unit="s",
    ),
    Row(
        name="explain",
        text="explain: the slowest of six questions",
        allowed=100,
        what="looking",
        measure=scaled("looking", "explain", 1000),
        unit="ms",
    ),
    Row(
        name="memory-show",
        text="growth of the peak memory while such a plan is shown as JSON",
        allowed=60,
        what="looking",
        measure=grown("looking"),
        unit="MB",
    ),
    Row(
        name="undo",
        text="undo of as many updates: plan, approve, export / freeze and export of these",
        allowed=2,
        what="undoing",
        measure=ratio("undoing", ("plan the undo", "export the undo"), ("freeze the updates", "export the updates")),
    ),
    Row(
        name="undo-members",
        text="undo of as many members of one group / export of these",
        allowed=2,
        what="members",
        measure=ratio("members", ("plan the undo of the members", "export the undo of the members"), "export the members"),
    ),
)

NOT_YET = (
    "Celery in 10k partitions / in-process, one worker (at most 1.1)",
    "two workers on PostgreSQL / one, as a share of the free capacity (at least 0.75)",
)
"""Promises that need the queue."""
