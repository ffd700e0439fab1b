"""What is promised of a server's bench, measured in turns: the rows, other limits by the command line, and the tables of the report."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Turns = Mapping[str, Sequence[float]]
"""Row or step -> what each turn came to."""


@dataclass(frozen=True, kw_only=True)
class Promise:
    """One row."""

    name: str
    """For `--only`."""
    text: str
    allowed: float
    least: bool = False
    """`allowed` is the least, not the most."""
    unit: str = ""
    worst: bool = False
    """The worst turn counts, not the median."""

    def line(self, size: str, turns: Sequence[float], allowed: Mapping[str, float]) -> Line:
        """What was measured of it. `allowed`: other limits than those promised."""
        measured = max(turns) if self.worst else median(turns)
        return Line(promise=self, size=size, measured=measured, allowed=allowed.get(self.name, self.allowed))


@dataclass(frozen=True, kw_only=True)
class Line:
    """A promise and what it came to."""

    promise: Promise
    size: str
    measured: float
    allowed: float

    @property
    def over(self) -> bool:
        """Is it not kept?"""
        return self.measured < self.allowed if self.promise.least else self.measured > self.allowed

    @property
    def cells(self) -> str:
        """As a row of the table."""
        one, unit = self.promise, f" {self.promise.unit}" if self.promise.unit else ""
        bound = f"at {'least' if one.least else 'most'} {self.allowed:g}{unit}"
        return f"| {one.text} | {self.size} | {self.measured:.3g}{unit} | {bound} | {'OVER' if self.over else 'ok'} |"


def report(title: str, method: str, about: Sequence[str], lines: Sequence[Line], costs: Turns, step: str, digits: str) -> str:
    """The whole, as Markdown. `step`: what the second table's heading says of its figures; `digits`: their format."""
    table = ["| what | of | measured | allowed | |", "|---|---|---|---|---|", *(line.cells for line in lines)]
    made = [
        f"| {step} |",
        "|---|---|",
        *(f"| {name} | {', '.join(format(one, digits) for one in turns)} |" for name, turns in costs.items()),
    ]
    parts = [f"# {title}", "", " ".join(method.split()), "", *(f"- {one}" for one in about), "", *table]
    return "\n".join([*parts, "", "What they are made of:", "", *made]) + "\n"


def limit_of(names: Collection[str]) -> Callable[[str], tuple[str, float]]:
    """What takes ROW=LIMIT apart, for `argparse`; raises `ArgumentTypeError`."""

    def limit(text: str) -> tuple[str, float]:
        name, _, number = text.partition("=")
        try:
            if name in names:
                return name, float(number)
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"{text!r} is no row with a number, such as {next(iter(names))}=2")

    return limit
