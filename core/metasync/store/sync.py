"""Queries of the synchroniser: what is dirty, what it needs of each object, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, insert, literal, or_, select, update

from metasync.contract import Kind, Operation
from metasync.store import codec
from metasync.store.joins import portions
from metasync.store.rows import ObjectRow, PendingOperation, Problem, State
from metasync.store.tables import (
    change,
    dirty,
    hold,
    join,
    link,
    match_key,
    object_,
    pending,
    pending_member,
    pin,
    problem,
    profile_state,
    reserved,
    sync_state,
    wanted,
)

UNCONFIRMED = ("in_flight", "written")


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncState:
    """What the last synchronisation of one object by one profile ended with."""

    object_id: int
    digest: bytes
    status: str
    reason: str
    enabled: bool | None = None
    desired: bytes | None = None
    left_cause: str | None = None
    left_since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An object that a look-up found."""

    id: int
    kind: Kind
    anchor: str
    label: str
    privileged: bool


# --- what is dirty ---------------------------------------------------------------------------------------------------------------------


def basis(connection: Connection, engagement_id: int, profile: str) -> str | None:
    """Under what the profile was last marked as a whole."""
    return connection.scalar(
        select(profile_state.c.basis).where(profile_state.c.engagement_id == engagement_id, profile_state.c.profile == profile)
    )


def mark_whole(connection: Connection, engagement_id: int, profile: str, directory_ids: Collection[int], kind: str, basis_: str) -> None:
    """Mark every source object of a profile, those included that it once joined and that are gone."""
    whole = select(object_.c.engagement_id, literal(profile), object_.c.id, literal(0)).where(
        object_.c.directory_id.in_(directory_ids), object_.c.kind == kind
    )
    connection.execute(delete(dirty).where(dirty.c.profile == profile, dirty.c.engagement_id == engagement_id, dirty.c.due_at.is_(None)))
    missing = whole.where(~exists().where(dirty.c.profile == profile, dirty.c.object_id == object_.c.id, dirty.c.member_id == 0))
    connection.execute(insert(dirty).from_select(["engagement_id", "profile", "object_id", "member_id"], missing))
    connection.execute(
        update(dirty)
        .where(dirty.c.profile == profile, dirty.c.engagement_id == engagement_id, dirty.c.due_at.is_not(None))
        .values(due_at=None)
    )
    connection.execute(delete(profile_state).where(profile_state.c.engagement_id == engagement_id, profile_state.c.profile == profile))
    connection.execute(insert(profile_state).values(engagement_id=engagement_id, profile=profile, basis=basis_))


def mark(connection: Connection, engagement_id: int, rows: Iterable[tuple[str, int, int]], due_at: datetime | None = None) -> None:
    """Mark (profile, source object id, member id or 0); what is due already stays so."""
    by_profile: dict[str, set[tuple[int, int]]] = {}
    for profile, object_id, member_id in rows:
        by_profile.setdefault(profile, set()).add((object_id, member_id))
    for profile, wanted_rows in by_profile.items():
        for part in portions({object_id for object_id, _ in wanted_rows}):
            known = {
                (row.object_id, row.member_id): row.due_at
                for row in connection.execute(
                    select(dirty.c.object_id, dirty.c.member_id, dirty.c.due_at).where(
                        dirty.c.profile == profile, dirty.c.object_id.in_(part)
                    )
                )
            }
            inside = set(part)
            fresh = [one for one in wanted_rows if one[0] in inside and one not in known]
            if fresh:
                connection.execute(
                    insert(dirty),
                    [
                        {"engagement_id": engagement_id, "profile": profile, "object_id": one, "member_id": member, "due_at": due_at}
                        for one, member in fresh
                    ],
                )
            sooner = [one for one in wanted_rows if one in known and known[one] is not None and (due_at is None or due_at < known[one])]
            for one, member in sooner:
                connection.execute(
                    update(dirty)
                    .where(dirty.c.profile == profile, dirty.c.object_id == one, dirty.c.member_id == member)
                    .values(due_at=due_at)
                )


