"""Freezes what gives way to a profile's objects (`replaces:`): what is freed of it, its memberships, which go over, and its delete.

All of it is about one source object, whose changes depend on one another in the order of export: the delete is not begun where anything
before it was not done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from metasync.contract import AttributeSchema, Kind, Operation, Reference
from metasync.engagement.model import Profile
from metasync.exporting.order import Stage, is_reference
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


def served(workspace: Workspace, connection: Connection, profile: Profile, objects: frozenset[int] | None) -> frozenset[int]:
    """Source objects whose own object is there already, and for whom another one is to give up values first."""
    if profile.replaces is None:
        return frozenset()
    return frozenset(
        one.replaced.object_id
        for page in replaced_rows.leavers(connection, workspace.engagement_id, profile.name, objects)
        for one in page
        if one.successor is not None and any(each.operation is Operation.CLEAR for each in one.replaced.operations)
    )


def tried_first(drafts: Sequence[Draft], attributes: Mapping[str, AttributeSchema]) -> tuple[list[Draft], list[Draft]]:
    """(what of an update touches nobody else, and goes before anything is cleared of the one that gives way; the rest). Whoever may not be
    written is refused then, while the other one still has its addresses: cleared first, they would be on nobody."""
    first: list[Draft] = []
    rest: list[Draft] = []
    for draft in drafts:
        plain = {
            name
            for name, value in draft.after.items()
            if (known := attributes.get(name)) is not None
            and known.unique is None
            and not is_reference(value)
            and not is_reference(draft.before.get(name))
        }
        if draft.operation is not Operation.UPDATE or draft.stage is not None or not plain:
            rest.append(draft)
            continue
        left = draft.after.keys() - plain
        first.append(_of(draft, plain, stage=Stage.FREE, counts=not left))
        if left:
            rest.append(_of(draft, left, stage=None, counts=True))
    return first, rest


def _of(draft: Draft, names: Collection[str], *, stage: Stage | None, counts: bool) -> Draft:
    before = {name: value for name, value in draft.before.items() if name in names}
    after = {name: value for name, value in draft.after.items() if name in names}
    return replace(draft, before=before, after=after, stage=stage, counts=counts)


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
