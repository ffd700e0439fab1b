"""Queries of what was written: for its confirmation by an import, and for the way back. Nothing here changes what was written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, or_, select, tuple_, update

from metasync.contract import Operation, Reference
from metasync.store import codec, freezing, ledger
from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.rows import State
from metasync.store.tables import change, join, link, object_, plan

UNCONFIRMED = ("in_flight", "written")


def written(
    connection: Connection,
    directory_id: int,
    *,
    after: tuple[str, int] = ("", 0),
    until: datetime | None = None,
    limit: int = ledger.PORTION,
) -> list[ledger.ChangeRow]:
    """Changes that no import has shown yet, behind `after` = (anchor, id), in that order: all changes of one object together."""
    query = select(change).where(
        change.c.directory_id == directory_id, change.c.state == "written", tuple_(change.c.anchor, change.c.id) > after
    )
    if until is not None:
        query = query.where(change.c.written_at <= until)
    return [ledger.as_change_row(row) for row in connection.execute(query.order_by(change.c.anchor, change.c.id).limit(limit))]


def of_anchors(
    connection: Connection,
    directory_id: int,
    anchors: Collection[str],
    states: Collection[str],
    *,
    members: bool | None = None,
    after_id: int = 0,
) -> dict[str, list[ledger.ChangeRow]]:
    """anchor -> changes to that object in these states, in the order of the writes; `members`: these only, or all but these."""
    found: dict[str, list[ledger.ChangeRow]] = {}
    for part in portions(anchors):
        query = select(change).where(
            change.c.directory_id == directory_id, change.c.anchor.in_(part), change.c.state.in_(states), change.c.id > after_id
        )
        if members is not None:
            of_members = change.c.operation.in_(ledger.MEMBER_OPERATIONS)
            query = query.where(of_members if members else ~of_members)
        for row in connection.execute(query.order_by(change.c.written_at, change.c.id)):
            found.setdefault(row.anchor, []).append(ledger.as_change_row(row))
    return found


def imported(
    connection: Connection, directory_id: int, anchors: Collection[str]
) -> dict[str, tuple[int, str, str, dict[str, Any], str | None]]:
    """anchor -> (id, kind, state, attributes without references, mark) as last imported."""
    found: dict[str, tuple[int, str, str, dict[str, Any], str | None]] = {}
    for part in portions(anchors):
        query = select(object_.c.id, object_.c.anchor, object_.c.kind, object_.c.state, object_.c.blob, object_.c.mark).where(
            object_.c.directory_id == directory_id, object_.c.anchor.in_(part)
        )
        for row in connection.execute(query):
            # A tombstone gives way to a living object of the same anchor.
            if row.anchor not in found or row.state != "gone":
                found[row.anchor] = (row.id, row.kind, row.state, codec.decode(row.blob), row.mark)
    return found


def deleted(connection: Connection, directory_id: int, anchors: Collection[str]) -> set[str]:
    """Those of these anchors whose objects were deleted, by the last import."""
    states: dict[str, set[str]] = {}
    for part in portions(anchors):
        query = select(object_.c.anchor, object_.c.state).where(object_.c.directory_id == directory_id, object_.c.anchor.in_(part))
        for anchor, state in connection.execute(query):
            states.setdefault(anchor, set()).add(state)
    return {anchor for anchor, found in states.items() if found == {State.GONE.value}}


def references(connection: Connection, pairs: Collection[tuple[int, str]]) -> dict[tuple[int, str], set[str]]:
    """(object, attribute) -> anchors of what it refers to; a reference to something that was not imported counts by its own value."""
    found: dict[tuple[int, str], set[str]] = {pair: set() for pair in pairs}
    by_attribute: dict[str, list[int]] = {}
    for object_id, attribute in pairs:
        by_attribute.setdefault(attribute, []).append(object_id)
    target = object_.alias("target")
    for attribute, ids in by_attribute.items():
        for part in portions(ids):
            query = (
                select(link.c.object_id, link.c.value, target.c.anchor)
                .select_from(link.outerjoin(target, target.c.id == link.c.target_id))
                .where(link.c.object_id.in_(part), link.c.attribute == attribute)
            )
            for row in connection.execute(query):
                found[(row.object_id, attribute)].add(row.anchor if row.anchor is not None else row.value)
    return found


def holding(connection: Connection, directory_id: int, wanted: Collection[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
    """Those of (object, attribute, member's anchor) that are so in the directory. One member costs one row, however large the group."""
    found: set[tuple[int, str, str]] = set()
    by_attribute: dict[str, list[tuple[int, str]]] = {}
    for object_id, attribute, anchor in wanted:
        by_attribute.setdefault(attribute, []).append((object_id, anchor))
    for attribute, pairs in by_attribute.items():
        for start in range(0, len(pairs), ledger.PORTION):
            part = pairs[start : start + ledger.PORTION]
            holders, anchors = {one for one, _ in part}, {anchor for _, anchor in part}
            ids = {
                row.id: row.anchor
                for row in connection.execute(
                    select(object_.c.id, object_.c.anchor).where(object_.c.directory_id == directory_id, object_.c.anchor.in_(anchors))
                )
            }
            rows = connection.execute(
                select(link.c.object_id, link.c.target_id).where(
                    link.c.object_id.in_(holders), link.c.attribute == attribute, link.c.target_id.in_(list(ids))
                )
            )
            found |= {(row.object_id, attribute, ids[row.target_id]) for row in rows}
            rows = connection.execute(
                select(link.c.object_id, link.c.value).where(
                    link.c.object_id.in_(holders), link.c.attribute == attribute, link.c.key == "anchor", link.c.value.in_(anchors)
                )
            )
            found |= {(row.object_id, attribute, row.value) for row in rows}
    return found


def confirm(connection: Connection, ids: Collection[int], run_id: int) -> None:
    """The import shows these changes."""
    for part in portions(ids):
        connection.execute(
            update(change)
            .where(change.c.id.in_(part), change.c.state == "written")
            .values(state="confirmed", confirmed_run=run_id, error=None)
        )


def not_reimported(connection: Connection, change_id: int, run_id: int, error: str) -> None:
    """The import shows something else."""
    connection.execute(
        update(change)
        .where(change.c.id == change_id, change.c.state == "written")
        .values(state="not_reimported", confirmed_run=run_id, error=error)
    )


def profiles_of_run(connection: Connection, engagement_id: int, run_id: int) -> list[tuple[str, int]]:
    """(profile, directory) of what a run wrote."""
    query = (
        select(change.c.profile, change.c.directory_id)
        .distinct()
        .where(change.c.engagement_id == engagement_id, change.c.run_id == run_id, change.c.state.in_(ledger.DONE))
        .order_by(change.c.profile, change.c.directory_id)
    )
    return [(row.profile, row.directory_id) for row in connection.execute(query)]


def written_by(
    connection: Connection,
    engagement_id: int,
    run_id: int,
    *,
    profile: str,
    directory_id: int,
    members: bool,
    after: tuple[int, int] = (-1, 0),
    operation: Operation | None = None,
    limit: int = ledger.PORTION,
) -> list[ledger.ChangeRow]:
    """What a run wrote, behind `after` = (source object, id), in that order: members only, or all but members."""
    query = select(change).where(
        change.c.engagement_id == engagement_id,
        change.c.run_id == run_id,
        change.c.profile == profile,
        change.c.directory_id == directory_id,
        change.c.state.in_(ledger.DONE),
        change.c.operation.in_(ledger.MEMBER_OPERATIONS) if members else change.c.operation.not_in(ledger.MEMBER_OPERATIONS),
        tuple_(change.c.object_id, change.c.id) > after,
    )
    if operation is not None:
        query = query.where(change.c.operation == operation.value)
    return [ledger.as_change_row(row) for row in connection.execute(query.order_by(change.c.object_id, change.c.id).limit(limit))]


class For(NamedTuple):
    """A change that was written for somebody, or sent."""

    identity_id: int
    id: int
    profile: str
    object_id: int
    directory_id: int
    members: bool
    state: str


def for_people(connection: Connection, engagement_id: int, since: Mapping[int, datetime], names: Mapping[int, str]) -> list[For]:
    """What was written for these identities, each from its own time on: their objects, and their memberships. What undos wrote is left
    out. `names`: directory id -> name."""
    if not since:
        return []
    began = min(since.values())
    where = (
        change.c.engagement_id == engagement_id,
        change.c.state.in_((*ledger.DONE, "in_flight")),
        or_(change.c.written_at.is_(None), change.c.written_at >= began),
        plan.c.purpose != "undo",
    )
    columns = (change.c.id, change.c.profile, change.c.object_id, change.c.directory_id, change.c.state, change.c.written_at)
    found: list[For] = []
    people: dict[tuple[int, str], int] = {}
    """(directory, anchor), or (0, `directory/anchor`) of whom they were created for, -> identity."""
    for part in portions(since):
        query = select(*columns, change.c.identity_id).join(plan, plan.c.id == change.c.plan_id).where(*where)
        query = query.where(change.c.identity_id.in_(part), change.c.operation.not_in(ledger.MEMBER_OPERATIONS))
        for row in cast(Iterable[Any], connection.execute(query)):
            if row.written_at is None or row.written_at >= since[row.identity_id]:
                found.append(For(row.identity_id, row.id, row.profile, row.object_id, row.directory_id, False, row.state))
        known = select(join.c.identity_id, join.c.directory_id, join.c.anchor).where(join.c.identity_id.in_(part))
        for identity_id, directory_id, anchor in connection.execute(known):
            people[directory_id, anchor] = people[0, f"{names.get(directory_id, '')}/{anchor}"] = identity_id
    of_members = select(*columns, change.c.before, change.c.after).join(plan, plan.c.id == change.c.plan_id).where(*where)
    for row in cast(Iterable[Any], connection.execute(of_members.where(change.c.operation.in_(ledger.MEMBER_OPERATIONS)))):
        for member in _members(row.before, row.after):
            key = (row.directory_id, member.value) if member.key == "anchor" else (0, member.value)
            identity_id = people.get(key)
            if identity_id is not None and (row.written_at is None or row.written_at >= since[identity_id]):
                found.append(For(identity_id, row.id, row.profile, row.object_id, row.directory_id, True, row.state))
                break
    return found


def standing(
    connection: Connection, engagement_id: int, profiles: Collection[str], periods: Mapping[int, tuple[datetime, datetime]]
) -> set[int]:
    """Those of these identities (identity -> from, until) for whose own objects these profiles wrote something in that time which no undo
    took back."""
    found: dict[int, int] = {}
    for part in portions(periods):
        query = (
            select(change.c.id, change.c.identity_id, change.c.written_at)
            .join(plan, plan.c.id == change.c.plan_id)
            .where(
                change.c.engagement_id == engagement_id,
                change.c.identity_id.in_(part),
                change.c.profile.in_(sorted(profiles)),
                change.c.operation.not_in(ledger.MEMBER_OPERATIONS),
                change.c.state.in_(ledger.DONE),
                plan.c.purpose != "undo",
            )
        )
        for number, identity_id, written_at in connection.execute(query):
            began, until = periods[identity_id]
            if began <= written_at <= until:
                found[number] = identity_id
    back = taken_back(connection, found)
    return {identity_id for number, identity_id in found.items() if number not in back}


def on_their_way(connection: Connection, directory_ids: Collection[int]) -> Iterator[tuple[ledger.ChangeRow, Reference]]:
    """Memberships in these directories that were sent, and of which no import has told the end: (change of the group, member)."""
    query = select(change).where(
        change.c.directory_id.in_(list(directory_ids)),
        change.c.state.in_(UNCONFIRMED),
        change.c.operation.in_(ledger.MEMBER_OPERATIONS),
    )
    for row in connection.execute(query.order_by(change.c.id)):
        for member in _members(row.before, row.after):
            yield ledger.as_change_row(row), member


def _members(*images: bytes) -> Iterator[Reference]:
    for image in images:
        for value in codec.decode(image).values():
            yield from (one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Reference))


