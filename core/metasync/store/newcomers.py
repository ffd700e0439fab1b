"""Queries of source objects that have neither partner nor history under a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from metasync.store import match_keys
from metasync.store.backend import Backend
from metasync.store.dirty import WHOLE, mark
from metasync.store.portions import PORTION
from metasync.store.tables import dirty, identity, join, pending, reserved, sync_state, wanted


class Row(NamedTuple):
    """A source object, as far as it matters before anybody knows it."""

    id: int
    directory_id: int
    kind: str
    anchor: str
    label: str
    state: str
    digest: bytes
    blob: bytes
    mark: str | None


class Candidate(NamedTuple):
    """An object of the target that has a key."""

    id: int
    kind: str
    anchor: str
    state: str
    privileged: bool
    mark: str | None
    identity_id: int | None


CANDIDATES = """
SELECT match_key.value, object.id, object.kind, object.anchor, object.state, object.privileged, object.mark, own.identity_id
FROM match_key
JOIN object ON object.id = match_key.object_id
LEFT JOIN "join" AS own ON own.object_id = object.id
WHERE match_key.directory_id = {directory} AND match_key.name = ? AND match_key.value IN ?"""


def candidates(
    backend: Backend, connection: Connection, directory_id: int, values: Mapping[str, list[str]]
) -> dict[tuple[str, str], list[Candidate]]:
    """(key name, value) -> the objects that have it, tombstones too; `values`: key name -> values."""
    found: dict[tuple[str, str], list[Candidate]] = {}
    if not match_keys.any_of(backend, connection, directory_id):
        return found
    query = CANDIDATES.format(directory=int(directory_id))
    for name, folded in values.items():
        for value, *rest in backend.fetch(connection, query, name, folded):
            found.setdefault((name, value), []).append(Candidate._make(rest))
    return found


def without_history(
    backend: Backend, connection: Connection, profile: str, directory_ids: Sequence[int], object_ids: Sequence[int]
) -> list[int]:
    """Those of these objects that were never synchronised by the profile and belong to no identity, in the order given."""
    known: set[int] = set()
    for there, query in (
        ("SELECT 1 FROM sync_state WHERE profile = ?", "SELECT object_id FROM sync_state WHERE profile = ? AND object_id IN ?"),
        ('SELECT 1 FROM "join" WHERE directory_id = ?', 'SELECT object_id FROM "join" WHERE directory_id = ? AND object_id IN ?'),
    ):
        for about in [profile] if "profile" in there else directory_ids:
            # On a first load there is nothing to be asked for one by one.
            if backend.any(connection, there, about):
                for start in range(0, len(object_ids), PORTION):
                    known.update(row[0] for row in backend.fetch(connection, query, about, list(object_ids[start : start + PORTION])))
    return [one for one in object_ids if one not in known] if known else list(object_ids)


def left_behind(backend: Backend, connection: Connection, engagement_id: int, profile: str, reason: str) -> list[int]:
    """Source objects that are pending for this reason."""
    query = "SELECT object_id FROM sync_state WHERE engagement_id = ? AND profile = ? AND status = 'pending' AND reason = ?"
    return [row[0] for row in backend.fetch(connection, query, engagement_id, profile, reason)]


def rows(backend: Backend, connection: Connection, object_ids: Sequence[int]) -> dict[int, Row]:
    """id -> object."""
    query = "SELECT id, directory_id, kind, anchor, label, state, digest, blob, mark FROM object WHERE id IN ?"
    return {row[0]: Row._make(row) for row in backend.fetch(connection, query, list(object_ids))}


def take_back(backend: Backend, connection: Connection, engagement_id: int, profile: str, object_ids: Sequence[int]) -> None:
    """As if these had not been worked yet: they are newcomers again, and dirty. Only for what this very pass made of them."""
    ids = list(object_ids)
    query = 'SELECT identity_id FROM "join" WHERE object_id IN ?'
    identities = [(row[0],) for row in backend.fetch(connection, query, ids)]
    backend.delete(connection, reserved, ("identity_id",), identities)
    backend.delete(connection, join, ("identity_id",), identities)
    backend.delete(connection, identity, ("id",), identities)
    for table in (pending, sync_state, wanted, dirty):
        backend.delete(connection, table, ("profile", "object_id"), [(profile, one) for one in ids])
    mark(backend, connection, engagement_id, [(profile, one, WHOLE) for one in ids])
