"""A process that exports, and is killed while it does: `victim.py CONFTEST DATABASE LOG PLAN RUN`.

Its directory is a file that is only ever appended to, one line per create: it counts what it is told, and would take a duplicate.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from metasync.contract import Change, Connector, Found, Operation, Options, Outcome, Presence, Result, Schema, hookimpl
from metasync.contract.model import Check, Page, ReadRequest
from metasync.exporting import export
from metasync.host import Host

LOG = Path(sys.argv[3]) if len(sys.argv) > 3 else Path()


class CountingConnector(Connector):
    """Appends the mark and the name of each create."""

    name = "fake"
    title = "A file that counts"
    Options = Options
    commit_size = 4

    def check(self) -> Check:
        return Check(identity="file")

    def discover(self) -> Schema:
        raise NotImplementedError

    def read(self, request: ReadRequest) -> Iterator[Page]:
        raise NotImplementedError

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        for change in changes:
            assert change.operation is Operation.CREATE
            file = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(file, f"{change.mark} {change.label}\n".encode())
            os.close(file)
            yield Result(id=change.id, outcome=Outcome.APPLIED, anchor=f"id-{change.label}")

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        there = set(LOG.read_text().split()) if LOG.exists() else set()
        for change in changes:
            found = change.mark in there
            presence = Presence.PRESENT if found else Presence.ABSENT
            yield Found(id=change.id, presence=presence, anchor=f"id-{change.label}" if found else None, by_mark=found)


class Plugin:
    """Registers it."""

    @hookimpl
    def metasync_register_connectors(self) -> Sequence[type[Connector]]:
        return [CountingConnector]


def load(path: str) -> Any:
    """The bench, from the conftest's path."""
    spec = importlib.util.spec_from_file_location("bench", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Export until nothing is left."""
    _, conftest, database, _, plan, run = sys.argv
    bench = load(conftest).Bench(Path(database))
    bench.host = Host.of(Plugin())
    outcome = export(bench.workspace, int(run), [int(plan)], patience=timedelta(seconds=30))
    print(dict(outcome.counts), dict(outcome.unavailable), flush=True)


if __name__ == "__main__":
    main()
