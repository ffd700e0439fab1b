"""Queries of waves: who stands in which, as the files were read last, and how far each person is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, update

from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.tables import change, join, object_, wave, wave_member

WAITING, MOVING, CUT_OVER = "waiting", "moving", "cut over"
STATES = (WAITING, MOVING, CUT_OVER)
"""In the order in which a person goes through them."""

Seen = Mapping[str, Any]
"""What expressions see as `wave`."""

IN_NONE: Seen = {"state": WAITING}


class Member(NamedTuple):
    """A key of a wave's file."""

    name: str
    key: str
    """Normalised."""
    shown: str
    object_id: int | None
    """The source object that is meant; None: see `code`."""
    identity_id: int | None
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StateRow:
    """How far one person is, and who said so."""

    identity_id: int
    object_id: int
    name: str
    key: str
    state: str
    reason: str
    author: str
    at: datetime
    began: datetime


class Holder(NamedTuple):
    """A person's object that has a key."""

    id: int
    directory_id: int
    kind: str
    anchor: str
    label: str
    state: str
    identity_id: int | None
    ours: bool
    """Metasync created it: it stands for somebody who is elsewhere."""


class Book:
    """Who is in which wave, and how far: what expressions see of each object's person."""

    def __init__(self, members: Iterable[Member] = (), states: Iterable[StateRow] = ()) -> None:
        self._of_identity: dict[int, Seen] = {}
        self._of_object: dict[int, Seen] = {}
        for one in members:
            if one.object_id is not None:
                self._put({"state": WAITING, "name": one.name}, one.identity_id, one.object_id)
        for row in states:
            if row.state != WAITING:
                self._put({"state": row.state, "name": row.name}, row.identity_id, row.object_id)

    def _put(self, seen: Seen, identity_id: int | None, object_id: int) -> None:
        self._of_object[object_id] = seen
        if identity_id is not None:
            self._of_identity[identity_id] = seen

    def of(self, identity_id: int | None, object_id: int) -> Seen:
        """What an expression about this object of this identity sees as `wave`."""
        seen = self._of_identity.get(identity_id) if identity_id is not None else None
        return seen or self._of_object.get(object_id, IN_NONE)

    def of_identity(self, identity_id: int) -> Seen:
        """The same, of whichever of its objects."""
        return self._of_identity.get(identity_id, IN_NONE)


def book(connection: Connection, engagement_id: int) -> Book:
    """As it stands now."""
    return Book(members(connection, engagement_id), states(connection, engagement_id))


def members(connection: Connection, engagement_id: int, name: str | None = None) -> list[Member]:
    """The keys of all files, or of one wave's, as they were read last."""
    query = select(*(wave_member.c[one] for one in Member._fields)).where(wave_member.c.engagement_id == engagement_id)
    if name is not None:
        query = query.where(wave_member.c.name == name)
    return [Member._make(row) for row in connection.execute(query.order_by(wave_member.c.name, wave_member.c.key))]


def set_members(connection: Connection, engagement_id: int, gone: Collection[Member], new: Collection[Member]) -> None:
    """Exchange keys."""
    here = wave_member.c.engagement_id == engagement_id
    by_name: dict[str, list[str]] = {}
    for one in gone:
        by_name.setdefault(one.name, []).append(one.key)
    for name, keys in by_name.items():
        for part in portions(keys):
            connection.execute(delete(wave_member).where(here, wave_member.c.name == name, wave_member.c.key.in_(part)))
    if new:
        connection.execute(insert(wave_member), [{"engagement_id": engagement_id, **one._asdict()} for one in new])


def states(connection: Connection, engagement_id: int, name: str | None = None) -> list[StateRow]:
    """How far everybody is who ever began to move, or those of one wave."""
    query = select(wave).where(wave.c.engagement_id == engagement_id)
    if name is not None:
        query = query.where(wave.c.name == name)
    columns = StateRow.__dataclass_fields__
    return [
        StateRow(**{one: row[one] for one in columns}) for row in connection.execute(query.order_by(wave.c.name, wave.c.key)).mappings()
    ]


def put_states(backend: Backend, connection: Connection, engagement_id: int, rows: Sequence[StateRow]) -> None:
    """These people are so far now."""
    columns = [*StateRow.__dataclass_fields__]
    query = backend.upsert(wave)
    newer = {name: query.excluded[name] for name in columns if name != "identity_id"}
    query = query.on_conflict_do_update(index_elements=[wave.c.engagement_id, wave.c.identity_id], set_=newer)
    if rows:
        connection.execute(query, [{"engagement_id": engagement_id, **{name: getattr(row, name) for name in columns}} for row in rows])


def set_state(connection: Connection, engagement_id: int, row: StateRow, *, identity_id: int, object_id: int) -> None:
    """A person goes by another object, or identity, now, and is as far as he was."""
    about = (wave.c.engagement_id == engagement_id) & (wave.c.identity_id == row.identity_id)
    connection.execute(update(wave).where(about).values(identity_id=identity_id, object_id=object_id))


HOLDERS = """
SELECT match_key.value, object.id, object.directory_id, object.kind, object.anchor, object.label, object.state, own.identity_id,
  (object.mark IS NOT NULL OR own.created) AS ours
FROM match_key
JOIN object ON object.id = match_key.object_id
LEFT JOIN "join" AS own ON own.object_id = object.id
WHERE match_key.directory_id = {directory} AND match_key.name = ? AND match_key.value IN ? AND object.kind IN ?"""


def holders(
    backend: Backend, connection: Connection, directory_ids: Iterable[int], name: str, keys: Sequence[str], kinds: Sequence[str]
) -> dict[str, list[Holder]]:
    """key -> the objects of these directories that have it, in the order of the directories; tombstones too."""
    found: dict[str, list[Holder]] = {}
    for directory_id in directory_ids:
        query = HOLDERS.format(directory=int(directory_id))
        rows = backend.fetch(connection, query, name, list(keys), list(kinds)) if keys else []
        for value, *rest in sorted(rows):
            found.setdefault(value, []).append(_holder(rest))
    return found


def objects_of(connection: Connection, identity_ids: Collection[int], object_ids: Collection[int]) -> list[Holder]:
    """All imported objects of these identities, and these objects."""
    columns: tuple[Any, ...] = (
        object_.c.id,
        object_.c.directory_id,
        object_.c.kind,
        object_.c.anchor,
        object_.c.label,
        object_.c.state,
        join.c.identity_id,
    )
    columns = (*columns, or_(object_.c.mark.is_not(None), join.c.created).label("ours"))
    query = select(*columns).select_from(object_.outerjoin(join, join.c.object_id == object_.c.id)).order_by(object_.c.id)
    found: dict[int, Holder] = {}
    for part in portions(identity_ids):
        found |= {row.id: _holder(row) for row in connection.execute(query.where(join.c.identity_id.in_(part)))}
    for part in portions(object_ids):
        found |= {row.id: _holder(row) for row in connection.execute(query.where(object_.c.id.in_(part)))}
    return list(found.values())


def _holder(row: Sequence[Any]) -> Holder:
    return Holder._make([*row[:-1], bool(row[-1])])


def send_back(connection: Connection, profiles: Collection[str], object_ids: Collection[int], error: str) -> int:
    """What was planned for these source objects and is not written goes back to review; how many changes."""
    number = 0
    for part in portions(object_ids):
        where = (change.c.profile.in_(sorted(profiles)), change.c.object_id.in_(part), change.c.state.in_(("planned", "approved")))
        number += connection.execute(update(change).where(*where).values(state="stale", error=error)).rowcount
    return number