def taken_back(connection: Connection, ids: Collection[int]) -> set[int]:
    """Those of these changes that an undo took back already: its change is written."""
    found: set[int] = set()
    undo = change.alias("undo")
    for part in portions(ids):
        query = select(change.c.id).join(undo, undo.c.id == change.c.undone_by).where(change.c.id.in_(part), undo.c.state.in_(ledger.DONE))
        found |= set(connection.execute(query).scalars())
    return found


def set_undone_by(backend: Backend, connection: Connection, plan_id: int, taken_back: Collection[tuple[Collection[int], str]]) -> None:
    """Remember which change of a plan takes which others back: (these, tag of that one)."""
    known = freezing.by_tags(connection, plan_id, {tag for _, tag in taken_back})
    rows = ((known[tag].id if tag in known else None, one) for these, tag in taken_back for one in these)
    backend.update(connection, change, ("undone_by",), ("id",), rows)


def undone(connection: Connection, change_ids: Collection[int]) -> dict[int, list[ledger.ChangeRow]]:
    """change of an undo -> the changes that it takes back."""
    found: dict[int, list[ledger.ChangeRow]] = {}
    for part in portions(change_ids):
        for row in connection.execute(select(change).where(change.c.undone_by.in_(part)).order_by(change.c.id)):
            found.setdefault(row.undone_by, []).append(ledger.as_change_row(row))
    return found


