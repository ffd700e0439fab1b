"""Full or delta, and why: what an import does with what the last one left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

import orjson

from metasync.contract import Connector, Follows
from metasync.importing.request import Request
from metasync.store.directories import CursorRow
from metasync.store.rows import DirectoryRow

RESUMABLE = timedelta(hours=1)
"""How old the first part of an interrupted import may be where the connector cannot tell what changed since."""


@dataclass(slots=True)
class Progress:
    """Where an interrupted full import stands, as the cursor of each stream keeps it."""

    request: str
    """Digest of what was asked for."""
    runs: list[int]
    """Runs that took part; their problems stand."""
    began: str
    """When (ISO 8601)."""
    kept: bool = False
    """What was seen is kept in the database."""
    token: str | None = None

    def text(self, token: str | None) -> str:
        """As the cursor keeps it."""
        return orjson.dumps(asdict(replace(self, token=token))).decode()

    @classmethod
    def of(cls, text: str | None) -> Progress | None:
        """Read again; None: there is none."""
        return cls(**orjson.loads(text)) if text else None


@dataclass(slots=True)
class Decision:
    """Full, with the reason, or a delta from these cursors."""

    reason: str = ""
    cursors: dict[str, str] = field(default_factory=dict)
    resumed: Mapping[str, CursorRow] | None = None
    recent: bool = True
    """What is resumed began a short while ago."""


def decide(
    connector: Connector,
    row: DirectoryRow,
    cursors: Mapping[str, CursorRow],
    now: datetime,
    request: Request,
    streams: Sequence[str],
    *,
    full: bool,
) -> Decision:
    """Full or delta, and why."""
    interrupted = any(one.generation is not None for one in cursors.values())
    if full:
        return Decision(reason="it was asked for")
    if interrupted:
        reason = "the last full import was not completed"
        if _resumable(connector, request, streams, cursors, now):
            return Decision(reason=f"{reason}; it goes on where it stopped", resumed=cursors, recent=_recent(cursors, now))
        return Decision(reason=reason)
    if row.requested is None:
        return Decision(reason="it is the first import")
    if new := _grown(row.requested, request):
        return Decision(reason=f"{new} was not imported before")
    if row.scope != request.scope:
        return Decision(reason="the directory's options have changed")
    if not isinstance(connector, Follows):
        return Decision(reason="the connector cannot tell what changed")
    found = {stream: one.cursor for stream in streams if (one := cursors.get(stream)) and one.cursor}
    if set(found) != set(streams) or set(cursors) != set(streams):
        return Decision(reason="there is no cursor")
    return Decision(cursors=found)


def _resumable(connector: Connector, request: Request, streams: Sequence[str], cursors: Mapping[str, CursorRow], now: datetime) -> bool:
    """Can an interrupted import go on where it stopped?"""
    progress = [one for row in cursors.values() if (one := Progress.of(row.resume))]
    if set(cursors) != set(streams) or len(progress) != len(cursors) or {one.request for one in progress} != {request.digest}:
        return False
    # A connector that follows shows afterwards what changed since the first part was read; another one never does.
    return any(one.kept for one in progress) and (_recent(cursors, now) or isinstance(connector, Follows))


def _recent(cursors: Mapping[str, CursorRow], now: datetime) -> bool:
    """Did an interrupted import begin so lately that what changed since need not be known?"""
    progress = [one for row in cursors.values() if (one := Progress.of(row.resume))]
    return all(now - datetime.fromisoformat(one.began) < RESUMABLE for one in progress)


def _grown(requested: Mapping[str, frozenset[str]], request: Request) -> str:
    """What is asked for now and was not imported, in words; empty: nothing."""
    for kind in sorted(request.attributes):
        known = requested.get(kind.value)
        if known is None:
            return f"the kind {kind}"
        if new := sorted(request.attributes[kind] - known):
            return f"{', '.join(new[:3])}{' and more' if len(new) > 3 else ''} (of each {kind})"
    return ""
