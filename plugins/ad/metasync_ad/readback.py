"""Reading back what became of changes whose outcome is unknown. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metasync.contract import Change, Context, Found, ImportIncomplete, Operation, Presence
from metasync_ad import errors, lookup
from metasync_ad.attributes import Codec, encode_reference, standard
from metasync_ad.creating import planned_dn
from metasync_ad.errors import Refused
from metasync_ad.ranges import complete_ranges
from metasync_ad.session import RawEntry, Session

_MEMBERS = (Operation.MEMBER_ADD, Operation.MEMBER_REMOVE)


class Finder:
    """One call of `find`."""

    def __init__(self, session: Session, codec: Codec, context: Context, base: str) -> None:
        self.session, self.codec, self.context, self.base = session, codec, context, base

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        """One answer each. Raises `Unavailable`."""
        named = {name for change in changes if change.operation not in _MEMBERS for name in (*change.before, *change.after)}
        wire = self.codec.wire(sorted(named))
        if self.context.settings.mark and self.context.settings.mark not in wire:
            wire.append(self.context.settings.mark)
        known = lookup.by_anchor(self.session, self.base, (change.anchor for change in changes if change.anchor), wire)
        for change in changes:
            try:
                if change.operation is Operation.CREATE and change.anchor is None:
                    yield self._created(change, wire)
                else:
                    entry = known.get((change.anchor or "").lower())
                    yield Found(id=change.id, presence=Presence.ABSENT) if entry is None else self._present(change, entry)
            except Refused as refused:
                yield Found(id=change.id, presence=Presence.UNKNOWN, detail=errors.outcome(refused, f"looking for {change.label}")[1])
            except (ValueError, ImportIncomplete) as error:
                yield Found(id=change.id, presence=Presence.UNKNOWN, detail=f"{change.label}: {error}")

    def _created(self, change: Change, wire: Sequence[str]) -> Found:
        mark = self.context.settings.mark
        if mark and change.mark:
            marked = lookup.by_value(self.session, self.base, mark, change.mark, wire)
            if len(marked) == 1:
                return self._present(change, marked[0], by_mark=True)
            if marked:
                return Found(
                    id=change.id,
                    presence=Presence.UNKNOWN,
                    detail=f"{len(marked)} objects carry the mark of {change.label}; remove it from all but one",
                )
        entry = lookup.by_dn(self.session, planned_dn(change), wire)
        account = change.after.get("sAMAccountName")
        if entry is None and isinstance(account, str):
            named = lookup.by_value(self.session, self.base, "sAMAccountName", account, wire)
            entry = named[0] if named else None
        return Found(id=change.id, presence=Presence.ABSENT) if entry is None else self._present(change, entry)

    def _present(self, change: Change, entry: RawEntry, by_mark: bool = False) -> Found:
        if change.operation in _MEMBERS and change.member is not None:
            member = lookup.by_dn(self.session, encode_reference(change.member), ())
            there = member is not None and lookup.has_member(self.session, entry.guid or "", member.dn)
            return Found(
                id=change.id, presence=Presence.PRESENT, anchor=entry.guid, attributes={"members": (change.member,)} if there else {}
            )
        named = {standard(name) for name in (*change.before, *change.after)}
        attributes = self.codec.decode(complete_ranges(self.session, entry), named)
        return Found(id=change.id, presence=Presence.PRESENT, anchor=entry.guid, by_mark=by_mark, attributes=attributes)
