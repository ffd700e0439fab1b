"""A run of so many changes, written, confirmed and taken back: creates, then one update of each object, and the way back from these; and
as many members of one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from metasync.contract import Operation
from metasync.planning import approve
from metasync.runs import run as runs
from metasync.store import ledger
from metasync.store.tables import plan
from metasync.testing.engine import Engine

from . import documents
from .meter import Meter, forget_peak, peak_megabytes
from .ready import Company
from .sink import Held, SinkPlugin
from .standing import APART, planned, standing
from .working import engine_of, imported, synchronised


def work(meter: Meter, folder: Path, urls: Sequence[str], size: int) -> dict[str, float]:
    """Create a company in an empty directory, change all of it, and undo the change."""
    company, held = Company(size), Held()
    engine = engine_of(folder, urls[0], documents.directory(sink=True), {"hr": company}, [SinkPlugin(held)])
    imported(engine, "hr")
    imported(engine, "ad")
    synchronised(engine, meter, step="synchronise", frozen="freeze the creates")
    created = _written(engine, meter, held, "export the creates")
    company.edit(range(size))
    imported(engine, "hr")
    synchronised(engine, meter, step="synchronise the updates", frozen="freeze the updates")
    run = _written(engine, meter, held, "export the updates")
    before = forget_peak()
    with meter.step("plan the undo"):
        runs.undo(engine.workspace, run)
    _written(engine, meter, held, "export the undo")
    with engine.backend.read() as connection:
        states = ledger.count_of_run(connection, engine.workspace.engagement_id, run)
    changes = sum(states.values())
    if changes < size or created == run:
        raise RuntimeError(f"{changes} changes were written for {size} objects: {states} {engine.problems()[:3]}")
    engine.close()
    return {"changes": changes, "growth": peak_megabytes() - before}


def members(meter: Meter, folder: Path, urls: Sequence[str], size: int) -> dict[str, float]:
    """So many members of one group: frozen already, exported, confirmed, and taken back."""
    held = Held()
    engine = standing(folder, urls[0], size + APART, held=held)
    planned(engine, "groups", size)
    before = forget_peak()
    run = _written(engine, meter, held, "export the members")
    with meter.step("plan the undo of the members"):
        runs.undo(engine.workspace, run)
    _written(engine, meter, held, "export the undo of the members")
    engine.close()
    return {"growth": peak_megabytes() - before}


def _written(engine: Engine, meter: Meter, held: Held, step: str) -> int:
    """Approve and export every plan that waits; the run. Raises `RuntimeError` where not all of it was written and confirmed."""
    with engine.backend.read() as connection:
        waiting = list(connection.execute(select(plan.c.id).where(plan.c.state == "planned").order_by(plan.c.id)).scalars())
    with meter.step(step, lambda: held.spent):
        for number in waiting:
            approve(engine.workspace, number, reason="measured", beyond=frozenset(Operation))
        done = runs.export(engine.workspace, waiting)
    if set(done.written) != {"confirmed"}:
        raise RuntimeError(f"the export went wrong: {done.written} {engine.problems()[:3]}")
    return done.run
