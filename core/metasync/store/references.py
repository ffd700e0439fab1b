"""Queries of references as the synchroniser sees them: followed through identities from a directory to another."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, and_, select

from metasync.contract import ELSEWHERE
from metasync.store.backend import Backend
from metasync.store.portions import PORTION, portions
from metasync.store.rows import State
from metasync.store.tables import join, object_

GONE = State.GONE.value


class Followed(NamedTuple):
    """One reference of a source object, followed to its identity's object in the target."""

    holder_id: int
    member_id: int | None
    """The object that is referred to, in the source directory."""
    value: str
    label: str
    directory_id: int
    """Of the object that is referred to; 0 if it was never imported."""
    anchor: str
    joined: tuple[tuple[str, str], ...]
    """(kind, anchor) of its identity's objects in the target, but those that were deleted."""
    planned: bool
    """An object for it is about to be created in the target, and stands alone then: there is none, or that one gives way to it."""


class Present(NamedTuple):
    """One reference that a target object holds now."""

    value: str
    """The anchor of what it refers to, or how the directory names it."""
    label: str
    stood_for: bool
    """An identity with an object in one of the sources stands for it."""
    source_ids: tuple[int, ...]
    """That identity's objects in the sources."""


FOLLOWED = """
SELECT link.object_id, link.key, link.value, link.target_id, member.label, member.directory_id, member.anchor, there.kind, there.anchor,
       partner.state, member.kind, member.state,
       (there.anchor IS NULL OR partner.state = 'gone' OR EXISTS (
           SELECT 1 FROM pending_replaced WHERE pending_replaced.object_id = link.target_id AND pending_replaced.directory_id = ?)
       ) AND EXISTS (
           SELECT 1 FROM pending WHERE pending.object_id = link.target_id AND pending.directory_id = ? AND pending.anchor IS NULL)
FROM link
LEFT JOIN object AS member ON member.id = link.target_id
LEFT JOIN "join" AS here ON here.object_id = link.target_id
LEFT JOIN "join" AS there ON there.identity_id = here.identity_id AND there.directory_id = ?
LEFT JOIN object AS partner ON partner.id = there.object_id
WHERE link.object_id IN ? AND link.attribute = ?"""
PRESENT = """
SELECT link.object_id, link.value, member.anchor, member.label, there.object_id, there.id
FROM link
LEFT JOIN object AS member ON member.id = link.target_id
LEFT JOIN "join" AS here ON here.object_id = link.target_id
LEFT JOIN "join" AS there ON there.identity_id = here.identity_id AND there.directory_id IN ?
WHERE link.object_id IN ? AND link.attribute = ?"""


def followed(
    backend: Backend,
    connection: Connection,
    holder_ids: Collection[int],
    attribute: str,
    target_directory: int,
    members: Collection[int] | None = None,
) -> Iterator[Followed]:
    """Every reference that these source objects hold in one attribute, followed through identities; those of one holder together, in the
    order of their keys and values."""
    query, further = FOLLOWED, []
    if members is not None:
        query, further = f"{query} AND link.target_id IN ?", [list(members)]
    query = f"{query} ORDER BY link.object_id, link.key, link.value"
    ids = sorted(holder_ids)
    for start in range(0, len(ids), PORTION):
        part = ids[start : start + PORTION]
        last: Followed | None = None
        reference: tuple[int, str, str] | None = None
        for row in backend.fetch(connection, query, *(target_directory,) * 3, part, attribute, *further):
            holder_id, key, value, member_id, label, directory_id, anchor, kind, partner, state, own_kind, own_state, planned = row
            joined = ((kind, partner),) if partner is not None and state != GONE else ()
            if directory_id == target_directory and partner is None and own_state != GONE and key.startswith(ELSEWHERE):
                joined = ((own_kind, anchor),)  # an object of the target itself, which needs no identity to stand for it
            same = last is not None and reference == (holder_id, key, value)
            if last is not None and not same:
                yield last
            last = Followed(
                holder_id,
                member_id,
                value,
                label or value,
                directory_id or 0,
                anchor or "",
                last.joined + joined if same and last is not None else joined,
                bool(planned) or (same and last is not None and last.planned),
            )
            reference = (holder_id, key, value)
        if last is not None:
            yield last


def present(
    backend: Backend, connection: Connection, object_ids: Collection[int], attribute: str, sources: Collection[int]
) -> dict[int, dict[str, Present]]:
    """What target objects refer to now: object id -> anchor of what it refers to -> more of it."""
    found: dict[int, dict[str, Present]] = {}
    ids = sorted(object_ids)
    for start in range(0, len(ids), PORTION):
        for row in backend.fetch(connection, PRESENT, list(sources), ids[start : start + PORTION], attribute):
            object_id, value, anchor, label, source_id, join_id = row
            of_object = found.setdefault(object_id, {})
            name = anchor or value
            known = of_object.get(name)
            of_source = (known.source_ids if known else ()) + ((source_id,) if source_id else ())
            of_object[name] = Present(name, label or name, join_id is not None or bool(known and known.stood_for), of_source)
    return found


def family(connection: Connection, object_ids: Collection[int]) -> set[int]:
    """These objects, and all others of their identities."""
    own, other = join.alias("own"), join.alias("other")
    found = set(object_ids)
    for part in portions(object_ids):
        query = select(other.c.object_id).join(own, own.c.identity_id == other.c.identity_id)
        found |= set(connection.execute(query.where(own.c.object_id.in_(part), other.c.object_id.is_not(None))).scalars())
    return found


def stand_ins(connection: Connection, member_ids: Collection[int], target_directory: int) -> dict[int, set[str]]:
    """source object -> everything that it may stand under in `pending_member`: anchors in the target, or `directory id/anchor` of its
    own."""
    here, there = join.alias("here"), join.alias("there")
    found: dict[int, set[str]] = {}
    for part in portions(member_ids):
        for row in connection.execute(select(object_.c.id, object_.c.directory_id, object_.c.anchor).where(object_.c.id.in_(part))):
            found.setdefault(row.id, set()).add(f"{row.directory_id}/{row.anchor}")
            if row.directory_id == target_directory:
                found[row.id].add(row.anchor)
        query = (
            select(here.c.object_id, there.c.anchor)
            .join(there, and_(there.c.identity_id == here.c.identity_id, there.c.directory_id == target_directory))
            .where(here.c.object_id.in_(part))
        )
        for pair in connection.execute(query):
            found.setdefault(pair.object_id, set()).add(pair.anchor)
    return found
