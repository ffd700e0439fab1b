"""The order of the steps: what a run does, which profiles go on when a directory fails, and which plans are written.

Each verb of the job is one function here. `run` is all of them: import, synchronise, plan, approve what policy allows, export, confirm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

from metasync.contract import ImportIncomplete, MetasyncError, Stopped, Unavailable
from metasync.exporting import confirm_import
from metasync.exporting import export as write_plans
from metasync.importing import import_directory
from metasync.planning import PlanSummary, auto_approve, freeze, plan_undo
from metasync.planning import approve as approve_plan
from metasync.runs.record import ActiveRun, fresh_stop, recorded
from metasync.store import ledger
from metasync.store import runs as rows
from metasync.synchronising import synchronise
from metasync.synchronising.needs import profiles_reading
from metasync.workspace import Workspace

PARALLEL = 4
"""Directories that are imported at once."""


class Waits(StrEnum):
    """Why a plan was not written."""

    APPROVAL = "waits for approval"
    LIMIT = "stopped by a limit"
    STAGING = "staging: planned, never exported"
    PAUSED = "paused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What became of the import of one directory."""

    directory: str
    full: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: int = 0
    error: str | None = None
    """Set where it is not complete; nothing was deleted then."""
    unavailable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """What a run did."""

    run: int
    state: str
    imports: Sequence[Imported] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Profile -> why it did not go on."""
    plans: Sequence[int] = ()
    waiting: Mapping[int, Waits] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)
    """State of a change -> number, of the plans that were exported."""
    confirmed: Mapping[str, int] = field(default_factory=dict)

    @property
    def unavailable(self) -> bool:
        """A directory could not be reached."""
        return any(one.unavailable for one in self.imports)

    @property
    def failed(self) -> int:
        """Changes that were not written, or that the next import did not show."""
        bad = ("rejected", "stale", "not_reimported", "in_flight")
        return sum(self.written.get(state, 0) + self.confirmed.get(state, 0) for state in bad)


def directories_of(workspace: Workspace, profiles: Iterable[str]) -> list[str]:
    """The directories that these profiles read, sources before targets."""
    wanted, reading = set(profiles), profiles_reading(workspace.engagement)
    targets = {workspace.engagement.profiles[name].target for name in wanted}
    found = [name for name in workspace.engagement.directories if wanted & set(reading[name])]
    return sorted(found, key=lambda name: name in targets)


def import_directories(workspace: Workspace, directories: Sequence[str], *, full: bool = False) -> RunOutcome:
    """Import these directories, and synchronise what is dirty where all that it needs is complete."""
    workspace = fresh_stop(workspace)
    with recorded(workspace, "import", directories) as run:
        imports = _import_all(run, directories, full=full)
        _settle(run, imports)
        return RunOutcome(run=run.id, state=run.state, imports=imports)


def plan(workspace: Workspace, profiles: Sequence[str], objects: Collection[int] | None = None) -> RunOutcome:
    """Synchronise and freeze these profiles, from what was imported last."""
    workspace = fresh_stop(workspace)
    with recorded(workspace, "plan", profiles) as run:
        frozen = _plan(run, profiles, objects)
        _settle(run, ())
        return RunOutcome(run=run.id, state=run.state, plans=[one.id for one in frozen])


def export(workspace: Workspace, plan_ids: Sequence[int]) -> RunOutcome:
    """Write approved plans, then import their targets to confirm."""
    workspace = fresh_stop(workspace)
    with recorded(workspace, "export", [f"plan {number}" for number in plan_ids]) as run:
        written = _export(run, plan_ids)
        imports = _import_all(run, _targets(run, plan_ids), full=False, name="confirm")
        _settle(run, imports)
        return RunOutcome(
            run=run.id, state=run.state, imports=imports, plans=plan_ids, written=written, confirmed=_counts_of(run, plan_ids)
        )


def confirm(workspace: Workspace) -> RunOutcome:
    """Import the targets that hold written, unconfirmed changes."""
    workspace = fresh_stop(workspace)
    targets = sorted({profile.target for profile in workspace.engagement.profiles.values()})
    with recorded(workspace, "confirm", targets) as run:
        imports = _import_all(run, targets, full=False, name="confirm")
        _settle(run, imports)
        return RunOutcome(run=run.id, state=run.state, imports=imports)


def undo(workspace: Workspace, run_id: int) -> RunOutcome:
    """Plan the way back from a run; it is approved and exported like any other plan."""
    workspace = fresh_stop(workspace)
    with recorded(workspace, "undo", [f"run {run_id}"]) as run:
        with run.step("plan", f"undo of run {run_id}") as (step, inside):
            frozen = plan_undo(inside, run.id, run_id)
            step.text = f"{len(frozen)} plans"
        _settle(run, ())
        return RunOutcome(run=run.id, state=run.state, plans=[one.id for one in frozen])


def run(workspace: Workspace, profiles: Sequence[str], *, approve: bool = False, reason: str = "") -> RunOutcome:
    """Everything, in order. `approve` approves what waits for a person, never what a limit stops."""
    workspace = fresh_stop(workspace)
    with recorded(workspace, "run", profiles) as active:
        imports = _import_all(active, directories_of(workspace, profiles), full=False)
        left_out = _left_out(workspace, profiles, imports)
        frozen = _plan(active, [name for name in profiles if name not in left_out], None)
        waiting = {one.id: why for one in frozen if (why := _decide(active.workspace, one, approve=approve, reason=reason)) is not None}
        ready = [one.id for one in frozen if one.id not in waiting and one.state != "empty"]
        written: Mapping[str, int] = {}
        confirming: list[Imported] = []
        if ready:
            written = _export(active, ready)
            confirming = _import_all(active, _targets(active, ready), full=False, name="confirm")
        active.counts.update(written)
        _settle(active, [*imports, *confirming])
        if active.state == "done" and any(why in (Waits.APPROVAL, Waits.LIMIT) for why in waiting.values()):
            active.state = "waiting"
        return RunOutcome(
            run=active.id,
            state=active.state,
            imports=[*imports, *confirming],
            left_out=left_out,
            plans=[one.id for one in frozen],
            waiting=waiting,
            written=written,
            confirmed=_counts_of(active, ready),
        )


def _import_all(run: ActiveRun, directories: Sequence[str], *, full: bool, name: str = "import") -> list[Imported]:
    """Import each directory; one that fails takes no other down. In parallel, since most of it is waiting for the directories."""

    def one(directory: str) -> Imported:
        try:
            with run.step(name, directory) as (step, inside):
                outcome = import_directory(inside, directory, full=full, run_id=run.id)
                step.text = ", ".join(f"{count} {what}" for what, count in outcome.counts.items() if count) or "nothing changed"
                if not outcome.complete:
                    raise ImportIncomplete
                confirm_import(inside, directory, run.id)
        except Stopped:
            raise
        except MetasyncError as error:
            return Imported(directory=directory, error=str(error), unavailable=isinstance(error, Unavailable))
        return Imported(directory=directory, full=outcome.full, counts=outcome.counts, problems=len(outcome.problems))

    return _in_parallel(run, one, directories)


def _in_parallel(run: ActiveRun, work: Callable[[str], Imported], names: Sequence[str]) -> list[Imported]:
    if len(names) < 2:
        return [work(name) for name in names]
    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="import") as pool:
        begun = [pool.submit(work, name) for name in names]
        try:
            return [one.result() for one in begun]
        except BaseException:
            run.workspace.stop.set()
            for one in begun:
                one.cancel()
            raise


def _left_out(workspace: Workspace, profiles: Sequence[str], imports: Sequence[Imported]) -> dict[str, str]:
    """The profiles that must not go on: paused, or reading a directory whose import is not complete."""
    with workspace.backend.read() as connection:
        paused = rows.paused(connection, workspace.engagement_id)
    found = {name: str(Waits.PAUSED) for name in profiles if name in paused}
    reading = profiles_reading(workspace.engagement)
    for one in imports:
        if one.error is not None:
            found.update({name: f"the import of {one.directory} is not complete" for name in profiles if name in reading[one.directory]})
    return found


def _plan(run: ActiveRun, profiles: Sequence[str], objects: Collection[int] | None) -> list[PlanSummary]:
    if not profiles:
        return []
    what = ", ".join(profiles)
    with run.step("synchronise", what) as (_, inside):
        synchronise(inside, run.id, profiles)
    with run.step("plan", what) as (step, inside):
        frozen = freeze(inside, run.id, profiles, objects=objects)
        step.text = f"{sum(one.changes for one in frozen)} changes in {len(frozen)} plans"
    for one in frozen:
        for operation, count in one.counts.items():
            run.counts[operation.value] = run.counts.get(operation.value, 0) + count
    return frozen


def _decide(workspace: Workspace, plan: PlanSummary, *, approve: bool, reason: str) -> Waits | None:
    """Approve a plan where policy or the caller allows it; else why it waits."""
    profile = workspace.engagement.profiles.get(plan.profile)
    if plan.state == "empty":
        return None
    if profile is not None and profile.staging:
        return Waits.STAGING
    if auto_approve(workspace, plan.id):
        return None
    if plan.exceeded:
        return Waits.LIMIT
    if not approve:
        return Waits.APPROVAL
    approve_plan(workspace, plan.id, reason=reason or "approved by `run --approve`")
    return None


def _export(run: ActiveRun, plan_ids: Sequence[int]) -> Mapping[str, int]:
    with run.step("export", ", ".join(f"plan {number}" for number in plan_ids)) as (step, inside):
        write_plans(inside, run.id, plan_ids)
        counts = _counts_of(run, plan_ids)
        step.text = ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing to write"
    return counts


def _counts_of(run: ActiveRun, plan_ids: Sequence[int]) -> Mapping[str, int]:
    with run.workspace.backend.read() as connection:
        return ledger.count(connection, plan_ids)


def _targets(run: ActiveRun, plan_ids: Sequence[int]) -> list[str]:
    with run.workspace.backend.read() as connection:
        return sorted(run.workspace.directory_name(number) for number in ledger.directories_of(connection, plan_ids))


def _settle(run: ActiveRun, imports: Sequence[Imported]) -> None:
    """How the run stands as a whole."""
    failed = [one for one in imports if one.error is not None]
    if failed:
        run.state = "failed"
        run.error = "; ".join(f"{one.directory}: {one.error}" for one in failed)
