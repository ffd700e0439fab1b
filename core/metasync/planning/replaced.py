"""Freezes what gives way to a profile's objects (`replaces:`): what is freed of it, its memberships, which go over, and its delete.

All of it is about one source object, whose changes depend on one another in the order of export: the delete is not begun where anything
before it was not done.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from metasync.contract import Kind, Operation, Reference
from metasync.engagement.model import Profile
from metasync.exporting.order import Stage
from metasync.planning.freezer import Draft, Freezer, Subject
from metasync.store import codec
from metasync.store import replaced as replaced_rows
from metasync.store.replaced import Leaver, Membership
from metasync.store.rows import REPLACING
from metasync.synchronising.created import CREATED_FOR
from metasync.synchronising.scope import is_named
from metasync.workspace import Workspace


def freeze_replaced(
    workspace: Workspace,
    connection: Connection,
    freezer: Freezer,
    profile: Profile,
    *,
    objects: frozenset[int] | None,
    busy: Collection[int],
) -> None:
    """Hand it to the freezer, behind the creates and changes of the profile's own objects."""
    directory_id = workspace.directory_ids[profile.target]
    for page in replaced_rows.leavers(connection, workspace.engagement_id, profile.name, objects):
        both = [number for one in page for number in (one.replaced.target_id, one.successor_id) if number is not None]
        groups = replaced_rows.memberships(connection, directory_id, both)
        for one in page:
            if one.replaced.object_id in busy:
                continue
            together = [(_subject(one), _farewell(one))]
            there = {group.id for group in groups.get(one.successor_id or 0, ())}
            for group in groups.get(one.replaced.target_id, ()):
                if group.privileged and not is_named(
                    workspace.engagement.directories[profile.target].allow_privileged, group.anchor, codec.decode(group.blob)
                ):
                    _privileged(freezer, one, group)
                else:
                    together.append((_group(one, group), _moves(one, group, profile, already=group.id in there)))
            freezer.add_together(together)


def _subject(one: Leaver) -> Subject:
    gone = one.replaced
    return Subject(
        object_id=gone.object_id,
        source=one.source,
        identity_id=one.identity_id,
        kind=gone.kind,
        target_id=gone.target_id,
        anchor=gone.anchor,
        label=gone.label,
    )


def _farewell(one: Leaver) -> Sequence[Draft]:
    """A name is freed before the new object is created; the rest only once that is there."""
    stages = {
        Operation.RENAME: Stage.FREE,
        Operation.CLEAR: Stage.FREE if one.successor is not None else Stage.YIELD,
        Operation.DELETE: Stage.DELETE,
    }
    return [
        Draft(operation=each.operation, before=each.before, after=each.after, rules=each.rules, stage=stages[each.operation])
        for each in one.replaced.operations
    ]


def _group(one: Leaver, group: Membership) -> Subject:
    return replace(_subject(one), kind=Kind.GROUP, target_id=group.id, anchor=group.anchor, label=group.label)


def _moves(one: Leaver, group: Membership, profile: Profile, *, already: bool) -> Sequence[Draft]:
    new = Reference(value=one.source, key=CREATED_FOR) if one.successor is None else Reference(value=one.successor)
    name, rule = group.attribute, f"{REPLACING}membership of {one.replaced.label} goes over to {profile.name}"
    adds = Draft(operation=Operation.MEMBER_ADD, after={name: (new,)}, rules={name: rule}, stage=Stage.MOVED_MEMBER)
    old = (Reference(value=one.replaced.anchor),)
    removes = Draft(operation=Operation.MEMBER_REMOVE, before={name: old}, rules={name: rule}, stage=Stage.LEFT_MEMBER)
    return [removes] if already else [adds, removes]


def _privileged(freezer: Freezer, one: Leaver, group: Membership) -> None:
    freezer.problems.append(
        {
            "object_id": one.replaced.object_id,
            "anchor": one.source.partition("/")[2],
            "code": "privileged",
            "text": f"the membership of {one.replaced.label} in {group.label} does not go over: that group is privileged. "
            "Name it in `allow privileged:` if it shall",
            "severity": "warning",
        }
    )
