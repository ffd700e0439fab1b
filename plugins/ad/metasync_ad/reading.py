"""Reading everything, page by page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from metasync.contract import Context, Entry, Item, Kind, Page, ReadRequest, Reject
from metasync_ad.attributes import IDENTITY, Codec, kind_of
from metasync_ad.cursor import Cursor
from metasync_ad.ranges import complete_ranges
from metasync_ad.scope import bases, kind_filter, must_exist
from metasync_ad.session import RawEntry, Session
from metasync_ad.settings import Settings


class Reader:
    """One read."""

    def __init__(self, session: Session, codec: Codec, settings: Settings, context: Context) -> None:
        self.session, self.codec, self.settings, self.context = session, codec, settings, context

    def read(self, request: ReadRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Pages of entries, the last one complete and with the cursor. Raises `ImportIncomplete`, `Unavailable`."""
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
            must_exist(self.session, place)
            for entries in self.session.pages(place, query, wire, size):
                items = [item for entry in entries if (item := self._item(entry, wanted, seen)) is not None]
                self.context.progress(len(seen), None, place)
                yield Page(items=tuple(items))
                if self.context.stop.is_set():
                    return  # without having said `complete`, so that nothing counts as gone
        yield Page(complete=True, cursor=cursor.text() if cursor else None)

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