def due(connection: Connection, engagement_id: int, profile: str, now: datetime) -> list[tuple[int, int, str]]:
    """(source object id, its directory, its anchor) of whole objects that are due, in the order that decides about unique values."""
    query = (
        select(object_.c.id, object_.c.directory_id, object_.c.anchor)
        .join(dirty, dirty.c.object_id == object_.c.id)
        .where(
            dirty.c.engagement_id == engagement_id,
            dirty.c.profile == profile,
            dirty.c.member_id == 0,
            or_(dirty.c.due_at.is_(None), dirty.c.due_at <= now),
        )
        .order_by(object_.c.directory_id, object_.c.anchor)
    )
    return [(row.id, row.directory_id, row.anchor) for row in connection.execute(query)]


def due_members(connection: Connection, engagement_id: int, profile: str) -> dict[int, set[int]]:
    """source object id -> the members of it that are dirty by themselves."""
    query = select(dirty.c.object_id, dirty.c.member_id).where(
        dirty.c.engagement_id == engagement_id, dirty.c.profile == profile, dirty.c.member_id != 0
    )
    found: dict[int, set[int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.object_id, set()).add(row.member_id)
    return found


def clean(connection: Connection, profile: str, object_ids: Collection[int], now: datetime, *, members: bool = False) -> None:
    """What is synchronised is not dirty any more; what is due later stays."""
    for part in portions(object_ids):
        condition = and_(dirty.c.profile == profile, dirty.c.object_id.in_(part))
        condition &= (
            dirty.c.member_id != 0 if members else and_(dirty.c.member_id == 0, or_(dirty.c.due_at.is_(None), dirty.c.due_at <= now))
        )
        connection.execute(delete(dirty).where(condition))


def holders(connection: Connection, target_ids: Collection[int]) -> list[tuple[int, str, int, int, str]]:
    """(holder, attribute, target, holder's directory, holder's kind) of every reference to these objects."""
    found: list[tuple[int, str, int, int, str]] = []
    for part in portions(target_ids):
        query = (
            select(link.c.object_id, link.c.attribute, link.c.target_id, object_.c.directory_id, object_.c.kind)
            .join(object_, object_.c.id == link.c.object_id)
            .where(link.c.target_id.in_(part))
        )
        found += [(row.object_id, row.attribute, row.target_id, row.directory_id, row.kind) for row in connection.execute(query)]
    return found


def waiting_for(connection: Connection, keys: Collection[tuple[int, str, str]], but: Collection[int] = ()) -> list[tuple[str, int]]:
    """(profile, source object) that wait for one of these keys (directory, name, value)."""
    found: set[tuple[str, int]] = set()
    without = set(but)
    by_name: dict[tuple[int, str], list[str]] = {}
    for directory_id, name, value in keys:
        by_name.setdefault((directory_id, name), []).append(value)
    for (directory_id, name), values in by_name.items():
        for part in portions(values):
            query = select(wanted.c.profile, wanted.c.object_id).where(
                wanted.c.directory_id == directory_id, wanted.c.name == name, wanted.c.value.in_(part)
            )
            found |= {(row.profile, row.object_id) for row in connection.execute(query) if row.object_id not in without}
    return sorted(found)


def creating(
    connection: Connection, keys: Collection[tuple[int, str, str]], profiles: Collection[str]
) -> dict[tuple[int, str, str], set[str]]:
    """(directory, name, value) -> those of the profiles that are creating an object with it, or did and no import has shown it yet."""
    found: dict[tuple[int, str, str], set[str]] = {}
    same = and_(sync_state.c.profile == wanted.c.profile, sync_state.c.object_id == wanted.c.object_id)
    for directory_id, name in sorted({(directory_id, name) for directory_id, name, _ in keys}):
        for part in portions([value for one, other, value in keys if (one, other) == (directory_id, name)]):
            about = (wanted.c.directory_id == directory_id) & (wanted.c.name == name) & wanted.c.value.in_(part)
            query = select(wanted.c.value, wanted.c.profile).join(sync_state, same).where(about, wanted.c.profile.in_(sorted(profiles)))
            for row in connection.execute(query.where(sync_state.c.status.in_(("in step", "pending", "in flight")))):
                found.setdefault((directory_id, name, row.value), set()).add(row.profile)
    return found


# --- what the synchroniser needs of each object ----------------------------------------------------------------------------------------


def objects(connection: Connection, ids: Collection[int]) -> dict[int, ObjectRow]:
    """Objects by id."""
    found = {}
    for part in portions(ids):
        for row in connection.execute(select(object_).where(object_.c.id.in_(part))):
            found[row.id] = ObjectRow(
                id=row.id,
                directory_id=row.directory_id,
                kind=Kind(row.kind),
                anchor=row.anchor,
                label=row.label,
                state=State(row.state),
                digest=row.digest,
                blob=row.blob,
                mark=row.mark,
                privileged=bool(row.privileged),
                run_id=row.run_id,
            )
    return found


def links(
    connection: Connection, object_ids: Collection[int], attributes: Collection[str]
) -> dict[int, dict[str, list[tuple[str, str, int | None]]]]:
    """object id -> attribute -> (key, value, target object id)."""
    found: dict[int, dict[str, list[tuple[str, str, int | None]]]] = {}
    if not attributes:
        return found
    for part in portions(object_ids):
        query = (
            select(link.c.object_id, link.c.attribute, link.c.key, link.c.value, link.c.target_id)
            .where(link.c.object_id.in_(part), link.c.attribute.in_(sorted(attributes)))
            .order_by(link.c.object_id, link.c.attribute, link.c.key, link.c.value)
        )
        for row in connection.execute(query):
            found.setdefault(row.object_id, {}).setdefault(row.attribute, []).append((row.key, row.value, row.target_id))
    return found


def written(connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, list[tuple[Operation, dict[str, Any], str]]]:
    """anchor -> (operation, after, state) of changes that no import has shown yet, oldest first. Undone and refused ones are not among
    them."""
    found: dict[str, list[tuple[Operation, dict[str, Any], str]]] = {}
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


def states(connection: Connection, profile: str, object_ids: Collection[int]) -> dict[int, SyncState]:
    """How each object stood after the last synchronisation."""
    found = {}
    for part in portions(object_ids):
        for row in connection.execute(select(sync_state).where(sync_state.c.profile == profile, sync_state.c.object_id.in_(part))):
            found[row.object_id] = SyncState(
                object_id=row.object_id,
                digest=row.digest,
                status=row.status,
                reason=row.reason,
                enabled=row.enabled,
                desired=row.desired,
                left_cause=row.left_cause,
                left_since=row.left_since,
            )
    return found


def statuses_of_identities(connection: Connection, identity_ids: Collection[int]) -> dict[int, list[tuple[str, int, str]]]:
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


def dirty_of_identities(connection: Connection, identity_ids: Collection[int], profiles: Collection[str]) -> list[tuple[int, str, int]]:
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
                dirty.c.member_id == 0,
                dirty.c.due_at.is_(None),
            )
        )
        found += [(row.identity_id, row.profile, row.object_id) for row in connection.execute(query)]
    return found


