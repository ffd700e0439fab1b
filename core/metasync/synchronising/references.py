"""References follow identities, not names: the manager of the target object is the target's object of the source's manager.

Single references become part of the object's pending row; members are rows of their own, one per member, so that one joiner in a large
group costs
one row. An unresolved reference is left alone and shown; it is looked at again when its object appears.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection

from metasync.contract import Allow, AttributeSchema, Kind, Operation, Reference
from metasync.engagement.model import Strength
from metasync.store import references
from metasync.store.backend import Backend
from metasync.store.pending import MemberRow
from metasync.store.references import Followed, Present
from metasync.store.rows import PendingOperation, Problem, Severity
from metasync.synchronising.created import CREATED_FOR
from metasync.synchronising.fit import attribute_schema
from metasync.synchronising.images import source_name
from metasync.synchronising.program import MEMBERS, Program, ReferenceMapping
from metasync.synchronising.units import PREFERENCE

UNRESOLVED, UNWRITABLE = "unresolved reference", "unwritable reference"
TOLD = (UNRESOLVED, UNWRITABLE)
"""The problems that the pass over references finds."""


class Wanted(NamedTuple):
    """What a reference shall point at: an object of the target, or the one that will be created for a source object."""

    key: str
    """The anchor, or `directory/anchor` of the source object."""
    created: bool
    label: str
    member_id: int | None
    source: str
    """`directory/anchor` of the source object."""

    @property
    def reference(self) -> Reference:
        """As it stands in a change."""
        return Reference(value=self.key, key=CREATED_FOR) if self.created else Reference(value=self.key)


@dataclass(kw_only=True, slots=True)
class Holder:
    """A source object whose references are worked out, and what it is in the target."""

    id: int
    anchor: str
    program: Program
    creates: bool
    identity_id: int | None = None
    target_id: int | None = None
    target_anchor: str | None = None
    label: str = ""
    """Of the object in the target."""
    held: frozenset[str] = frozenset()
    written: Mapping[str, Any] = field(default_factory=dict)
    """References of the target object that were written, or read by an expression."""
    cleared: frozenset[str] = frozenset()
    others: Mapping[str, int] = field(default_factory=dict)
    """Directory -> the identity's object there, where a mapping takes references from it."""
    problems: list[Problem] = field(default_factory=list)
    """What a person should know of its references before they are looked at."""

    def holder(self, root: str, source: str) -> int | None:
        """The object whose links a root names."""
        return self.id if root in ("source", source) else self.others.get(root)


