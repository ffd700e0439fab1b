"""What each kind of run does: which steps in which order, which profiles go on when a directory fails, and which plans are written.

`run` is all of them: import, synchronise, plan, approve what policy allows, export, confirm. A run on the queue is told from its beginning
each time that it goes on (`doing`), so nothing here may depend on what another run or a person changes meanwhile, but by `once`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from metasync import notifying
from metasync.exporting import home
from metasync.exporting.windows import opens
from metasync.planning import PlanSummary, auto_approve
from metasync.planning import approve as approve_plan
from metasync.planning.plan import summary
from metasync.runs.doing import Doing, together
from metasync.runs.outcome import Imported, RunOutcome, Waits
from metasync.runs.record import ActiveRun
from metasync.store import ledger, plans, problems
from metasync.store import runs as rows
from metasync.synchronising.needs import profiles_reading
from metasync.workspace import Workspace


@dataclass(kw_only=True, slots=True)
class Telling:
    """A run, and how its steps are done."""

    run: ActiveRun
    doing: Doing

    @property
    def workspace(self) -> Workspace:
        """Where it works."""
        return self.run.workspace


@dataclass(kw_only=True, slots=True)
class Part:
    """What became of some profiles of a run."""

    imports: list[Imported] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    plans: list[int] = field(default_factory=list)
    """In the order in which they were made."""
    written: list[int] = field(default_factory=list)
    """Those of them that were exported."""
    waiting: dict[int, Waits] = field(default_factory=dict)
    unwritable: dict[str, str] = field(default_factory=dict)


Verb = Callable[..., RunOutcome]
"""(telling, what it is of, and its options by name) -> what it came to."""


def import_(at: Telling, directories: Sequence[str], *, full: bool = False) -> RunOutcome:
    """Import these directories."""
    imports = _import_all(at, directories, full=full)
    if full:
        home.settle(at.workspace, [one.directory for one in imports if one.error is None])
    return _outcome(at, Part(imports=imports))


def plan(at: Telling, profiles: Sequence[str], *, objects: Sequence[int] | None = None, wave: str | None = None) -> RunOutcome:
    """Synchronise and freeze these profiles, from what was imported last: all, or a pilot of these objects, or of the people of a wave."""
    frozen, left_out = _plan(at, profiles, objects, wave)
    return _outcome(at, Part(plans=[one.id for one in frozen], left_out=left_out))


def export(at: Telling, plan_names: Sequence[str], *, plans: Sequence[int]) -> RunOutcome:
    """Write approved plans, then import their targets to confirm."""
    finished = {int(plan): run for plan, run in at.doing.once("finished", partial(_finished, at, plans)).items()}
    part = Part(plans=list(plans))
    _write(at, part, plans)
    outcome = _outcome(at, part)
    return replace(outcome, finished=finished, written=_states(at, [number for number in plans if number not in finished]))


def confirm(at: Telling, targets: Sequence[str]) -> RunOutcome:
    """Import the targets, to see what was written there."""
    return _outcome(at, Part(imports=_import_all(at, targets, name="confirm")))


def undo(at: Telling, words: Sequence[str], *, run: int | None = None, wave: str | None = None) -> RunOutcome:
    """Plan the way back from a run, or from a wave; it is approved and exported like any other plan."""
    name, of, what = ("undo", f"run {run}", {"run": run}) if wave is None else ("undo wave", wave, {"wave": wave})
    (made,) = at.doing.all(name, [of], what)
    return RunOutcome(run=at.run.id, state=at.run.state, plans=made)


def run(at: Telling, profiles: Sequence[str], *, approve: bool = False, reason: str = "") -> RunOutcome:
    """Everything, in order. `approve` approves what waits for a person, never what a limit stops.

    Profiles that have no directory in common, not even by others between them, wait for nothing of each other."""
    paused = at.doing.once("begin", partial(_begin, at, profiles))
    going = [name for name in profiles if name not in paused]
    at.doing.begin("import", directories_of(at.workspace, going), {"full": False})
    parts = together(partial(_whole, at, some, approve=approve, reason=reason) for some in apart(at.workspace, going))
    whole = Part(left_out=paused)
    for part in parts:
        whole.imports += part.imports
        whole.left_out |= part.left_out
        whole.plans += part.plans
        whole.written += part.written
        whole.waiting |= part.waiting
        whole.unwritable |= part.unwritable
    return _outcome(at, whole)


VERBS: Mapping[str, Verb] = {"import": import_, "plan": plan, "export": export, "confirm": confirm, "undo": undo, "run": run}
"""Every kind of run."""


def directories_of(workspace: Workspace, profiles: Iterable[str]) -> list[str]:
    """The directories that these profiles read, sources before targets."""
    wanted, reading = set(profiles), profiles_reading(workspace.engagement, workspace.host)
    targets = {workspace.engagement.profiles[name].target for name in wanted}
    found = [name for name in workspace.engagement.directories if wanted & set(reading[name])]
    return sorted(found, key=lambda name: name in targets)


def apart(workspace: Workspace, profiles: Sequence[str]) -> list[list[str]]:
    """These profiles in groups that have no directory in common, so that what one does concerns no other; in their order."""
    engagement = workspace.engagement
    ties = [{name} | set(reading) for name, reading in _directories_by_profile(workspace).items()]
    ties += [{use.source, use.target} for use in engagement.exporters]
    groups: list[set[str]] = []
    for tie in ties:
        touching = [one for one in groups if one & tie]
        groups = [one for one in groups if not one & tie] + [tie.union(*touching)]
    found = [[name for name in profiles if name in group] for group in groups]
    return sorted((one for one in found if one), key=lambda one: profiles.index(one[0]))


def _directories_by_profile(workspace: Workspace) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in workspace.engagement.profiles}
    for directory, readers in profiles_reading(workspace.engagement, workspace.host).items():
        for name in readers:
            # A profile may be called as a directory is.
            found[name].append(f"directory {directory}")
    return found


def _begin(at: Telling, profiles: Sequence[str]) -> dict[str, str]:
    """Profile -> why it does not take part. Raises `NotAtHome`."""
    workspace = at.workspace
    with workspace.backend.read() as connection:
        home.check(workspace, connection)
        paused = rows.paused(connection, workspace.engagement_id)
    return {name: str(Waits.PAUSED) for name in profiles if name in paused}


def _whole(at: Telling, profiles: Sequence[str], *, approve: bool, reason: str) -> Part:
    """The whole job of some profiles."""
    part = Part(imports=_import_all(at, directories_of(at.workspace, profiles)))
    part.left_out |= _without_import(at.workspace, profiles, part.imports)
    frozen, not_ready = _plan(at, [name for name in profiles if name not in part.left_out])
    part.left_out |= not_ready
    part.plans += [one.id for one in frozen]
    ready: list[int] = []
    for one in frozen:
        why = at.doing.once(f"decide {one.id}", partial(_decide, at.workspace, one, approve=approve, reason=reason))
        if why is not None:
            part.waiting[one.id] = Waits(why)
        elif one.state != "empty":
            ready.append(one.id)
    _write(at, part, ready)
    return part


def _import_all(at: Telling, directories: Sequence[str], *, full: bool = False, name: str = "import") -> list[Imported]:
    return [Imported(**one) for one in at.doing.all(name, directories, {"full": full})]


def _plan(
    at: Telling, profiles: Sequence[str], objects: Sequence[int] | None = None, wave: str | None = None
) -> tuple[list[PlanSummary], dict[str, str]]:
    """(plans, profiles that were not ready and why)."""
    if not profiles:
        return [], {}
    if at.doing.shared:
        (parts,) = at.doing.all("divide", [", ".join(profiles)], {"profiles": list(profiles)})
        at.doing.all("compare", list(parts), {}, parts)
    (not_ready,) = at.doing.all("synchronise", [", ".join(profiles)], {"profiles": list(profiles)})
    ready = [name for name in profiles if name not in not_ready]
    if not ready:
        return [], not_ready
    (made,) = at.doing.all("plan", [", ".join(ready)], {"profiles": ready, "objects": objects, "wave": wave})
    with at.workspace.backend.read() as connection:
        found = {row.id: summary(row) for row in plans.of_ids(connection, at.workspace.engagement_id, made)}
    frozen = [found[number] for number in made]
    for one in frozen:
        for operation, count in one.counts.items():
            at.run.counts[operation.value] = at.run.counts.get(operation.value, 0) + count
    return frozen, not_ready


def _decide(workspace: Workspace, plan: PlanSummary, *, approve: bool, reason: str) -> Waits | None:
    """Approve a plan where policy or the caller allows it; else why it waits."""
    profile = workspace.engagement.profiles.get(plan.profile)
    if plan.state == "empty":
        return None
    if profile is not None and profile.staging:
        return Waits.STAGING
    if auto_approve(workspace, plan.id):
        return None
    if plan.exceeded or not approve:
        notifying.plan_waits(workspace, plan.id)
        return Waits.LIMIT if plan.exceeded else Waits.APPROVAL
    approve_plan(workspace, plan.id, reason=reason or "approved by `run --approve`")
    return None


def _write(at: Telling, part: Part, plan_ids: Sequence[int]) -> None:
    """Write these plans, and confirm them; those whose directories may not be written now wait for another run."""
    closed = at.doing.once(f"windows of {plan_ids}", partial(_closed, at, plan_ids))
    part.waiting |= dict.fromkeys(closed, Waits.WINDOW)
    plan_ids = [number for number in plan_ids if number not in closed]
    if not plan_ids:
        return
    part.unwritable |= at.doing.export(plan_ids)
    part.written += plan_ids
    part.imports += _import_all(at, [name for name in _targets(at, plan_ids) if name not in part.unwritable], name="confirm")


def _closed(at: Telling, plan_ids: Sequence[int]) -> list[int]:
    """Those of these plans that write to a directory whose window is closed."""
    workspace = at.workspace
    with workspace.backend.read() as connection:
        now = workspace.backend.now(connection)
        writing = ledger.directories_of(connection, plan_ids)
    found: set[int] = set()
    for directory_id, chosen in writing.items():
        if opens(workspace.engagement.directories[workspace.directory_name(directory_id)].windows, now) is not None:
            found.update(chosen)
    return sorted(found)


def _outcome(at: Telling, part: Part) -> RunOutcome:
    """How the run stands as a whole: failed, waiting or done."""
    active = at.run
    if part.written:
        part.waiting |= dict.fromkeys(_exporters_waiting(at), Waits.APPROVAL)
    written = _states(at, part.written) if part.written else {}
    active.counts.update(written)
    failed = {one.directory: one.error for one in part.imports if one.error is not None} | part.unwritable
    behind = {name: why for name, why in part.left_out.items() if why != Waits.PAUSED}
    if failed or behind:
        active.state = "failed"
        active.error = "; ".join(f"{name}: {why}" for name, why in (failed or behind).items())
    elif any(why in (Waits.APPROVAL, Waits.LIMIT, Waits.WINDOW) for why in part.waiting.values()):
        active.state = "waiting"
    return RunOutcome(
        run=active.id,
        state=active.state,
        imports=part.imports,
        left_out=part.left_out,
        plans=list(dict.fromkeys([*part.plans, *part.waiting])),
        waiting=part.waiting,
        written=written,
        unwritable=part.unwritable,
        errors=_errors(at),
    )


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


def _states(at: Telling, plan_ids: Sequence[int]) -> dict[str, int]:
    with at.workspace.backend.read() as connection:
        return ledger.count(connection, plan_ids)


def _finished(at: Telling, plan_ids: Sequence[int]) -> dict[str, Any]:
    with at.workspace.backend.read() as connection:
        return {str(plan): run for plan, run in ledger.finished(connection, plan_ids).items()}


def _errors(at: Telling) -> int:
    engagement_id = at.workspace.engagement_id
    with at.workspace.backend.read() as connection:
        row = rows.get(connection, engagement_id, at.run.id)
        return problems.new_errors(connection, engagement_id, at.run.id, row.started) if row is not None else 0


def _targets(at: Telling, plan_ids: Sequence[int]) -> list[str]:
    with at.workspace.backend.read() as connection:
        return sorted(at.workspace.directory_name(number) for number in ledger.directories_of(connection, plan_ids))


def _exporters_waiting(at: Telling) -> list[int]:
    """Plans that exporters made behind the attributes of this run, and that wait for a person."""
    with at.workspace.backend.read() as connection:
        made = plans.of_run(connection, at.workspace.engagement_id, at.run.id)
    return [one.id for one in made if one.purpose == "exporter" and one.state == "planned"]
