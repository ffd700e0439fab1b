"""Looking at what is large: the first row of a plan, the whole of it as JSON, and why one object is as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOBase
from pathlib import Path

from metasync import service
from metasync.cli.main import run
from metasync.host import Host
from metasync.testing.engine import Engine

from . import people
from .meter import Meter, forget_peak, peak_megabytes
from .standing import APART, planned, standing

CHANGES = 100_000
TIMES = 5


class Screen(TextIOBase):
    """Standard output that keeps nothing, and knows when the first row of a plan was on it."""

    def __init__(self, meter: Meter) -> None:
        self.letters, self.first = 0, 0.0
        self._meter, self._began = meter, meter.now()

    def write(self, text: str) -> int:
        self.letters += len(text)
        if not self.first and any(word in text for word in ("update user", "member add group")):
            self.first = self._meter.now() - self._began
        return len(text)


def work(meter: Meter, folder: Path, urls: Sequence[str], size: int) -> dict[str, float]:
    """A company of this size in step, a plan for up to 100,000 of its people, and as many members of one group."""
    engine = standing(folder, urls[0], size)
    members = min(CHANGES, size)
    plans = {"people": planned(engine, "people", members), "groups": planned(engine, "groups", members)}
    for name, number in plans.items():
        meter.seconds[f"first row of {members} changes of {name}"] = _shown(engine, meter, "show", str(number)).first
    meter.seconds["first row"] = max(seconds for step, seconds in meter.seconds.items() if step.startswith("first row of"))
    for what, name, attribute in _asked(size):
        meter.seconds[f"explain {what}"] = min(_explained(engine, meter, name, attribute) for _ in range(TIMES))
    meter.seconds["explain"] = max(seconds for step, seconds in meter.seconds.items() if step.startswith("explain "))
    before = forget_peak()
    with meter.step("show all as JSON"):
        screen = _shown(engine, meter, "show", str(plans["people"]), "--all", "--json")
    growth = peak_megabytes() - before
    engine.close()
    if screen.letters < 100 * members * 9 // 10:
        raise RuntimeError(f"{screen.letters} letters were shown of {members} changes")
    return {"growth": growth}


def _asked(size: int) -> list[tuple[str, str, str | None]]:
    """(what, object, attribute)."""
    somebody = size // 2 + people.is_group(size // 2)
    mail = people.entry(somebody, size).attributes["mail"]
    return [
        ("a person by anchor", f"hr/{people.anchor(somebody)}", None),
        ("a value", f"hr/{people.anchor(somebody)}", "title"),
        ("a person by address", f"hr:mail={mail}", None),
        ("a person by anchor alone", people.anchor(size - APART + 1), None),
        ("a group that stands alone by name", f"Group {size - 1}", None),
        ("the members of a large group", f"hr/{people.anchor(people.GROUP_EVERY - 1)}", "members"),
    ]


def _explained(engine: Engine, meter: Meter, name: str, attribute: str | None) -> float:
    before = meter.now()
    found = service.explain(engine.workspace, name, attribute)
    seconds = meter.now() - before
    if not found:
        raise RuntimeError(f"{name} is not explained")
    return seconds


def _shown(engine: Engine, meter: Meter, *command: str) -> Screen:
    """One command, as the command line does it but for its start and its plugins."""
    load, stdout = Host.load, sys.stdout
    screen = Screen(meter)
    Host.load = lambda *_, **__: engine.host  # type: ignore[method-assign,assignment]
    sys.stdout = screen  # type: ignore[assignment]
    try:
        code = run([*command, "--engagement", str(engine.path), "--database", engine.url])
    finally:
        sys.stdout = stdout
        Host.load = load  # type: ignore[method-assign]
    if code != 0:
        raise RuntimeError(f"`metasync {' '.join(command)}` ended with {code}")
    return screen