Unconfirmed = tuple[Operation, dict[str, Any], str]
"""(operation, after, state) of a change that no import has shown yet."""


def unconfirmed(connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, list[Unconfirmed]]:
    """anchor -> (operation, after, state) of changes that no import has shown yet, oldest first. Undone and refused ones are not among
    them."""
    found: dict[str, list[Unconfirmed]] = {}
    for part in portions(anchors):
        query = (
            select(change.c.anchor, change.c.operation, change.c.before, change.c.after, change.c.state)
            .where(change.c.directory_id == directory_id, change.c.anchor.in_(part), change.c.state.in_(UNCONFIRMED))
            .order_by(change.c.written_at, change.c.id)
        )
        for row in connection.execute(query):
            # A member that was removed stands in `before`.
            image = row.before if row.operation == Operation.MEMBER_REMOVE else row.after
            found.setdefault(row.anchor, []).append((Operation(row.operation), codec.decode(image), row.state))
    return found


def in_flight(connection: Connection, profile: str, object_ids: Collection[int]) -> set[int]:
    """Source objects with a change whose outcome is not known yet: they are not planned anew before it is."""
    found: set[int] = set()
    for part in portions(object_ids):
        query = select(change.c.object_id).where(change.c.profile == profile, change.c.object_id.in_(part), change.c.state == "in_flight")
        found |= set(connection.execute(query).scalars())
    return found
