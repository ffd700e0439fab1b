"""A synchronisation in parts, for several workers: whoever is in step is found to be so by any of them, at once; what is left, because it
needs a decision, is worked by one afterwards, as always. So the plan is the same, however many there were.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
SLICES = 4
"""Into so many slices a part can be cut. The last parts are of one each: whoever is done first finds another one, and near the end nobody
waits long for a last part that one worker alone has in hand."""
SMALL = 2
"""Of so many parts the slices are parts of their own."""


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
            found += _parts(profile.name, _slices(setting))
    return found


def compare(workspace: Workspace, run_id: int, part: Partition) -> int:
    """Pass over whoever is in step; how many."""
    profile = workspace.engagement.profiles[part.profile]
    outcome = SyncOutcome()
    with workspace.backend.read() as connection:
        setting = compiled(connection, workspace, run_id, profile, workspace.schemas(), outcome, pin=False)
        about = (workspace.backend, connection, setting.engagement_id, profile.name, setting.now)
        marked = dirty.marked_among(*about, first=part.first, last=part.last)
    # Whoever is of a directory that is no source any more is left, as whatever is not found to be in step.
    Pairs(setting).pass_over(marked)
    return outcome.looked_at


def _sure(workspace: Workspace, profile: Profile) -> bool:
    """Is every profile for the same objects of the target ready?"""
    schemas = workspace.schemas()
    same = (one for one in workspace.engagement.profiles.values() if (one.target, one.target_kind) == (profile.target, profile.target_kind))
    return not any(not_ready(workspace, one, schemas) for one in same)


Slice = tuple[int, int, int]
"""Source objects side by side: the number of the first, of the last, and how many there are."""


def _slices(setting: Setting) -> list[Slice]:
    """Whoever is due, also of directories that are no source any more. The server cuts: so many numbers are not read to be counted."""
    backend = setting.workspace.backend
    with backend.read() as connection:
        about = (backend, connection, setting.engagement_id, setting.profile.name, setting.now)
        return dirty.slices(*about, max(1, PARTITION // SLICES))


def _parts(profile: str, slices: Sequence[Slice]) -> list[Partition]:
    if sum(number for _, _, number in slices) < 2 * PARTITION:
        return []
    whole = max(0, len(slices) - SMALL * SLICES)
    together = [slices[at : min(at + SLICES, whole)] for at in range(0, whole, SLICES)] + [[one] for one in slices[whole:]]
    return [Partition(profile=profile, first=some[0][0], last=some[-1][1]) for some in together]
