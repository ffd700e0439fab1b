"""Reading everything: filters, bases, pages, large groups in ranges."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from metasync.contract import Context, Entry, ImportIncomplete, Item, Kind, Page, ReadRequest, Reject
from metasync_ad import accounts, errors
from metasync_ad import dn as names
from metasync_ad.attributes import IDENTITY, Codec, kind_of
from metasync_ad.errors import Refused
from metasync_ad.options import Settings
from metasync_ad.session import BASE, EVERYTHING, RawEntry, Session

_RANGE = re.compile(r"(.+);range=(\d+)-(\d+|\*)")
_PEOPLE = "(objectCategory=person)"
_USERS = (
    f"(&{_PEOPLE}(objectClass=user)(!(objectClass=computer))(!(userAccountControl:1.2.840.113556.1.4.803:={accounts.INTERDOMAIN_TRUST})))"
)
FILTERS = {Kind.USER: _USERS, Kind.GROUP: "(objectCategory=group)", Kind.CONTACT: f"(&{_PEOPLE}(objectClass=contact))"}
"""Without computers, managed service accounts and trusts."""


def kind_filter(kinds: Collection[Kind], settings: Settings) -> str:
    """The filter for these kinds, with the document's own."""
    parts = [FILTERS[kind] for kind in Kind if kind in kinds and kind in FILTERS]
    joined = f"(|{''.join(parts)})" if len(parts) > 1 else "".join(parts)
    if joined and settings.filter:
        joined = f"(&{joined}{settings.filter})"
    if Kind.CONTAINER in kinds:
        # Containers of the system are marked as "advanced view only"; OUs may be too, and count.
        classes = [
            "(objectCategory=organizationalUnit)"
            if name == "organizationalUnit"
            else f"(&(objectCategory={name})(!(showInAdvancedViewOnly=TRUE)))"
            for name in settings.container_kinds
        ]
        joined = f"(|{joined}{''.join(classes)})"
    return joined


def bases(settings: Settings, under: Sequence[str]) -> list[str]:
    """Where to read: what the request and the options both allow, none inside another."""
    options = settings.under or (settings.base,)
    asked = under or options
    both = [one for one in asked if any(names.is_under(one, other) for other in options)]
    both += [one for one in options if any(names.is_under(one, other) for other in asked)]
    found: list[str] = []
    for one in sorted(both, key=lambda dn: len(names.split(dn))):
        if not any(names.is_under(one, other) for other in found):
            found.append(one)
    return found


class Reader:
    """One read."""

    def __init__(self, session: Session, codec: Codec, settings: Settings, context: Context) -> None:
        self.session, self.codec, self.settings, self.context = session, codec, settings, context

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Pages of entries, the last one complete. Raises `ImportIncomplete`, `Unavailable`."""
        wanted = {kind: frozenset(request.attributes.get(kind, ())) for kind in request.kinds}
        flat: frozenset[str] = frozenset().union(*wanted.values())
        wire = list(dict.fromkeys([*IDENTITY, *self.codec.wire(sorted(flat))]))
        query = kind_filter(request.kinds, self.settings)
        seen: set[str] = set()
        places = bases(self.settings, request.under)
        if not query or not places:
            yield Page(complete=True)
            return
        for place in places:
            size = min(request.page_size, self.settings.page_size)
            for entries in self.session.pages(self._plain(place), query, wire, size):
                items = [item for entry in entries if (item := self._item(entry, wanted, seen)) is not None]
                self.context.progress(len(seen), None, place)
                yield Page(items=tuple(items))
                if self.context.stop.is_set():
                    return  # without having said `complete`, so that nothing counts as gone
        yield Page(complete=True)

    def _plain(self, place: str) -> str:
        """The base, once it is known to be there: a scope that was renamed away must not look like everybody having left."""
        try:
            self.session.search(place, EVERYTHING, ["objectGUID"], BASE)
        except Refused as refused:
            why = "does not exist, or the account may not see it" if refused.code == 32 else errors.outcome(refused, "search")[1]
            raise ImportIncomplete(
                f"{place} cannot be read: it {why}; correct the scope, or grant the right. Nothing was deleted"
            ) from None
        return place

    def _item(self, entry: RawEntry, wanted: Mapping[Kind, Collection[str]], seen: set[str]) -> Item | None:
        if entry.guid is None:
            return Reject(where=entry.dn, reason="its objectGUID may not be read; grant the account the right to read it")
        kind = kind_of(entry)
        if kind is None or kind not in wanted or entry.guid in seen:
            return None
        seen.add(entry.guid)
        try:
            return Entry(anchor=entry.guid, kind=kind, attributes=self.codec.decode(complete_ranges(self.session, entry), wanted[kind]))
        except ValueError as error:
            return Reject(where=entry.dn, reason=str(error), anchor=entry.guid)


def complete_ranges(session: Session, entry: RawEntry) -> RawEntry:
    """Fetch the rest of what the server gave in part, `member;range=0-1499` (MS-ADTS 3.1.1.3.1.3.3)."""
    partial = [found for name in entry.attributes if (found := _RANGE.fullmatch(name))]
    if not partial:
        return entry
    whole = {name: held for name, held in entry.attributes.items() if not _RANGE.fullmatch(name)}
    for found in partial:
        attribute, end = found[1], found[3]
        held = list(entry.attributes[found[0]])
        while end != "*":
            following = int(end) + 1
            asked = f"{attribute};range={following}-*"
            try:
                answer = session.search(f"<GUID={entry.guid}>", EVERYTHING, [asked], BASE)
            except Refused as refused:
                raise ImportIncomplete(f"the values of {attribute} of {entry.dn} stopped: {errors.outcome(refused, 'search')[1]}") from None
            part = next(
                (part for name in (answer[0].attributes if answer else ()) if (part := _RANGE.fullmatch(name)) and part[1] == attribute),
                None,
            )
            if part is None or int(part[2]) != following:
                raise ImportIncomplete(f"{attribute} of {entry.dn} changed while it was read, or its rest is missing; nothing was deleted")
            held += answer[0].attributes[part[0]]
            end = part[3]
        whole[attribute] = held
    return RawEntry(dn=entry.dn, guid=entry.guid, attributes=whole)
