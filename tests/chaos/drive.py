"""A driver that lets the product fail at random: seeded edits and faults, each followed by just running again. `script/chaos` runs it.

It goes from site to site (`sites`), a new one every few steps, each with a database in a file or on a PostgreSQL server that is killed and
frozen too. The seed decides everything but the machine's timing.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lab import packages, postgres
from lab.postgres import Cluster
from lab.samba import _forests

from metasync import faults as fault
from metasync.testing.memory import WriteFault

from . import doubles, judge
from .forks import Program, Stable
from .site import RUN, Site
from .sites import SITES, CountingSite, CsvSite, MemorySite, SambaSite

CYCLES = 2
"""Runs within which source and target must agree once nothing fails any more."""
STEPS = (6, 14)
"""Steps at one site, at least and at most."""
SHOWN = 20
"""So many findings of one step are printed."""
ACTIONS = ("kill9", "kill9", "raise", "enospc", "stall=0.3")
ELSEWHERE = ("revision.", "secrets.", "store.", "undo.", "approval.approve")
"""Points that no run comes to."""
POINTS = [one for one in sorted(fault.POINTS) if not one.startswith(ELSEWHERE)]


class Did(NamedTuple):
    """One thing that was done."""

    words: str
    more: str = ""
    """How, exactly: what was armed."""

    def __str__(self) -> str:
        return f"{self.words}, {self.more}" if self.more else self.words


class Chaos:
    """One site, for some steps."""

    def __init__(self, site: Site, dice: random.Random, server: Cluster | None) -> None:
        self.site, self.dice = site, dice
        self.server = server if site.url else None
        self.did: list[Did] = []
        """What this step did."""
        self.number = 0

    def begin(self) -> None:
        """A loaded document, a secret, and the first people."""
        self.site.write_document()
        for _ in range(self.dice.randint(10, 60)):
            self._hire()
        self.site.begin()
        self.did.clear()

    def act(self) -> list[str]:
        """Edit, fail, run again, and judge; what does not hold."""
        self.did = []
        found: list[str] = []
        for _ in range(self.dice.randint(1, 6)):
            self.dice.choice([self._hire, self._hire, self._rename, self._leave, self._move])()
        self.site.save()
        if self.dice.random() < 0.15:
            found += self._cut()
        if self.dice.random() < 0.15 and self.site.drift(self.dice):
            self._note("drifted")
        if self.dice.random() < 0.1:
            found += self._unapproved()
        found += self.dice.choice(self._failures())() or []
        return found + self._recover()

    def _note(self, words: str, more: str = "") -> None:
        self.did.append(Did(words, more))

    # --- edits ---------------------------------------------------------------------------------------------------------------------------

    def _hire(self) -> None:
        self.number += 1
        self.site.hire(self.number, manager=self._somebody())
        self._note("hired")

    def _rename(self) -> None:
        if key := self._somebody():
            self.site.people[key]["name"] = f"Person {key} {self.dice.randint(0, 999)}"
            self._note("renamed")

    def _move(self) -> None:
        if key := self._somebody():
            self.site.people[key]["manager"] = self._somebody()
            self._note("given a manager")

    def _leave(self) -> None:
        if len(self.site.people) > 10:
            self.site.leave(self._somebody())
            self._note("left")

    def _somebody(self) -> str:
        return self.dice.choice(sorted(self.site.people)) if self.site.people else ""

    # --- what must change nothing --------------------------------------------------------------------------------------------------------

    def _cut(self) -> list[str]:
        """The import of HR's list breaks off: nobody may go for that (I4)."""
        before = {row["number"] for row in self.site.listed()}
        self.site.cut(self.dice)
        self._note("import cut")
        gone = before - {row["number"] for row in self.site.listed()}
        # Who left by HR's own word may go, also when the rest of the list is missing.
        return [f"wrong delete (I4): {key}" for key in sorted(gone & self.site.people.keys())]

    def _unapproved(self) -> list[str]:
        """A run that nobody approves, and that fails somewhere: the target stays as it is (I3)."""
        before = self.site.listed()
        spec = self._spec(ACTIONS)
        self.site.ask("run", fault=spec)
        self._note("run without approval", spec)
        return [] if self.site.listed() == before else ["unapproved (I3): a run that nobody approved changed the target"]

    # --- faults --------------------------------------------------------------------------------------------------------------------------

    def _failures(self) -> list[Callable[[], list[str] | None]]:
        always = [self._at_a_point, self._at_a_point, self._at_a_point, self._at_a_moment, self._frozen, self._twice, self._taken_back]
        answers = [self._bad_answers] * 2 if isinstance(self.site, MemorySite) else []
        keys = [self._new_keys]
        server = [self._server_killed, self._server_killed, self._server_frozen] if self.server is not None else []
        restored = [self._restored] if self.server is None else []
        return [*always, *answers, *keys, *server, *restored]

    def _spec(self, actions: Sequence[str], points: Sequence[str] = POINTS) -> str:
        return f"{self.dice.choice(points)}:{self.dice.choice(actions)}:{self.dice.choice((1, 1, 1, 2, 3))}"

    def _at_a_point(self) -> None:
        spec = self._spec(ACTIONS)
        answer = self.site.ask(*RUN, fault=spec)
        self._note("killed at a point" if answer.code < 0 else "ran with a fault armed", spec)

    @contextmanager
    def _for_a_moment(self) -> Iterator[Program]:
        """A run that has come some way; nobody can say how far."""
        with self.site.start(*RUN) as program:
            program.wait(self.dice.uniform(0.02, 1.0))
            yield program

    def _at_a_moment(self) -> None:
        with self._for_a_moment() as program:
            ended = program.wait(0)
            program.signal(signal.SIGKILL)
            self._note("ended before it was killed" if ended else "killed at a moment")

    def _frozen(self) -> None:
        with self._for_a_moment() as program:
            program.signal(signal.SIGSTOP)
            program.wait(self.dice.uniform(0.1, 0.5))
            program.signal(signal.SIGCONT)
            self.site.heard(program)
            self._note("frozen for a moment")

    def _twice(self) -> None:
        """Two at once: one of them is told that the other one works."""
        with self._for_a_moment() as one, self.site.start(*RUN) as other:
            codes = sorted((self.site.heard(one).code, self.site.heard(other).code))
            self._note("two runs, one of them refused" if 4 in codes else "two runs, one behind the other")

    def _taken_back(self) -> None:
        """Take the last run back, failing somewhere; then let go of what was taken back."""
        runs = [one["id"] for one in self.site("runs")["runs"] if one["kind"] == "run" and any(one.get("counts", {}).values())]
        if len(runs) < 2:
            # Whoever takes the first load back empties the list, and an empty list is held until somebody says that it may be empty.
            self._note("nothing to take back")
            return
        spec = self._spec(("kill9", "raise", "enospc"), [*POINTS, *(one for one in fault.POINTS if one.startswith("undo."))])
        self.site.ask("undo", str(runs[0]), fault=spec)
        planned = self.site.ask("undo", str(runs[0]), "--json")
        plans = [str(one["plan"]) for one in planned.json.get("plans", ()) if one["changes"]] if planned.code in (0, 1) else []
        for plan in plans:
            self.site.ask("approve", plan, "--reason", "a test")
        if plans:
            self.site.ask("export", *plans, fault=spec)
            self.site.ask("export", *plans)
        self.site.ask("release", "--all")
        self._note("taken back" if plans else "nothing taken back", spec)

    def _new_keys(self) -> None:
        spec = self._spec(("kill9", "raise", "enospc"), [one for one in fault.POINTS if one.startswith("secrets.")])
        self.site.ask("secrets", "rotate", fault=spec)
        self.site.ask("secrets", "rotate")
        self._note("new keys", spec)

    def _bad_answers(self) -> None:
        """The directory itself fails: answers are lost, connections are cut."""
        kinds = [one for one in WriteFault if one is not WriteFault.REFUSED]
        told = ",".join(f"staff.memory:{self.dice.choice(kinds)}:{self.dice.randint(1, 6)}" for _ in range(self.dice.randint(1, 3)))
        self.site.ask(*RUN, double=told)
        self._note("the directory failed", told)

    def _restored(self) -> list[str]:
        """The database of before a run comes back, over its own file: nothing is written from it until everything was imported anew."""
        database = self.site.folder / "metasync.db"
        with closing(sqlite3.connect(database)) as now, closing(sqlite3.connect(self.site.folder / "backup.db")) as backup:
            now.backup(backup)
        # The run ends in good order: an older state from the midst of an export that was killed is not told from the last one.
        self.site.ask(*RUN)
        before = self.site.listed()
        # What that run wrote was approved, as the database does not know any more.
        self.site.approved_before |= judge.approved_tags(self.site)
        if isinstance(self.site, CountingSite):
            self.site.not_ours |= {row["number"] for row in before}
        for left in self.site.folder.glob("metasync.db-*"):
            left.unlink()
        shutil.copyfile(self.site.folder / "backup.db", database)
        (self.site.folder / "backup.db").unlink()
        self.site.people[self._somebody()]["name"] = f"Somebody {self.dice.randint(0, 999)}"
        self.site.save()
        refused = self.site.ask(*RUN, fault=self._spec(ACTIONS)).code == 2
        found = ["unapproved (I3): a restored database was exported from"] if refused and self.site.listed() != before else []
        self.site.ask("import", "--full")
        self._note("restored, and refused until a full import" if refused else "restored to where it was")
        return found

    def _server_killed(self) -> None:
        assert self.server is not None
        how = self.dice.choice(["kill -9", "immediate"])
        with self._for_a_moment() as program:
            if how == "immediate":
                self.server.stop("immediate")
            else:
                self.server.kill()
            program.wait(self.dice.uniform(0, 0.5))
            self.server.start()
            self.site.heard(program)
        self._note(f"PostgreSQL ended by {how}")

    def _server_frozen(self) -> None:
        assert self.server is not None
        with self._for_a_moment() as program:
            self.server.freeze()
            program.wait(self.dice.uniform(0.2, 2.0))
            self.server.thaw()
            self.site.heard(program)
        self._note("PostgreSQL frozen for a moment")

    # --- and again -----------------------------------------------------------------------------------------------------------------------

    def _recover(self) -> list[str]:
        """Just run again; what does not hold after the last cycle that is allowed."""
        found = ["not recovered (I9): it was never run again"]
        for cycle in range(1, CYCLES + 1):
            answer = self.site.ask(*RUN)
            found = [] if answer.code == 0 else [f"not recovered (I9): {answer}"]
            found += judge.at_rest(self.site, elsewhere=self.server.folder if self.server else None)
            if not found:
                self._note(f"in step after {cycle} run{'s' if cycle > 1 else ''}")
                return []
        return found


