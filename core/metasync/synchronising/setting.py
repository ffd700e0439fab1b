"""What one pass knows of one profile: made once, handed to every part of the pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from metasync.contract import Kind, Schema
from metasync.engagement.model import Engagement, Profile
from metasync.store.rows import Status
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.match import ByHand, Matching
from metasync.synchronising.needs import profiles_by_source, profiles_reading
from metasync.synchronising.program import Program
from metasync.synchronising.units import Loader, Unit
from metasync.workspace import Workspace

PORTION = 2000
"""Units per transaction."""


@dataclass(kw_only=True, slots=True)
class SyncOutcome:
    """What a pass did."""

    looked_at: int = 0
    pending: int = 0
    problems: int = 0
    not_ready: dict[str, str] = field(default_factory=dict)
    """profile -> why it was not synchronised, in words."""


@dataclass(kw_only=True)
class Setting:
    """One profile in one pass."""

    workspace: Workspace
    run_id: int
    profile: Profile
    schemas: Mapping[str, Schema]
    outcome: SyncOutcome
    now: datetime
    programs: Mapping[int, Program]
    """By the source directory's id."""
    hand: ByHand
    unsure: frozenset[str] = frozenset()
    """Profiles with the same target and kind that cannot be synchronised now: they may hold on to anybody."""
    marked_whole: bool = False
    """All of its objects were marked when this pass began, their references included."""
    whole: frozenset[str] = frozenset()
    """Profiles of this pass all of whose objects were marked when it began: nobody has to be marked for them."""

    @property
    def engagement(self) -> Engagement:
        """The document."""
        return self.workspace.engagement

    @property
    def engagement_id(self) -> int:
        """Its number in the database."""
        return self.workspace.engagement_id

    @cached_property
    def target_id(self) -> int:
        """The target directory."""
        return self.workspace.directory_ids[self.profile.target]

    @cached_property
    def source_ids(self) -> list[int]:
        """The source directories."""
        return [self.workspace.directory_ids[name] for name in self.profile.sources]

    @cached_property
    def source_names(self) -> frozenset[str]:
        """The same by name."""
        return frozenset(self.profile.sources)

    @cached_property
    def names(self) -> Mapping[int, str]:
        """Directory id -> name, also of those that the document has no more: identities have objects there."""
        return self.workspace.names

    @property
    def alone(self) -> bool:
        """One source, and no other profile for the same objects of the target: nobody else decides along."""
        apart = len(self.same_target) == 1 and self.replaced is None and not self.successors
        return apart and len(self.profile.sources) == 1 and self.profile.disjoint is None and not self.unsure

    @cached_property
    def replaced(self) -> Profile | None:
        """The profile whose objects give way to ours."""
        return self.engagement.profiles.get(self.profile.replaces or "")

    @cached_property
    def successors(self) -> tuple[Profile, ...]:
        """The profiles to whose objects ours give way."""
        return tuple(one for one in self.engagement.profiles.values() if one.replaces == self.profile.name)

    @cached_property
    def refers(self) -> bool:
        """Does the profile map references?"""
        return any(program.references for program in self.programs.values())

    @cached_property
    def allowed(self) -> frozenset[str]:
        """Privileged objects of the target that the document names one by one."""
        return self.engagement.directories[self.profile.target].allow_privileged

    @cached_property
    def loader(self) -> Loader:
        """Loads units."""
        return Loader(self.workspace, self.profile, self.programs, self.schemas)

    @cached_property
    def matching(self) -> Matching:
        """Finds partners."""
        return Matching(self.profile, self.target_id, self.profile.target, self.hand, self.allowed)

    @cached_property
    def by_source(self) -> Mapping[tuple[str, Kind], tuple[str, ...]]:
        """(directory, kind) -> profiles that start there."""
        return profiles_by_source(self.engagement)

    def readers(self, directory: str) -> list[Profile]:
        """The other profiles that read a directory."""
        return [self.engagement.profiles[name] for name in self._reading[directory] if name != self.profile.name]

    @cached_property
    def _reading(self) -> Mapping[str, tuple[str, ...]]:
        return profiles_reading(self.engagement, self.workspace.host)

    @cached_property
    def same_target(self) -> frozenset[str]:
        """Profiles that write the same kind in the same target, this one among them."""
        mine = (self.profile.target, self.profile.target_kind)
        return frozenset(one.name for one in self.engagement.profiles.values() if (one.target, one.target_kind) == mine)

    @cached_property
    def other_kinds(self) -> frozenset[str]:
        """Profiles that write another kind in the same target."""
        profiles = self.engagement.profiles.values()
        return frozenset(one.name for one in profiles if one.target == self.profile.target and one.name not in self.same_target)

    def portions(self, ids: Sequence[int]) -> Iterator[list[int]]:
        """So many units as one transaction takes. Raises `Stopped` between two."""
        for start in range(0, len(ids), PORTION):
            self.workspace.check_stop()
            yield list(ids[start : start + PORTION])


def stopped(unit: Unit, error: ObjectError) -> None:
    """An error stops that object for that profile; no other."""
    unit.status, unit.reason, unit.operations, unit.creates = Status.PROBLEM, f"{error.attribute}: {error}", [], False
    unit.problem("value", str(error), error.attribute)


def label_of(unit: Unit, attributes: Mapping[str, Any]) -> str:
    """What people call the target object; `attributes` are those of a new one."""
    if unit.target is not None and unit.target.object_id is not None:
        return unit.target.label
    for name in ("displayName", "name", "mail"):
        if isinstance(attributes.get(name), str):
            return str(attributes[name])
    return unit.source.label
