"""Queries of source objects that have a partner in the target, and of what the last synchronisation knew of both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from metasync.store.backend import Backend
from metasync.store.tables import as_stored, pending, problem, sync_state, wanted


class Row(NamedTuple):
    """A source object and its partner."""

    id: int
    directory_id: int
    kind: str
    anchor: str
    state: str
    digest: bytes
    blob: bytes
    mark: str | None
    created: bool
    """Metasync created the source object."""
    identity_id: int
    target_id: int
    target_state: str
    target_digest: bytes
    target_privileged: bool
    done: object
    """Steps of leaving that were taken, as the database gives them."""
    status: str
    reason: str
    known_digest: bytes
    known_target: bytes | None
    known_computed: bytes | None
    enabled: bool | None
    left_cause: str | None
    left_since: Any
    """As the database gives it."""


class Kept(NamedTuple):
    """A unique value that is, or was, reserved for an identity."""

    identity_id: int
    attribute: str
    value: str
    shown: str
    base: str
    released: object
    profile: str


ROWS = """
SELECT source.id, source.directory_id, source.kind, source.anchor, source.state, source.digest, source.blob, source.mark, own.created,
       own.identity_id, target.id, target.state, target.digest, target.privileged, other.done, known.status, known.reason, known.digest,
       known.target, known.computed, known.enabled, known.left_cause, known.left_since
FROM object AS source
JOIN "join" AS own ON own.object_id = source.id
JOIN "join" AS other ON other.identity_id = own.identity_id AND other.directory_id = ? AND other.kind = ?
JOIN object AS target ON target.id = other.object_id
JOIN sync_state AS known ON known.profile = ? AND known.object_id = source.id
WHERE source.id IN ?"""


def rows(backend: Backend, connection: Connection, profile: str, object_ids: Sequence[int], target_id: int, kind: str) -> list[Row]:
    """Source objects and their partners, of those that have one and were synchronised before, in the order of their ids."""
    return list(map(Row._make, sorted(backend.fetch(connection, ROWS, target_id, kind, profile, list(object_ids)))))


def images(backend: Backend, connection: Connection, object_ids: Sequence[int]) -> dict[int, bytes]:
    """object id -> its image."""
    return dict(backend.fetch(connection, "SELECT id, blob FROM object WHERE id IN ?", list(object_ids)))


def bearers(backend: Backend, connection: Connection, directory_id: int, values: dict[str, list[str]]) -> dict[tuple[str, str], set[int]]:
    """(key name, value) -> every object that has it, or had before it was deleted."""
    query = "SELECT value, object_id FROM match_key WHERE directory_id = ? AND name = ? AND value IN ?"
    found: dict[tuple[str, str], set[int]] = {}
    for name, folded in values.items():
        for value, object_id in backend.fetch(connection, query, directory_id, name, folded):
            found.setdefault((name, value), set()).add(object_id)
    return found


def kept(
    backend: Backend, connection: Connection, directory_id: int, identity_ids: Sequence[int], *, but: Collection[str]
) -> dict[tuple[int, str], list[Kept]]:
    """(identity, attribute) -> what is reserved for it in this directory, or was; but what these profiles reserved."""
    query = "SELECT identity_id, attribute, value, shown, base, released, profile FROM reserved WHERE identity_id IN ? AND directory_id = ?"
    found: dict[tuple[int, str], list[Kept]] = {}
    for row in backend.fetch(connection, query, list(identity_ids), directory_id):
        one = Kept._make(row)
        if one.profile not in but:
            found.setdefault((one.identity_id, one.attribute), []).append(one)
    return found


def settle(
    backend: Backend,
    connection: Connection,
    engagement_id: int,
    profile: str,
    run_id: int,
    rows: Iterable[tuple[Any, ...]],
) -> None:
    """These objects are in step, and nothing is pending for them, awaited by them or wrong with them: (source object, its digest, the
    target's, that of what was computed, reason, enabled, that of what is desired, how it left, and since when)."""
    columns = ("digest", "target", "computed", "status", "reason", "enabled", "desired", "left_cause", "left_since", "run_id")
    given = list(rows)
    values = (
        (digest, target, computed, "in step", reason, enabled, desired, left, as_stored(connection, since), run_id, profile, object_id)
        for object_id, digest, target, computed, reason, enabled, desired, left, since in given
    )
    backend.update(connection, sync_state, columns, ("profile", "object_id"), values)
    ids = [row[0] for row in given]
    for table in (pending, wanted):
        there = backend.fetch(connection, f"SELECT object_id FROM {table.name} WHERE profile = ? AND object_id IN ?", profile, ids)
        backend.delete(connection, table, ("profile", "object_id"), ((profile, row[0]) for row in {*there}))
    query = "SELECT DISTINCT object_id FROM problem WHERE engagement_id = ? AND area = 'synchronise' AND of = ? AND object_id IN ?"
    about = ("engagement_id", "area", "of", "object_id")
    wrong = backend.fetch(connection, query, engagement_id, profile, ids)
    backend.delete(connection, problem, about, ((engagement_id, "synchronise", profile, row[0]) for row in wrong))


def set_digests(backend: Backend, connection: Connection, profile: str, rows: Iterable[tuple[bytes, int]]) -> None:
    """What changed of these source objects changes nothing: (digest, source object)."""
    values = ((digest, profile, object_id) for digest, object_id in rows)
    backend.update(connection, sync_state, ("digest",), ("profile", "object_id"), values)
