"""Who must be synchronised again because of what an import changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from metasync.contract import Kind
from metasync.engagement.model import Profile
from metasync.store import dirty, states, waits
from metasync.store import pending as pending_rows
from metasync.synchronising.needs import profiles_by_source, profiles_reading
from metasync.workspace import Workspace

MEMBERS = "members"
FEW = 1000
"""Above so many changed members the group is looked at as a whole."""


@dataclass(slots=True)
class Touched:
    """What one page changed."""

    whole: dict[int, Kind] = field(default_factory=dict)
    """Objects by id."""
    former: dict[int, Kind] = field(default_factory=dict)
    """Of whole objects that became another kind, the one that they were."""
    members: dict[int, tuple[Kind, set[int]]] = field(default_factory=dict)
    """Groups of which nothing but these members changed."""
    keys: set[tuple[str, str]] = field(default_factory=set)
    """Match keys (name, value) that an object has now, or had before."""

    def reference(self, holder: int, kind: Kind, attribute: str, target: int | None) -> None:
        """A reference of this holder was added, removed, or means something else now."""
        if attribute != MEMBERS or target is None:
            self.whole[holder] = kind
        else:
            self.members.setdefault(holder, (kind, set()))[1].add(target)


class Marks:
    """Marks (profile, source object) as dirty, for one directory."""

    def __init__(self, workspace: Workspace, directory: str, connection: Connection) -> None:
        self._backend = workspace.backend
        self._engagement_id = workspace.engagement_id
        self._directory_id = workspace.directory_ids[directory]
        self._ids = workspace.directory_ids
        self._directory = directory
        # A profile that was never synchronised is marked as a whole when it first is.
        self._profiles: Mapping[str, Profile] = {
            name: profile
            for name, profile in workspace.engagement.profiles.items()
            if dirty.basis(connection, workspace.engagement_id, name) is not None
        }
        self._by_source = profiles_by_source(workspace.engagement)
        self._reading = [
            self._profiles[name] for name in profiles_reading(workspace.engagement, workspace.host)[directory] if name in self._profiles
        ]

    @property
    def idle(self) -> bool:
        """Nobody was ever synchronised who could have to look again."""
        return not self._profiles

    def write(self, connection: Connection, touched: Touched) -> None:
        """Mark everybody who reads what was touched, in the transaction that changed it."""
        if not self._profiles:
            return
        groups = {holder: one for holder, one in touched.members.items() if holder not in touched.whole}
        rows: set[tuple[str, int, int]] = set()
        for object_id, kind in (*touched.whole.items(), *touched.former.items()):
            rows.update((profile, object_id, dirty.WHOLE) for profile in self._of_source(kind))
        for holder, (kind, members) in groups.items():
            rows.update((profile, holder, member) for profile in self._of_source(kind) for member in few(members))
        for profile in self._reading:
            rows.update(self._partners(connection, profile, touched.whole, groups))
        keys = [(self._directory_id, name, value) for name, value in touched.keys]
        waiting = waits.on_keys(connection, keys)
        bearing = [(name, object_id) for name, object_id, _ in waits.creating_by_reservation(self._backend, connection, keys)]
        waiting += bearing
        # Who has the value, too, is in step with his partner as before, but the value is not his alone.
        states.compare_again(self._backend, connection, bearing)
        rows.update((name, object_id, dirty.WHOLE) for name, object_id in waiting if name in self._profiles)
        if rows:
            dirty.mark(self._backend, connection, self._engagement_id, rows)

    def went(self, connection: Connection, object_ids: Collection[int]) -> None:
        """Groups for which somebody is pending who is gone are compared whole: nothing else would look at that member again."""
        holders = pending_rows.naming_members(connection, [profile.name for profile in self._reading], object_ids)
        dirty.mark(self._backend, connection, self._engagement_id, [(profile, holder, dirty.WHOLE) for profile, holder in holders])

    def _of_source(self, kind: Kind) -> Iterable[str]:
        return [name for name in self._by_source.get((self._directory, kind), ()) if name in self._profiles]

    def _partners(
        self, connection: Connection, profile: Profile, whole: Collection[int], groups: Mapping[int, tuple[Kind, set[int]]]
    ) -> Iterable[tuple[str, int, int]]:
        """The source objects of a profile that stand for the same identities as what was touched here."""
        sources = [self._ids[name] for name in profile.sources]
        for _, partner in dirty.partners(self._backend, connection, whole, sources, profile.source_kind):
            yield profile.name, partner, dirty.WHOLE
        if not groups:
            return
        members = {member for _, found in groups.values() if len(found) < FEW for member in found}
        theirs: dict[int, set[int]] = {}
        for member, partner in dirty.partners(self._backend, connection, members, sources, None):
            theirs.setdefault(member, set()).add(partner)
        for holder, partner in dirty.partners(self._backend, connection, groups, sources, profile.source_kind):
            if partner == holder:
                continue
            changed = groups[holder][1]
            if len(changed) >= FEW or not changed <= theirs.keys():
                # A member that no identity stands for matters to an authoritative mapping only, which compares all of them.
                yield profile.name, partner, dirty.WHOLE
            else:
                for member in changed:
                    yield from ((profile.name, partner, other) for other in theirs[member])


def few(members: Collection[int]) -> Iterable[int]:
    """The members, or the whole group where they are many."""
    return members if len(members) < FEW else (dirty.WHOLE,)
