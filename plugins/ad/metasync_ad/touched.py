"""What a controller says was changed: the common answer of DirSync and of uSNChanged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from metasync_ad import dn as names

Links = dict[str, list[bytes]]
"""Values by attribute, in lower case."""


@dataclass(slots=True)
class Touched:
    """One object that changed, as far as its controller says."""

    guid: str
    dn: str
    deleted: bool = False
    whole: bool = True
    """It may be new to the reader, or anything of it may be another: read it whole. Otherwise its links are known by `came` and `went`."""
    moved: bool = False
    """Its name or its place may be another, and with it those of everything below."""
    primary: int | None = None
    """Its primaryGroupID, where that is told."""
    came: Links = field(default_factory=dict)
    """Link values that were added."""
    went: Links = field(default_factory=dict)
    """Link values that were removed."""

    def linked(self) -> Iterator[str]:
        """The names of all whose links came or went."""
        for held in (*self.came.values(), *self.went.values()):
            yield from (names.extended(value.decode("utf-8", "replace"))[2] for value in held)


def merged(found: Iterable[Touched]) -> list[Touched]:
    """Each object once: large groups come in several parts, and the last word on an object counts."""
    every: dict[str, Touched] = {}
    for one in found:
        known = every.pop(one.guid, None)
        if known is not None:
            one.whole |= known.whole
            one.moved |= known.moved
            one.primary = known.primary if one.primary is None else one.primary
            one.came, one.went = _joined(known.came, one.came, one.went), _joined(known.went, one.went, one.came)
        every[one.guid] = one
    return list(every.values())


def _joined(earlier: Links, later: Links, undone: Links) -> Links:
    """What both parts say of each attribute, but for what the later one takes back."""
    found: Links = {}
    for name in earlier | later:
        back = {_whom(value) for value in undone.get(name, ())}
        found[name] = [*(value for value in earlier.get(name, ()) if _whom(value) not in back), *later.get(name, ())]
    return found


def _whom(value: bytes) -> str:
    guid, _, plain = names.extended(value.decode("utf-8", "replace"))
    return guid or names.folded(plain)
