"""Queries of references as the synchroniser sees them: followed through identities from a directory to another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, and_, exists, select

from metasync.store.portions import portions
from metasync.store.rows import State
from metasync.store.tables import join, link, object_, pending


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """One reference of a source object, followed to its identity's object in the target."""

    holder_id: int
    member_id: int | None
    """The object that is referred to, in the source directory."""
    value: str
    label: str
    source: str
    """Its directory id and anchor, joined by a slash, or "" if it was never imported."""
    joined: tuple[tuple[str, str], ...]
    """(kind, anchor) of its identity's objects in the target, but those that were deleted."""
    planned: bool
    """An object for it is about to be created in the target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """One reference that a target object holds now."""

    value: str
    """The anchor of what it refers to, or how the directory names it."""
    label: str
    stood_for: bool
    """An identity with an object in one of the sources stands for it."""
    source_ids: tuple[int, ...]
    """That identity's objects in the sources."""


def followed(
    connection: Connection, holder_ids: Collection[int], attribute: str, target_directory: int, members: Collection[int] | None = None
) -> list[Followed]:
    """Every reference that these source objects hold in one attribute, followed through identities."""
    here, there = join.alias("here"), join.alias("there")
    member, partner = object_.alias("member"), object_.alias("partner")
    found: dict[tuple[int, str, str], Followed] = {}
    for part in portions(holder_ids):
        planned = exists().where(
            pending.c.object_id == link.c.target_id, pending.c.directory_id == target_directory, pending.c.anchor.is_(None)
        )
        query = (
            select(
                link.c.object_id,
                link.c.key,
                link.c.value,
                link.c.target_id,
                member.c.label,
                member.c.directory_id,
                member.c.anchor.label("member_anchor"),
                there.c.kind,
                there.c.anchor,
                partner.c.state,
                planned.label("planned"),
            )
            .select_from(
                link.outerjoin(member, member.c.id == link.c.target_id)
                .outerjoin(here, here.c.object_id == link.c.target_id)
                .outerjoin(there, and_(there.c.identity_id == here.c.identity_id, there.c.directory_id == target_directory))
                .outerjoin(partner, partner.c.id == there.c.object_id)
            )
            .where(link.c.object_id.in_(part), link.c.attribute == attribute)
            .order_by(link.c.object_id, link.c.key, link.c.value)
        )
        if members is not None:
            query = query.where(link.c.target_id.in_(list(members)))
        for row in connection.execute(query):
            key = (row.object_id, row.key, row.value)
            known = found.get(key)
            joined = ((row.kind, row.anchor),) if row.anchor is not None and row.state != State.GONE else ()
            found[key] = Followed(
                holder_id=row.object_id,
                member_id=row.target_id,
                value=row.value,
                label=row.label or row.value,
                source=f"{row.directory_id}/{row.member_anchor}" if row.target_id is not None else "",
                joined=(known.joined if known else ()) + joined,
                planned=bool(row.planned),
            )
    return list(found.values())


def present(connection: Connection, object_ids: Collection[int], attribute: str, sources: Collection[int]) -> dict[int, dict[str, Present]]:
    """What target objects refer to now: object id -> anchor of what it refers to -> more of it."""
    here, there = join.alias("here"), join.alias("there")
    member = object_.alias("member")
    found: dict[int, dict[str, Present]] = {}
    for part in portions(object_ids):
        query = (
            select(
                link.c.object_id,
                link.c.value,
                member.c.anchor,
                member.c.label,
                there.c.object_id.label("source_id"),
                there.c.id.label("join_id"),
            )
            .select_from(
                link.outerjoin(member, member.c.id == link.c.target_id)
                .outerjoin(here, here.c.object_id == link.c.target_id)
                .outerjoin(there, and_(there.c.identity_id == here.c.identity_id, there.c.directory_id.in_(list(sources))))
            )
            .where(link.c.object_id.in_(part), link.c.attribute == attribute)
        )
        for row in connection.execute(query):
            anchor = row.anchor or row.value
            known = found.setdefault(row.object_id, {}).get(anchor)
            ids = (known.source_ids if known else ()) + ((row.source_id,) if row.source_id else ())
            found[row.object_id][anchor] = Present(
                value=anchor,
                label=row.label or anchor,
                stood_for=row.join_id is not None or bool(known and known.stood_for),
                source_ids=ids,
            )
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
        query = (
            select(here.c.object_id, there.c.anchor)
            .join(there, and_(there.c.identity_id == here.c.identity_id, there.c.directory_id == target_directory))
            .where(here.c.object_id.in_(part))
        )
        for pair in connection.execute(query):
            found.setdefault(pair.object_id, set()).add(pair.anchor)
    return found
