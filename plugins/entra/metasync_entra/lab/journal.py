"""Every write to the directory, in order. Delta rounds are read from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Entry(NamedTuple):
    """One write. Its number is its place in the journal, from 1 on."""

    kind: str
    id: str
    time: float
    fields: frozenset[str] | None = None
    """Properties that changed."""
    relation: tuple[str, bool, str, str] | None = None
    """(navigation property, added, kind and id of the other object)."""
    gone: str | None = None
    """`changed` for the recycle bin, `deleted` for good."""
    created: bool = False
    """It appeared: made, or restored."""


class Journal:
    """The writes."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    @property
    def last(self) -> int:
        """The number of the newest write; 0 before the first."""
        return len(self._entries)

    def append(self, entry: Entry) -> None:
        """Add one."""
        self._entries.append(entry)

    def until(self, moment: float) -> int:
        """The number of the newest write that is not younger than this moment."""
        low, high = 0, len(self._entries)
        while low < high:
            middle = (low + high) // 2
            if self._entries[middle].time <= moment:
                low = middle + 1
            else:
                high = middle
        return low

    def between(self, after: int, last: int) -> Iterator[tuple[int, Entry]]:
        """The writes after the one and up to the other, with their numbers."""
        for place in range(after, min(last, len(self._entries))):
            yield place + 1, self._entries[place]
