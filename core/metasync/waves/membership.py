"""Whom the keys of the files mean. Brought up to date before every synchronisation, so that a plan knows of every edit of a file.

Nothing is lost by a file: where it cannot be read, or has become empty, those who were in the wave stay in it; and whoever began to move
stays as far as he is, whatever any file says since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from metasync.contract import Kind
from metasync.engagement.model import Engagement, Wave
from metasync.store import dirty, problems, waves
from metasync.store.normalise import normalise
from metasync.store.rows import Problem, Severity
from metasync.store.waves import WAITING, Book, Holder, Member, StateRow
from metasync.synchronising.needs import PEOPLE, profiles_by_source, profiles_of_waves
from metasync.waves import files
from metasync.words import listed
from metasync.workspace import Workspace

AREA = "wave"
UNKNOWN, SEVERAL, TWO_WAVES = "unknown key", "several people", "two waves"
"""Why nobody is meant by a key."""

Person = tuple[int | None, int]
"""(identity, 0), or (None, source object) where he has none yet."""


def refresh(workspace: Workspace, run_id: int | None = None) -> None:
    """Read the files, see whom they mean, and mark those dirty whose wave is another one now. Held by the engine's lease."""
    engagement, engagement_id = workspace.engagement, workspace.engagement_id
    with workspace.backend.read() as connection:
        before, states = waves.members(connection, engagement_id), waves.states(connection, engagement_id)
    if not engagement.waves and not before and not states:
        return
    found: dict[str, list[Problem]] = {name: [] for name in engagement.waves}
    keys = {name: _keys(wave, [one for one in before if one.name == name], found[name]) for name, wave in engagement.waves.items()}
    with workspace.backend.write(durable=True) as connection:
        earlier = Book(before, states)
        members = _meant(workspace, connection, keys)
        followed = _follow(workspace, connection, members, states)
        old, new = set(before), set(members)
        if old != new or followed:
            states = waves.states(connection, engagement_id)
            waves.set_members(connection, engagement_id, sorted(old - new), sorted(new - old))
            people = [(one.identity_id, one.object_id) for one in (*(old - new), *(new - old)) if one.object_id is not None]
            _mark(workspace, connection, earlier, Book(members, states), [*people, *followed])
        _tell(workspace, connection, members, states, found)
        for name in {*found, *(one.name for one in before), *(one.name for one in states)}:
            _replace(workspace, connection, name, found.get(name, []), run_id)


def unreadable(engagement: Engagement) -> list[str]:
    """What is wrong with the files as such, before anything is imported."""
    wrong = []
    for wave in engagement.waves.values():
        try:
            wrong += [one.text for one in files.read(wave).problems]
        except files.Unreadable as error:
            wrong.append(str(error))
    return wrong


def _keys(wave: Wave, before: Sequence[Member], found: list[Problem]) -> Mapping[str, str]:
    """The keys of a wave: as its file has them, or as they were where it cannot be read."""
    try:
        read = files.read(wave)
        if before and not read.shown:
            raise files.Unreadable(f"wave {wave.name}: {wave.file} has no keys any more; take the wave out of the document if it is over")
    except files.Unreadable as error:
        kept = f". {len(before)} who stood in it before stay in the wave" if before else ""
        found.append(Problem(code="unreadable", text=f"{error}{kept}", severity=Severity.ERROR))
        return {one.key: one.shown for one in before}
    found += read.problems
    return read.shown


class _Meant(NamedTuple):
    key: str
    holder: Holder | None
    code: str

    @property
    def person(self) -> Person | None:
        """Who it is, whichever key names him."""
        if self.holder is None:
            return None
        return (self.holder.identity_id, 0) if self.holder.identity_id is not None else (None, self.holder.id)


def _meant(workspace: Workspace, connection: Connection, keys: Mapping[str, Mapping[str, str]]) -> list[Member]:
    """Each key with the one source object that is meant."""
    meant: dict[str, list[_Meant]] = {}
    within: dict[Person, set[str]] = {}
    for name, shown in keys.items():
        of_key = sources_of(workspace, connection, workspace.engagement.waves[name].key, list(shown))
        meant[name] = [_who(key, of_key.get(key, [])) for key in shown]
        for one in meant[name]:
            if one.person is not None:
                within.setdefault(one.person, set()).add(name)
    members = []
    for name, some in meant.items():
        for key, holder, code in some:
            one = _Meant(key, holder, code)
            if one.person is not None and len(within[one.person]) > 1:
                holder, code = None, TWO_WAVES
            identity = holder.identity_id if holder is not None else None
            members.append(Member(name, key, keys[name][key], holder.id if holder else None, identity, code))
    return members


def sources_of(workspace: Workspace, connection: Connection, attribute: str, keys: Sequence[str]) -> dict[str, list[Holder]]:
    """key -> the source objects that have it, in the order in which directories are asked: those first whose profiles read `wave`. What
    Metasync created is none of them, also where it is another profile's source: somebody who left is not his own new account."""
    kinds = [kind.value for kind in PEOPLE]
    found = waves.holders(workspace.backend, connection, source_directories(workspace), attribute, keys, kinds)
    sources = profiles_by_source(workspace.engagement)
    names = {number: name for name, number in workspace.directory_ids.items()}
    return {
        key: [one for one in some if one.state != "gone" and not one.ours and (names[one.directory_id], Kind(one.kind)) in sources]
        for key, some in found.items()
    }


