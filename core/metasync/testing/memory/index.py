"""Look-ups into a `MemoryDirectory`: by place, by value, by who points at whom. Kept up with every object that is put."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metasync.contract import Kind, Reference, Values
from metasync.testing.values import as_tuple, from_json, to_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One object as it is kept. `anchor`, `name`, `path`, `members` and `dn` are not among `attributes`."""

    anchor: str
    kind: Kind
    name: str
    parent: str
    """The anchor of its container; "" at the top."""
    born: int
    """The sequence number of its creation."""
    created: datetime
    attributes: Mapping[str, Values] = field(default_factory=dict)
    """References are by anchor."""
    members: frozenset[str] = frozenset()
    deleted: bool = False
    changed: Mapping[str, int] = field(default_factory=dict)
    """Per attribute, when it last changed; `deleted` among them."""
    joined: Mapping[str, int] = field(default_factory=dict)
    """Per member, when it was last added or removed."""
    links: tuple[tuple[str, str], ...] = ()
    """Of a deleted object: (anchor, attribute) of who pointed here, so that a restore brings it back whole."""
    password: str = ""
    """A salted digest, in hexadecimal."""
    must_change: bool = False
    nt_hash: str = ""

    def to_text(self) -> str:
        """As it is kept in a file."""
        return to_json(
            {
                "anchor": self.anchor,
                "kind": self.kind.value,
                "name": self.name,
                "parent": self.parent,
                "born": self.born,
                "created": self.created,
                "attributes": to_json(self.attributes),
                "members": tuple(sorted(self.members)),
                "deleted": self.deleted,
                "changed": to_json(self.changed),
                "joined": to_json(self.joined),
                "links": tuple(part for link in self.links for part in link),
                "password": self.password,
                "must_change": self.must_change,
                "nt_hash": self.nt_hash,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Stored:
        """The way back from `to_text`."""
        values: dict[str, Any] = from_json(text)
        links = values["links"]
        return cls(
            **{
                **values,
                "kind": Kind(values["kind"]),
                "members": frozenset(values["members"]),
                "links": tuple(zip(links[::2], links[1::2], strict=True)),
                **{name: from_json(values[name]) for name in ("attributes", "changed", "joined")},
            }
        )


def fold(value: Any) -> Any:
    """A value as uniqueness compares it: whatever its case."""
    return value.casefold() if isinstance(value, str) else value


class Index:
    """All objects by anchor, and what else is asked of them."""

    def __init__(self, objects: Iterable[Stored] = ()) -> None:
        self.objects: dict[str, Stored] = {}
        self._places: dict[tuple[str, str], str] = {}
        self._children: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._pointers: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._values: dict[str, defaultdict[Any, dict[str, None]]] = {}
        for stored in objects:
            self.put(stored)

    def put(self, stored: Stored) -> Stored | None:
        """Add or replace an object; gives what was there."""
        old = self.remove(stored.anchor, forget=False)
        self.objects[stored.anchor] = stored
        if not stored.deleted:
            self._places[stored.parent, fold(stored.name)] = stored.anchor
            self._children[stored.parent][stored.anchor] = None
            for target in _targets(stored):
                self._pointers[target][stored.anchor] = None
            for attribute, index in self._values.items():
                for value in as_tuple(stored.attributes.get(attribute)):
                    index[fold(value)][stored.anchor] = None
        return old

    def remove(self, anchor: str, *, forget: bool = True) -> Stored | None:
        """Take an object out of every index, and with `forget` out of the directory; gives what was there."""
        old = self.objects.pop(anchor, None) if forget else self.objects.get(anchor)
        if old is not None and not old.deleted:
            if self._places.get((old.parent, fold(old.name))) == anchor:
                del self._places[old.parent, fold(old.name)]
            self._children[old.parent].pop(anchor, None)
            for target in _targets(old):
                self._pointers[target].pop(anchor, None)
            for attribute, index in self._values.items():
                for value in as_tuple(old.attributes.get(attribute)):
                    index[fold(value)].pop(anchor, None)
        return old

    def live(self, anchor: str | None) -> Stored | None:
        """The object, unless it is deleted or never was."""
        stored = self.objects.get(anchor) if anchor else None
        return None if stored is None or stored.deleted else stored

    def at(self, parent: str, name: str) -> Stored | None:
        """The object of that name in that container."""
        return self.live(self._places.get((parent, fold(name))))

    def children(self, parent: str) -> list[Stored]:
        """What a container holds."""
        return [self.objects[anchor] for anchor in self._children[parent]]

    def pointers(self, anchor: str) -> list[Stored]:
        """The objects that refer to this one."""
        return [self.objects[other] for other in self._pointers[anchor]]

    def holders(self, attribute: str, value: Any) -> list[Stored]:
        """The objects whose attribute has this value, whatever its case. An index is built when it is first asked for."""
        if attribute not in self._values:
            index: defaultdict[Any, dict[str, None]] = defaultdict(dict)
            for stored in self.objects.values():
                for one in () if stored.deleted else as_tuple(stored.attributes.get(attribute)):
                    index[fold(one)][stored.anchor] = None
            self._values[attribute] = index
        return [self.objects[anchor] for anchor in self._values[attribute].get(fold(value), ())]


def _targets(stored: Stored) -> list[str]:
    """Whom an object refers to."""
    return [value.value for values in stored.attributes.values() for value in as_tuple(values) if isinstance(value, Reference)] + list(
        stored.members
    )