class Campaign:
    """One seed: site after site, until the time is up or something does not hold."""

    def __init__(self, seed: int, names: Sequence[str], say: Callable[[str], None]) -> None:
        self.seed, self.names, self._say = seed, names, say
        self.dice = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        self.visited: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.steps = 0
        self._samba: Any = None
        self._server: Cluster | None = None

    def run(self, minutes: float) -> int:
        """The whole of it; 1 where something did not hold, or nothing was tried."""
        end = time.monotonic() + minutes * 60
        with ExitStack() as stack:
            self._prepare(stack)
            folder = Path(tempfile.mkdtemp(prefix="metasync-chaos-"))
            stable = stack.enter_context(Stable(doubles.install(folder / "installed")))
            episode = 0
            while time.monotonic() < end and not self.violations:
                episode += 1
                self._episode(folder / f"site-{episode}", stable, end, episode)
        if not self.violations:
            shutil.rmtree(folder)
        self._sum_up()
        return 1 if self.violations or not self.steps else 0

    def _prepare(self, stack: ExitStack) -> None:
        """What is there to play with; what is missing is said."""
        if "samba" in self.names:
            reason = packages.why_not()
            if reason is None:
                self._samba = next(iter(stack.enter_context(_closing(_forests(two=False)))))
            else:
                self.names = [name for name in self.names if name != "samba"]
                self._say(f"without Samba: {reason}")
        reason = postgres.why_not()
        if reason is None:
            self._server = stack.enter_context(postgres.cluster())
        else:
            self._say(f"without PostgreSQL: {reason}")

    def _episode(self, folder: Path, stable: Stable, end: float, number: int) -> None:
        name = self.dice.choice(self.names)
        on_server = self.dice.random() < 0.5 and self._server is not None
        url = self._server.database(f"chaos_{number}") if on_server and self._server else ""
        more = {"samba": self._samba} if SITES[name] is SambaSite else {}
        site = SITES[name](folder, stable, url, **more)
        where = f"{name}, {'PostgreSQL' if url else 'SQLite'}"
        self.visited[where] += 1
        chaos = Chaos(site, self.dice, self._server)
        try:
            chaos.begin()
            for _ in range(self.dice.randint(*STEPS)):
                if time.monotonic() > end:
                    return
                self.steps += 1
                found = chaos.act()
                self._tell(where, chaos.did, found)
                if found:
                    self._say(f"repeat with: script/chaos --seed {self.seed}, step {self.steps}; the site is kept in {folder}")
                    return
        finally:
            site.close()

    def _tell(self, where: str, did: Sequence[Did], found: Sequence[str]) -> None:
        words = [f"{one} x{count}" if count > 1 else str(one) for one, count in Counter(did).items()]
        self._say(f"step {self.steps} ({where}): {'; '.join(words)}")
        self.done.update(one.words for one in did)
        self.fired.update(spec.rpartition(":")[0] for one in did for spec in one.more.split(",") if spec)
        for one in found:
            self.violations[next((sort for sort in judge.SORTS if one.startswith(sort)), "not recovered (I9)")] += 1
        for one in found[:SHOWN]:
            self._say(f"  {one}")
        if len(found) > SHOWN:
            self._say(f"  and {len(found) - SHOWN} more")

    def _sum_up(self) -> None:
        for title, counts in (("sites", self.visited), ("what was done", self.done), ("faults that were armed", self.fired)):
            self._say(f"\n{title}")
            for name, count in sorted(counts.items()):
                self._say(f"  {count:6,}  {name}")
        self._say(f"\nwhat does not hold, after {self.steps:,} steps with seed {self.seed}")
        for sort in judge.SORTS:
            self._say(f"  {self.violations[sort]:6,}  {sort}")


@contextmanager
def _closing(forests: Any) -> Iterator[Iterator[Any]]:
    """The lab's forests, given back at the end."""

    def first() -> Iterator[Any]:
        for found in forests:
            yield found[0]

    try:
        yield first()
    finally:
        for _ in forests:
            pass


def main(arguments: Sequence[str] | None = None) -> int:
    """The driver; 1 where something did not hold."""
    options = argparse.ArgumentParser(prog="script/chaos", description=__doc__)
    options.add_argument("site", nargs="?", choices=sorted(SITES), help="only this site (all)")
    options.add_argument("--minutes", type=float, default=5.0, help="how long (5)")
    options.add_argument("--seed", type=int, default=1, help="which sites, edits and faults (1)")
    given = options.parse_args(arguments)
    names = [given.site] if given.site else list(SITES)
    return Campaign(given.seed, names, lambda text: print(text, flush=True)).run(given.minutes)


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["Campaign", "Chaos", "CsvSite", "main"]