def source_directories(workspace: Workspace) -> list[int]:
    """The directories where people of waves are looked for, in that order."""
    profiles, reading = workspace.engagement.profiles, profiles_of_waves(workspace.engagement, workspace.host)
    first = [name for one in profiles.values() if one.name in reading for name in one.sources]
    rest = [name for one in profiles.values() for name in one.sources]
    return [workspace.directory_ids[name] for name in dict.fromkeys([*first, *rest])]


def _who(key: str, holders: Sequence[Holder]) -> _Meant:
    """The one who has the key in the first directory that knows it; what Metasync joined to him does not count twice."""
    if not holders:
        return _Meant(key, None, UNKNOWN)
    here = [one for one in holders if one.directory_id == holders[0].directory_id]
    people = {one.identity_id if one.identity_id is not None else -one.id for one in here}
    return _Meant(key, here[0], "") if len(people) == 1 else _Meant(key, None, SEVERAL)


def _follow(
    workspace: Workspace, connection: Connection, members: Sequence[Member], states: Sequence[StateRow]
) -> list[tuple[int | None, int]]:
    """Whoever was made anew with his key, or whose object came to another identity, is as far as he was: his state follows him."""
    objects = {one.id: one for one in waves.objects_of(connection, (), {row.object_id for row in states})}
    by_key = {(one.name, one.key): one for one in members if one.object_id is not None}
    taken = {row.identity_id for row in states}
    moved: list[tuple[int | None, int]] = []
    for row in states:
        own, again = objects.get(row.object_id), by_key.get((row.name, normalise(row.key)))
        object_id, identity_id = row.object_id, own.identity_id if own is not None else None
        if again is not None and again.object_id is not None and (own is None or own.state == "gone" or own.ours):
            object_id, identity_id = again.object_id, again.identity_id
        identity_id = row.identity_id if identity_id is None or identity_id in taken else identity_id
        if (identity_id, object_id) == (row.identity_id, row.object_id):
            continue
        taken.add(identity_id)
        waves.set_state(connection, workspace.engagement_id, row, identity_id=identity_id, object_id=object_id)
        moved += [(row.identity_id, row.object_id), (identity_id, object_id)]
    return moved


def _mark(
    workspace: Workspace, connection: Connection, before: Book, after: Book, changed: Iterable[tuple[int | None, int | None]]
) -> None:
    """Mark exactly those whose wave is another one now; `changed`: (identity, object) that may be."""
    rows = list(changed)
    identities = {identity for identity, _ in rows if identity is not None}
    concerned = waves.objects_of(connection, identities, {number for _, number in rows if number is not None})
    other = [one for one in concerned if before.of(one.identity_id, one.id) != after.of(one.identity_id, one.id)]
    mark(workspace, connection, other)


def mark(workspace: Workspace, connection: Connection, concerned: Iterable[Holder]) -> None:
    """These objects are looked at again by the profiles that read `wave`."""
    reading, sources = profiles_of_waves(workspace.engagement, workspace.host), profiles_by_source(workspace.engagement)
    names = {number: name for name, number in workspace.directory_ids.items()}
    rows = [
        (profile, one.id, dirty.WHOLE)
        for one in concerned
        if one.directory_id in names
        for profile in sources.get((names[one.directory_id], Kind(one.kind)), ())
        if profile in reading
    ]
    dirty.mark(workspace.backend, connection, workspace.engagement_id, rows)


def _tell(
    workspace: Workspace, connection: Connection, members: Sequence[Member], states: Sequence[StateRow], found: dict[str, list[Problem]]
) -> None:
    """What a person should know of these keys."""
    document, where = workspace.engagement.waves, listed([*dict.fromkeys(_names(workspace))])
    several: dict[str, set[str]] = {}
    for one in members:
        if one.code == TWO_WAVES:
            several.setdefault(one.key, set()).add(one.name)
    for one in members:
        key = f"{document[one.name].key} {one.shown}"
        text = {
            UNKNOWN: f"nobody in {where} has {key}; is it written right, and was everything imported? Nobody is meant by it",
            SEVERAL: f"several people have {key}; nobody is meant by it until it is one person's alone",
            TWO_WAVES: f"{key} stands in several waves, {listed(sorted(several.get(one.key, ())))}; it counts in none until all files but "
            "one let go of it",
        }.get(one.code)
        if text is not None:
            found[one.name].append(Problem(code=one.code, text=text, severity=Severity.WARNING, anchor=one.shown))
    stands = {one.identity_id: one.name for one in members if one.identity_id is not None}
    for row in states:
        if row.state == WAITING or stands.get(row.identity_id) == row.name:
            continue
        other = stands.get(row.identity_id)
        now = f"stands in the file of {other} now" if other else f"does not stand in the file of {row.name} any more"
        if row.name not in document:
            now = f"the document has no wave {row.name} any more"
        text = f"{row.key} is {row.state} in {row.name}, and {now}; he stays there until `metasync wave back {row.name}` takes him back"
        problem = Problem(code="not in the file", text=text, severity=Severity.NOTICE, anchor=row.key, object_id=row.object_id)
        found.setdefault(row.name, []).append(problem)


def _names(workspace: Workspace) -> Iterable[str]:
    names = {number: name for name, number in workspace.directory_ids.items()}
    return [names[number] for number in source_directories(workspace)]


def _replace(workspace: Workspace, connection: Connection, name: str, found: Sequence[Problem], run_id: int | None) -> None:
    """Let these be the problems of a wave; what stood before keeps its date."""
    since = problems.known(connection, workspace.engagement_id, AREA, name)
    problems.replace(connection, workspace.engagement_id, AREA, name, [])
    problems.add(connection, workspace.engagement_id, AREA, name, run_id, found, since)
