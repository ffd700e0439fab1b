"""What a write through the memory connector may do, and what becomes of it: one change in, exactly one result out.

Nothing is written in part: every check comes before the one call that changes the directory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from metasync.contract import (
    Allow,
    AttributeSchema,
    Change,
    Context,
    Kind,
    MetasyncError,
    Operation,
    Outcome,
    Reference,
    Result,
    Type,
    Unavailable,
    Unique,
    Values,
)
from metasync.testing.memory.directory import MemoryDirectory
from metasync.testing.memory.faults import WriteFault
from metasync.testing.memory.index import Index, Stored
from metasync.testing.memory.names import folded
from metasync.testing.values import as_tuple, problem, same, standard_name, too_long

_ACCOUNTS = frozenset({Kind.USER})
_PLACES = frozenset({Operation.RENAME, Operation.MOVE})


class _No(Exception):
    """The change is not made, for this reason."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


PROTECTED = "it is mastered by another directory"
REMEDY = "change it there"


class Writer:
    """Applies changes to one directory."""

    def __init__(self, directory: MemoryDirectory, context: Context, together: Sequence[Change] = ()) -> None:
        self.directory = directory
        self.context = context
        self.together = together
        """All changes of the call."""

    def apply(self, change: Change) -> Result:
        """One change. Raises `Unavailable` if a fault says so."""
        with self.directory.now() as (index, _):
            fault = self.directory.faults.next_write()
            if fault is WriteFault.UNAVAILABLE:
                raise Unavailable("the memory directory went away before the write; run the export again")
            if fault is WriteFault.REFUSED:
                return Result(
                    id=change.id, outcome=Outcome.REJECTED, detail=f"{change.label} was refused, as the test told; take the fault away"
                )
            if fault in (WriteFault.RETRY, WriteFault.UNKNOWN):
                outcome = Outcome.RETRY if fault is WriteFault.RETRY else Outcome.UNKNOWN
                return Result(id=change.id, outcome=outcome, detail=f"{change.label}: no answer, as the test told")
            result = self.decided(change, index)
        if fault is WriteFault.CUT:
            raise Unavailable("the connection broke before the answer; run the export again")
        if fault is WriteFault.ANSWER_LOST:
            return Result(id=change.id, outcome=Outcome.UNKNOWN, detail=f"the answer to the write of {change.label} was lost")
        return result

    def decided(self, change: Change, index: Index) -> Result:
        """The result of one change, whatever it is."""
        try:
            anchor, already = self.made(change, index)
        except _No as no:
            return Result(id=change.id, outcome=no.outcome, detail=f"{change.label}: {no.detail}")
        except MetasyncError as error:
            return Result(id=change.id, outcome=Outcome.CONFLICT, detail=f"{change.label}: {error}")
        if not already:
            self.directory.applied.append((change.operation.value, anchor))
        return Result(id=change.id, outcome=Outcome.APPLIED, anchor=anchor, already=already)

    def made(self, change: Change, index: Index) -> tuple[str, bool]:
        """Make the change; gives the object's anchor, and whether nothing was left to do."""
        kind = self.directory.schema.kinds.get(change.kind)
        if kind is None or change.operation not in kind.operations:
            self.reject(f"this directory knows no {change.operation.value} of a {change.kind.value}")
        attributes = {standard_name(attribute): attribute for attribute in kind.attributes.values()}
        if change.operation is Operation.CREATE:
            return self.create(change, attributes, index)
        if change.operation is Operation.DELETE:
            return self.delete(change, attributes, index)
        if change.operation is Operation.RESTORE:
            return self.restore(change, index)
        stored = index.live(change.anchor)
        if stored is None:
            self.conflict("the object is gone; import the directory again")
        self.common(stored, index)
        if change.operation in (Operation.MEMBER_ADD, Operation.MEMBER_REMOVE):
            return self.member(change, stored, index)
        return self.update(self.whole(change), stored, attributes, index)

    def whole(self, change: Change) -> Change:
        """A rename and a move of one object in one call are one: what lies between the two may be taken."""
        for other in self.together if change.operation in _PLACES else ():
            if other.anchor == change.anchor and other.operation in _PLACES:
                change = replace(change, before={**change.before, **other.before}, after={**change.after, **other.after})
        return change

    def create(self, change: Change, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
        """A new object, unless it is there already: by its mark, or, without marks, at its place with every value equal."""
        given = {name: values for name, values in change.after.items() if values is not None}
        if self.directory.protected(None, change.after.get("name")):
            self.reject(f"{PROTECTED}; {REMEDY}")
        present, by_mark = self.planned(change, index)
        if by_mark and present is not None:
            return present.anchor, True
        values = self.suitable(given, attributes, Allow.CREATE, index)
        if not isinstance(values.get("name"), str):
            self.reject("an object needs a name; map the attribute that is its name")
        path = str(values.get("path", self.directory.base))
        if self.directory.container(path, index) is None:
            self.reject(f"there is no container {path}; create it first")
        if present is not None:
            there = self.directory.attributes(present, index)
            if (
                self.mark is None
                and present.kind is change.kind
                and all(same(attributes[name], there.get(name), values[name]) for name in values)
            ):
                return present.anchor, True
            self.conflict("another object has this name in this place; choose another name or join the two")
        self.unique(values, attributes, None, index)
        if self.mark is not None and change.mark is not None:
            values[self.mark] = change.mark
        anchor = self.directory.add(change.kind, values)
        if change.kind in _ACCOUNTS:
            names = [str(value) for name in ("name", "givenName", "sn", "sAMAccountName") for value in as_tuple(values.get(name))]
            password = self.context.new_password(avoid=names)
            self.directory.set_password(anchor, password, must_change=self.context.settings.must_change)
        return anchor, False

    def update(self, change: Change, stored: Stored, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
        """Change attributes, name or place: nothing, or all."""
        present = self.directory.attributes(stored, index)
        cleared = self.suitable({name: () for name, values in change.after.items() if values is None}, attributes, Allow.CLEAR, index)
        values: dict[str, Values | None] = {
            **self.suitable({name: values for name, values in change.after.items() if values is not None}, attributes, Allow.UPDATE, index),
            **dict.fromkeys(cleared),
        }
        left = {name: value for name, value in values.items() if not same(attributes[name], present.get(name), value)}
        if not left:
            return stored.anchor, True
        self.unchanged(change, present, attributes, index, except_for=values.keys() - left.keys())
        self.unique({name: value for name, value in left.items() if value is not None}, attributes, stored, index)
        self.directory.change(stored.anchor, left)
        return stored.anchor, False

    def delete(self, change: Change, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
        """Delete, if it is still what was approved."""
        stored = index.live(change.anchor)
        if stored is None:
            return change.anchor or "", True
        self.common(stored, index)
        self.unchanged(change, self.directory.attributes(stored, index), attributes, index)
        self.directory.delete(stored.anchor)
        return stored.anchor, False

    def restore(self, change: Change, index: Index) -> tuple[str, bool]:
        """Bring back, where the directory still has it; `name` and `path` may say where to."""
        anchor = change.anchor or ""
        if index.live(anchor) is not None:
            return anchor, True
        if not self.directory.restorable(anchor):
            self.reject("it cannot be restored: the directory has forgotten it")
        name, path = change.after.get("name"), change.after.get("path")
        self.directory.restore(anchor, name=name if isinstance(name, str) else None, path=path if isinstance(path, str) else None)
        return anchor, False

    def member(self, change: Change, group: Stored, index: Index) -> tuple[str, bool]:
        """One member in or out; the others stay."""
        if change.member is None:
            self.reject("the change names no member")
        member = self.resolved(change.member, index)
        adding = change.operation is Operation.MEMBER_ADD
        if member is None and adding:
            self.reject(f"there is no object {change.member.value} to be a member")
        if member is None or (member in group.members) == adding:
            return group.anchor, True
        (self.directory.join if adding else self.directory.leave)(group.anchor, member)
        return group.anchor, False

    # Rules

    def common(self, stored: Stored, index: Index) -> None:
        """What others master is not written, and who administers the directory only where the document names that object."""
        if self.directory.protected(stored.anchor):
            self.reject(f"{PROTECTED}; {REMEDY}")
        if stored.attributes.get("privileged") is True:
            shown = self.directory.attributes(stored, index)
            allowed = {folded(one) for one in self.context.settings.allow_privileged}
            if not allowed & {folded(str(shown[name])) for name in ("anchor", "dn")}:
                self.reject("the object administers the directory; name it under `allow privileged`, or leave it alone")

    def suitable(
        self, given: Mapping[str, Values], attributes: Mapping[str, AttributeSchema], allow: Allow, index: Index
    ) -> dict[str, Values]:
        """The values with references by anchor, if attribute, type, length and right fit; else the change is rejected."""
        values = dict(given)
        for name, value in given.items():
            attribute = attributes.get(name)
            if attribute is None:
                self.reject(f"there is no attribute {name}; take it out of the map")
            if allow not in attribute.allow:
                self.reject(f"{name} does not allow {allow.value}; take it out of the map")
            if allow is Allow.CLEAR:
                continue
            if why := problem(attribute, value) or too_long(attribute, value):
                self.reject(f"{name}: {why}; correct the map")
            if attribute.type is Type.REFERENCE:
                anchors = [self.resolved(one, index) for one in as_tuple(value) if isinstance(one, Reference)]
                if None in anchors:
                    self.reject(f"{name} refers to an object that is not there; create it first")
                references = tuple(Reference(value=anchor) for anchor in anchors if anchor is not None)
                values[name] = references if attribute.multi else references[0]
        return values

    def unchanged(
        self,
        change: Change,
        present: Mapping[str, Values],
        attributes: Mapping[str, AttributeSchema],
        index: Index,
        except_for: frozenset[str] | set[str] = frozenset(),
    ) -> None:
        """Everything that the change is about must still be as it was when the change was approved; else it is a conflict."""
        for name in {*change.before, *change.after} - except_for:
            if name in attributes and not same(attributes[name], present.get(name), change.before.get(name)):
                self.conflict(f"{name} has been changed since the plan was made; import and plan again")

    def unique(self, values: Mapping[str, Values], attributes: Mapping[str, AttributeSchema], owner: Stored | None, index: Index) -> None:
        """A unique value that another object has, seen or unseen, is a conflict. Places are checked by the directory itself."""
        for name, value in values.items():
            if attributes[name].unique is not Unique.DIRECTORY:
                continue
            for one in as_tuple(value):
                others = [other for other in index.holders(name, one) if owner is None or other.anchor != owner.anchor]
                if others or str(one).casefold() in self.directory.reserved(name):
                    self.conflict(f"{name} {one} belongs to another object; choose another value")

    def resolved(self, reference: Reference, index: Index) -> str | None:
        """The anchor of the one object that is meant, or None."""
        if reference.key == "anchor":
            return None if index.live(reference.value) is None else reference.value
        found = index.holders(reference.key, reference.value)
        return found[0].anchor if len(found) == 1 else None

    def planned(self, change: Change, index: Index) -> tuple[Stored | None, bool]:
        """What a create would make, if something is there: by its mark, else by its planned name and place."""
        if self.mark is not None and change.mark is not None and (found := index.holders(self.mark, change.mark)):
            return found[0], True
        name, path = change.after.get("name"), change.after.get("path", self.directory.base)
        parent = self.directory.container(str(path), index)
        return (None if parent is None or not isinstance(name, str) else index.at(parent, name)), False

    @property
    def mark(self) -> str | None:
        """The attribute where our marks stand, if the document names one."""
        return self.context.settings.mark

    def reject(self, detail: str) -> NoReturn:
        """The directory will never take this."""
        raise _No(Outcome.REJECTED, detail)

    def conflict(self, detail: str) -> NoReturn:
        """The object is not what the change says, or another one is in the way."""
        raise _No(Outcome.CONFLICT, detail)
