"""The order of export: which stage a change belongs to, and what must be freed before somebody else can take it.

Containers; what frees a name or address before what takes it; creates; updates; references; members; exporters; moves out and deletes.
Whoever gives way to a new object (`replaces:`) hands its addresses over between creates and updates, and is deleted like all others.
A stage is a number with room inside it: containers by depth, what frees by level. Within a stage the order of the rows holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from metasync import dn
from metasync.contract import Allow, AttributeSchema, Kind, Operation, Reference, Role, Unique, Values
from metasync.equality import canonical, canonical_set
from metasync.store.rows import LEAVING, MOVED_MEMBERS


class Stage(IntEnum):
    """Where each stage begins."""

    CONTAINER = 1000
    FREE = 2000
    CREATE = 3000
    YIELD = 3900
    """What somebody hands over who gives way to a new object: only once that is there."""
    UPDATE = 4000
    REFERENCE = 5000
    MEMBER = 6000
    MOVED_MEMBER, LEFT_MEMBER = MOVED_MEMBERS
    """Memberships that go over to somebody else: whoever had them loses them, and goes, only once they are written."""
    EXPORTER = 7000
    OUT = 8000
    DELETE = 9000


ROOM = 499
"""The deepest container, and the longest chain of names, that is still told apart."""
PLACES = frozenset({Operation.RENAME, Operation.MOVE})
"""Of one object they go together: what lies between the two may be taken by somebody else."""
MEMBERS = frozenset({Operation.MEMBER_ADD, Operation.MEMBER_REMOVE})
EXPORTED = frozenset({Operation.PASSWORD, Operation.SID})
LOCAL = 64
"""Characters before the @ of a sign-in name (RFC 5321, 4.5.3.1.1; userPrincipalName in https://learn.microsoft.com/graph/api/resources/user)."""


def stage_of(operation: Operation, kind: Kind, after: Mapping[str, Any], rules: Mapping[str, str], path: str = "") -> int:
    """The stage of a change by itself; `Vacancies` may bring it forward. `path` is where the object is, or will be."""
    if operation in MEMBERS:
        return Stage.MEMBER
    if operation in EXPORTED:
        return Stage.EXPORTER
    if operation is Operation.DELETE:
        return Stage.DELETE + (ROOM + 1 + ROOM - _depth(path) if kind is Kind.CONTAINER else 0)
    if operation in (Operation.CREATE, Operation.RESTORE):
        return Stage.CONTAINER + _depth(path) if kind is Kind.CONTAINER else Stage.CREATE
    # Who moves out does so last.
    if operation is Operation.MOVE and any(words.startswith(LEAVING) for words in rules.values()):
        return Stage.OUT
    if after and all(is_reference(value) for value in after.values()):
        return Stage.REFERENCE
    return Stage.UPDATE


def is_reference(value: Any) -> bool:
    """True for a reference, or several."""
    return isinstance(value, Reference) or (isinstance(value, tuple) and bool(value) and isinstance(value[0], Reference))


def split_references(
    before: Mapping[str, Values], after: Mapping[str, Values | None]
) -> tuple[tuple[dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]:
    """((before, after) without references, (before, after) of references alone): creates must never depend on one another."""
    names = {
        name for image in (before, after) for name, value in image.items() if type(value) in (Reference, tuple) and is_reference(value)
    }
    if not names:
        return (dict(before), dict(after)), ({}, {})
    return (
        ({name: value for name, value in before.items() if name not in names}, {name: v for name, v in after.items() if name not in names}),
        ({name: value for name, value in before.items() if name in names}, {name: v for name, v in after.items() if name in names}),
    )


def _depth(path: str) -> int:
    return min(ROOM, max(len(dn.split(path)), path.count("/") + 1 if path else 0))


@dataclass(kw_only=True, slots=True)
class Holder:
    """A request that frees values which may stand only once, and may take others."""

    tags: tuple[str, ...]
    """Of its changes: one, or a rename and its move."""
    name: str
    """Of the object, such as `hr/1001`: the same on every store."""
    late: bool
    """A move out or a delete: it is brought forward only if somebody waits for what it frees."""
    frees: dict[bytes, str] = field(default_factory=dict)
    """Key of a value -> its attribute."""
    takes: list[bytes] = field(default_factory=list)
    wanted: bool = False
    level: int = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Swap:
    """A ring of changes, each taking what the next one frees: this holder must give up the attribute's value first."""

    tag: str
    attribute: str
    key: bytes


class Vacancies:
    """Who frees and who takes, over all changes of one plan. It remembers only changes to what exists already, never the creates."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._free: dict[bytes, Holder] = {}

    def __bool__(self) -> bool:
        """Something is freed."""
        return bool(self._free)

    def hold(self, holder: Holder) -> None:
        """Know a change to an existing object. Call it for all of them before any create is asked about."""
        self._holders[holder.tags[0]] = holder
        for key in holder.frees:
            self._free[key] = holder

    def take(self, keys: Iterable[bytes]) -> None:
        """A create takes these values: whoever frees one of them goes first."""
        for key in keys:
            if (holder := self._free.get(key)) is not None:
                holder.wanted = True

    def settle(self) -> tuple[dict[str, int], list[Swap]]:
        """(tag -> level of all that go into the stage FREE, the rings that need somebody to step aside first)."""
        ordered = sorted(self._holders.values(), key=lambda holder: holder.name)
        for holder in ordered:
            for key in holder.takes:
                if (other := self._free.get(key)) is not None and other is not holder:
                    other.wanted = True
        swaps: list[Swap] = []
        for holder in ordered:
            self._settle(holder, swaps)
        first = [holder for holder in ordered if holder.wanted or (holder.frees and not holder.late)]
        return {tag: holder.level for holder in first for tag in holder.tags}, swaps

    def _settle(self, start: Holder, swaps: list[Swap]) -> None:
        # Depth first without recursion: a chain of renames may be as long as the plan.
        if start.level >= 0:
            return
        trail: dict[str, None] = {start.tags[0]: None}
        stack: list[tuple[Holder, Iterator[bytes]]] = [(start, iter(start.takes))]
        while stack:
            holder, takes = stack[-1]
            for key in takes:
                other = self._free.get(key)
                if other is None or other is holder or other.level >= 0:
                    continue
                if other.tags[0] in trail:
                    swaps.append(Swap(tag=other.tags[0], attribute=other.frees[key], key=key))
                    continue
                trail[other.tags[0]] = None
                stack.append((other, iter(other.takes)))
                break
            else:
                before = [other.level for key in holder.takes if (other := self._free.get(key)) and other is not holder]
                # Level 0 is kept for those who step aside; a ring's holder that does has no level yet.
                holder.level = min(ROOM, 1 + max(0, *before) if before else 1)
                stack.pop()
                del trail[holder.tags[0]]


def unique_keys(schema: Mapping[str, AttributeSchema], attributes: Mapping[str, Any], *, path: str = "") -> dict[bytes, str]:
    """The keys of all values that may stand only once -> their attribute. `path` is the object's parent, for what is unique per parent."""
    keys: dict[bytes, str] = {}
    for name, values in attributes.items():
        described = schema.get(name)
        if described is None or values is None or described.unique is None or is_reference(values):
            continue
        place = dn.folded(path) if described.unique is Unique.PARENT else ""
        for value in canonical_set(described, values):
            keys[_key(described.name, place, value)] = name
    return keys


def _key(attribute: str, place: str, value: Any) -> bytes:
    text = str(value[1]).casefold()
    return hashlib.blake2b(f"{attribute}\0{place}\0{text}".encode("utf-8", "surrogatepass"), digest_size=12).digest()


def step_aside(
    schema: Mapping[str, AttributeSchema], swap: Swap, before: Mapping[str, Any], name: str
) -> tuple[Operation, dict[str, Any]] | None:
    """(operation, after) of the change by which the holder gives the value up for a moment; None where the directory allows none."""
    described = schema.get(swap.attribute)
    value = before.get(swap.attribute)
    if described is None or value is None:
        return None
    if isinstance(value, tuple):
        rest = tuple(one for one in value if _key(described.name, "", canonical(described, one)) != swap.key)
        return Operation.UPDATE, {swap.attribute: rest or None}
    if described.role is Role.NAME:
        ending = f" (swap {hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]})"
        room = (described.max_length or 64) - len(ending)
        return Operation.RENAME, {swap.attribute: f"{str(value)[: max(1, room)]}{ending}"}
    if Allow.CLEAR in described.allow:
        return Operation.CLEAR, {swap.attribute: None}
    if described.role is Role.SIGN_IN and isinstance(value, str) and Allow.UPDATE in described.allow:
        local, at, domain = value.partition("@")
        ending = f"-swap-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
        room = min(LOCAL, (described.max_length or LOCAL + len(at + domain)) - len(at + domain)) - len(ending)
        return Operation.SIGN_IN, {swap.attribute: f"{local[: max(1, room)]}{ending}{at}{domain}"}
    return None
