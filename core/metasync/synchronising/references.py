"""References follow identities, not names: the manager of the target object is the target's object of the source's manager.

Single references become part of the object's pending row; members are rows of their own, one per member, so that one joiner in a large
group costs
one row. An unresolved reference is left alone and shown; it is looked at again when its object appears.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Kind, Operation, Reference
from metasync.engagement.model import Strength
from metasync.store import references
from metasync.store.pending import MemberRow
from metasync.store.references import Followed, Present
from metasync.store.rows import PendingOperation, Problem, Severity
from metasync.synchronising.fit import attribute_schema
from metasync.synchronising.images import CREATED_FOR, source_name
from metasync.synchronising.program import Program, ReferenceMapping
from metasync.synchronising.units import PREFERENCE, Unit

UNRESOLVED = "unresolved reference"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
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


class References:
    """Works the reference mappings of one profile."""

    def __init__(self, profile_name: str, target_id: int, names: Mapping[int, str], source_ids: Collection[int]) -> None:
        self.profile_name, self.target_id, self.names, self.source_ids = profile_name, target_id, names, source_ids

    def wanted(
        self, connection: Connection, units: Sequence[Unit], mapping: ReferenceMapping, members: Mapping[int, Collection[int]] | None = None
    ) -> dict[int, tuple[list[Wanted], list[Followed]]]:
        """unit -> (what its references shall be, what could not be followed)."""
        found: dict[int, tuple[list[Wanted], list[Followed]]] = {unit.id: ([], []) for unit in units}
        decides: dict[int, tuple[str, str]] = {}
        for root, attribute in mapping.contributors:
            holders = {holder: unit.id for unit in units if (holder := _holder(unit, root)) is not None}
            only = None if members is None else {one for wanted_ in members.values() for one in wanted_}
            if only is not None and root != "source":
                only = references.family(connection, only)
            for one in references.followed(connection, list(holders), attribute, self.target_id, only):
                unit_id = holders[one.holder_id]
                if not mapping.union and decides.setdefault(unit_id, (root, attribute)) != (root, attribute):
                    continue
                resolved = self._resolved(one)
                if resolved is None:
                    found[unit_id][1].append(one)
                elif all(resolved.key != known.key for known in found[unit_id][0]):
                    found[unit_id][0].append(resolved)
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

    def _resolved(self, one: Followed) -> Wanted | None:
        source = ""
        if one.member_id is not None:
            directory, _, anchor = one.source.partition("/")
            source = source_name(self.names[int(directory)], anchor)
        if one.joined:
            _, anchor = min(one.joined, key=lambda pair: PREFERENCE.index(Kind(pair[0])))
            return Wanted(key=anchor, created=False, label=one.label, member_id=one.member_id, source=source)
        if one.planned:
            return Wanted(key=source, created=True, label=one.label, member_id=one.member_id, source=source)
        return None

    def single(
        self,
        program: Program,
        unit: Unit,
        mapping: ReferenceMapping,
        wanted: list[Wanted],
        lost: list[Followed],
        current: Mapping[str, Present],
    ) -> tuple[PendingOperation | None, list[Problem]]:
        """The operation that sets a single reference (or several that are no members)."""
        problems = [_unresolved(unit, mapping.attribute, one) for one in lost]
        if mapping.attribute in unit.held or (lost and not wanted):
            return None, problems
        known = attribute_schema(program.target_schema, mapping.attribute)
        now = _overlaid(unit, mapping.attribute, current)
        strength = mapping.mapping.strength
        if (strength is Strength.ONCE and not unit.creates) or (strength is not Strength.ENFORCED and now):
            return None, problems
        after: Any = tuple(one.reference for one in wanted) if known.multi else (wanted[0].reference if wanted else None)
        if {one.key for one in wanted} == _keys(now, wanted):
            return None, problems
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
        unit: Unit,
        mapping: ReferenceMapping,
        wanted: list[Wanted],
        current: Mapping[str, Present],
        written: Sequence[tuple[Operation, dict[str, Any], str]],
        only: Mapping[int, Collection[str]] | None,
    ) -> tuple[list[MemberRow], list[str] | None]:
        """Members to add and to remove, and which keys they replace (None: all). Members that no identity stands for stay. `only`: the
        members to look at, and the keys that each may stand under."""
        attribute, rule = mapping.attribute, program.rule(mapping.attribute)
        here = dict(current)
        pending_sources: set[str] = set()
        for operation, after, _ in written:
            value = after.get(attribute)
            references = value if isinstance(value, tuple) else (value,) if isinstance(value, Reference) else ()
            for reference in references:
                if operation is Operation.MEMBER_ADD:
                    if reference.key == CREATED_FOR:
                        pending_sources.add(reference.value)
                    here.setdefault(reference.value, Present(value=reference.value, label=reference.value, stood_for=True, source_ids=()))
                elif operation is Operation.MEMBER_REMOVE:
                    here.pop(reference.value, None)
        shall = {one.key: one for one in wanted}
        rows = [
            self._row(unit, one.key, one.created, attribute, Operation.MEMBER_ADD, one.label, rule)
            for one in shall.values()
            if one.key not in here and one.source not in pending_sources
        ]
        removable = here if only is None else {key: one for key, one in here.items() if set(one.source_ids) & only.keys()}
        keeps = mapping.mapping.values.value == "add"
        for key, one in removable.items():
            if key in shall or keeps or (not one.stood_for and not mapping.mapping.authoritative):
                continue
            if any(key == known.source for known in wanted):
                continue
            rows.append(self._row(unit, key, False, attribute, Operation.MEMBER_REMOVE, one.label, rule))
        keys = None if only is None else sorted({*shall, *removable, *(key for standing in only.values() for key in standing)})
        return rows, keys

    def _row(self, unit: Unit, key: str, created: bool, attribute: str, operation: Operation, label: str, rule: str) -> MemberRow:
        return MemberRow(
            object_id=unit.id, member_key=key, member_created=created, attribute=attribute, operation=operation, label=label, rule=rule
        )


def _holder(unit: Unit, root: str) -> int | None:
    """The object whose links a root names."""
    if root in ("source", unit.source.directory):
        return unit.id
    partner = unit.partners.get(root)
    return partner.object_id if partner is not None else None


def _overlaid(unit: Unit, attribute: str, current: Mapping[str, Present]) -> set[str]:
    """The anchors (or source names) that the target holds now, written values included."""
    value = unit.target.attributes.get(attribute) if unit.target is not None else None
    if value is None:
        return set() if unit.target is not None and attribute in unit.cleared else set(current)
    return {one.value for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Reference)}


def _keys(now: set[str], wanted: list[Wanted]) -> set[str]:
    """What is there, in the terms of what is wanted: a written reference to a created object is equal to the object itself."""
    by_source = {one.source: one.key for one in wanted}
    return {by_source.get(key, key) for key in now}


def _unresolved(unit: Unit, attribute: str, one: Followed) -> Problem:
    return Problem(
        code=UNRESOLVED,
        text=f"{attribute} refers to {one.label}, who has no object in the target; it is left alone until there is one",
        severity=Severity.NOTICE,
        object_id=unit.id,
        anchor=unit.row.anchor,
        attribute=attribute,
    )
