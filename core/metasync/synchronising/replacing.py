"""`replaces:`: an object that another profile made for the same identity gives way to ours. One half of it is for the profile that says
so, the other for the profile that is named.

Of a contact that gives way to a user, say, the addresses go over (`proxyAddresses`, and `legacyExchangeDN` as `X500:`, so that replies to
old mail arrive), and the memberships, which are read when the plan is made. It is deleted last, and only where all that comes before was
written: whoever has no user yet keeps his contact. Only what Metasync created goes; what was merely found there is left alone, and shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from metasync import dn
from metasync.contract import Allow, AttributeSchema, Operation, Role, Unique
from metasync.engagement.model import Profile, Several, Strength
from metasync.equality import canonical_set
from metasync.store import dirty, joins, ledger, states
from metasync.store import written as written_rows
from metasync.store.joins import JoinRow
from metasync.store.replaced import Replaced
from metasync.store.rows import REPLACING, PendingOperation, Severity, State, Status
from metasync.synchronising.family import STANDS
from metasync.synchronising.images import Image
from metasync.synchronising.needs import ADDRESSES, FORMER_NAME, standardised
from metasync.synchronising.scope import is_named
from metasync.synchronising.setting import Setting
from metasync.synchronising.unique import UniqueValues
from metasync.synchronising.units import Successor, Unit

X500 = "X500:"


class Replacing:
    """Both halves, for one profile."""

    def __init__(self, at: Setting) -> None:
        self.at = at
        self._freed: dict[str, dict[str, Any]] = {}
        """Anchor -> addresses that we freed of it in an export that did not come to its end."""
        self._freed_by: dict[str, int] = {}
        """Anchor -> the last run that did."""

    # --- the profile that is named -------------------------------------------------------------------------------------------------------

    def look(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Before anybody is matched: for whom ours stands already, and whose object gives way to ours."""
        if self.at.successors:
            self._find_successors(connection, units)
        if self.at.replaced is not None:
            self._find_replaced(connection, units)

    def _find_successors(self, connection: Connection, units: Sequence[Unit]) -> None:
        stood = states.of_identities(connection, {unit.identity_id for unit in units if unit.identity_id is not None})
        for unit in units:
            statuses: dict[str, set[str]] = {}
            for name, _, status in stood.get(unit.identity_id or 0, ()):
                statuses.setdefault(name, set()).add(status)
            found = (_successor(unit, one, statuses.get(one.name, set())) for one in self.at.successors)
            unit.successor = next((one for one in found if one is not None), None)
            if unit.successor is not None and unit.successor.there and unit.target is not None and unit.target.state is State.GONE:
                # It went as it was meant to: its join stays, so that an undo finds it.
                unit.status, unit.reason = Status.SKIPPED, unit.successor.words

    def settle(self, units: Sequence[Unit]) -> None:
        """After matching: nothing is made, or kept in step, that another profile's object has taken the place of."""
        for unit in units:
            if unit.status or unit.successor is None:
                continue
            if unit.target is None or (unit.successor.there and _ours(unit.target, unit.target_join, self.at.profile)):
                unit.status, unit.reason = Status.SKIPPED, unit.successor.words

    # --- the profile that says `replaces:` -----------------------------------------------------------------------------------------------

    def _find_replaced(self, connection: Connection, units: Sequence[Unit]) -> None:
        replaced = self.at.replaced
        assert replaced is not None
        for unit in units:
            row, image = unit.beside.get(replaced.target_kind, (None, None))
            if row is None or image is None or image.state is not State.LIVE or image.object_id is None:
                continue
            if not _ours(image, row, replaced):
                text = f"the {image.kind} {image.label} stands for the same identity, and {replaced.name} did not create it: it stays"
                unit.problem("not ours", f"{text}. Take over by hand what it has, and delete it there", severity=Severity.NOTICE)
            elif image.privileged and not is_named(self.at.allowed, image.anchor, image.attributes):
                text = f"the {image.kind} {image.label} is privileged in {self.at.profile.target} and does not give way"
                unit.problem("privileged", text, severity=Severity.NOTICE)
            else:
                unit.replaced = image
        anchors = {unit.replaced.anchor for unit in units if unit.replaced is not None}
        for anchor, changes in written_rows.of_anchors(connection, self.at.target_id, anchors, ledger.DONE, members=False).items():
            ours = [
                one
                for one in changes
                if one.operation is Operation.CLEAR and any(words.startswith(REPLACING) for words in one.rules.values())
            ]
            back = written_rows.taken_back(connection, [one.id for one in ours])
            for change in ours:
                if change.id not in back:
                    self._freed.setdefault(anchor, {}).update(change.before)
                    self._freed_by[anchor] = change.run_id or 0

    def give_way(self, unit: Unit, unique: UniqueValues) -> None:
        """What the other one bears is ours to take."""
        if unit.replaced is not None and unit.replaced.object_id is not None and unit.identity_id is not None:
            unique.give_way(unit.identity_id, unit.replaced.object_id)

    def replace(self, unit: Unit) -> None:
        """Take over what the other one has, and let it go, where ours is to be created or stands."""
        contact, replaced = unit.replaced, self.at.replaced
        if contact is None or replaced is None or unit.status not in (Status.PENDING, Status.IN_STEP) or contact.object_id is None:
            return
        if unit.held:
            held = ", ".join(sorted(unit.held))
            text = f"the {contact.kind} {contact.label} stays while an undo holds {held}; `metasync release` lets that go"
            unit.problem("held", text, severity=Severity.NOTICE)
            return
        rule = f"{REPLACING}takes the place of {contact.label}, which {replaced.name} made"
        present = unit.target.attributes if unit.target is not None else {}
        self._tell_nobody_has(unit, contact, present)
        shall = {name: value for name, value in present.items() if value is not None}
        for one in unit.operations:
            shall |= one.after
        if moved := self._moved(unit, contact, shall):
            shall[ADDRESSES] = (*_values(shall.get(ADDRESSES)), *moved)
        contested = self._contested(contact, shall)
        if unit.creates:
            self._create_without(unit, contested, shall if moved else {}, rule)
        elif moved:
            self._add_addresses(unit, present, shall[ADDRESSES], rule)
        unit.gives_way = Replaced(
            object_id=unit.id,
            directory_id=self.at.target_id,
            kind=contact.kind,
            target_id=contact.object_id,
            anchor=contact.anchor,
            label=contact.label,
            operations=self._farewell(unit, contact, contested, f"{REPLACING}gives way to {self.at.profile.name}"),
        )
        unit.status = Status.PENDING
        unit.reason = f"{unit.reason}; it takes the place of the {contact.kind} {contact.label}, which {replaced.name} made"

    def _tell_nobody_has(self, unit: Unit, contact: Image, present: Mapping[str, Any]) -> None:
        """An export cleared something here and could not write it there: mail to it bounces until it is written, or given back."""
        freed = self._freed.get(contact.anchor, {})
        schema = self._schema_of(contact)
        lost = sorted(
            name
            for name, value in freed.items()
            if not canonical_set(schema[name], value)
            <= canonical_set(schema[name], contact.attributes.get(name)) | canonical_set(schema[name], present.get(name))
        )
        if lost:
            text = f"{', '.join(lost)} of the {contact.kind} {contact.label}: cleared, and not written to what takes its place"
            remedy = f"the next export tries again, and `metasync undo {self._freed_by[contact.anchor]}` gives it back"
            unit.problem("on nobody", f"{text}. Nobody has that now; {remedy}", severity=Severity.WARNING)

    def _moved(self, unit: Unit, contact: Image, shall: Mapping[str, Any]) -> list[str]:
        """The addresses that go over: those that the new object does not have anyway, the primary one as a further one."""
        known = unit.program.target_schema.attributes.get(ADDRESSES)
        if known is None or not known.multi:
            return []
        freed = self._freed.get(contact.anchor, {})
        addresses = [*_values(freed.get(ADDRESSES)), *_values(contact.attributes.get(ADDRESSES))]
        addresses += [X500 + one for one in _values(contact.attributes.get(FORMER_NAME))]
        there = {_folded(one) for one in _values(shall.get(ADDRESSES))}
        moved = []
        for one in addresses:
            if _folded(one) not in there:
                there.add(_folded(one))
                moved.append(f"smtp:{one[5:]}" if one.startswith("SMTP:") else one)
        mapping = unit.program.mappings.get(ADDRESSES)
        if moved and mapping is not None and mapping.strength is Strength.ENFORCED and mapping.values is not Several.ADD:
            text = f"{len(moved)} addresses of {contact.label} do not go over, because the document decides about all of {ADDRESSES}"
            unit.problem("addresses stay", f"{text}; say `values: add` there if they shall", ADDRESSES, severity=Severity.NOTICE)
            return []
        return moved

    def _contested(self, contact: Image, shall: Mapping[str, Any]) -> list[str]:
        """Attributes of which both have, or shall have, a value that stands only once."""
        found = []
        for name, known in self._schema_of(contact).items():
            if known.unique is None or not canonical_set(known, contact.attributes.get(name)) & canonical_set(known, shall.get(name)):
                continue
            same_place = dn.folded(str(contact.attributes.get("path", ""))) == dn.folded(str(shall.get("path", "")))
            if known.unique is not Unique.PARENT or same_place:
                found.append(name)
        return found

    def _create_without(self, unit: Unit, contested: Sequence[str], addresses: Mapping[str, Any], rule: str) -> None:
        """A new object begins without what the other one has: that is freed only once it is there."""
        create = unit.operations[0]
        needed = {one.name for one in unit.program.needed}
        later = {
            name: create.after[name]
            for name in contested
            if name in create.after and name not in needed and unit.program.target_schema.attributes[name].role is not Role.NAME
        }
        if ADDRESSES in addresses:
            later[ADDRESSES] = addresses[ADDRESSES]
        if not later:
            return
        first = PendingOperation(
            operation=Operation.CREATE,
            after={name: value for name, value in create.after.items() if name not in later},
            rules={name: words for name, words in create.rules.items() if name not in later},
        )
        rules = {name: f"{create.rules[name]}; {rule}" if name in create.rules else rule for name in later}
        unit.operations = [first, PendingOperation(operation=Operation.UPDATE, after=later, rules=rules)]

    def _add_addresses(self, unit: Unit, present: Mapping[str, Any], addresses: tuple[str, ...], rule: str) -> None:
        update = next((one for one in unit.operations if one.operation is Operation.UPDATE), PendingOperation(operation=Operation.UPDATE))
        unit.operations = [one for one in unit.operations if one is not update and set(one.after) != {ADDRESSES}]
        before = {ADDRESSES: present[ADDRESSES]} if ADDRESSES in present else {}
        unit.operations.append(
            PendingOperation(
                operation=Operation.UPDATE,
                before={**update.before, **before},
                after={**update.after, ADDRESSES: addresses},
                rules={**update.rules, ADDRESSES: rule},
            )
        )

    def _farewell(self, unit: Unit, contact: Image, contested: Sequence[str], rule: str) -> list[PendingOperation]:
        """What is freed of it, and its delete."""
        left = {name: contact.attributes[name] for name in ("name", "path", "mail", ADDRESSES) if name in contact.attributes}
        operations = []
        schema = self._schema_of(contact)
        named = next((name for name in contested if schema[name].role is Role.NAME), None)
        if named is not None:
            aside = self._aside(unit, str(contact.attributes[named]), schema[named])
            before = {named: contact.attributes[named]}
            operations.append(PendingOperation(operation=Operation.RENAME, before=before, after={named: aside}, rules={named: rule}))
            left[named] = aside
        freed = [name for name in contested if name != named and Allow.CLEAR in schema[name].allow]
        if freed:
            before = {name: contact.attributes[name] for name in freed}
            after = dict.fromkeys(freed)
            operations.append(PendingOperation(operation=Operation.CLEAR, before=before, after=after, rules=dict.fromkeys(freed, rule)))
            left = {name: value for name, value in left.items() if name not in freed}
        operations.append(PendingOperation(operation=Operation.DELETE, before=left, after={}, rules={"": rule}))
        return operations

    def _aside(self, unit: Unit, name: str, known: AttributeSchema) -> str:
        own = f"{unit.source.directory}/{unit.row.anchor}".encode("utf-8", "surrogatepass")
        ending = f" (replaced {hashlib.sha256(own).hexdigest()[:8]})"
        return name[: max(1, (known.max_length or 64) - len(ending))] + ending

    def _schema_of(self, contact: Image) -> Mapping[str, AttributeSchema]:
        return standardised(self.at.schemas[self.at.profile.target].kinds[contact.kind]).attributes

    # --- both ----------------------------------------------------------------------------------------------------------------------------

    def tell(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Who takes hold under the one profile, or lets go, is looked at again under the other."""
        others = [*self.at.successors, *([self.at.replaced] if self.at.replaced is not None else [])]
        changed = [unit for unit in units if unit.before is None or unit.before.status != unit.status]
        turned = {unit.identity_id for unit in changed if unit.identity_id is not None}
        marks: set[tuple[str, int, int]] = set()
        for rows in joins.of_identities(connection, turned).values() if others else ():
            for profile in others:
                sources = [self.at.workspace.directory_ids[name] for name in profile.sources]
                marks |= {
                    (profile.name, row.object_id, dirty.WHOLE)
                    for row in rows
                    if row.object_id is not None and row.directory_id in sources and row.kind == profile.source_kind
                }
        dirty.mark(self.at.workspace.backend, connection, self.at.engagement_id, marks)


def successor_of(connection: Connection, unit: Unit, successors: Sequence[Profile]) -> str:
    """Why an object is not made or kept, in words, or "". For those who explain."""
    stood = states.of_identities(connection, {unit.identity_id} if unit.identity_id is not None else set())
    for one in successors:
        statuses = {status for name, _, status in stood.get(unit.identity_id or 0, ()) if name == one.name}
        if (found := _successor(unit, one, statuses)) is not None:
            return found.words
    return ""


def _successor(unit: Unit, profile: Profile, statuses: set[str]) -> Successor | None:
    """Does this profile's object stand, or is it about to?"""
    beside = unit.beside.get(profile.target_kind)
    if beside is not None and beside[1].state is not State.GONE and (beside[0].profile == profile.name or statuses & set(STANDS)):
        image = beside[1]
        return Successor(there=True, words=f"{profile.name} has the {image.kind} {image.label} for it, which has taken its place")
    if Status.PENDING in statuses and not profile.staging:
        words = f"{profile.name} is about to create its {profile.target_kind}; no {unit.program.profile.target_kind} is made for it"
        return Successor(there=False, words=words)
    return None


def _ours(image: Image, row: JoinRow | None, profile: Profile) -> bool:
    """This profile made it."""
    return row is not None and row.profile == profile.name and (row.created or image.marked)


def _values(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _folded(address: str) -> str:
    return address.casefold()
