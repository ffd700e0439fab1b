"""A driver that lets the product fail at random: seeded edits and faults, each followed by just running again. `script/chaos` runs it."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from metasync import faults as fault

from .site import CANARY, DOCUMENT, RUN, Site

CYCLES = 2
"""Runs within which source and target must agree once nothing fails any more."""
VIOLATIONS = ("lost", "duplicated", "not removed", "wrong delete", "audit", "canary", "not recovered")


class Chaos:
    """One site, one seed."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site, self.seed = site, seed
        self.dice = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.number = 0
        self.step = 0

    def begin(self) -> None:
        """A loaded document, a secret, and the first people."""
        product = self.site.product
        product.document.write_text(DOCUMENT, encoding="utf-8")
        for _ in range(30):
            self._hire()
        self.site.save()
        product("load")
        answer = self.site.shell("secrets", "set", "spare", typed=f"{CANARY}\n")
        assert answer.code == 0, answer

    def act(self) -> list[str]:
        """Edit, fail, run again, and judge; what does not hold."""
        self.step += 1
        for _ in range(self.dice.randint(1, 6)):
            self.dice.choice([self._hire, self._hire, self._rename, self._leave, self._move])()
        self.site.save()
        found = self._cut() if self.dice.random() < 0.15 else []
        if self.dice.random() < 0.15:
            self._drift()
        self.dice.choice([self._at_a_point, self._at_a_point, self._at_a_moment, self._frozen])()
        found += self._recover()
        for one in found:
            self.violations[next((name for name in VIOLATIONS if one.startswith(name)), "not recovered")] += 1
        return found

    # --- edits ---------------------------------------------------------------------------------------------------------------------------

    def _hire(self) -> None:
        self.number += 1
        self.site.hire(self.number, manager=self._somebody())
        self.done["hired"] += 1

    def _rename(self) -> None:
        if key := self._somebody():
            self.site.people[key]["name"] = f"Person {key} {self.dice.randint(0, 999)}"
            self.done["renamed"] += 1

    def _move(self) -> None:
        if key := self._somebody():
            self.site.people[key]["manager"] = self._somebody()
            self.done["given a manager"] += 1

    def _leave(self) -> None:
        key = self._somebody()
        if len(self.site.people) > 10:
            del self.site.people[key]
            for person in self.site.people.values():
                if person["manager"] == key:
                    person["manager"] = ""
            self.done["left"] += 1

    def _somebody(self) -> str:
        return self.dice.choice(sorted(self.site.people)) if self.site.people else ""

    def _drift(self) -> None:
        """Somebody edits the staff list behind our back."""
        text = self.site.staff.read_text(encoding="utf-8") if self.site.staff.exists() else ""
        lines = text.splitlines(keepends=True)
        if len(lines) > 1:
            at = self.dice.randrange(1, len(lines))
            lines[at] = lines[at].replace("@example.com", "@elsewhere.example")
            self.site.staff.write_text("".join(lines), encoding="utf-8")
            self.done["drifted"] += 1

    # --- faults --------------------------------------------------------------------------------------------------------------------------

    def _cut(self) -> list[str]:
        """HR's file ends in the middle of a row: nobody may go for that (I4)."""
        before = {row["number"] for row in self.site.listed()}
        whole = self.site.hr.read_bytes()
        lines = whole.splitlines(keepends=True)
        at = self.dice.randrange(1, len(lines))
        self.site.hr.write_bytes(b"".join(lines[:at]) + lines[at].partition(b",")[0])
        self.site.shell(*RUN)
        self.site.hr.write_bytes(whole)
        self.done["imports cut"] += 1
        gone = before - {row["number"] for row in self.site.listed()}
        # Who left by HR's own word may go, also when the rest of the file is missing.
        return [f"wrong delete (I4): {key}" for key in sorted(gone & self.site.people.keys())]

    def _at_a_point(self) -> None:
        points = [
            one for one in sorted(fault.POINTS) if not one.startswith(("revision.", "secrets.", "store.", "undo.", "approval.approve"))
        ]
        name = self.dice.choice(points)
        action = self.dice.choice(["kill9", "kill9", "raise", "enospc", "stall=0.3"])
        self.fired[f"{name}:{action}"] += 1
        answer = self.site.shell(*RUN, fault=f"{name}:{action}:{self.dice.randint(1, 3)}")
        self.done["killed at a point" if answer.code < 0 else "ran with a fault armed"] += 1

    def _at_a_moment(self) -> None:
        with self.site.start(*RUN) as program:
            try:
                program.communicate(timeout=self.dice.uniform(0.4, 2.0))
                self.done["ended before it was killed"] += 1
            except subprocess.TimeoutExpired:
                program.kill()
                program.communicate()
                self.done["killed at a moment"] += 1

    def _frozen(self) -> None:
        with self.site.start(*RUN) as program:
            time.sleep(self.dice.uniform(0.3, 1.5))
            if program.poll() is None:
                program.send_signal(signal.SIGSTOP)
                time.sleep(self.dice.uniform(0.1, 0.5))
                program.send_signal(signal.SIGCONT)
                self.done["frozen"] += 1
            program.communicate(timeout=120)

    def _recover(self) -> list[str]:
        """Just run again; what does not hold after the last cycle that is allowed."""
        found = ["not recovered (I9): it was never run again"]
        for cycle in range(1, CYCLES + 1):
            answer = self.site.shell(*RUN)
            found = [] if answer.code == 0 else [f"not recovered (I9): {answer}"]
            found += self.site.wrong()
            if not found:
                self.done[f"in step after {cycle} cycle{'s' if cycle > 1 else ''}"] += 1
                break
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The driver; 1 where something did not hold."""
    options = argparse.ArgumentParser(prog="script/chaos", description=__doc__)
    options.add_argument("--minutes", type=float, default=5.0, help="how long (5)")
    options.add_argument("--seed", type=int, default=1, help="which edits and faults (1)")
    given = options.parse_args(arguments)
    os.environ["METASYNC_DEVELOPMENT"] = "1"
    end = time.monotonic() + given.minutes * 60
    with tempfile.TemporaryDirectory(prefix="metasync-chaos-") as folder:
        chaos = Chaos(Site(Path(folder) / "work"), given.seed)
        chaos.begin()
        while time.monotonic() < end:
            before = chaos.done + chaos.fired
            found = chaos.act()
            did = ", ".join(sorted((chaos.done + chaos.fired) - before))
            print(f"step {chaos.step}: {did}", flush=True)
            for one in found:
                print(f"  {one}", flush=True)
            if found:
                print(f"repeat with: script/chaos --seed {chaos.seed}, step {chaos.step}", flush=True)
                break
    for title, counts in (("what was done", chaos.done), ("faults that were armed", chaos.fired)):
        print(f"\n{title}")
        for name, count in sorted(counts.items()):
            print(f"  {count:6,}  {name}")
    print(f"\nwhat does not hold, after {chaos.step:,} steps")
    for name in VIOLATIONS:
        print(f"  {chaos.violations[name]:6,}  {name}")
    return 1 if chaos.violations else 0


if __name__ == "__main__":
    sys.exit(main())
