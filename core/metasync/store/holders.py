"""Queries of source objects whose references are worked out, and of what they are in the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from metasync.store.backend import Backend


class Kept(NamedTuple):
    """A source object that is kept in step, or is about to be created."""

    id: int
    directory_id: int
    anchor: str
    creates: bool
    identity_id: int | None
    target_id: int | None
    target_anchor: str | None
    label: str
    """Of the object in the target, or of the source object."""


KEPT = """
SELECT state.object_id, source.directory_id, source.anchor, pending.id IS NOT NULL AND pending.anchor IS NULL, own.identity_id,
       target.id, target.anchor, COALESCE(target.label, source.label)
FROM sync_state AS state
JOIN object AS source ON source.id = state.object_id
LEFT JOIN pending ON pending.profile = state.profile AND pending.object_id = state.object_id
LEFT JOIN "join" AS own ON own.object_id = state.object_id
LEFT JOIN "join" AS other ON other.identity_id = own.identity_id AND other.directory_id = ? AND other.kind = ?
LEFT JOIN object AS target ON target.id = other.object_id AND target.state = 'live'
WHERE state.profile = ? AND state.object_id IN ? AND state.status IN ('in step', 'pending') AND state.desired IS NOT NULL
ORDER BY state.object_id"""


def kept(backend: Backend, connection: Connection, profile: str, object_ids: Sequence[int], target_id: int, kind: str) -> list[Kept]:
    """Those of these source objects whose references are kept, in the order of their ids."""
    found = backend.fetch(connection, KEPT, target_id, kind, profile, list(object_ids))
    rows = map(Kept._make, found)
    return [row._replace(creates=bool(row.creates)) for row in rows if row.creates or row.target_id is not None]


def under_way(backend: Backend, connection: Connection, engagement_id: int, profile: str, target_id: int) -> bool:
    """Is anything of the profile held, or on its way into the target?"""
    written = "SELECT 1 FROM change WHERE engagement_id = ? AND directory_id = ? AND state IN ('in_flight', 'written')"
    return backend.any(connection, "SELECT 1 FROM hold WHERE profile = ?", profile) or backend.any(
        connection, written, engagement_id, target_id
    )