class References:
    """Works the reference mappings of one profile."""

    def __init__(self, backend: Backend, profile_name: str, target_id: int, names: Mapping[int, str]) -> None:
        self.backend, self.profile_name, self.target_id, self.names = backend, profile_name, target_id, names

    def wanted(
        self,
        connection: Connection,
        holders: Sequence[Holder],
        mapping: ReferenceMapping,
        members: Mapping[int, Collection[int]] | None = None,
    ) -> dict[int, tuple[dict[str, Wanted], list[Followed]]]:
        """source object -> (what its references shall be by their keys, what could not be followed)."""
        found: dict[int, tuple[dict[str, Wanted], list[Followed]]] = {one.id: ({}, []) for one in holders}
        decides: dict[int, tuple[str, str]] = {}
        ranked = len(mapping.contributors) > 1 and not mapping.union
        for root, attribute in mapping.contributors:
            by_object = {at: one.id for one in holders if (at := one.holder(root, one.program.source)) is not None}
            only = None if members is None else {one for wanted_ in members.values() for one in wanted_}
            if only is not None and root != "source":
                only = references.family(connection, only)
            for one in references.followed(self.backend, connection, by_object, attribute, self.target_id, only):
                holder = by_object[one.holder_id]
                if ranked and decides.setdefault(holder, (root, attribute)) != (root, attribute):
                    continue
                # Memberships go over with what gives way, by the plan of whoever takes its place: until then it stays a member.
                resolved = self._resolved(one, new=mapping.attribute != MEMBERS)
                if resolved is None:
                    found[holder][1].append(one)
                else:
                    found[holder][0].setdefault(resolved.key, resolved)
        return found

    def stand_ins(self, connection: Connection, members: Collection[int]) -> dict[int, set[str]]:
        """member -> the keys that it may stand under."""
        found = references.stand_ins(connection, members, self.target_id)
        own = {f"{number}/": name for number, name in self.names.items()}
        for keys in found.values():
            for key in list(keys):
                for prefix, name in own.items():
                    if key.startswith(prefix):
                        keys.add(source_name(name, key[len(prefix) :]))
        return found

    def _resolved(self, one: Followed, *, new: bool) -> Wanted | None:
        source = source_name(self.names[one.directory_id], one.anchor) if one.directory_id else ""
        if one.joined and not (new and one.planned):
            _, anchor = one.joined[0] if len(one.joined) == 1 else min(one.joined, key=lambda pair: PREFERENCE.index(Kind(pair[0])))
            return Wanted(anchor, False, one.label, one.member_id, source)
        if one.planned:
            return Wanted(source, True, one.label, one.member_id, source)
        return None

    def single(
        self,
        program: Program,
        holder: Holder,
        mapping: ReferenceMapping,
        wanted: Mapping[str, Wanted],
        lost: list[Followed],
        current: Mapping[str, Present],
    ) -> tuple[PendingOperation | None, list[Problem]]:
        """The operation that sets a single reference (or several that are no members)."""
        problems = [_unresolved(holder, mapping.attribute, one) for one in lost]
        if mapping.attribute in holder.held or (lost and not wanted):
            return None, problems
        known = attribute_schema(program.target_schema, mapping.attribute)
        now = _overlaid(holder, mapping.attribute, current)
        strength = mapping.mapping.strength
        if (strength is Strength.ONCE and not holder.creates) or (strength is not Strength.ENFORCED and now):
            return None, problems
        shall = list(wanted.values())
        after: Any = tuple(one.reference for one in shall) if known.multi else (shall[0].reference if shall else None)
        if wanted.keys() == _keys(now, shall):
            return None, problems
        if not holder.creates and (Allow.UPDATE if wanted else Allow.CLEAR) not in known.allow:
            return None, [*problems, _unwritable(holder, mapping.attribute, known, "changed" if wanted else "cleared")]
        before = (
            tuple(Reference(value=key) for key in sorted(now)) if known.multi else next((Reference(value=key) for key in sorted(now)), None)
        )
        operation = Operation.UPDATE if wanted else Operation.CLEAR
        return PendingOperation(
            operation=operation,
            before={mapping.attribute: before} if before else {},
            after={mapping.attribute: after or None},
            rules={mapping.attribute: program.rule(mapping.attribute)},
        ), problems

    def members(
        self,
        program: Program,
        holder: Holder,
        mapping: ReferenceMapping,
        wanted: Mapping[str, Wanted],
        current: Mapping[str, Present],
        written: Sequence[tuple[Operation, dict[str, Any], str]],
        only: Mapping[int, Collection[str]] | None,
        fixed: Collection[str] = (),
        *,
        anchor_of: Callable[[str], str | None],
    ) -> tuple[list[MemberRow], list[str] | None]:
        """Members to add and to remove, and which keys they replace (None: all). Members that no identity stands for stay, and so do those
        that are `fixed`. `only`: the members to look at, and the keys that each may stand under. `anchor_of`: of what was created for a
        source object; a member that was written under its name is in the target under its anchor."""
        attribute, rule = mapping.attribute, program.rule(mapping.attribute)
        here = dict(current)
        written_for: dict[str, str] = {}
        """Anchor -> the source object that a member was created and added for, which no import has shown yet."""
        unknown: set[str] = set()
        """Of those, whom nothing stands for now: what was written to them goes with them."""
        for operation, after, _ in written:
            value = after.get(attribute)
            references = value if isinstance(value, tuple) else (value,) if isinstance(value, Reference) else ()
            for reference in references:
                key = reference.value
                if reference.key == CREATED_FOR:
                    anchor = anchor_of(key)
                    if anchor is None:
                        unknown |= {key} if operation is Operation.MEMBER_ADD else set()
                        continue
                    written_for[anchor] = key
                    key = anchor
                if operation is Operation.MEMBER_ADD:
                    here.setdefault(key, Present(key, reference.value, True, ()))
                elif operation is Operation.MEMBER_REMOVE:
                    here.pop(key, None)
        added = unknown | {source for anchor, source in written_for.items() if anchor in here}
        rows = [
            MemberRow(holder.id, one.key, one.created, attribute, Operation.MEMBER_ADD, one.label, rule)
            for one in wanted.values()
            if one.key not in here and one.source not in added
        ]
        removable = here if only is None else {key: one for key, one in here.items() if set(one.source_ids) & only.keys()}
        keeps = mapping.mapping.values.value == "add"
        named = {known.source for known in wanted.values()} if removable else set()
        for key, one in removable.items():
            if key in wanted or keeps or key in fixed or (not one.stood_for and not mapping.mapping.authoritative):
                continue
            if written_for.get(key) in named:
                continue
            rows.append(MemberRow(holder.id, key, False, attribute, Operation.MEMBER_REMOVE, one.label, rule))
        keys = None if only is None else sorted({*wanted, *removable, *(key for standing in only.values() for key in standing)})
        return rows, keys


def _overlaid(holder: Holder, attribute: str, current: Mapping[str, Present]) -> set[str]:
    """The anchors (or source names) that the target holds now, written values included."""
    value = holder.written.get(attribute)
    if value is None:
        return set() if attribute in holder.cleared else set(current)
    return {one.value for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Reference)}


def _keys(now: set[str], wanted: list[Wanted]) -> set[str]:
    """What is there, in the terms of what is wanted: a written reference to a created object is equal to the object itself."""
    by_source = {one.source: one.key for one in wanted}
    return {by_source.get(key, key) for key in now}


def _unresolved(holder: Holder, attribute: str, one: Followed) -> Problem:
    return Problem(
        code=UNRESOLVED,
        text=f"{attribute} refers to {one.label}, who has no object in the target; it is left alone until there is one",
        severity=Severity.NOTICE,
        object_id=holder.id,
        anchor=holder.anchor,
        attribute=attribute,
    )


def _unwritable(holder: Holder, attribute: str, known: AttributeSchema, doing: str) -> Problem:
    why = f" ({known.help.rstrip('.')})" if known.help else ""
    return Problem(
        code=UNWRITABLE,
        text=f"{attribute} cannot be {doing} in the target once it is set{why}; it is left alone. Name somebody in the source, or make "
        "the mapping `once: true`",
        severity=Severity.WARNING,
        object_id=holder.id,
        anchor=holder.anchor,
        attribute=attribute,
    )
