"""Queries of matching: which objects have a key, or an anchor."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, select

from metasync.contract import Kind
from metasync.store import match_keys
from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.tables import match_key, object_


class Candidate(NamedTuple):
    """An object that a look-up found."""

    id: int
    kind: Kind
    anchor: str
    label: str
    privileged: bool


def look_up(connection: Connection, directory_id: int, name: str, values: Collection[str]) -> dict[str, list[Candidate]]:
    """normalised value -> the live objects that have it."""
    found: dict[str, list[Candidate]] = {}
    for part in portions(values):
        query = (
            select(match_key.c.value, object_.c.id, object_.c.kind, object_.c.anchor, object_.c.label, object_.c.privileged)
            .join(object_, object_.c.id == match_key.c.object_id)
            .where(match_keys.of_directory(directory_id), match_key.c.name == name, match_key.c.value.in_(part), object_.c.state != "gone")
            .order_by(object_.c.anchor)
        )
        for row in connection.execute(query):
            candidate = Candidate(id=row.id, kind=Kind(row.kind), anchor=row.anchor, label=row.label, privileged=bool(row.privileged))
            if candidate not in found.setdefault(row.value, []):
                found[row.value].append(candidate)
    return found


def by_name(keys: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """name -> its values, of keys (name, value)."""
    found: dict[str, list[str]] = {}
    for name, value in keys:
        found.setdefault(name, []).append(value)
    return found


def held(backend: Backend, connection: Connection, directory_id: int, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these keys (name, value) that an object has, or had before it was deleted."""
    if not match_keys.any_of(backend, connection, directory_id):
        return set()
    query = f"SELECT value FROM match_key WHERE directory_id = {int(directory_id)} AND name = ? AND value IN ?"
    return {(name, row[0]) for name, values in by_name(keys).items() for row in backend.fetch(connection, query, name, values)}


def by_anchor(connection: Connection, directory_id: int, anchor: str) -> list[Candidate]:
    """The live object with this anchor, if there is one."""
    query = select(object_).where(object_.c.directory_id == directory_id, object_.c.anchor == anchor, object_.c.state != "gone")
    return [
        Candidate(id=row.id, kind=Kind(row.kind), anchor=row.anchor, label=row.label, privileged=bool(row.privileged))
        for row in connection.execute(query)
    ]
