"""The people of one wave: those whom its file names, and those who began to move with it, whatever the file says since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from metasync.contract import MetasyncError
from metasync.naming import NoSuchObject, find_object
from metasync.store import waves
from metasync.store.normalise import normalise
from metasync.store.waves import WAITING, Holder, StateRow
from metasync.waves.membership import SEVERAL, TWO_WAVES, UNKNOWN
from metasync.words import listed
from metasync.workspace import Workspace

ELSEWHERE = "another wave"


class NoSuchWave(MetasyncError):
    """There is no such wave; see `metasync wave list`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One person of a wave."""

    key: str
    """As the file has it."""
    label: str
    """What people call him; empty where nobody is meant."""
    state: str
    code: str = ""
    """Why nobody is meant by the key, or why he does not move with this wave."""
    words: str = ""
    """The same for people."""
    source: Holder | None = None
    """The object that the file means."""
    row: StateRow | None = None
    """Who said how far he is; None: nobody did yet."""
    in_file: bool = True

    @property
    def is_meant(self) -> bool:
        """It is known who it is, and he belongs to this wave."""
        return self.source is not None and not self.code

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.label} ({self.key})" if self.label and self.label != self.key else self.key


def known(workspace: Workspace, connection: Connection, name: str) -> None:
    """Is there such a wave, in the document or among those who move? Raises `NoSuchWave`."""
    names = [*workspace.engagement.waves, *(row.name for row in waves.states(connection, workspace.engagement_id))]
    if name not in names:
        has = f"the document has: {listed([*workspace.engagement.waves])}" if workspace.engagement.waves else "the document has no waves"
        raise NoSuchWave(f"there is no wave {name!r}; {has}")


def of_wave(workspace: Workspace, connection: Connection, name: str) -> list[Person]:
    """Everybody, in the order of the keys. Raises `NoSuchWave`."""
    known(workspace, connection, name)
    members = waves.members(connection, workspace.engagement_id, name)
    states = waves.states(connection, workspace.engagement_id)
    of_identity, of_object = {row.identity_id: row for row in states}, {row.object_id: row for row in states}
    object_ids = {one.object_id for one in members if one.object_id is not None} | {row.object_id for row in states if row.name == name}
    objects = {one.id: one for one in waves.objects_of(connection, (), object_ids)}
    found: list[Person] = []
    seen: set[int] = set()
    for member in members:
        source = objects.get(member.object_id or 0)
        if source is None:
            code = member.code or UNKNOWN
            found.append(Person(key=member.shown, label="", state=WAITING, code=code, words=_why(code, name)))
            continue
        who = source.identity_id if source.identity_id is not None else -source.id
        if who in seen:
            continue  # two keys of one person
        seen.add(who)
        row = of_identity.get(source.identity_id or 0) or of_object.get(source.id)
        if row is not None and row.name != name and row.state != WAITING:
            words = f"is {row.state} in {row.name}; take him back there first: `metasync wave back {row.name}`"
            found.append(Person(key=member.shown, label=source.label, state=row.state, code=ELSEWHERE, words=words, source=source, row=row))
            continue
        own = row if row is not None and row.name == name else None
        found.append(Person(key=member.shown, label=source.label, state=own.state if own else WAITING, source=source, row=own))
    for row in states:
        if row.name == name and row.state != WAITING and row.identity_id not in seen and -row.object_id not in seen:
            source = objects.get(row.object_id)
            label = source.label if source is not None else row.key
            found.append(Person(key=row.key, label=label, state=row.state, source=source, row=row, in_file=False))
    return sorted(found, key=lambda one: (normalise(one.key), one.key))


def chosen(workspace: Workspace, people: Sequence[Person], wave: str, objects: Collection[str], but: Collection[str]) -> list[Person]:
    """Those of them whom these names mean (all, where there are none), but the others. A name is a key of the file, what
    only one of them is called, or an object's.
    Raises `MetasyncError` for a name that is nobody's of the wave."""
    taken = {id(one) for name in objects for one in _named(workspace, people, wave, name)}
    left = {id(one) for name in but for one in _named(workspace, people, wave, name)}
    return [one for one in people if (not objects or id(one) in taken) and id(one) not in left]


def source_ids(workspace: Workspace, connection: Connection, name: str) -> list[int]:
    """Everything that stands for the people of a wave: what a pilot of it is about. Raises `NoSuchWave`."""
    people = [one for one in of_wave(workspace, connection, name) if one.is_meant]
    return sorted({one.id for some in sources(connection, people).values() for one in some})


def since(workspace: Workspace, connection: Connection, name: str) -> dict[int, datetime]:
    """Identity -> when he began to move with this wave. Raises `NoSuchWave`."""
    known(workspace, connection, name)
    return {row.identity_id: row.began for row in waves.states(connection, workspace.engagement_id, name)}


def _named(workspace: Workspace, people: Iterable[Person], wave: str, name: str) -> list[Person]:
    people = list(people)
    by_key = [one for one in people if normalise(one.key) == normalise(name)]
    if by_key:
        return by_key
    # His objects in several directories are called the same; within a wave that is one person.
    by_label = [one for one in people if one.label and normalise(one.label) == normalise(name)]
    if len(by_label) == 1:
        return by_label
    try:
        seen = find_object(workspace, name)
    except NoSuchObject as error:
        raise NoSuchObject(f"nobody of the wave {wave} has the key {name!r}, and {error}") from None
    by_object = [
        one
        for one in people
        if one.source is not None and (one.source.id == seen.id or (seen.identity is not None and one.source.identity_id == seen.identity))
    ]
    if not by_object:
        raise NoSuchWave(f"{seen.name} is not in the wave {wave}; `metasync wave report {wave}` shows who is")
    return by_object


def sources(connection: Connection, people: Iterable[Person]) -> Mapping[int, list[Holder]]:
    """Position of a person -> all imported objects that stand for him."""
    people = list(people)
    meant = [(at, one.source) for at, one in enumerate(people) if one.source is not None]
    by_identity = {source.identity_id: at for at, source in meant if source.identity_id is not None}
    by_object = {source.id: at for at, source in meant}
    found: dict[int, list[Holder]] = {}
    for one in waves.objects_of(connection, by_identity.keys(), by_object.keys()):
        at = by_identity.get(one.identity_id) if one.identity_id is not None else None
        at = by_object.get(one.id) if at is None else at
        if at is not None:
            found.setdefault(at, []).append(one)
    return found


def _why(code: str, wave: str) -> str:
    return {
        UNKNOWN: "nobody has this key; is it written right, and was everything imported?",
        SEVERAL: "several people have this key",
        TWO_WAVES: "stands in the files of several waves; take it out of all but one",
    }.get(code, f"is not meant by {wave}")
