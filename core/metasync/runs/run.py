"""Each verb of the job, for whoever asks for it: done here, or put on the queue and waited for, as `--dispatch` says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from metasync.runs.dispatch import is_inline
from metasync.runs.inline import Inline
from metasync.runs.outcome import Imported, RunOutcome, Waits
from metasync.runs.queue import ordered
from metasync.runs.record import recorded
from metasync.runs.verbs import VERBS, Telling
from metasync.workspace import Workspace

__all__ = ["Imported", "RunOutcome", "Waits", "confirm", "export", "import_directories", "plan", "run", "undo", "undo_wave"]


def import_directories(workspace: Workspace, directories: Sequence[str], *, full: bool = False) -> RunOutcome:
    """Import these directories."""
    return _do(workspace, "import", directories, full=full)


def plan(workspace: Workspace, profiles: Sequence[str], objects: Collection[int] | None = None, *, wave: str | None = None) -> RunOutcome:
    """Synchronise and freeze these profiles, from what was imported last: all, or a pilot of these objects, or of the people of a wave."""
    return _do(workspace, "plan", profiles, objects=None if objects is None else sorted(objects), wave=wave)


def export(workspace: Workspace, plan_ids: Sequence[int]) -> RunOutcome:
    """Write approved plans, then import their targets to confirm."""
    return _do(workspace, "export", [f"plan {number}" for number in plan_ids], plans=list(plan_ids))


def confirm(workspace: Workspace) -> RunOutcome:
    """Import the targets that hold written, unconfirmed changes."""
    return _do(workspace, "confirm", sorted({profile.target for profile in workspace.engagement.profiles.values()}))


def undo(workspace: Workspace, run_id: int) -> RunOutcome:
    """Plan the way back from a run; it is approved and exported like any other plan."""
    return _do(workspace, "undo", [f"run {run_id}"], run=run_id)


def undo_wave(workspace: Workspace, name: str) -> RunOutcome:
    """Plan the way back from what was written for the people of a wave, by whatever run, since each of them began to move."""
    return _do(workspace, "undo", [f"wave {name}"], wave=name)


def run(workspace: Workspace, profiles: Sequence[str], *, approve: bool = False, reason: str = "") -> RunOutcome:
    """Everything, in order. `approve` approves what waits for a person, never what a limit stops."""
    return _do(workspace, "run", profiles, approve=approve, reason=reason)


def _do(workspace: Workspace, kind: str, what: Sequence[str], **options: Any) -> RunOutcome:
    if not is_inline(workspace.dispatch):
        return ordered(workspace, kind, what, options)
    with recorded(workspace, kind, what) as active:
        return VERBS[kind](Telling(run=active, doing=Inline(active)), what, **options)
