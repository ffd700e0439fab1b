"""Reading back what became of changes whose outcome is unknown. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metasync.contract import Change, Context, Found, Kind, Operation, Presence
from metasync_entra import calls
from metasync_entra.calls import segment
from metasync_entra.codec import Codec
from metasync_entra.creating import Creator
from metasync_entra.lookup import Lookup, Young
from metasync_entra.session import Session
from metasync_entra.standing import MEMBERS, Standing


class Finder:
    """One call of `find`."""

    def __init__(self, session: Session, codec: Codec, context: Context, creator: Creator, young: Young) -> None:
        self.session, self.codec, self.context, self.creator, self.young = session, codec, context, creator, young
        self.lookup = Lookup(session, codec)
        self._members: dict[str, set[str]] = {}

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        """One answer each. Raises `Unavailable`."""
        named: dict[str, tuple[Kind, set[str]]] = {}
        for change in changes:
            if change.anchor is not None:
                named.setdefault(change.anchor.lower(), (change.kind, set()))[1].update((*change.before, *change.after))
        there = self.lookup.of(named)
        for change in changes:
            try:
                if change.anchor is None:
                    yield self._created(change)
                    continue
                raw = there.get(change.anchor.lower())
                if raw is not None:
                    yield self._present(change, raw)
                elif change.anchor in self.young:
                    yield Found(
                        id=change.id, presence=Presence.UNKNOWN, detail=f"{change.label} was made a moment ago and is not known everywhere"
                    )
                else:
                    yield Found(id=change.id, presence=Presence.ABSENT)
            except ValueError as error:
                yield Found(id=change.id, presence=Presence.UNKNOWN, detail=f"{change.label}: {error}")

    def _created(self, change: Change) -> Found:
        mark = self.context.settings.mark
        names = list(change.after)
        found = list(self.lookup.by_name(change.kind, change, names, mark))
        for raw in found:
            if change.kind is Kind.GROUP or (change.mark and self._marked(change, raw)):
                return self._present(change, raw, by_mark=True)
        if change.kind is not Kind.GROUP and mark and change.mark and mark in self.codec.tables[change.kind]:
            marked = list(self.lookup.filtered(change.kind, mark, change.mark, names, mark))
            if len(marked) == 1:
                return self._present(change, marked[0], by_mark=True)
            if marked:
                detail = f"{len(marked)} objects carry the mark of {change.label}; remove it from all but one"
                return Found(id=change.id, presence=Presence.UNKNOWN, detail=detail)
        return self._present(change, found[0]) if found else Found(id=change.id, presence=Presence.ABSENT)

    def _marked(self, change: Change, raw: Mapping[str, Any]) -> bool:
        mark = self.context.settings.mark
        if not mark or mark not in self.codec.tables[change.kind]:
            return False
        return self.codec.decode(change.kind, raw, [mark]).get(self.codec.known(change.kind, mark).name) == change.mark

    def _present(self, change: Change, raw: Mapping[str, Any], *, by_mark: bool = False) -> Found:
        anchor = str(raw["id"])
        if change.operation in MEMBERS and change.member is not None:
            inside = self._holds(anchor, change.member.value)
            return Found(id=change.id, presence=Presence.PRESENT, anchor=anchor, attributes={"members": (change.member,)} if inside else {})
        names = [name for name in {**change.before, **change.after} if change.operation is not Operation.DELETE or name in change.before]
        there = Standing(self.codec, change.kind, raw, names)
        held = {name: value for name, value in there.attributes.items() if name in names}
        return Found(id=change.id, presence=Presence.PRESENT, anchor=anchor, by_mark=by_mark, attributes=held)

    def _holds(self, group: str, member: str) -> bool:
        """Is it a direct member? By the list, read once per call: a filter by the member would ask an index that lags."""
        known = self._members.get(group)
        if known is None:
            known = self._members[group] = set()
            path: str | None = f"/groups/{segment(group)}/members?$select=id&$top=999"
            while path is not None:
                body = self.session.needed(self.session.ask(calls.get(path, units=3)), "reading members").fields
                known.update(str(one.get("id")).lower() for one in body.get("value") or () if isinstance(one, dict))
                following = body.get("@odata.nextLink")
                path = following if isinstance(following, str) else None
        return member.lower() in known
