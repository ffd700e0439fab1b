"""A company whose runs go over the queue, and the processes that work them: each started, killed and frozen by itself, or in one tree."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sqlalchemy import func, select

from metasync.store.tables import batch, change, plan, run

from . import judge
from .forks import Program, Stable
from .site import Person, Site
from .sites import CountingSite

PATIENCE = 240.0
"""Seconds for what takes few: a bound, no measure."""
TOKEN = "TOWN"
"""The variable by which every process of a town is known, whoever its parent is by now."""
ENDED = ("done", "failed", "stopped", "waiting")


class Town(CountingSite):
    """Each write takes `delay` milliseconds. `name`: of the engagement; several may share a database."""

    def __init__(
        self,
        folder: Path,
        stable: Stable,
        url: str = "",
        *,
        dispatch: str = "database",
        broker: str = "",
        delay: int = 0,
        name: str = "chaos",
    ) -> None:
        super().__init__(folder, stable, url)
        self.dispatch, self.engagement = dispatch, name
        plugins = 'doubles: ">=0.1", celery: ">=0.1"' if dispatch == "celery" else 'doubles: ">=0.1"'
        text = CountingSite.document.replace("engagement: chaos", f"engagement: {name}").replace('doubles: ">=0.1"', plugins)
        self.text = text.replace("staff.counts", f"{folder / 'staff.counts'}, delay: {delay}")
        self.token = secrets.token_hex(8)
        paths = os.pathsep.join(map(str, stable.paths))
        self.variables = {TOKEN: self.token, "PYTHONPATH": os.pathsep.join(filter(None, [paths, os.environ.get("PYTHONPATH", "")]))}
        if broker:
            self.variables["METASYNC_BROKER"] = broker

    def write_document(self) -> None:
        self.written.write_text(self.text, encoding="utf-8")

    # --- processes -----------------------------------------------------------------------------------------------------------------------

    def order(self, *command: str, fault: str = "") -> Program:
        """Begin a command that goes over the queue, and follows its run; by default everything, approved."""
        return self.start(*(command or ("run", "--approve", "--reason", "a test")), "--dispatch", self.dispatch, "--json", fault=fault)

    def worker(self, part: str = "work", *more: str, fault: str = "") -> Program:
        """One process of a worker, that nobody looks after."""
        return self.start("worker", "--dispatch", self.dispatch, "--part", part, *more, fault=fault)

    def processes(self) -> list[int]:
        """All that live and were started by those of this town, whoever their parents are by now; not those that tests start."""
        mark, found = f"{TOKEN}={self.token}".encode(), []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdecimal() and mark in (folder / "environ").read_bytes().split(b"\0") and state(int(folder.name)) != "Z":
                    found.append(int(folder.name))
        return found

    def end(self) -> None:
        """Kill what is left of them."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def close(self) -> None:
        self.end()
        super().close()

    # --- looking -------------------------------------------------------------------------------------------------------------------------

    @property
    def written_so_far(self) -> int:
        """How many changes the target was told."""
        return self.counts.total if self.counts.file.exists() else 0

    def run_states(self) -> list[str]:
        """The states of all runs, in their order."""
        with self.database() as connection:
            return list(connection.execute(select(run.c.state).order_by(run.c.id)).scalars())

    def hashes(self) -> list[str]:
        """Of all plans, in their order."""
        with self.database() as connection:
            return list(connection.execute(select(plan.c.hash).order_by(plan.c.id)).scalars())

    def change_states(self) -> dict[str, int]:
        """How many changes are in each state."""
        with self.database() as connection:
            rows = connection.execute(select(change.c.state, func.count()).group_by(change.c.state)).all()
        return {row[0]: row[1] for row in rows}

    def open_batches(self) -> list[str]:
        """Batches that are not done."""
        with self.database() as connection:
            rows = connection.execute(select(batch.c.kind, batch.c.of, batch.c.state).where(batch.c.state != "done"))
            return [f"{row.kind} of {row.of} is {row.state}" for row in rows]

    def wrong(self) -> list[str]:
        """Everything that does not hold when nothing is under way any more."""
        found = [] if self.counts.by_label() == dict.fromkeys(self.people, 1) else [f"not each once: {self.counts.by_label()}"]
        return [*judge.at_rest(self), *found, *self.open_batches()]


class Workers:
    """Some processes that work for a town; whichever ends is started again at once."""

    def __init__(self, town: Town, number: int = 2) -> None:
        parts = ([("work",)] * number) if town.dispatch == "database" else [("listen", "--processes", str(number)), ("sweep",)]
        self.town = town
        self._parts: Sequence[tuple[str, ...]] = parts
        self.programs = [town.worker(*part) for part in parts]
        self.ends: list[int] = []
        """The exit codes of those that ended."""

    def look(self) -> None:
        """Start again what ended."""
        for at, program in enumerate(self.programs):
            if program.wait(0):
                self.ends.append(program.code or 0)
                said = program.answer()
                if "Traceback" in said.err and "celery" not in said.err:
                    raise AssertionError(str(said))
                self.programs[at] = self.town.worker(*self._parts[at])

    def pool(self) -> list[int]:
        """The children of Celery's process."""
        with suppress(OSError):
            found = Path(f"/proc/{self.programs[0].pid}/task/{self.programs[0].pid}/children").read_text(encoding="ascii")
            return [int(one) for one in found.split()]
        return []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        pool = self.pool()
        for program in self.programs:
            program.__exit__(None, None, None)
        for process in pool:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def state(process: int) -> str:
    """Of a process, as /proc says it."""
    return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]


def until(condition: Callable[[], bool], what: str, meanwhile: Callable[[], None] = lambda: None, patience: float = PATIENCE) -> float:
    """Wait for it; how many seconds that took."""
    began = time.monotonic()
    while not condition():
        meanwhile()
        if time.monotonic() - began > patience:
            raise AssertionError(f"it did not come to this in {patience:.0f} s: {what}")
        time.sleep(0.02)  # between two looks; it ends by what is looked for, or by `patience`
    return time.monotonic() - began


Inline = tuple[list[Person], list[str], dict[str, int]]
_inline: dict[int, Inline] = {}


def as_inline(folder: Path, stable: Stable, people: int) -> Inline:
    """Everybody in the target, the plans' hashes, and what was written, where the same is done without a queue: once for so many people,
    since it is the same each time."""
    if people not in _inline:
        town = Town(folder, stable)
        town.begin(people)
        done = town("run", "--approve", "--reason", "a test")
        _inline[people] = seen(town), town.hashes(), done["written"]
        town.close()
    return _inline[people]


ROOM = 2 * 1024**3
"""Bytes that a folder in memory must have free."""


@contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: processes are killed, the machine never is, so nothing has to be flushed to a disk that
    others use as well."""
    memory = Path("/dev/shm")
    with ExitStack() as stack:
        room = shutil.disk_usage(memory).free if memory.is_dir() else 0
        yield Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory, prefix="metasync-"))) if room > ROOM else otherwise


def seen(town: Site) -> list[Person]:
    """Everybody in the target, but for the marks."""
    return sorted(({name: value for name, value in one.items() if name != "mark"} for one in town.listed()), key=lambda one: one["number"])
