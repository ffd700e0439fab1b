"""The order of the steps: what a run does, which profiles go on when a directory fails, and which plans are written.

Each verb of the job is one function here. `run` is all of them: import, synchronise, plan, approve what policy allows, export, confirm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum

from metasync.contract import MetasyncError, Stopped
from metasync.exporting import confirm_import, home, let_go_of_lost, settle
from metasync.importing import import_directory
from metasync.planning import PlanSummary, auto_approve, freeze, plan_undo, plan_undo_for
from metasync.planning import approve as approve_plan
from metasync.runs.dispatch import write_plans
from metasync.runs.record import ActiveRun, recorded
from metasync.store import ledger, plans, problems
from metasync.store import runs as rows
from metasync.store.errors import StoreError
from metasync.store.rows import Problem, Severity
from metasync.synchronising import synchronise
from metasync.synchronising.needs import profiles_reading
from metasync.waves import membership, people
from metasync.words import counted, writes
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
    reason: str = ""
    """Why everything was read; empty where a delta was."""
    error: str | None = None
    """Set where it is not complete; nothing was deleted then."""


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
    """State of a change -> number, of the plans that were exported, as they stand now."""
    unwritable: Mapping[str, str] = field(default_factory=dict)
    """Directory -> why it could not be written; its changes wait for the next export."""
    finished: Mapping[int, int] = field(default_factory=dict)
    """Plan that was to be exported and had nothing left to write -> the run that wrote the last of it."""
    errors: int = 0
    """Errors of single objects that this run found and that did not stand before: rows that were rejected, values that do not fit."""

    @property
    def unavailable(self) -> bool:
        """A directory could not be read or written."""
        return bool(self.unwritable) or any(one.error is not None for one in self.imports)

    @property
    def failed(self) -> int:
        """Changes that were not written, or that the next import did not show."""
        return sum(self.written.get(state, 0) for state in ("rejected", "stale", "not_reimported", "approved", "in_flight"))


def directories_of(workspace: Workspace, profiles: Iterable[str]) -> list[str]:
    """The directories that these profiles read, sources before targets."""
    wanted, reading = set(profiles), profiles_reading(workspace.engagement, workspace.host)
    targets = {workspace.engagement.profiles[name].target for name in wanted}
    found = [name for name in workspace.engagement.directories if wanted & set(reading[name])]
    return sorted(found, key=lambda name: name in targets)


def import_directories(workspace: Workspace, directories: Sequence[str], *, full: bool = False) -> RunOutcome:
    """Import these directories, and synchronise what is dirty where all that it needs is complete."""
    with recorded(workspace, "import", directories) as run:
        imports = _import_all(run, directories, full=full)
        if full:
            home.settle(run.workspace, [one.directory for one in imports if one.error is None])
        _settle(run, imports=imports)
        return RunOutcome(run=run.id, state=run.state, imports=imports, errors=_errors(run))


def plan(workspace: Workspace, profiles: Sequence[str], objects: Collection[int] | None = None, *, wave: str | None = None) -> RunOutcome:
    """Synchronise and freeze these profiles, from what was imported last: all, or a pilot of these objects, or of the people of a wave."""
    with recorded(workspace, "plan", profiles) as run:
        frozen, left_out = _plan(run, profiles, objects, wave)
        _settle(run, left_out=left_out)
        return RunOutcome(run=run.id, state=run.state, plans=[one.id for one in frozen], left_out=left_out, errors=_errors(run))


def export(workspace: Workspace, plan_ids: Sequence[int]) -> RunOutcome:
    """Write approved plans, then import their targets to confirm."""
    with recorded(workspace, "export", [f"plan {number}" for number in plan_ids]) as run:
        with workspace.backend.read() as connection:
            finished = ledger.finished(connection, plan_ids)
        outcome = _written(run, plan_ids, imports=[], left_out={}, frozen=[], waiting={})
        return replace(outcome, finished=finished, written=_states(run, [number for number in plan_ids if number not in finished]))


def confirm(workspace: Workspace) -> RunOutcome:
    """Import the targets that hold written, unconfirmed changes."""
    targets = sorted({profile.target for profile in workspace.engagement.profiles.values()})
    with recorded(workspace, "confirm", targets) as run:
        imports = _import_all(run, targets, name="confirm")
        _settle(run, imports=imports)
        return RunOutcome(run=run.id, state=run.state, imports=imports, errors=_errors(run))


def undo(workspace: Workspace, run_id: int) -> RunOutcome:
    """Plan the way back from a run; it is approved and exported like any other plan."""
    with recorded(workspace, "undo", [f"run {run_id}"]) as run:
        with run.step("plan", f"undo of run {run_id}") as (step, inside):
            frozen = plan_undo(inside, run.id, run_id)
            step.text = _planned(frozen)
        return RunOutcome(run=run.id, state=run.state, plans=[one.id for one in frozen])


def undo_wave(workspace: Workspace, name: str) -> RunOutcome:
    """Plan the way back from what was written for the people of a wave, by whatever run, since each of them began to move."""
    with recorded(workspace, "undo", [f"wave {name}"]) as run:
        with run.step("plan", f"undo of the wave {name}") as (step, inside):
            with inside.backend.read() as connection:
                since = people.since(inside, connection, name)
            frozen = plan_undo_for(inside, run.id, f"the wave {name}", since)
            step.text = _planned(frozen)
        return RunOutcome(run=run.id, state=run.state, plans=[one.id for one in frozen])


def run(workspace: Workspace, profiles: Sequence[str], *, approve: bool = False, reason: str = "") -> RunOutcome:
    """Everything, in order. `approve` approves what waits for a person, never what a limit stops."""
    with recorded(workspace, "run", profiles) as active:
        with workspace.backend.read() as connection:
            home.check(workspace, connection)
        paused = _paused(workspace, profiles)
        going = [name for name in profiles if name not in paused]
        imports = _import_all(active, directories_of(workspace, going), full=False)
        left_out = {**paused, **_without_import(workspace, going, imports)}
        frozen, not_ready = _plan(active, [name for name in going if name not in left_out], None)
        left_out.update(not_ready)
        waiting = {one.id: why for one in frozen if (why := _decide(active.workspace, one, approve=approve, reason=reason)) is not None}
        ready = [one.id for one in frozen if one.id not in waiting and one.state != "empty"]
        return _written(active, ready, imports=imports, left_out=left_out, frozen=frozen, waiting=waiting)


def _written(
    run: ActiveRun,
    plan_ids: Sequence[int],
    *,
    imports: list[Imported],
    left_out: Mapping[str, str],
    frozen: Sequence[PlanSummary],
    waiting: dict[int, Waits],
) -> RunOutcome:
    """Write these plans and confirm them; what became of the run as a whole."""
    unwritable: dict[str, str] = {}
    if plan_ids:
        with run.step("export", ", ".join(f"plan {number}" for number in plan_ids)) as (step, inside):
            unwritable = write_plans(inside, run.id, plan_ids)
            if unwritable:
                step.state = "failed"
            step.text = "; ".join(unwritable.values()) or writes(_states(run, plan_ids))
        imports = [*imports, *_import_all(run, [name for name in _targets(run, plan_ids) if name not in unwritable], name="confirm")]
        waiting.update(dict.fromkeys(_exporters_waiting(run), Waits.APPROVAL))
    written = _states(run, plan_ids)
    run.counts.update(written)
    _settle(run, imports=imports, left_out=left_out, unwritable=unwritable, waiting=waiting)
    made = [one.id for one in frozen] or list(plan_ids)
    return RunOutcome(
        run=run.id,
        state=run.state,
        imports=imports,
        left_out=left_out,
        plans=list(dict.fromkeys([*made, *waiting])),
        waiting=waiting,
        written=written,
        unwritable=unwritable,
        errors=_errors(run),
    )


def _import_all(run: ActiveRun, directories: Sequence[str], *, full: bool = False, name: str = "import") -> list[Imported]:
    """Import each directory; one that fails takes no other down. In parallel, since most of it is waiting for the directories."""

    def one(directory: str) -> Imported:
        try:
            with run.step(name, directory) as (step, inside):
                # Stands until the end, so that whatever ends it before is known to have left it half read.
                _remember_failure(run, directory, f"its import by run {run.id} has not come to its end")
                settle(inside, directory, run.id)
                with inside.backend.read() as connection:
                    began = inside.backend.now(connection)
                outcome = import_directory(inside, directory, full=full, run_id=run.id)
                counts = ", ".join(f"{count} {what}" for what, count in outcome.counts.items() if count) or "nothing changed"
                because = f"everything was read, because {outcome.reason}" if outcome.full else outcome.reason
                step.text = f"{counts}; {because}" if because else counts
                confirm_import(inside, directory, run.id, began=began)
                let_go_of_lost(inside, directory)
        except (Stopped, StoreError):
            # Without a database there is nothing to go on with, in whatever directory.
            raise
        except MetasyncError as error:
            _remember_failure(run, directory, str(error))
            return Imported(directory=directory, error=str(error))
        _remember_failure(run, directory, "")
        return Imported(
            directory=directory, full=outcome.full, counts=outcome.counts, problems=len(outcome.problems), reason=outcome.reason
        )

    return _in_parallel(run, one, directories)


def _remember_failure(run: ActiveRun, directory: str, error: str) -> None:
    """An import that failed is a problem of its directory until one goes well: nothing moves there meanwhile."""
    engagement_id = run.workspace.engagement_id
    with run.workspace.backend.write() as connection:
        since = problems.known(connection, engagement_id, problems.IMPORT, directory)
        problems.clear(connection, engagement_id, problems.IMPORT, directory, [0], codes=[problems.NOT_IMPORTED])
        failed = [Problem(code=problems.NOT_IMPORTED, text=error, severity=Severity.ERROR)] if error else []
        problems.add(connection, engagement_id, problems.IMPORT, directory, run.id, failed, since)


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


def _paused(workspace: Workspace, profiles: Sequence[str]) -> dict[str, str]:
    with workspace.backend.read() as connection:
        paused = rows.paused(connection, workspace.engagement_id)
    return {name: str(Waits.PAUSED) for name in profiles if name in paused}


def _without_import(workspace: Workspace, profiles: Sequence[str], imports: Sequence[Imported]) -> dict[str, str]:
    """The profiles that must not go on, because they read a directory whose import is not complete."""
    reading = profiles_reading(workspace.engagement, workspace.host)
    return {
        name: f"the import of {one.directory} is not complete"
        for one in imports
        if one.error is not None
        for name in profiles
        if name in reading[one.directory]
    }


def _plan(
    run: ActiveRun, profiles: Sequence[str], objects: Collection[int] | None, wave: str | None = None
) -> tuple[list[PlanSummary], dict[str, str]]:
    """(plans, profiles that were not ready and why)."""
    if not profiles:
        return [], {}
    with run.step("synchronise", ", ".join(profiles)) as (step, inside):
        membership.refresh(inside, run.id)
        outcome = synchronise(inside, run.id, profiles)
        step.text = f"{outcome.looked_at} looked at, {outcome.pending} with changes, {counted(outcome.problems, 'problem')}"
    ready = [name for name in profiles if name not in outcome.not_ready]
    if not ready:
        return [], dict(outcome.not_ready)
    with run.step("plan", ", ".join(ready)) as (step, inside):
        if wave is not None:
            with inside.backend.read() as connection:
                objects = people.source_ids(inside, connection, wave)
        frozen = freeze(inside, run.id, ready, objects=objects)
        step.text = _planned(frozen)
    for one in frozen:
        for operation, count in one.counts.items():
            run.counts[operation.value] = run.counts.get(operation.value, 0) + count
    return frozen, dict(outcome.not_ready)


def _planned(frozen: Sequence[PlanSummary]) -> str:
    return f"{counted(sum(one.changes for one in frozen), 'change')} in {counted(len(frozen), 'plan')}"


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


def _states(run: ActiveRun, plan_ids: Sequence[int]) -> dict[str, int]:
    with run.workspace.backend.read() as connection:
        return ledger.count(connection, plan_ids)


def _errors(run: ActiveRun) -> int:
    engagement_id = run.workspace.engagement_id
    with run.workspace.backend.read() as connection:
        row = rows.get(connection, engagement_id, run.id)
        return problems.new_errors(connection, engagement_id, run.id, row.started) if row is not None else 0


def _targets(run: ActiveRun, plan_ids: Sequence[int]) -> list[str]:
    with run.workspace.backend.read() as connection:
        return sorted(run.workspace.directory_name(number) for number in ledger.directories_of(connection, plan_ids))


def _exporters_waiting(run: ActiveRun) -> list[int]:
    """Plans that exporters made behind the attributes of this run, and that wait for a person."""
    with run.workspace.backend.read() as connection:
        made = plans.of_run(connection, run.workspace.engagement_id, run.id)
    return [one.id for one in made if one.purpose == "exporter" and one.state == "planned"]


def _settle(
    run: ActiveRun,
    *,
    imports: Sequence[Imported] = (),
    left_out: Mapping[str, str] | None = None,
    unwritable: Mapping[str, str] | None = None,
    waiting: Mapping[int, Waits] | None = None,
) -> None:
    """How the run stands as a whole: failed, waiting or done."""
    failed = {one.directory: one.error for one in imports if one.error is not None} | dict(unwritable or {})
    behind = {name: why for name, why in (left_out or {}).items() if why != Waits.PAUSED}
    if failed or behind:
        run.state = "failed"
        run.error = "; ".join(f"{name}: {why}" for name, why in (failed or behind).items())
    elif any(why in (Waits.APPROVAL, Waits.LIMIT) for why in (waiting or {}).values()):
        run.state = "waiting"
