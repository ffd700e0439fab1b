"""The steps that a run is made of: each is handed plain JSON and comes to plain JSON, so that any process may do it. Done once more,
because nobody knows whether the first time came to its end, a step finds what is done already, and does the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from metasync.contract import MetasyncError, Stopped
from metasync.exporting import confirm_import, let_go_of_lost, settle
from metasync.importing import import_directory
from metasync.lease import LeaseLost
from metasync.planning import PlanSummary, freeze, plan_undo, plan_undo_for
from metasync.runs.record import ActiveRun, Step
from metasync.store import problems
from metasync.store.errors import StoreError
from metasync.store.rows import Problem, Severity
from metasync.synchronising import partitions, synchronise
from metasync.waves import membership, people
from metasync.words import counted
from metasync.workspace import Workspace

Work = Callable[[ActiveRun, Step, Workspace, str, Mapping[str, Any]], Any]
"""(the run, the step, the workspace that reports under it, what it is of, what it needs to know) -> what it comes to."""


def import_one(run: ActiveRun, step: Step, inside: Workspace, directory: str, what: Mapping[str, Any]) -> dict[str, Any]:
    """Import a directory; one that fails takes no other down. The fields of `Imported`."""
    try:
        # Stands until the end, so that whatever ends it before is known to have left it half read.
        _remember_failure(inside, run.id, directory, f"its import by run {run.id} has not come to its end")
        settle(inside, directory, run.id)
        with inside.backend.read() as connection:
            began = inside.backend.now(connection)
        outcome = import_directory(inside, directory, full=bool(what.get("full")), run_id=run.id)
        counts = ", ".join(f"{count} {what}" for what, count in outcome.counts.items() if count) or "nothing changed"
        because = f"everything was read, because {outcome.reason}" if outcome.full else outcome.reason
        step.text = f"{counts}; {because}" if because else counts
        confirm_import(inside, directory, run.id, began=began)
        let_go_of_lost(inside, directory)
    except (Stopped, StoreError, LeaseLost):
        # Without a database there is nothing to go on with, in whatever directory.
        raise
    except MetasyncError as error:
        _remember_failure(inside, run.id, directory, str(error))
        step.state, step.text = "failed", str(error)
        return {"directory": directory, "error": str(error)}
    _remember_failure(inside, run.id, directory, "")
    return {
        "directory": directory,
        "full": outcome.full,
        "counts": dict(outcome.counts),
        "problems": len(outcome.problems),
        "reason": outcome.reason,
    }


def _remember_failure(workspace: Workspace, run_id: int, directory: str, error: str) -> None:
    """An import that failed is a problem of its directory until one goes well: nothing moves there meanwhile."""
    engagement_id = workspace.engagement_id
    with workspace.backend.write() as connection:
        since = problems.known(connection, engagement_id, problems.IMPORT, directory)
        problems.clear(connection, engagement_id, problems.IMPORT, directory, [0], codes=[problems.NOT_IMPORTED])
        failed = [Problem(code=problems.NOT_IMPORTED, text=error, severity=Severity.ERROR)] if error else []
        problems.add(connection, engagement_id, problems.IMPORT, directory, run_id, failed, since)


def synchronise_some(run: ActiveRun, step: Step, inside: Workspace, of: str, what: Mapping[str, Any]) -> dict[str, str]:
    """Synchronise profiles; of those that were not ready, why."""
    membership.refresh(inside, run.id)
    outcome = synchronise(inside, run.id, what["profiles"])
    step.text = f"{outcome.looked_at} looked at, {outcome.pending} with changes, {counted(outcome.problems, 'problem')}"
    return dict(outcome.not_ready)


def divide_some(run: ActiveRun, step: Step, inside: Workspace, of: str, what: Mapping[str, Any]) -> dict[str, Any]:
    """The parts in which profiles are compared by several at once: their names, and which objects they are of."""
    membership.refresh(inside, run.id)
    parts = partitions.divide(inside, run.id, what["profiles"])
    step.text = counted(len(parts), "part") if parts else "nothing that several could share"
    return {f"{one.profile}, objects {one.first:,} to {one.last:,}": asdict(one) for one in parts}


def compare_part(run: ActiveRun, step: Step, inside: Workspace, of: str, what: Mapping[str, Any]) -> None:
    """Pass over whoever is in step, in one part."""
    number = partitions.compare(inside, run.id, partitions.Partition(**what))
    step.text = f"{number} in step"


def plan_some(run: ActiveRun, step: Step, inside: Workspace, of: str, what: Mapping[str, Any]) -> list[int]:
    """Freeze profiles, whole or as a pilot; the numbers of their plans."""
    objects = what.get("objects")
    if what.get("wave") is not None:
        with inside.backend.read() as connection:
            objects = people.source_ids(inside, connection, what["wave"])
    return _planned(step, freeze(inside, run.id, what["profiles"], objects=objects))


def undo_run(run: ActiveRun, step: Step, inside: Workspace, of: str, what: Mapping[str, Any]) -> list[int]:
    """Plan the way back from a run."""
    return _planned(step, plan_undo(inside, run.id, what["run"]))


def undo_wave(run: ActiveRun, step: Step, inside: Workspace, of: str, what: Mapping[str, Any]) -> list[int]:
    """Plan the way back from a wave."""
    with inside.backend.read() as connection:
        since = people.since(inside, connection, what["wave"])
    return _planned(step, plan_undo_for(inside, run.id, f"the wave {what['wave']}", since))


def _planned(step: Step, frozen: list[PlanSummary]) -> list[int]:
    step.text = f"{counted(sum(one.changes for one in frozen), 'change')} in {counted(len(frozen), 'plan')}"
    return [one.id for one in frozen]


WORK: Mapping[str, Work] = {
    "import": import_one,
    "confirm": import_one,
    "divide": divide_some,
    "compare": compare_part,
    "synchronise": synchronise_some,
    "plan": plan_some,
    "undo": undo_run,
    "undo wave": undo_wave,
}
"""Every step, by its name. Exports have their own way: `exporting`."""
