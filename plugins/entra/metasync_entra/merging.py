"""One round of a delta, merged: what Graph told of each object over all pages, replays and duplicates.

The order within a round is undefined but for what is said of one object, whose last word counts; a large group comes in several rows
with other members each. Source: https://learn.microsoft.com/graph/delta-query-overview
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metasync_entra.codec import MEMBERS_OF


@dataclass(kw_only=True, slots=True)
class Told:
    """What was told of one object."""

    fields: dict[str, Any] = field(default_factory=dict)
    """The last word on each property: absent was never set, None is cleared."""
    removed: str | None = None
    """The reason, if the last word is that it is gone: changed (it can be restored), deleted."""
    linked: dict[str, dict[str, bool]] = field(default_factory=dict)
    """Relation -> identifier -> does it belong there?"""


class Round:
    """What was told since a token."""

    def __init__(self, relations: tuple[str, ...]) -> None:
        self._relations = relations
        self.objects: dict[str, Told] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """One row of a page."""
        identifier = str(row["id"])
        told = self.objects.pop(identifier, None)
        if "@removed" in row:
            reason = row["@removed"]
            self.objects[identifier] = Told(removed=str(reason.get("reason") or "deleted") if isinstance(reason, Mapping) else "deleted")
            return
        if told is None or told.removed is not None:
            told = Told()
        plain = {name: value for name, value in row.items() if "@" not in name}
        if plain.keys() - {"id"} or not told.fields:
            told.fields.update(plain)
        for relation in self._relations:
            for one in row.get(f"{relation}@delta") or ():
                if isinstance(one, Mapping) and isinstance(one.get("id"), str):
                    _link(told, relation, one)
        self.objects[identifier] = told  # the last word of all stands last


def _link(told: Told, relation: str, one: Mapping[str, Any]) -> None:
    removed = "@removed" in one
    if not removed and relation != "manager" and one.get("@odata.type", "#microsoft.graph.user") not in MEMBERS_OF:
        return
    links = told.linked.setdefault(relation, {})
    links.pop(str(one["id"]), None)
    links[str(one["id"])] = not removed


def whole(told: Told, select: tuple[str, ...]) -> dict[str, Any]:
    """The object's properties: each that was asked for and never set is empty."""
    return {name: told.fields.get(name) for name in select}
