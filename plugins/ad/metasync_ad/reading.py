"""Reading everything, page by page, over a line that may break."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock

from metasync.contract import Context, CursorExpired, Entry, ImportIncomplete, Kind, Page, ReadRequest, Reject, SignInRefused, Unavailable
from metasync_ad import primary
from metasync_ad.attributes import IDENTITY, Codec, kind_of
from metasync_ad.cursor import Cursor
from metasync_ad.lines import Lines, together
from metasync_ad.ranges import complete_ranges
from metasync_ad.scope import bases, kind_filter, must_exist
from metasync_ad.session import RawEntry, Session
from metasync_ad.settings import Settings

ATTEMPTS = 3
"""How often a broken line is made anew before the read gives up, counted from the last page that came."""


Follow = Callable[[Cursor], Iterable[Page]]


Part = tuple[str, list[RawEntry] | None]
"""A place, and a page of it; None: it was read to its end."""


class Places:
    """The places of one read: which is next, and which were read to their end."""

    def __init__(self, every: Sequence[str], done: int) -> None:
        self.every = every
        self.ended = set(every[:done])
        self._next = iter(every[done:])
        self._lock = Lock()

    @property
    def left(self) -> int:
        """How many are not read to their end."""
        return len(self.every) - len(self.ended)

    @property
    def done(self) -> int:
        """How many were, of those that come first: a read that is interrupted goes on behind them."""
        return next((number for number, place in enumerate(self.every) if place not in self.ended), len(self.every))

    def take(self) -> str | None:
        """The next one."""
        with self._lock:
            return next(self._next, None)


class Reader:
    """One read."""

    def __init__(self, lines: Lines, codec: Codec, settings: Settings, context: Context, request: ReadRequest) -> None:
        self.lines, self.session = lines, lines.first
        self.codec, self.settings, self.context, self.request = codec, settings, context, request
        self.wanted = {kind: frozenset(request.attributes.get(kind, ())) for kind in request.kinds}
        flat: frozenset[str] = frozenset().union(*self.wanted.values())
        self.wire = list(dict.fromkeys([*IDENTITY, *codec.wire(sorted(flat))]))
        self.primary = primary.wanted(self.wanted)
        if self.primary and "objectSid" not in self.wire:
            self.wire.append("objectSid")
        self.query = kind_filter(request.kinds, settings)
        self.places = bases(settings, request.under)
        self.seen: set[str] = set()
        """Anchors of what was delivered; never of what was only asked for."""
        self.unnumbered = 0
        """Objects whose uSNChanged may not be read: a delta by that number would miss them silently."""

    def read(self, cursor: Cursor | None, follow: Follow) -> Iterator[Page]:
        """Pages of entries, the last one complete and with the cursor, which was taken before. `follow`: what changed since a cursor.
        Raises `ImportIncomplete`, `Unavailable`."""
        done, cursor = self._resumed(cursor)
        numbered = cursor is not None and cursor.way == "usn"
        self.wire += ["uSNChanged"] if numbered and "uSNChanged" not in self.wire else []
        places = Places(self.places if self.query else (), done)
        for place, entries in self._entries(places):
            if entries is None:
                places.ended.add(place)
                continue
            items = tuple(self._items(entries))
            self.context.progress(len(self.seen), None, place)
            yield Page(items=items, resume=self._resume(places.done, cursor))
            if self.context.stop.is_set():
                return  # without having said `complete`, so that nothing counts as gone
        if cursor is not None and not done:
            whole = yield from self._moved_meanwhile(follow(cursor))
            if not whole:
                return
        if numbered and self.unnumbered:
            self.context.logger.warning(
                "%s: the next import reads everything again: of %d objects uSNChanged may not be read; grant that, or Get-Changes on the "
                "domain", self.context.directory, self.unnumbered,
            )  # fmt: skip
            cursor = None
        yield Page(complete=True, cursor=cursor.text() if cursor else None)

    def _moved_meanwhile(self, changes: Iterable[Page]) -> Generator[Page, None, bool]:
        """Who was moved from where was still to be read to where had been read was met in neither: from one place to another, or within
        one, for what Windows reads next hangs on where things stand (MS-ADTS 3.1.1.3.4.1.1 promises no picture of one moment). False: it
        was told to stop."""
        whole = False
        try:
            for page in changes:
                came = tuple(item for item in page.items if isinstance(item, Entry) and item.anchor not in self.seen)
                self.seen.update(item.anchor for item in came)
                if came:
                    yield Page(items=came)
                whole = page.complete
        except CursorExpired as expired:
            raise ImportIncomplete(
                f"who was moved meanwhile cannot be told: {expired}; nothing was deleted. Run the import again"
            ) from None
        return whole

    # -- lines that break --------------------------------------------------------------------------------------------------------------

    def _entries(self, places: Places) -> Iterator[Part]:
        """The places, one after another; with several connections so many at a time."""
        number = min(self.lines.number, places.left)
        if number < 2:
            return self._line(self.session, places)
        return together([partial(self._line, session, places) for session in self.lines.open(number)], writes=False)

    def _line(self, session: Session, places: Places) -> Iterator[Part]:
        """One place after the other, as long as there are any."""
        while (place := places.take()) is not None:
            for entries in self._place(session, place):
                yield place, entries
            yield place, None

    def _place(self, session: Session, place: str) -> Iterator[list[RawEntry]]:
        """A broken line is made anew, and the place read again: but from the same controller alone.

        Another one may be behind or ahead. What of it was read here and there would be neither's state, and no later delta would tell.
        """
        server, invocation = session.server, session.invocation
        attempts = ATTEMPTS
        while True:
            try:
                must_exist(session, place)
                for entries in self._pages(session, place):
                    attempts = ATTEMPTS
                    yield entries
                return
            except SignInRefused:
                raise
            except Unavailable as broken:
                attempts -= 1
                if not attempts:
                    raise
                self.context.logger.warning("%s: %s; connecting again", self.context.directory, broken)
                if session.invocation != invocation:
                    raise ImportIncomplete(
                        f"{server} went away after {len(self.seen):,} objects, and {session.server} cannot go on where it stopped, "
                        "for it may know more or less; what was read is kept, and nothing was deleted. Run the import again"
                    ) from None

    def _pages(self, session: Session, place: str) -> Iterator[list[RawEntry]]:
        """All that needs the line."""
        size = min(self.request.page_size, self.settings.page_size)
        for entries in session.pages(place, self.query, self.wire, size):
            whole = [complete_ranges(session, entry) for entry in entries]
            yield primary.joined(session, self.settings.base, whole, size) if self.primary else whole

    # -- a read that was interrupted ---------------------------------------------------------------------------------------------------

    def _resume(self, number: int, cursor: Cursor | None) -> str | None:
        """Goes on with the place of this number, all before it having been read: the server's own marks die with the line."""
        return json.dumps([number, self.places, cursor.text()]) if number and cursor else None

    def _resumed(self, cursor: Cursor | None) -> tuple[int, Cursor | None]:
        """How many places were read by then, and the cursor of that time, whose delta tells what happened since."""
        if self.request.resume is None:
            return 0, cursor
        done, places, text = json.loads(self.request.resume)
        earlier = Cursor.of(text)
        if places != self.places or earlier.invocation != self.session.invocation:
            return 0, earlier  # the delta from there will be refused, and everything read once more
        return int(done), earlier

    # -- what is read ------------------------------------------------------------------------------------------------------------------

    def _items(self, entries: Iterable[RawEntry]) -> Iterator[Entry | Reject]:
        for entry in entries:
            kind = kind_of(entry)
            if entry.guid is None:
                yield Reject(where=entry.dn, reason="its objectGUID may not be read; grant the account the right to read it")
            elif kind is not None and kind in self.wanted and entry.guid not in self.seen:
                self.seen.add(entry.guid)
                self.unnumbered += "usnchanged" not in entry.attributes
                yield decoded(self.codec, entry, kind, self.wanted)


def decoded(codec: Codec, entry: RawEntry, kind: Kind, wanted: Mapping[Kind, Collection[str]]) -> Entry | Reject:
    """The whole object, or why it cannot be taken. `entry` has a GUID, and all values of each attribute."""
    anchor = entry.guid or ""
    try:
        return Entry(anchor=anchor, kind=kind, attributes=codec.decode(entry, wanted.get(kind, ())))
    except ValueError as error:
        return Reject(where=entry.dn, reason=str(error), anchor=anchor)