def holds(connection: Connection, profile: str, object_ids: Collection[int]) -> dict[int, set[str]]:
    """source object -> attributes that an undo holds; `*`: the object itself."""
    found: dict[int, set[str]] = {}
    for part in portions(object_ids):
        for row in connection.execute(
            select(hold.c.object_id, hold.c.attribute).where(hold.c.profile == profile, hold.c.object_id.in_(part))
        ):
            found.setdefault(row.object_id, set()).add(row.attribute)
    return found


def look_up(connection: Connection, directory_id: int, name: str, values: Collection[str]) -> dict[str, list[Candidate]]:
    """normalised value -> the live objects that have it."""
    found: dict[str, list[Candidate]] = {}
    for part in portions(values):
        query = (
            select(match_key.c.value, object_.c.id, object_.c.kind, object_.c.anchor, object_.c.label, object_.c.privileged)
            .join(object_, object_.c.id == match_key.c.object_id)
            .where(
                match_key.c.directory_id == directory_id, match_key.c.name == name, match_key.c.value.in_(part), object_.c.state != "gone"
            )
            .order_by(object_.c.anchor)
        )
        for row in connection.execute(query):
            candidate = Candidate(id=row.id, kind=Kind(row.kind), anchor=row.anchor, label=row.label, privileged=bool(row.privileged))
            if candidate not in found.setdefault(row.value, []):
                found[row.value].append(candidate)
    return found


