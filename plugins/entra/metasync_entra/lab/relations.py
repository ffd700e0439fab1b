"""Navigation properties: members and owners of groups, managers of users. Each is read from both ends."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


class Relation:
    """One navigation property, source -> targets."""

    def __init__(self) -> None:
        self._targets: dict[str, set[str]] = {}
        self._sources: dict[str, set[str]] = {}
        self._sorted: dict[str, list[str]] = {}

    def has(self, source: str, target: str) -> bool:
        """Whether the one leads to the other."""
        return target in self._targets.get(source, ())

    def count(self, source: str) -> int:
        """How many it leads to."""
        return len(self._targets.get(source, ()))

    def add(self, source: str, target: str) -> None:
        """Relate them. Whether they may be is not asked here."""
        self._targets.setdefault(source, set()).add(target)
        self._sources.setdefault(target, set()).add(source)
        self._sorted.pop(source, None)

    def remove(self, source: str, target: str) -> None:
        """Take them apart."""
        self._targets.get(source, set()).discard(target)
        self._sources.get(target, set()).discard(source)
        self._sorted.pop(source, None)

    def targets(self, source: str) -> Sequence[str]:
        """In the order of their ids, which is stable while others come and go."""
        known = self._sorted.get(source)
        if known is None:
            known = self._sorted[source] = sorted(self._targets.get(source, ()))
        return known

    def page(self, source: str, after: str, size: int) -> Sequence[str]:
        """The next ones after an id."""
        known = self.targets(source)
        start = bisect_right(known, after)
        return known[start : start + size]

    def sources(self, target: str) -> Sequence[str]:
        """Who leads to it, in the order of ids."""
        return sorted(self._sources.get(target, ()))
