"""`MemoryDirectory`: the thing itself, which a connector speaks to and which tests change behind the connector's back.

What is done here is done with an administrator's rights: only what would break the directory itself is refused. The rules for those who
write through the connector (lengths, unique values, preconditions) are in `writing`. One class, for all of it shares one lock and one
transaction.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metasync.contract import Kind, MetasyncError, Reference, Schema, Values
from metasync.testing.memory.faults import Faults
from metasync.testing.memory.index import Index, Stored, fold
from metasync.testing.memory.names import escape, folded, split
from metasync.testing.memory.persistence import File
from metasync.testing.memory.schema import memory_schema
from metasync.testing.values import as_tuple

__all__ = ["MemoryDirectory", "Stored"]


class MemoryDirectory:
    """Users, groups, contacts and containers below `base`. Thread-safe; with a `file` processes may share it, and it outlives them."""

    def __init__(
        self,
        *,
        base: str = "DC=memory,DC=test",
        file: Path | None = None,
        recycles: bool = True,
        schema: Schema | None = None,
        seed: int | None = None,
    ) -> None:
        """`seed`: anchors are the same at every run of a test, and with them every order that depends on them."""
        self.base = base
        self.schema = schema or memory_schema()
        self.faults = Faults()
        self.recycles = recycles
        """Deleted objects can be brought back."""
        self._random = random.SystemRandom() if seed is None else random.Random(seed)
        self.identity = f"memory-{self._random.getrandbits(64):016x}"
        self.applied: list[tuple[str, str]] = []
        """(operation, anchor) of everything that connectors wrote, by this process."""
        self._lock = threading.RLock()
        self._index = Index()
        self._sequence = 0
        self._horizon = 0
        self._reserved: dict[str, set[str]] = {}
        self._protected: set[str] = set()
        self._shown: tuple[Index, int] | None = None
        self._undo: dict[str, Stored | None] | None = None
        self._file = File(file) if file else None
        if self._file:
            with self._change():
                pass

    # Looking

    def anchors(self, *kinds: Kind) -> list[str]:
        """The anchors of all objects, or of those of some kinds, in the order in which they were made."""
        with self.now() as (index, _):
            return [stored.anchor for stored in index.objects.values() if not stored.deleted and (not kinds or stored.kind in kinds)]

    def get(self, anchor: str) -> dict[str, Values] | None:
        """All attributes of an object, by standard name, `name` and `path` among them; None if there is none."""
        with self.now() as (index, _):
            stored = index.live(anchor)
            return None if stored is None else self.attributes(stored, index)

    def by_name(self, name: str, path: str | None = None) -> str:
        """The anchor of the one object of that name. Raises `LookupError`."""
        with self.now() as (index, _):
            found = [s.anchor for s in index.objects.values() if not s.deleted and s.name == name and path in (None, self.path(s, index))]
        if len(found) != 1:
            raise LookupError(f"{len(found)} objects are called {name}")
        return found[0]

    def attributes(self, stored: Stored, index: Index) -> dict[str, Values]:
        """An object as a connector shows it."""
        path = self.path(stored, index)
        shown: dict[str, Values] = {
            **stored.attributes,
            "anchor": stored.anchor,
            "name": stored.name,
            "path": path,
            "dn": self._join(stored, path),
            "whenCreated": stored.created,
        }
        if stored.members:
            shown["members"] = tuple(Reference(value=member) for member in sorted(stored.members))
        return shown

    def path(self, stored: Stored, index: Index) -> str:
        """The path of an object: the name of the container that it is in."""
        names = []
        parent = index.live(stored.parent)
        while parent is not None:
            names.append(f"OU={escape(parent.name)}")
            parent = index.live(parent.parent)
        return ",".join([*names, self.base])

    def container(self, path: str, index: Index) -> str | None:
        """The anchor of the container of that path: "" for the base, None if there is none."""
        if folded(path) == folded(self.base):
            return ""
        first, rest = split(path)
        parent = self.container(rest, index) if rest else None
        if parent is None:
            return None
        for child in index.children(parent):
            if child.kind is Kind.CONTAINER and folded(f"OU={escape(child.name)}") == folded(first):
                return child.anchor
        return None

    @staticmethod
    def _join(stored: Stored, path: str) -> str:
        return f"{'OU' if stored.kind is Kind.CONTAINER else 'CN'}={escape(stored.name)},{path}"

    @contextmanager
    def now(self) -> Iterator[tuple[Index, int]]:
        """The objects as they are, and the number of the last change."""
        with self._lock:
            self._refresh()
            yield self._index, self._sequence

    @contextmanager
    def shown(self) -> Iterator[tuple[Index, int]]:
        """The objects as a read shows them: behind, while the directory lags."""
        with self._lock:
            self._refresh()
            yield self._shown or (self._index, self._sequence)

    @property
    def lags(self) -> bool:
        """Do reads still show an older state?"""
        return self._shown is not None and self._shown[1] != self._sequence

    @property
    def horizon(self) -> int:
        """Cursors from before are refused."""
        return self._horizon

    def reserved(self, attribute: str) -> frozenset[str]:
        """Values, case-folded, of objects that connectors never see."""
        return frozenset(self._reserved.get(attribute, ()))

    def protected(self, anchor: str | None, name: object = None) -> bool:
        """May connectors not write this object, or make none of this name?"""
        return (anchor or name) in self._protected

    def verifies(self, anchor: str, password: str) -> bool:
        """Is it the object's password?"""
        with self.now() as (index, _):
            return secrets.compare_digest(index.objects[anchor].password, _digest(anchor, password))

    # Changing behind a connector's back

    def add(self, kind: Kind, attributes: Mapping[str, Values] | None = None, /, **more: Values) -> str:
        """Make an object; gives its anchor. `name` is required; `path` is the base unless given; `members` and references by anchor."""
        given: dict[str, Values] = {**(attributes or {}), **more}
        name, path = str(given.pop("name")), str(given.pop("path", self.base))
        members = frozenset(self._anchor(value) for value in as_tuple(given.pop("members", None)))
        anchor = f"{self._random.getrandbits(128):032x}"
        with self._change() as index:
            parent = self._parent(path, index)
            if index.at(parent, name):
                raise MetasyncError(f"{name} exists already in {path}; choose another name")
            created = datetime.now(UTC).replace(microsecond=0)
            self._put(
                Stored(
                    anchor=anchor,
                    kind=kind,
                    name=name,
                    parent=parent,
                    born=self._sequence,
                    created=created,
                    attributes=given,
                    members=members,
                )
            )
        return anchor

    def change(self, anchor: str, attributes: Mapping[str, Values | None] | None = None, /, **more: Values | None) -> None:
        """Set attributes, or clear those that are given as None. Takes `name`, `path` and `members` as well."""
        given: dict[str, Values | None] = {**(attributes or {}), **more}
        with self._change() as index:
            stored = self._need(anchor)
            name, path = given.pop("name", None), given.pop("path", None)
            if name is not None or path is not None:
                self._relocate(
                    stored, stored.name if name is None else str(name), stored.parent if path is None else self._parent(str(path), index)
                )
                stored = self._need(anchor)
            if "members" in given:
                members = frozenset(self._anchor(value) for value in as_tuple(given.pop("members")))
                stored = replace(
                    stored, members=members, joined={**stored.joined, **dict.fromkeys(members ^ stored.members, self._sequence)}
                )
            kept = {attribute: values for attribute, values in {**stored.attributes, **given}.items() if values is not None}
            self._put(replace(stored, attributes=kept, changed={**stored.changed, **dict.fromkeys(given, self._sequence)}))

    def rename(self, anchor: str, name: str) -> None:
        """Give another name."""
        self.change(anchor, name=name)

    def move(self, anchor: str, path: str) -> None:
        """Put into another container."""
        self.change(anchor, path=path)

    def join(self, group: str, *members: str) -> None:
        """Add members to a group."""
        with self._change():
            self._members(self._need(group), self._need(group).members | set(members))

    def leave(self, group: str, *members: str) -> None:
        """Remove members from a group."""
        with self._change():
            self._members(self._need(group), self._need(group).members - set(members))

    def delete(self, anchor: str) -> None:
        """Delete an object and whatever points at it. A container must be empty."""
        with self._change() as index:
            stored = self._need(anchor)
            if children := index.children(anchor):
                raise MetasyncError(f"{stored.name} holds {len(children)} objects; delete or move them first")
            links: list[tuple[str, str]] = []
            for other in index.pointers(anchor):
                if anchor in other.members:
                    links.append((other.anchor, "members"))
                    self._members(other, other.members - {anchor})
                for attribute, values in self._need(other.anchor).attributes.items():
                    if Reference(value=anchor) in as_tuple(values):
                        links.append((other.anchor, attribute))
                        self._set(self._need(other.anchor), attribute, tuple(v for v in as_tuple(values) if v != Reference(value=anchor)))
            kept = self._need(anchor)
            self._put(replace(kept, deleted=True, links=tuple(links), changed={**kept.changed, "deleted": self._sequence}))

    def restore(self, anchor: str, *, name: str | None = None, path: str | None = None) -> None:
        """Bring a deleted object back with all that it had, memberships and references included."""
        with self._change() as index:
            stored = index.objects[anchor]
            parent = stored.parent if path is None else self._parent(path, index)
            name = stored.name if name is None else name
            if parent and index.live(parent) is None:
                raise MetasyncError(f"the container that {name} was in is gone; name another path")
            if index.at(parent, name):
                raise MetasyncError(f"{name} exists already where it would return to; rename one of the two")
            members = frozenset(member for member in stored.members if index.live(member))
            self._put(replace(stored, deleted=False, links=(), parent=parent, name=name, born=self._sequence, members=members))
            for other, attribute in stored.links:
                if (pointing := index.live(other)) is None:
                    continue
                if attribute == "members":
                    self._members(pointing, pointing.members | {anchor})
                elif attribute not in pointing.attributes:
                    self._set(pointing, attribute, (Reference(value=anchor),))

    def purge(self, anchor: str) -> None:
        """Delete without any way back."""
        self.delete(anchor)
        with self._change():
            self._put(
                replace(
                    self._index.objects[anchor],
                    attributes={},
                    links=(),
                    members=frozenset(),
                    name="",
                    changed={"deleted": self._sequence, "purged": self._sequence},
                )
            )

    def restorable(self, anchor: str) -> bool:
        """Is it deleted, and can it return?"""
        stored = self._index.objects.get(anchor)
        return bool(self.recycles and stored and stored.deleted and "purged" not in stored.changed)

    def set_password(self, anchor: str, password: str, *, must_change: bool) -> None:
        """Only a digest is kept."""
        with self._change():
            self._put(replace(self._need(anchor), password=_digest(anchor, password), must_change=must_change))

    def set_nt_hash(self, anchor: str, nt_hash: bytes) -> None:
        """Kept as it is: to a directory it is the credential."""
        with self._change():
            self._put(replace(self._need(anchor), nt_hash=nt_hash.hex()))

    def reserve(self, attribute: str, *values: str) -> None:
        """Values that are in use by objects which no connector sees (computers, other domains)."""
        self._reserved.setdefault(attribute, set()).update(value.casefold() for value in values)

    def protect(self, *what: str) -> None:
        """Objects, by their anchors, that others alone may write; or names of which nobody else may make one."""
        self._protected.update(what)

    def unprotect(self) -> None:
        """Everything may be written again."""
        self._protected.clear()

    # Making it difficult

    def lag(self) -> None:
        """From now on reads show the present state, whatever is written, until `settle`."""
        with self.now() as (index, sequence):
            self._shown = (Index(index.objects.values()), sequence)

    def settle(self) -> None:
        """Reads have caught up."""
        self._shown = None

    def expire_cursors(self) -> None:
        """Every cursor that was given so far is refused."""
        with self._change():
            self._horizon = self._sequence

    def close(self) -> None:
        """Give the file back, if there is one."""
        if self._file:
            self._file.close()
            self._file = None

    # Within

    @contextmanager
    def _change(self) -> Iterator[Index]:
        """One change: whole, numbered, and in the file before it returns. Changes within a change are part of it."""
        with self._lock:
            if self._undo is not None:
                yield self._index
                return
            if self._file:
                self._file.begin()
            undo = self._undo = {}
            sequence = self._sequence
            try:
                self._refresh(force=True)
                sequence = self._sequence
                self._sequence += 1
                yield self._index
                if self._file:
                    facts = {"identity": self.identity, "sequence": str(self._sequence), "horizon": str(self._horizon)}
                    self._file.commit({anchor: self._index.objects[anchor].to_text() for anchor in undo}, (), facts)
            except BaseException:
                for anchor, old in undo.items():
                    if old is None:
                        self._index.remove(anchor)
                    else:
                        self._index.put(old)
                self._sequence = sequence
                if self._file:
                    self._file.rollback()
                raise
            finally:
                self._undo = None

    def _refresh(self, *, force: bool = False) -> None:
        """Take over what other processes wrote to the file. Within a change nobody else can."""
        if self._file is None or (self._undo is not None and not force) or not self._file.changed_elsewhere():
            return
        facts = self._file.facts()
        self.identity = facts.get("identity", self.identity)
        self._sequence, self._horizon = int(facts.get("sequence", 0)), int(facts.get("horizon", 0))
        self._index = Index(Stored.from_text(text) for text in self._file.objects().values())

    def _put(self, stored: Stored) -> None:
        old = self._index.put(stored)
        assert self._undo is not None
        self._undo.setdefault(stored.anchor, old)

    def _need(self, anchor: str) -> Stored:
        stored = self._index.live(anchor)
        if stored is None:
            raise MetasyncError(f"there is no object {anchor}; it was deleted or never made")
        return stored

    def _parent(self, path: str, index: Index) -> str:
        parent = self.container(path, index)
        if parent is None:
            raise MetasyncError(f"there is no container {path}; make it first")
        return parent

    @staticmethod
    def _anchor(value: object) -> str:
        return value.value if isinstance(value, Reference) else str(value)

    def _members(self, group: Stored, members: Collection[str]) -> None:
        now = frozenset(members)
        self._put(replace(group, members=now, joined={**group.joined, **dict.fromkeys(now ^ group.members, self._sequence)}))

    def _set(self, stored: Stored, attribute: str, values: tuple[Any, ...]) -> None:
        multi = isinstance(stored.attributes.get(attribute), tuple)
        kept = {name: value for name, value in stored.attributes.items() if name != attribute}
        if values:
            kept[attribute] = values if multi else values[0]
        self._put(replace(stored, attributes=kept, changed={**stored.changed, attribute: self._sequence}))

    def _relocate(self, stored: Stored, name: str, parent: str) -> None:
        """Rename or move: what lies below has another path, too."""
        other = self._index.at(parent, name)
        if other is not None and other.anchor != stored.anchor:
            raise MetasyncError(f"{name} exists already there; rename one of the two")
        above = parent
        while above:
            if above == stored.anchor:
                raise MetasyncError(f"{stored.name} cannot be moved below itself; choose another path")
            above = self._index.objects[above].parent
        touched = {"dn"} | ({"name"} if name != stored.name else set()) | ({"path"} if parent != stored.parent else set())
        self._put(replace(stored, name=name, parent=parent, changed={**stored.changed, **dict.fromkeys(touched, self._sequence)}))
        below = self._index.children(stored.anchor)
        while below:
            child = below.pop()
            self._put(replace(child, changed={**child.changed, "path": self._sequence, "dn": self._sequence}))
            below += self._index.children(child.anchor)


def _digest(anchor: str, password: str) -> str:
    """Cheap on purpose: it guards a test's password only from being read by chance."""
    return hashlib.blake2b(password.encode(), key=fold(anchor).encode()[:64], digest_size=16).hexdigest()
