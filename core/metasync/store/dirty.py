"""What an import marks to be synchronised again. What the synchroniser marks itself is in `sync`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, select, update

from metasync.store.backend import Backend
from metasync.store.joins import portions
from metasync.store.tables import dirty, join

WHOLE = 0
"""`dirty.member_id` where the whole object is to be looked at."""


def mark(backend: Backend, connection: Connection, engagement_id: int, rows: Iterable[tuple[str, int, int]]) -> None:
    """Mark (profile, source object id, member id or `WHOLE`) as due now; what waited for a later time is due now too."""
    wanted = sorted(set(rows))
    by_profile: dict[str, list[int]] = {}
    for profile, object_id, _ in wanted:
        by_profile.setdefault(profile, []).append(object_id)
    for profile, object_ids in by_profile.items():
        for part in portions(object_ids):
            waiting = (dirty.c.profile == profile) & dirty.c.object_id.in_(part) & dirty.c.due_at.is_not(None)
            connection.execute(update(dirty).where(waiting).values(due_at=None))
    columns = ("engagement_id", "profile", "object_id", "member_id")
    backend.insert(connection, dirty, columns, ((engagement_id, *row) for row in wanted), ignore=True)


def partners(
    connection: Connection, object_ids: Collection[int], directory_ids: Collection[int], kind: str | None
) -> list[tuple[int, int]]:
    """(object, the object of the same identity in one of these directories), itself included; `kind`: of the latter."""
    own, other = join.alias("own"), join.alias("other")
    found: list[tuple[int, int]] = []
    for part in portions(object_ids):
        query = (
            select(own.c.object_id, other.c.object_id)
            .join(other, other.c.identity_id == own.c.identity_id)
            .where(own.c.object_id.in_(part), other.c.object_id.is_not(None), other.c.directory_id.in_(sorted(directory_ids)))
        )
        if kind is not None:
            query = query.where(other.c.kind == kind)
        found += [(one, partner) for one, partner in connection.execute(query)]
    return found
