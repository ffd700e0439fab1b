"""`script/bench entra`: a tenant through us beside a bare loop, and writes beside the published quota, against the lab tenant.

The tenant runs in a process of its own on this machine, and each measurement in a new one. The rate of an import counts by the wall,
beside a loop over the pages of one list by the same session that decodes them and counts objects: both wait for the same tenant, the
import in several lists at once. Ratios are medians over turns, in which both sides are measured one right behind the other. The floor
of creates is what the published quota of one application leaves: 3,000 writes at once, then 20 a second (3,000 in 150 seconds), on the
tenant's own clock, which stands still but for what the client waits. What was sent too early is counted in the tenant's record of
requests: once where the client keeps to the published quota, once where it knows none and is refused again and again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.postgres import Cluster, why_not

from metasync_entra.lab import Lab
from metasync_entra.lab.remote import process

from . import machine
from .measuring import server_for
from .promises import Line, Promise, limit_of, report
from .rows import short
from .sizes import size_of

WRITES, WITHIN = 3000, 150.0
"""Of one application in one tenant (https://learn.microsoft.com/graph/throttling-limits, identity and access)."""
STORES = ("sqlite", "postgresql")
Found = dict[str, list[float]]
"""Step -> seconds (or a number) of each turn."""


ROWS = (
    Promise(name="import", text="rate of a full import into SQLite / of a bare loop that counts, wall", allowed=0.4, least=True),
    Promise(name="import-postgresql", text="rate of a full import into PostgreSQL / of that loop, wall", allowed=0.4, least=True),
    Promise(
        name="requests",
        text="batches that create, in an export by the whole engine / a twentieth of the creates",
        allowed=1.1,
    ),
    Promise(name="memory", text="peak memory of the client, import or export", allowed=300, unit="MB", worst=True),
    Promise(name="quota", text="creates on the tenant's clock / what the published quota leaves", allowed=1.05),
    Promise(name="early", text="requests sent before the time that a refusal named", allowed=0, worst=True),
)

OF_READING = ("import", "import-postgresql", "memory")
"""Rows that are about who is read; the others are about creates."""


def main(root: Path, arguments: list[str]) -> int:
    """Measure, print and write; 1 where a row is over, 2 where nothing can be measured."""
    options = _options(arguments)
    only, allowed = options.only or [row.name for row in ROWS], dict(options.allow or [])
    stores = STORES if options.store == "both" else (options.store,)
    if "postgresql" in stores and (reason := why_not()) is not None:
        print(f"{reason}; or measure SQLite alone: --store sqlite", file=sys.stderr)
        return 2
    before = machine.free()
    found: Found = {}
    with _stores(stores) as servers:
        bench = Bench(root, found, options)
        if {*OF_READING} & {*only}:
            bench.reading({name: server for name, server in servers.items() if name == "sqlite" or "import-postgresql" in only})
        if {"requests", "memory"} & {*only}:
            bench.creating()
        if {"quota", "early"} & {*only}:
            bench.quota()
    sizes = {row.name: options.users if row.name in OF_READING else options.creates for row in ROWS}
    lines = [row.line(short(sizes[row.name]), found[row.name], allowed) for row in ROWS if row.name in only and row.name in found]
    text = _report(root, arguments, lines, found, [before, machine.free()])
    print(text)
    if options.write:
        (root / "bench/RESULTS-entra.md").write_text(text, encoding="utf-8")
    return 1 if any(line.over for line in lines) else 0


class Bench:
    """The measurements, each in turns."""

    def __init__(self, root: Path, found: Found, options: argparse.Namespace) -> None:
        self.root, self.found, self.options = root, found, options

    def reading(self, servers: dict[str, Cluster | None]) -> None:
        """Everybody into each of the stores."""
        with _tenant(self.options.users) as lab:
            for turn in range(self.options.turns):
                for store, server in servers.items():
                    _say(f"{self.options.users:,} users into {store}, turn {turn + 1}")
                    one = self._client(lab, "reading", self.options.users, server)
                    name = "import" if store == "sqlite" else "import-postgresql"
                    self._note({name: one["bare loop that counts"] / one["full import"], "memory": one.pop("most memory")})
                    self._note({f"{store}: {step}": value for step, value in one.items()})

    def creating(self) -> None:
        """An export of so many creates by the whole engine."""
        for turn in range(self.options.turns):
            with _tenant(0) as lab:
                _say(f"{self.options.creates:,} creates through the engine, turn {turn + 1}")
                one = self._client(lab, "creating", self.options.creates)
                ratio = one["batches of that export"] / max(1.0, self.options.creates / 20)
                self._note({"requests": ratio, "memory": one.pop("most memory"), **one})

    def quota(self) -> None:
        """The same creates under the published quota, by a client that keeps to it and by one that does not know it."""
        floor = max(0.0, self.options.creates - WRITES) * WITHIN / WRITES
        with _tenant(0) as lab:
            for pace in ("published", "adaptive"):
                _say(f"{self.options.creates:,} creates under the published quota, {pace}")
                one = self._client(lab, pace, self.options.creates)
                if pace == "published":
                    self._note({"quota": one["published: seconds of the tenant's clock"] / floor if floor else 1.0})
                self._note({"early": one[f"{pace}: sent too early"]})
                one.pop("most memory")
                self._note(one)

    def _client(self, lab: Lab, what: str, size: int, server: Cluster | None = None) -> dict[str, float]:
        """One measurement, in a process of its own and on a new database."""
        with tempfile.TemporaryDirectory(prefix="metasync-bench-") as folder:
            asked = {
                "what": what,
                "size": size,
                "folder": folder,
                "url": server.database("bench_entra") if server else f"sqlite:///{folder}/bench.db",
                "control": [lab.control_url, lab.control_key, str(lab.ca_file)],
                "options": lab.options,
            }
            command = [sys.executable, "-m", "bench.entra_work", json.dumps(asked)]
            environment = {**os.environ, "METASYNC_DEVELOPMENT": "1"}
            done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, env=environment)
            if server:
                server.psql('DROP DATABASE "bench_entra" WITH (FORCE)')
        if done.returncode != 0:
            raise RuntimeError(f"{what} of {size:,}: {done.stderr.strip()[-2000:]}")
        result: dict[str, float] = json.loads(done.stdout)
        return result

    def _note(self, more: dict[str, float]) -> None:
        for name, value in more.items():
            self.found.setdefault(name, []).append(value)


