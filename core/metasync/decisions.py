"""What people decide by hand: join two objects, take them apart, ignore one.

Decisions outlast revisions, are audited, and make their objects dirty.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from metasync.contract import Kind, MetasyncError
from metasync.store import audit, dirty, joins, looking, match_keys, waits
from metasync.store.looking import Seen
from metasync.synchronising.needs import profiles_by_source
from metasync.workspace import Workspace


def join(workspace: Workspace, one: Seen, other: Seen, reason: str) -> None:
    """These two stand for the same identity, whatever the rules say. The next plan acts on it."""
    _differ(one, other)
    with workspace.backend.write(durable=True) as connection:
        if one.identity is not None and one.identity == other.identity:
            raise MetasyncError(f"{one.name} and {other.name} are joined already")
        _record(workspace, connection, "join", one, other, reason)
        _mark(workspace, connection, [one, other])


def unjoin(workspace: Workspace, one: Seen, other: Seen | None, reason: str) -> Seen:
    """Take them apart, and keep them apart; the object that left the identity. Nothing is deleted by it in any directory."""
    with workspace.backend.write(durable=True) as connection:
        leaves, stays = _apart(workspace, connection, one, other)
        family = looking.partners(connection, workspace.engagement_id, leaves.identity) if leaves.identity is not None else []
        own = joins.of_objects(connection, [leaves.id]).get(leaves.id)
        if own is not None:
            joins.remove(connection, [own.id])
        _record(workspace, connection, "unjoin", stays, leaves, reason)
        _mark(workspace, connection, [stays, leaves, *(seen for seen, _ in family if seen is not None)])
    return leaves


def ignore(workspace: Workspace, one: Seen, reason: str) -> None:
    """Leave this object alone: it is not matched, created, changed or deleted by any profile until `withdraw`."""
    with workspace.backend.write(durable=True) as connection:
        _record(workspace, connection, "ignore", one, None, reason)
        _mark(workspace, connection, [one])


def withdraw(workspace: Workspace, one: Seen, reason: str) -> int:
    """Take back what was decided about an object; how many decisions there were."""
    with workspace.backend.write(durable=True) as connection:
        number = sum(
            joins.withdraw(connection, workspace.engagement_id, one.directory, one.anchor, kind) for kind in ("join", "unjoin", "ignore")
        )
        if number:
            subject, detail = one.name, {"reason": reason, "decisions": number}
            audit.append(connection, workspace.engagement_id, workspace.author, "decision withdrawn", subject, detail)
            _mark(workspace, connection, [one])
    return number


def _differ(one: Seen, other: Seen) -> None:
    if one.id == other.id:
        raise MetasyncError(f"{one.name} is one object; name two that stand for the same person, group or contact")
    if one.directory == other.directory and one.kind == other.kind:
        raise MetasyncError(
            f"{one.name} and {other.name} are both {one.kind}s of {one.directory}; an identity has one object per directory and kind"
        )


def _apart(workspace: Workspace, connection: Connection, one: Seen, other: Seen | None) -> tuple[Seen, Seen]:
    """(who leaves, who stays): who was joined to the identity leaves, not who made it."""
    if one.identity is None or (other is not None and other.identity != one.identity):
        raise MetasyncError(f"{one.name} is not joined to {other.name if other else 'any object'}")
    family = looking.partners(connection, workspace.engagement_id, one.identity)
    known = [(seen, row) for seen, row in family if seen is not None]
    partners = [seen for seen, _ in known if seen.id != one.id]
    if other is None:
        if len(partners) != 1:
            names = ", ".join(seen.name for seen in partners) or "nobody that is imported"
            raise MetasyncError(f"{one.name} is joined to {names}; name the one to take it apart from")
        other = partners[0]
    by_rule = {seen.id for seen, row in known if row["profile"] is not None}
    return (one, other) if one.id in by_rule and other.id not in by_rule else (other, one)


def _record(workspace: Workspace, connection: Connection, decision: str, one: Seen, other: Seen | None, reason: str) -> None:
    if not reason.strip():
        raise MetasyncError("a decision needs a reason; give one with `--reason TEXT`")
    values = {
        "decision": decision,
        "directory": one.directory,
        "anchor": one.anchor,
        "other_directory": other.directory if other else None,
        "other_anchor": other.anchor if other else None,
        "reason": reason.strip(),
        "author": workspace.author,
        "at": workspace.backend.now(connection),
    }
    joins.decide(connection, workspace.engagement_id, values)
    subject = one.name if other is None else f"{one.name} and {other.name}"
    audit.append(connection, workspace.engagement_id, workspace.author, decision, subject, {"reason": reason.strip()})


def _mark(workspace: Workspace, connection: Connection, seen: Sequence[Seen]) -> None:
    """They are looked at again, and so is whoever waits for one of them as a partner."""
    profiles = profiles_by_source(workspace.engagement)
    rows = [(profile, one.id, dirty.WHOLE) for one in seen for profile in profiles.get((one.directory, Kind(one.kind)), ())]
    keys = match_keys.of_objects(connection, [one.id for one in seen])
    sought = [(workspace.directory_ids[one.directory], name, value) for one in seen for name, value in keys.get(one.id, ())]
    rows += [(profile, object_id, dirty.WHOLE) for profile, object_id in waits.on_keys(connection, sought)]
    dirty.mark(workspace.backend, connection, workspace.engagement_id, rows)
