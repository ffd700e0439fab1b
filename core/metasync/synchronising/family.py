"""Who else stands for an identity in the same target: other profiles, and other sources of one profile.

Nobody leaves while one of them holds on, or has yet to look (law 5); of several sources the first one that holds on leads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from sqlalchemy import Connection

from metasync.store import dirty, states
from metasync.store.rows import Status
from metasync.synchronising.scope import HOLDS_ON
from metasync.synchronising.units import Unit

STANDS = (Status.IN_STEP, Status.PENDING, Status.IN_FLIGHT, Status.HELD, Status.UNREAD)
"""How an object stands under a profile that keeps its partner in step."""


class _Unknown(Enum):
    YET = auto()


NOT_YET = _Unknown.YET
"""A unit that is dirty and was not looked at again."""


@dataclass(kw_only=True, slots=True)
class Family:
    """The units of the identities of one portion, over all profiles with the same target and kind."""

    members: Mapping[int, Collection[tuple[str, int]]]
    """identity -> (profile, source object)."""
    statuses: dict[tuple[str, int], str | _Unknown] = field(default_factory=dict)
    before: dict[tuple[str, int], str] = field(default_factory=dict)
    """What was known of them when the portion was loaded."""

    @classmethod
    def load(cls, connection: Connection, units: Collection[Unit], profiles: Collection[str]) -> Family:
        """Everything that is known about the identities of these units. `profiles`: those with the same target and kind."""
        identities = {unit.identity_id for unit in units if unit.identity_id is not None}
        members: dict[int, set[tuple[str, int]]] = {}
        statuses: dict[tuple[str, int], str | _Unknown] = {}
        before: dict[tuple[str, int], str] = {}
        for identity, found in states.of_identities(connection, identities).items():
            for name, object_id, status in found:
                if name in profiles:
                    members.setdefault(identity, set()).add((name, object_id))
                    statuses[name, object_id] = before[name, object_id] = status
        for identity, name, object_id in dirty.of_identities(connection, identities, profiles):
            members.setdefault(identity, set()).add((name, object_id))
            statuses[name, object_id] = NOT_YET
        return cls(members=members, statuses=statuses, before=before)

    def settle(self, profile: str, object_id: int, status: str) -> None:
        """This unit was worked; its portion is not written yet."""
        self.statuses[profile, object_id] = status

    def others(self, profile: str, unit: Unit) -> dict[tuple[str, int], str | _Unknown]:
        """(profile, source object) -> status, of everybody but this unit."""
        mine = self.members.get(unit.identity_id or 0, ())
        return {one: self.statuses[one] for one in sorted(mine) if one != (profile, unit.id)}

    def holding(self, profile: str, unit: Unit) -> tuple[list[str], list[str]]:
        """(profiles that hold on to the identity, profiles that have not looked yet)."""
        others = self.others(profile, unit)
        holding = {name for (name, _), status in others.items() if status in HOLDS_ON}
        return sorted(holding), sorted({name for (name, _), status in others.items() if status is NOT_YET} - holding)

    def leaving(self, profile: str, unit: Unit) -> list[str]:
        """Profiles that let go last, and see to it."""
        return sorted({name for (name, _), status in self.others(profile, unit).items() if status in (Status.LEAVING, Status.LEFT)})

    def standing(self, profile: str, unit: Unit) -> list[str]:
        """Other profiles that keep the identity's object in step, or did when they last looked."""
        others = self.others(profile, unit)
        known = {one: self.before.get(one) if status is NOT_YET else status for one, status in others.items()}
        return sorted({name for (name, _), status in known.items() if status in STANDS and name != profile})

    def leads(self, profile: str, object_id: int) -> bool:
        """Another source's object holds on, and was looked at."""
        return self.statuses.get((profile, object_id)) in HOLDS_ON