@contextmanager
def _tenant(users: int) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="metasync-bench-tenant-") as folder, process(Path(folder), users=users, groups=0) as lab:
        yield lab


@contextmanager
def _stores(names: Sequence[str]) -> Iterator[dict[str, Cluster | None]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(server_for(name)) for name in names}


def _report(root: Path, arguments: Sequence[str], lines: Sequence[Line], found: Found, free: Sequence[Sequence[float]]) -> str:
    about = [f"asked for: script/bench entra {' '.join(arguments)}".rstrip(), *machine.described(root)]
    for when, (alone, *together) in zip(("before", "after"), free, strict=True):
        about.append(f"free capacity {when}: {alone:.0%} of a core for one process, {' + '.join(f'{one:.0%}' for one in together)} at once")
    method = "Written by `script/bench entra`. " + (__doc__ or "").split("\n\n")[1]
    names = {row.name for row in ROWS}
    costs = {name: values for name, values in found.items() if name not in names}
    return report("Results: Entra ID", method, about, lines, costs, "step | seconds, or number, of each turn", ".5g")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench entra", description="What a tenant costs through us, against the lab tenant.")
    parser.add_argument("--users", type=size_of, default=100_000, help="how many are read (100k)")
    parser.add_argument("--creates", type=size_of, default=10_000, help="how many are created (10k)")
    parser.add_argument("--store", choices=[*STORES, "both"], default="sqlite", help="where the database is (sqlite)")
    parser.add_argument("--turns", type=int, choices=range(1, 10), default=3, help="how often what depends on the machine is measured (3)")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=[row.name for row in ROWS], help="only these rows: %(choices)s")
    parser.add_argument(
        "--allow", nargs="+", type=limit_of([row.name for row in ROWS]), metavar="ROW=LIMIT", help="other limits than those promised"
    )
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave bench/RESULTS-entra.md as it is")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
