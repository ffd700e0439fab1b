"""`script/bench queue`: what the queue costs beside the same work in one process, what several workers gain, and how soon it acts.

Everybody of a company is looked at again under a document that means the same: two files of 25 columns, joined and in step, on PostgreSQL.
Real workers do it (`metasync worker`), as Celery's over a Redis and as those that ask the database. Ratios are of one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.postgres import Cluster
from lab.redis import broker

from metasync.words import counted

from . import machine, model, people
from .files import write
from .measuring import server_for
from .meter import TICKS, server_seconds

QUEUED = 10_000
"""Runs that wait while the scheduler is watched."""
STARTED = 5.0
"""Seconds after which it has opened all that it needs; before, its start would be measured."""
WATCHED = 10.0
"""Seconds for which it is watched."""
IDLE = 5
"""Runs with nothing to do."""

COLUMNS = [name for name in people.COLUMNS if name not in ("employeeNumber", "manager", "cn")]
DOCUMENT = """
engagement: queue
plugins: {{standard: ">=0", csv: ">=0", celery: ">=0"}}
directories:
  hr: {{connector: csv, options: {{path: hr.csv, {options}}}}}
  ad: {{connector: csv, options: {{path: ad.csv, {options}}}}}
profiles:
  people:
    kind: user
    source: hr
    target: ad
    match: [{{source: employeeID, target: employeeID}}]
    map:
{mappings}
      company: '{company}'