def by_anchor(connection: Connection, directory_id: int, anchor: str) -> list[Candidate]:
    """The live object with this anchor, if there is one."""
    query = select(object_).where(object_.c.directory_id == directory_id, object_.c.anchor == anchor, object_.c.state != "gone")
    return [
        Candidate(id=row.id, kind=Kind(row.kind), anchor=row.anchor, label=row.label, privileged=bool(row.privileged))
        for row in connection.execute(query)
    ]


def pins(connection: Connection, engagement_id: int, profile: str) -> dict[str, tuple[int, str]]:
    """path as written -> (directory, anchor of the container that it meant first)."""
    query = select(pin).where(pin.c.engagement_id == engagement_id, pin.c.profile == profile)
    return {row.path: (row.directory_id, row.anchor) for row in connection.execute(query)}


def add_pin(connection: Connection, engagement_id: int, profile: str, path: str, directory_id: int, anchor: str) -> None:
    """Remember which container a path means."""
    connection.execute(
        insert(pin).values(engagement_id=engagement_id, profile=profile, path=path, directory_id=directory_id, anchor=anchor)
    )


def containers(connection: Connection, directory_id: int) -> list[ObjectRow]:
    """Every container of a directory."""
    query = select(object_.c.id).where(object_.c.directory_id == directory_id, object_.c.kind == Kind.CONTAINER.value)
    return list(objects(connection, list(connection.execute(query).scalars())).values())


# --- references ------------------------------------------------------------------------------------------------------------------------


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


def wanted_keys(connection: Connection, profile: str, object_ids: Collection[int]) -> dict[int, set[tuple[int, str, str]]]:
    """source object -> (directory, key name, value) that it waited for."""
    found: dict[int, set[tuple[int, str, str]]] = {}
    for part in portions(object_ids):
        for row in connection.execute(select(wanted).where(wanted.c.profile == profile, wanted.c.object_id.in_(part))):
            found.setdefault(row.object_id, set()).add((row.directory_id, row.name, row.value))
    return found


def labels(connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, str]:
    """anchor -> what people call the object."""
    found: dict[str, str] = {}
    for part in portions(anchors):
        query = select(object_.c.anchor, object_.c.label).where(object_.c.directory_id == directory_id, object_.c.anchor.in_(part))
        found |= {row.anchor: row.label for row in connection.execute(query)}
    return found


# --- what it leaves behind -------------------------------------------------------------------------------------------------------------


def put_states(connection: Connection, engagement_id: int, profile: str, run_id: int, rows: Sequence[SyncState]) -> None:
    """Replace the states of these objects."""
    for part in portions([row.object_id for row in rows]):
        connection.execute(delete(sync_state).where(sync_state.c.profile == profile, sync_state.c.object_id.in_(part)))
    if rows:
        connection.execute(
            insert(sync_state),
            [
                {
                    "engagement_id": engagement_id,
                    "profile": profile,
                    "object_id": row.object_id,
                    "digest": row.digest,
                    "status": row.status,
                    "reason": row.reason,
                    "enabled": row.enabled,
                    "desired": row.desired,
                    "left_cause": row.left_cause,
                    "left_since": row.left_since,
                    "run_id": run_id,
                }
                for row in rows
            ],
        )


@dataclass(kw_only=True, slots=True)
class PendingRow:
    """What one profile wants to do to one object."""

    object_id: int
    identity_id: int | None
    directory_id: int
    kind: Kind
    target_id: int | None
    anchor: str | None
    label: str
    operations: list[PendingOperation]


def pending_of(connection: Connection, profile: str, object_ids: Collection[int]) -> dict[int, PendingRow]:
    """source object -> what is pending for it."""
    found = {}
    for part in portions(object_ids):
        for row in connection.execute(select(pending).where(pending.c.profile == profile, pending.c.object_id.in_(part))):
            found[row.object_id] = _pending_row(row)
    return found


def pending_on(connection: Connection, target_ids: Collection[int]) -> list[PendingRow]:
    """What any profile wants to do to these target objects."""
    return [
        _pending_row(row)
        for part in portions(target_ids)
        for row in connection.execute(select(pending).where(pending.c.target_id.in_(part)).order_by(pending.c.id))
    ]


