"""Queries of source objects that have a partner in the target, and of what the last synchronisation knew of both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from metasync.store.backend import Backend
from metasync.store.tables import as_stored, pending, problem, sync_state, wanted


class Row(NamedTuple):
    """A living source object and its living partner, as far as it takes to find that nothing has to be done: each column costs."""

    id: int
    directory_id: int
    anchor: str
    blob: bytes
    identity_id: int
    known_computed: bytes | None
    reason: str
    left_cause: str | None
    in_step: bool | None
    """The two were in step, and the partner has not changed since."""
    changed: bytes | None
    """The source object's digest, where it is another one than it was."""


class Known(NamedTuple):
    """What else there is to know of the two where they have to be compared."""

    id: int
    digest: bytes
    target_id: int
    target_digest: bytes
    enabled: bool | None
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


FROM = """
FROM object AS source
JOIN "join" AS own ON own.object_id = source.id
JOIN "join" AS other ON other.identity_id = own.identity_id AND other.directory_id = ? AND other.kind = ?
JOIN object AS target ON target.id = other.object_id
JOIN sync_state AS known ON known.profile = ? AND known.object_id = source.id
WHERE """
ROWS = f"""
SELECT source.id, source.directory_id, source.anchor, source.blob, own.identity_id, known.computed, known.reason, known.left_cause,
       known.status = 'in step' AND known.target = target.digest, NULLIF(source.digest, known.digest)
{FROM} source.state = 'live' AND source.kind = ? AND target.state = 'live' AND NOT target.privileged
AND known.status IN ('in step', 'pending') AND (other.done IS NULL OR CAST(other.done AS TEXT) = 'null') AND """
NATIVE = "source.mark IS NULL AND NOT own.created AND "
SOME = "source.id IN ?"
DENSE = "source.id BETWEEN ? AND ? AND own.object_id BETWEEN ? AND ? AND known.object_id BETWEEN ? AND ?"
"""Side by side they are read in their order, and not looked for one by one: on PostgreSQL that is a third of this query."""
GAPS = 1.5
"""Up to so many times their number, ids lie side by side."""
KNOWN = f"SELECT source.id, source.digest, target.id, target.digest, known.enabled, known.left_since {FROM} {SOME}"


def rows(
    backend: Backend,
    connection: Connection,
    profile: str,
    object_ids: Sequence[int],
    source_kind: str,
    target_id: int,
    target_kind: str,
    *,
    native: bool,
) -> list[Row]:
    """Source objects and their partners, in the order of their ids: of those that are simple enough to be passed over where they are in
    step. Both are there, nothing was done to either because somebody left, and the partner is not privileged. `native`: nor were they made
    by us. The ids are given in their order."""
    about = (target_id, target_kind, profile, source_kind)
    query = f"{ROWS}{NATIVE}" if native else ROWS
    first, last = object_ids[0], object_ids[-1]
    if last - first >= GAPS * len(object_ids):
        return list(map(Row._make, sorted(backend.fetch(connection, f"{query}{SOME}", *about, list(object_ids)))))
    asked = {*object_ids}
    found = backend.fetch(connection, f"{query}{DENSE}", *about, *(first, last) * 3)
    return [Row._make(row) for row in sorted(found) if row[0] in asked]


def known(
    backend: Backend, connection: Connection, profile: str, object_ids: Sequence[int], target_id: int, target_kind: str
) -> dict[int, Known]:
    """Source object -> what is known of it and of its partner."""
    found = backend.fetch(connection, KNOWN, target_id, target_kind, profile, list(object_ids))
    return {row[0]: Known._make(row) for row in found}


def images(backend: Backend, connection: Connection, object_ids: Sequence[int]) -> dict[int, bytes]:
    """object id -> its image."""
    return dict(backend.fetch(connection, "SELECT id, blob FROM object WHERE id IN ?", list(object_ids)))


def bearers(backend: Backend, connection: Connection, directory_id: int, values: dict[str, list[str]]) -> dict[tuple[str, str], set[int]]:
    """(key name, value) -> every object that has it, or had before it was deleted."""
    query = f"SELECT value, object_id FROM match_key WHERE directory_id = {int(directory_id)} AND name = ? AND value IN ?"
    found: dict[tuple[str, str], set[int]] = {}
    for name, folded in values.items():
        for value, object_id in backend.fetch(connection, query, name, folded):
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