"""
FILE = "anchor: employeeNumber, columns: {name: cn}, types: {badge: integer, hidden: boolean}"
ALLOWED = {
    "celery": ("Celery in 10k partitions / in this process, CPU with one worker", 1.1),
    "two": ("two workers / one on PostgreSQL: share of the free capacity that is used", 0.75),
    "idle": ("a run with nothing to do, from its nudge to its end (s)", 1.0),
    "scheduler": (f"the scheduler's share of a core while {QUEUED:,} runs wait (%)", 5.0),
}
AT_LEAST = frozenset({"two"})


def main(root: Path, arguments: Sequence[str]) -> int:
    """Measure, print and write; 1 where a row is over."""
    parser = argparse.ArgumentParser(prog="script/bench queue", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--size", type=int, default=100_000, help="people (100000)")
    parser.add_argument("--workers", type=int, default=2, help="how many beside one (2)")
    parser.add_argument("--turns", type=int, default=3, help="how often one and several are measured, in turn; the median counts (3)")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave bench/RESULTS-queue.md as it is")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="metasync-bench-queue-") as name, server_for("postgresql") as server, broker() as redis:
        assert server is not None
        site = Site(Path(name), server, redis.url)
        found = measure(site, options.size, options.workers, options.turns)
    over = [key for key, (_, limit) in ALLOWED.items() if (found[key] < limit if key in AT_LEAST else found[key] > limit)]
    lines = [*machine.described(root), f"asked for: script/bench queue {' '.join(arguments)}".rstrip(), f"{options.size:,} people"]
    table = ["| what | measured | allowed | |", "|---|---|---|---|"]
    for key, (words, limit) in ALLOWED.items():
        bound = f"at least {limit}" if key in AT_LEAST else f"at most {limit}"
        table.append(f"| {words} | {found[key]:.3g} | {bound} | {'OVER' if key in over else 'ok'} |")
    costs = ["| step | value |", "|---|---|", *(f"| {key} | {value:.4g} |" for key, value in found.items() if key not in ALLOWED)]
    predicted = model.table(
        worker=found["CPU of a worker per person (us)"],
        server=found["CPU of the server per person (us)"],
        serial=found["serial part of a run (s)"],
        people=options.size,
    )
    text = "\n".join([*(f"- {line}" for line in lines), "", *table, "", "Measured:", "", *costs, "", *predicted])
    print(text)
    if options.write:
        head = "# Results of the queue\n\nWritten by `script/bench queue`.\n\n"
        (root / "bench/RESULTS-queue.md").write_text(f"{head}{text}\n", encoding="utf-8")
    return 1 if over else 0


class Site:
    """An engagement in a folder, its database on the server, and the command line in it."""

    def __init__(self, folder: Path, server: Cluster, redis: str) -> None:
        self.folder, self.server = folder, server
        self.environment = {
            **os.environ,
            "METASYNC_DEVELOPMENT": "1",
            "METASYNC_DATABASE": server.database("queue"),
            "METASYNC_BROKER": redis,
            "METASYNC_LOG": "json",
        }
        self._other = False

    def __call__(self, *command: str) -> float:
        """Do a command; the seconds that it took."""
        print(f"metasync {' '.join(command)} ...", file=sys.stderr, flush=True)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "metasync", *command], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if done.returncode not in (0, 3):
            raise RuntimeError(f"metasync {' '.join(command)}: {done.returncode}\n{done.stderr[-2000:]}")
        took = time.monotonic() - began
        print(f"    {took:.1f} s", file=sys.stderr, flush=True)
        return took

    def reword(self) -> None:
        """Accept another document that means the same: everybody has to be looked at again."""
        self._other = not self._other
        mappings = "\n".join(f"      {name}: source.{name}" for name in COLUMNS if name != "company")
        company = 'source.company + ""' if self._other else "source.company"
        (self.folder / "metasync.yaml").write_text(DOCUMENT.format(mappings=mappings, company=company, options=FILE), encoding="utf-8")
        self("load")

    @contextmanager
    def workers(self, dispatch: str, number: int) -> Iterator[subprocess.Popen[bytes]]:
        """So many, ready to work."""
        command = [sys.executable, "-m", "metasync", "worker", "--dispatch", dispatch, "--processes", str(number)]
        with (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        try:
            self("plan", "--dispatch", dispatch)  # each has opened what it needs
            yield process
        finally:
            process.terminate()
            process.wait(60)


def measure(site: Site, size: int, workers: int, turns: int) -> dict[str, float]:
    """All figures, by name."""
    found: dict[str, float] = {}
    write(site.folder / "hr.csv", size)
    write(site.folder / "ad.csv", size)
    site.reword()
    site("import")
    site("plan")
    server = site.server.processes()[0]
    site.reword()
    before = (children_seconds(), server_seconds(server))
    found["in this process (s)"] = site("plan")
    own, theirs = children_seconds() - before[0], server_seconds(server) - before[1]
    found["in this process (s of CPU)"] = own + theirs
    for dispatch in ("celery", "database"):
        with site.workers(dispatch, 1) as process:
            site.reword()
            before = (tree_seconds(process.pid), server_seconds(server))
            found[f"one worker by {dispatch} (s)"] = site("plan", "--dispatch", dispatch)
            worker, theirs = tree_seconds(process.pid) - before[0], server_seconds(server) - before[1]
            found[f"one worker by {dispatch} (s of CPU)"] = worker + theirs
            if dispatch == "database":
                found["CPU of a worker per person (us)"], found["CPU of the server per person (us)"] = (
                    1e6 * worker / size,
                    1e6 * theirs / size,
                )
            nothing = sorted(site("run", "--dispatch", dispatch) for _ in range(IDLE))
            found[f"idle run by {dispatch}, command included (s)"] = nothing[IDLE // 2]
    found["celery"] = found["one worker by celery (s of CPU)"] / found["in this process (s of CPU)"]
    every = [turn(site, workers) for _ in range(turns)]
    for number, one in enumerate(every, 1):
        found |= {f"turn {number}: {key}": value for key, value in one.items()}
    found["two"] = statistics.median(one["share of the free capacity"] for one in every)
    found["serial part of a run (s)"] = serial(site)
    found["idle"] = latency(site)
    found["scheduler"] = scheduler(site)
    return found


def turn(site: Site, workers: int) -> dict[str, float]:
    """One worker, then several, at the same work. It is measured from the begin of the first step to the end of the last one, by the clock
    of the database: how long a command takes to start, and to notice that its run has ended, has nothing to do with the workers."""
    found: dict[str, float] = {}
    free: list[list[float]] = []
    for number in (1, workers):
        words = counted(number, "worker")
        with site.workers("database", number):
            site.reword()
            free.append(machine.free())
            found[f"{words}, the command (s)"] = site("plan", "--dispatch", "database")
            free.append(machine.free())
        found[f"{words}, the work (s)"] = work(site)
    # What several processes got at once, before and behind each of the two, of what one got that was alone.
    capacity = sum(sum(one[1:]) for one in free) / sum(one[0] for one in free)
    found["free capacity of all cores / of one"] = capacity
    gained = found["1 worker, the work (s)"] / found[f"{counted(workers, 'worker')}, the work (s)"]
    found["times as fast"] = gained
    found["share of the free capacity"] = gained / min(workers, capacity)
    return found


def work(site: Site) -> float:
    """Seconds from the begin of the first step of the last run to the end of its last one."""
    text = (
        "SELECT extract(epoch FROM max(step.finished) - min(step.started)) FROM step "
        "WHERE run_id = (SELECT max(id) FROM run WHERE kind = 'plan')"
    )
    return float(site.server.psql(text, "queue"))


def serial(site: Site) -> float:
    """Seconds of the last run but its parts: what one worker does however many there are."""
    text = (
        "SELECT extract(epoch FROM sum(step.finished - step.started)) FROM step "
        "WHERE run_id = (SELECT max(id) FROM run WHERE kind = 'plan') AND name <> 'compare'"
    )
    return float(site.server.psql(text, "queue"))


def latency(site: Site) -> float:
    """The median from being queued to the end, of the idle runs that Celery's worker did."""
    text = (
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished - queued)) FROM run "
        "WHERE kind = 'run' AND dispatch = 'celery' AND state = 'done'"
    )
    return float(site.server.psql(text, "queue"))