def _pending_row(row: Any) -> PendingRow:
    return PendingRow(
        object_id=row.object_id,
        identity_id=row.identity_id,
        directory_id=row.directory_id,
        kind=Kind(row.kind),
        target_id=row.target_id,
        anchor=row.anchor,
        label=row.label,
        operations=list(codec.decode_operations(row.operations)),
    )


def put_pending(
    connection: Connection, engagement_id: int, profile: str, run_id: int, object_ids: Collection[int], rows: Sequence[PendingRow]
) -> None:
    """Replace what is pending for these objects (members excepted)."""
    for part in portions(object_ids):
        connection.execute(delete(pending).where(pending.c.profile == profile, pending.c.object_id.in_(part)))
    live = [row for row in rows if row.operations]
    if live:
        connection.execute(
            insert(pending),
            [
                {
                    "engagement_id": engagement_id,
                    "profile": profile,
                    "object_id": row.object_id,
                    "identity_id": row.identity_id,
                    "directory_id": row.directory_id,
                    "kind": row.kind.value,
                    "target_id": row.target_id,
                    "anchor": row.anchor,
                    "label": row.label,
                    "operations": codec.encode_operations(row.operations),
                    "run_id": run_id,
                }
                for row in live
            ],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberRow:
    """One member to be added or removed."""

    object_id: int
    member_key: str
    member_created: bool
    attribute: str
    operation: Operation
    label: str
    rule: str


def put_members(
    connection: Connection,
    engagement_id: int,
    profile: str,
    object_id: int,
    attribute: str,
    rows: Sequence[MemberRow],
    keys: Collection[str] | None,
) -> None:
    """Replace the pending members of a group: all, or only those keys."""
    about = and_(pending_member.c.profile == profile, pending_member.c.object_id == object_id, pending_member.c.attribute == attribute)
    if keys is None:
        connection.execute(delete(pending_member).where(about))
    else:
        for part in portions(keys):
            connection.execute(delete(pending_member).where(about, pending_member.c.member_key.in_(part)))
    if rows:
        connection.execute(
            insert(pending_member),
            [
                {
                    "engagement_id": engagement_id,
                    "profile": profile,
                    "object_id": row.object_id,
                    "member_key": row.member_key,
                    "member_created": row.member_created,
                    "attribute": row.attribute,
                    "operation": row.operation.value,
                    "label": row.label,
                    "rule": row.rule,
                }
                for row in rows
            ],
        )


def drop_members(connection: Connection, profile: str, object_ids: Collection[int]) -> None:
    """Nothing is pending for the members of these groups any more."""
    for part in portions(object_ids):
        connection.execute(delete(pending_member).where(pending_member.c.profile == profile, pending_member.c.object_id.in_(part)))


def put_wanted(
    connection: Connection, engagement_id: int, profile: str, object_ids: Collection[int], rows: Sequence[tuple[int, int, str, str]]
) -> None:
    """Replace what these objects wait for: (object, directory, key name, value)."""
    for part in portions(object_ids):
        connection.execute(delete(wanted).where(wanted.c.profile == profile, wanted.c.object_id.in_(part)))
    if rows:
        connection.execute(
            insert(wanted),
            [
                {"engagement_id": engagement_id, "profile": profile, "object_id": one, "directory_id": where, "name": name, "value": value}
                for one, where, name, value in sorted(set(rows))
            ],
        )


def put_problems(
    connection: Connection,
    engagement_id: int,
    profile: str,
    run_id: int,
    now: datetime,
    object_ids: Collection[int],
    rows: Sequence[Problem],
    *,
    code: str | None = None,
) -> None:
    """Replace the problems that the synchronisation of these objects found: all, or those with one code."""
    about = and_(problem.c.engagement_id == engagement_id, problem.c.area == "synchronise", problem.c.of == profile)
    if code is not None:
        about &= problem.c.code == code
    for part in portions(object_ids):
        connection.execute(delete(problem).where(about, problem.c.object_id.in_(part)))
    if rows:
        connection.execute(
            insert(problem),
            [
                {
                    "engagement_id": engagement_id,
                    "area": "synchronise",
                    "of": profile,
                    "object_id": row.object_id,
                    "anchor": row.anchor,
                    "attribute": row.attribute,
                    "code": row.code,
                    "text": row.text,
                    "severity": row.severity.value,
                    "run_id": run_id,
                    "since": now,
                }
                for row in rows
            ],
        )


# --- unique values ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """A unique value and the identity that it is kept for."""

    id: int
    attribute: str
    value: str
    shown: str
    base: str
    identity_id: int
    released: datetime | None
    profile: str


def _reservations(connection: Connection, condition: Any) -> list[Reservation]:
    return [
        Reservation(
            id=row.id,
            attribute=row.attribute,
            value=row.value,
            shown=row.shown,
            base=row.base,
            identity_id=row.identity_id,
            released=row.released,
            profile=row.profile,
        )
        for row in connection.execute(select(reserved).where(condition).order_by(reserved.c.id))
    ]


def reservations_of(connection: Connection, directory_id: int, identity_ids: Collection[int]) -> dict[tuple[int, str], list[Reservation]]:
    """(identity, attribute) -> what is reserved for it, oldest first."""
    found: dict[tuple[int, str], list[Reservation]] = {}
    for part in portions(identity_ids):
        for row in _reservations(connection, and_(reserved.c.directory_id == directory_id, reserved.c.identity_id.in_(part))):
            found.setdefault((row.identity_id, row.attribute), []).append(row)
    return found


def reservations(connection: Connection, directory_id: int, attribute: str, values: Collection[str]) -> dict[str, Reservation]:
    """value -> who holds it."""
    found: dict[str, Reservation] = {}
    for part in portions(values):
        condition = and_(reserved.c.directory_id == directory_id, reserved.c.attribute == attribute, reserved.c.value.in_(part))
        found |= {row.value: row for row in _reservations(connection, condition)}
    return found


def reserve(connection: Connection, engagement_id: int, directory_id: int, rows: Sequence[Reservation]) -> None:
    """Keep values for identities; reservations that have run out give way."""
    by_attribute: dict[str, list[str]] = {}
    for row in rows:
        by_attribute.setdefault(row.attribute, []).append(row.value)
    for attribute, values in by_attribute.items():
        for part in portions(values):
            connection.execute(
                delete(reserved).where(
                    reserved.c.directory_id == directory_id, reserved.c.attribute == attribute, reserved.c.value.in_(part)
                )
            )
    if rows:
        connection.execute(
            insert(reserved),
            [
                {
                    "engagement_id": engagement_id,
                    "directory_id": directory_id,
                    "attribute": row.attribute,
                    "value": row.value,
                    "shown": row.shown,
                    "base": row.base,
                    "identity_id": row.identity_id,
                    "profile": row.profile,
                }
                for row in rows
            ],
        )


def release_names(
    connection: Connection, directory_id: int, identity_id: int, profiles: Collection[str], now: datetime
) -> list[tuple[str, str]]:
    """This identity has no object of these profiles in the directory any more: its names run out; (attribute, value) of each."""
    theirs = and_(reserved.c.identity_id == identity_id, reserved.c.profile.in_(sorted(profiles)))
    held = update(reserved).where(reserved.c.directory_id == directory_id, theirs, reserved.c.released.is_(None))
    found = connection.execute(held.values(released=now).returning(reserved.c.attribute, reserved.c.value))
    return [(row.attribute, row.value) for row in found]


def release_reservations(connection: Connection, ids: Collection[int], now: datetime) -> None:
    """These values are not wanted by their identity any more: they run out."""
    for part in portions(ids):
        connection.execute(update(reserved).where(reserved.c.id.in_(part), reserved.c.released.is_(None)).values(released=now))


def joined_count(connection: Connection, engagement_id: int, profile: str) -> int:
    """How many objects a profile has in its hands: what percentages are of."""
    return int(
        connection.scalar(
            select(func.count())
            .select_from(sync_state)
            .where(
                sync_state.c.engagement_id == engagement_id,
                sync_state.c.profile == profile,
                sync_state.c.status.in_(("in step", "pending")),
            )
        )
        or 0
    )
