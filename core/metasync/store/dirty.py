"""Queries of what is to be synchronised again: marks on whole source objects, or on single members of theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, insert, literal, select, update

from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.tables import as_stored, dirty, join, object_, profile_state

WHOLE = 0
"""`dirty.member_id` where the whole object is to be looked at."""
VALUES = -2
"""`dirty.member_id` where the document changed, but nothing that decides about references: whoever is found to be what he was need not have
them looked at."""
REFERENCES = -1
"""`dirty.member_id` where all of the object was looked at but its references, which wait until it is known who exists."""


ALL = (WHOLE, VALUES)
"""`dirty.member_id` of those whose values are to be looked at."""


class Basis(NamedTuple):
    """Digests of what decides about all objects of a profile."""

    whole: str
    references: str
    """Of what decides about their references."""


def basis(connection: Connection, engagement_id: int, profile: str) -> Basis | None:
    """Under what the profile was last marked as a whole."""
    query = select(profile_state.c.basis, profile_state.c.reference_basis)
    row = connection.execute(query.where(profile_state.c.engagement_id == engagement_id, profile_state.c.profile == profile)).one_or_none()
    return Basis(*row) if row is not None else None


def forget_all_but(connection: Connection, engagement_id: int, profiles: Collection[str]) -> None:
    """Other profiles than these are not told what imports change from now on: should they come back, they are marked as a whole."""
    gone = (profile_state.c.engagement_id == engagement_id) & profile_state.c.profile.not_in(list(profiles))
    connection.execute(delete(profile_state).where(gone))


def mark_whole(
    connection: Connection, engagement_id: int, profile: str, directory_ids: Collection[int], kind: str, now: Basis, *, references: bool
) -> None:
    """Mark every source object of a profile, those included that it once joined and that are gone; `references`: what decides about their
    references changed, too."""
    own = (dirty.c.profile == profile) & (dirty.c.engagement_id == engagement_id)
    member_id = WHOLE if references else VALUES
    every = select(object_.c.engagement_id, literal(profile), object_.c.id, literal(member_id)).where(
        object_.c.directory_id.in_(directory_ids), object_.c.kind == kind
    )
    known = exists().where(dirty.c.profile == profile, dirty.c.object_id == object_.c.id, dirty.c.member_id == member_id)
    connection.execute(insert(dirty).from_select(["engagement_id", "profile", "object_id", "member_id"], every.where(~known)))
    connection.execute(update(dirty).where(own, dirty.c.due_at.is_not(None)).values(due_at=None))
    connection.execute(delete(profile_state).where(profile_state.c.engagement_id == engagement_id, profile_state.c.profile == profile))
    basis_ = {"basis": now.whole, "reference_basis": now.references}
    connection.execute(insert(profile_state).values(engagement_id=engagement_id, profile=profile, **basis_))


def mark(backend: Backend, connection: Connection, engagement_id: int, rows: Iterable[tuple[str, int, int]]) -> None:
    """Mark (profile, source object id, member id or `WHOLE`) as due now; what waited for a later time is due now too."""
    wanted = sorted(set(rows))
    # Members do not wait for a time.
    by_profile: dict[str, list[int]] = {}
    for profile, object_id, member_id in wanted:
        if member_id == WHOLE:
            by_profile.setdefault(profile, []).append(object_id)
    for profile, object_ids in by_profile.items():
        for part in portions(object_ids):
            waiting = (dirty.c.profile == profile) & dirty.c.object_id.in_(part) & dirty.c.due_at.is_not(None)
            connection.execute(update(dirty).where(waiting).values(due_at=None))
    columns = ("engagement_id", "profile", "object_id", "member_id")
    backend.insert(connection, dirty, columns, ((engagement_id, *row) for row in wanted), ignore=True)


def mark_later(backend: Backend, connection: Connection, engagement_id: int, profile: str, times: Mapping[int, datetime]) -> None:
    """Mark whole source objects as due at a time each; what is due sooner stays so."""
    if not times:
        return
    query = backend.upsert(dirty)
    sooner = dirty.c.due_at > query.excluded.due_at
    query = query.on_conflict_do_update(
        index_elements=[dirty.c.profile, dirty.c.object_id, dirty.c.member_id], set_={"due_at": query.excluded.due_at}, where=sooner
    )
    row = {"engagement_id": engagement_id, "profile": profile, "member_id": WHOLE}
    connection.execute(query, [{**row, "object_id": object_id, "due_at": due_at} for object_id, due_at in times.items()])


WHOLE_AND_DUE = f"member_id <= {WHOLE} AND member_id <> {REFERENCES} AND (due_at IS NULL OR due_at <= ?)"
"""One range of the key for each object: `IN` of two numbers has PostgreSQL look each object up twice."""
DUE = f"""
SELECT DISTINCT object.id, object.directory_id, object.anchor
FROM dirty JOIN object ON object.id = dirty.object_id
WHERE dirty.engagement_id = ? AND profile = ? AND {WHOLE_AND_DUE}
ORDER BY object.directory_id, object.anchor"""
MARKED = f"SELECT DISTINCT object_id FROM dirty WHERE engagement_id = ? AND profile = ? AND {WHOLE_AND_DUE}"
SLICES = f"""
SELECT min(object_id), max(object_id), count(*)
FROM (SELECT object_id, (row_number() OVER (ORDER BY object_id) - 1) / ? AS slice FROM ({MARKED}) AS every) AS numbered
GROUP BY slice
ORDER BY slice"""
IN_ORDER = "SELECT id, directory_id FROM object WHERE id IN ? ORDER BY directory_id, anchor"


def marked(backend: Backend, connection: Connection, engagement_id: int, profile: str, now: datetime) -> list[int]:
    """Whole source objects that are due, in whatever order, and whatever directory they are of: only of those that are left once it is
    known who is in step (`in_order`) it counts."""
    return [row[0] for row in backend.fetch(connection, MARKED, engagement_id, profile, as_stored(connection, now))]


def slices(
    backend: Backend, connection: Connection, engagement_id: int, profile: str, now: datetime, size: int
) -> list[tuple[int, int, int]]:
    """All of `marked`, in slices of so many by their numbers: (the first, the last, how many)."""
    found = backend.fetch(connection, SLICES, size, engagement_id, profile, as_stored(connection, now))
    return [(row[0], row[1], row[2]) for row in found]


def in_order(backend: Backend, connection: Connection, object_ids: Collection[int]) -> list[tuple[int, int]]:
    """(source object id, its directory) of these, in the order that decides about unique values."""
    return [(row[0], row[1]) for row in backend.fetch(connection, IN_ORDER, list(object_ids))] if object_ids else []


def due(backend: Backend, connection: Connection, engagement_id: int, profile: str, now: datetime) -> list[tuple[int, int]]:
    """(source object id, its directory) of whole objects that are due, in the order that decides about unique values."""
    return [(row[0], row[1]) for row in backend.fetch(connection, DUE, engagement_id, profile, as_stored(connection, now))]


def marked_among(
    backend: Backend, connection: Connection, engagement_id: int, profile: str, now: datetime, *, first: int, last: int
) -> list[int]:
    """Those of `marked` with numbers from `first` to `last`, in whatever order."""
    values = (engagement_id, profile, as_stored(connection, now), first, last)
    return [row[0] for row in backend.fetch(connection, f"{MARKED} AND object_id >= ? AND object_id <= ?", *values)]


def due_members(connection: Connection, engagement_id: int, profile: str) -> dict[int, set[int]]:
    """source object id -> the members of it that are dirty by themselves."""
    query = select(dirty.c.object_id, dirty.c.member_id).where(
        dirty.c.engagement_id == engagement_id, dirty.c.profile == profile, dirty.c.member_id > WHOLE
    )
    found: dict[int, set[int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.object_id, set()).add(row.member_id)
    return found


def due_references(connection: Connection, engagement_id: int, profile: str) -> list[int]:
    """Source objects all of whose references are to be worked out."""
    query = select(dirty.c.object_id).where(
        dirty.c.engagement_id == engagement_id, dirty.c.profile == profile, dirty.c.member_id == REFERENCES
    )
    return list(connection.execute(query).scalars())


def await_references(backend: Backend, connection: Connection, engagement_id: int, profile: str, object_ids: Collection[int]) -> None:
    """All of these objects was looked at but their references."""
    columns = ("engagement_id", "profile", "object_id", "member_id")
    rows = ((engagement_id, profile, one, REFERENCES) for one in object_ids)
    backend.insert(connection, dirty, columns, rows, ignore=True)


def clean(backend: Backend, connection: Connection, profile: str, object_ids: Collection[int], now: datetime) -> None:
    """What is synchronised is not dirty any more; what is due later stays."""
    query = f"DELETE FROM dirty WHERE profile = ? AND object_id IN ? AND {WHOLE_AND_DUE}"
    backend.execute(connection, query, profile, list(object_ids), as_stored(connection, now))


def clean_telling(backend: Backend, connection: Connection, profile: str, object_ids: Collection[int], now: datetime) -> set[int]:
    """The same; those of which everything was to be looked at, not their values alone."""
    query = f"DELETE FROM dirty WHERE profile = ? AND object_id IN ? AND {WHOLE_AND_DUE} RETURNING object_id, member_id"
    gone = backend.fetch(connection, query, profile, list(object_ids), as_stored(connection, now))
    return {object_id for object_id, member_id in gone if member_id == WHOLE}


def clean_references(backend: Backend, connection: Connection, profile: str, object_ids: Collection[int]) -> None:
    """Their references and members are worked out."""
    query = f"DELETE FROM dirty WHERE profile = ? AND object_id IN ? AND member_id NOT IN {ALL}"
    backend.execute(connection, query, profile, list(object_ids))


def of_identities(connection: Connection, identity_ids: Collection[int], profiles: Collection[str]) -> list[tuple[int, str, int]]:
    """(identity, profile, source object) of whole objects that changed and were not looked at since. What merely waits for a time is not
    among them."""
    found: list[tuple[int, str, int]] = []
    for part in portions(identity_ids):
        query = (
            select(join.c.identity_id, dirty.c.profile, dirty.c.object_id)
            .join(dirty, dirty.c.object_id == join.c.object_id)
            .where(
                join.c.identity_id.in_(part),
                dirty.c.profile.in_(sorted(profiles)),
                dirty.c.member_id.in_(ALL),
                dirty.c.due_at.is_(None),
            )
        )
        found += [(row.identity_id, row.profile, row.object_id) for row in connection.execute(query)]
    return found


PARTNERS = """
SELECT own.object_id, other.object_id
FROM "join" AS own
CROSS JOIN "join" AS other
WHERE own.object_id IN ? AND other.identity_id = own.identity_id AND other.object_id IS NOT NULL AND other.directory_id IN ?"""
"""The joins in the order in which they are to be followed: few objects are asked for, of many in a directory."""


def partners(
    backend: Backend, connection: Connection, object_ids: Collection[int], directory_ids: Collection[int], kind: str | None
) -> list[tuple[int, int]]:
    """(object, the object of the same identity in one of these directories), itself included; `kind`: of the latter."""
    query, more = (PARTNERS, []) if kind is None else (f"{PARTNERS} AND other.kind = ?", [str(kind)])
    found: list[tuple[int, int]] = []
    for part in portions(object_ids):
        found += [(row[0], row[1]) for row in backend.fetch(connection, query, part, sorted(directory_ids), *more)]
    return found
