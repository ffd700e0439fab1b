"""How far a read came, so that one that was cut goes on there: where each open list goes on, and the cursor taken before all of them.

Opaque to the engine. A list's page counts once all of it is delivered, so that what is read behind a place may show some objects again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = 1
ONE = ""
"""The list that has no parts."""


@dataclass(kw_only=True, slots=True)
class Place:
    """A place in the lists of one stream."""

    cursor: str | None
    """Of the delta behind this read."""
    lists: dict[str, str] = field(default_factory=dict)
    """Part -> where it goes on: a path, or Graph's nextLink. What has been read to its end is absent."""
    counted: int | None = None
    """How many there were when the parts were begun; None: the list has no parts."""
    resumed: bool = False

    def restart(self, lists: Mapping[str, str], counted: int | None) -> None:
        """Begin these lists."""
        self.lists, self.counted, self.resumed = dict(lists), counted, False

    def done(self, part: str, following: str | None) -> None:
        """A page of a part is delivered."""
        if following is None:
            self.lists.pop(part, None)
        else:
            self.lists[part] = following

    def text(self) -> str:
        """As the engine keeps it."""
        return json.dumps([VERSION, self.cursor, self.lists, self.counted], separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Place | None:
        """Read again; None for what this connector never wrote."""
        try:
            version, cursor, lists, counted = json.loads(text)
            if version != VERSION or not isinstance(lists, dict) or not all(isinstance(one, str) for one in lists.values()):
                return None
            return cls(
                cursor=None if cursor is None else str(cursor),
                lists={str(part): str(link) for part, link in lists.items()},
                counted=None if counted is None else int(counted),
                resumed=True,
            )
        except (ValueError, TypeError):
            return None
