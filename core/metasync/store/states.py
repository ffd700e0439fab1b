"""Queries of how each source object stood after its profile last synchronised it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.tables import join, sync_state

COLUMNS = (
    "engagement_id",
    "profile",
    "object_id",
    "digest",
    "target",
    "computed",
    "status",
    "reason",
    "enabled",
    "desired",
    "left_cause",
    "left_since",
    "run_id",
)


class SyncState(NamedTuple):
    """What the last synchronisation of one object by one profile ended with."""

    object_id: int
    digest: bytes
    status: str
    reason: str
    target: bytes | None = None
    computed: bytes | None = None
    enabled: bool | None = None
    desired: bytes | None = None
    left_cause: str | None = None
    left_since: datetime | None = None


def of_objects(connection: Connection, profile: str, object_ids: Collection[int]) -> dict[int, SyncState]:
    """How each object stood after the last synchronisation."""
    columns = [sync_state.c[name] for name in SyncState._fields]
    found = {}
    for part in portions(object_ids):
        for row in connection.execute(select(*columns).where(sync_state.c.profile == profile, sync_state.c.object_id.in_(part))):
            found[row[0]] = SyncState._make(row)
    return found


def of_identities(connection: Connection, identity_ids: Collection[int]) -> dict[int, list[tuple[str, int, str]]]:
    """identity -> (profile, source object, status) of every profile that ever looked at one of its objects."""
    found: dict[int, list[tuple[str, int, str]]] = {}
    for part in portions(identity_ids):
        query = (
            select(join.c.identity_id, sync_state.c.profile, sync_state.c.object_id, sync_state.c.status)
            .join(sync_state, sync_state.c.object_id == join.c.object_id)
            .where(join.c.identity_id.in_(part))
        )
        for row in connection.execute(query):
            found.setdefault(row.identity_id, []).append((row.profile, row.object_id, row.status))
    return found


def put(backend: Backend, connection: Connection, engagement_id: int, profile: str, run_id: int, rows: Sequence[SyncState]) -> None:
    """Replace the states of these objects."""
    for part in portions([row.object_id for row in rows]):
        connection.execute(delete(sync_state).where(sync_state.c.profile == profile, sync_state.c.object_id.in_(part)))
    add(backend, connection, engagement_id, profile, run_id, rows)


def add(backend: Backend, connection: Connection, engagement_id: int, profile: str, run_id: int, rows: Iterable[SyncState]) -> None:
    """The states of objects that had none."""
    stored = (
        (
            engagement_id,
            profile,
            row.object_id,
            row.digest,
            row.target,
            row.computed,
            row.status,
            row.reason,
            row.enabled,
            row.desired,
            row.left_cause,
            row.left_since,
            run_id,
        )
        for row in rows
    )
    backend.insert(connection, sync_state, COLUMNS, backend.stored(connection, sync_state, COLUMNS, stored))


def compare_again(backend: Backend, connection: Connection, rows: Iterable[tuple[str, int]]) -> None:
    """What is known of these (profile, source object) does not say any more that they are in step."""
    backend.update(connection, sync_state, ("target",), ("profile", "object_id"), ((None, *row) for row in sorted(set(rows))))
