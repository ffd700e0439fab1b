"""Where a delta starts: opaque to the engine, and bound to the tenant, the stream and what is asked of it.

A delta does not say whether an object is new. Those that were made since, or that this stream reported as gone, are delivered whole;
behind a list that was read in parts, all are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from metasync.contract import CursorExpired
from metasync_entra.codec import is_guid, time
from metasync_entra.streams import Wanted

VERSION = 1
REMEMBERED = 2000
"""So many that are gone and may return. Who returns and is not among them makes the next import read everything."""
MARGIN = timedelta(minutes=30)
"""How far clocks may be apart, and a creation be shown late, without harm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """A place in the changes of one stream."""

    tenant: str
    stream: str
    tracked: tuple[str, ...]
    kinds: tuple[str, ...]
    link: str
    """Graph's deltaLink."""
    since: datetime
    """When it was taken."""
    gone: tuple[str, ...] = ()
    """The last ones that were reported as gone, or were in the bin."""
    parts: bool = False
    """It stands behind a list that was read in parts: whoever moved from one to another meanwhile was in none."""

    def text(self) -> str:
        """As the engine keeps it."""
        kept = [VERSION, self.tenant, self.stream, self.tracked, self.kinds, self.link, self.since.isoformat(), self.gone]
        kept += [True] if self.parts else []
        return json.dumps(kept, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Read again. Raises `CursorExpired` for what this connector never wrote."""
        try:
            version, tenant, stream, tracked, kinds, link, since, gone, *more = json.loads(text)
            if version != VERSION or not isinstance(link, str) or not link.startswith("https://"):
                raise ValueError("of another version")
            return cls(
                tenant=str(tenant),
                stream=str(stream),
                tracked=tuple(str(one) for one in tracked),
                kinds=tuple(str(one) for one in kinds),
                link=link,
                since=time(str(since)).astimezone(UTC) if "." in since else datetime.fromisoformat(since),
                gone=tuple(str(one) for one in gone if is_guid(str(one))),
                parts=more == [True],
            )
        except (ValueError, TypeError, AttributeError):
            raise CursorExpired("the place where the last import ended was written by something else") from None

    def check(self, tenant: str, wanted: Wanted) -> None:
        """Raises `CursorExpired` where a delta from there would miss something."""
        if self.tenant != tenant:
            raise CursorExpired("the last import read another tenant")
        if (
            self.stream != wanted.stream
            or set(self.tracked) != set(wanted.tracked)
            or set(self.kinds) != {one.value for one in wanted.kinds}
        ):
            raise CursorExpired("the document asks for other attributes or kinds than the last import did")

    def is_new(self, identifier: str, created: datetime | None) -> bool:
        """May the engine not know it yet?"""
        return self.parts or identifier in self.gone or created is None or created >= self.since - MARGIN

    def behind_parts(self) -> Cursor:
        """The same place, behind a list that was read in parts: all that changed since is delivered whole."""
        return replace(self, parts=True)

    def following(self, link: str, since: datetime, gone: Iterable[str]) -> Cursor:
        """Where the next delta starts."""
        every = dict.fromkeys([*self.gone, *gone])
        return replace(self, link=link, since=since, gone=tuple(every)[-REMEMBERED:], parts=False)