def scheduler(site: Site) -> float:
    """Percent of a core that the scheduler takes while many runs wait."""
    site.server.psql(
        "INSERT INTO run (engagement_id, kind, state, what, author, started, queued, stop, counts, options, dispatch) SELECT 1, "
        f"'run', 'queued', '[\"people\"]', 'bench', now(), now(), false, '{{}}', '{{}}', 'celery' FROM generate_series(1, {QUEUED})",
        "queue",
    )
    site.server.psql(
        "INSERT INTO batch (engagement_id, run_id, kind, of, state, nonce, fence, attempts, created) "
        "SELECT 1, id, 'run', 'run ' || id, 'ready', md5(id::text), 0, 0, now() FROM run WHERE state = 'queued'",
        "queue",
    )
    text = (
        (site.folder / "metasync.yaml")
        .read_text(encoding="utf-8")
        .replace("    kind: user", "    kind: user\n    schedule: every 10 minutes")
    )
    (site.folder / "metasync.yaml").write_text(text, encoding="utf-8")
    site("load")
    command = [sys.executable, "-m", "metasync", "scheduler", "--dispatch", "celery"]
    with (site.folder / "scheduler.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=site.folder, env=site.environment, stdout=log, stderr=log)
    try:
        time.sleep(STARTED)
        before = tree_seconds(process.pid)
        time.sleep(WATCHED)
        return 100 * (tree_seconds(process.pid) - before) / WATCHED
    finally:
        process.terminate()
        process.wait(60)


def children_seconds() -> float:
    """CPU seconds of all processes that this one started and that have ended."""
    used = os.times()
    return used.children_user + used.children_system


def tree_seconds(process: int) -> float:
    """CPU seconds of a process and all that it started, at any depth, also of what has ended meanwhile."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        below = [int(one) for path in Path(f"/proc/{process}/task").glob("*/children") for one in path.read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(one) for one in stat.rpartition(")")[2].split()[11:15]) / TICKS + sum(map(tree_seconds, below))
