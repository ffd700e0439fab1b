"""A synchronisation in parts, for several workers: whoever is in step is found to be so by any of them, at once; what is left, because it
needs a decision, is worked by one afterwards, as always. So the plan is the same, however many there were.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from metasync.contract import MetasyncError
from metasync.engagement.model import Profile
from metasync.store import dirty
from metasync.synchronising.pairs import Pairs
from metasync.synchronising.setting import Setting, SyncOutcome
from metasync.synchronising.synchronise import compiled, not_ready, prepare
from metasync.workspace import Workspace

PARTITION = 10_000
"""Source objects of one part: opening and compiling then cost next to nothing beside the work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """Source objects of one profile, by their numbers, both ends included."""

    profile: str
    first: int
    last: int


def divide(workspace: Workspace, run_id: int, profiles: Collection[str]) -> list[Partition]:
    """The parts in which these profiles may be looked at by several; none where they are small, or much hangs together."""
    schemas, found = workspace.schemas(), []
    for profile in workspace.engagement.profiles.values():
        if profile.name not in profiles or not_ready(workspace, profile, schemas):
            continue
        try:
            setting = prepare(workspace, run_id, profile, schemas, SyncOutcome())
        except MetasyncError:
            continue  # the synchronisation itself tells
        if _sure(workspace, profile) and Pairs(setting).possible():
            found += _parts(profile.name, sorted(_due(setting)))
    return found


def compare(workspace: Workspace, run_id: int, part: Partition) -> int:
    """Pass over whoever is in step; how many."""
    profile = workspace.engagement.profiles[part.profile]
    outcome = SyncOutcome()
    with workspace.backend.read() as connection:
        setting = compiled(connection, workspace, run_id, profile, workspace.schemas(), outcome, pin=False)
        due = dirty.due_among(
            workspace.backend, connection, setting.engagement_id, profile.name, setting.now, first=part.first, last=part.last
        )
    Pairs(setting).pass_over([one for one, directory_id in due if directory_id in setting.programs])
    return outcome.looked_at


def _sure(workspace: Workspace, profile: Profile) -> bool:
    """Is every profile for the same objects of the target ready?"""
    schemas = workspace.schemas()
    same = (one for one in workspace.engagement.profiles.values() if (one.target, one.target_kind) == (profile.target, profile.target_kind))
    return not any(not_ready(workspace, one, schemas) for one in same)


def _due(setting: Setting) -> list[int]:
    backend = setting.workspace.backend
    with backend.read() as connection:
        due = dirty.due(backend, connection, setting.engagement_id, setting.profile.name, setting.now)
    return [one for one, directory_id in due if directory_id in setting.programs]


def _parts(profile: str, ids: list[int]) -> list[Partition]:
    if len(ids) < 2 * PARTITION:
        return []
    number = -(-len(ids) // PARTITION)
    size = -(-len(ids) // number)
    return [Partition(profile=profile, first=some[0], last=some[-1]) for at in range(0, len(ids), size) if (some := ids[at : at + size])]
