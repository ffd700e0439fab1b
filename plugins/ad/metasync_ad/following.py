"""What changed since the last import, as items for the engine.

The controller tells which objects changed (`dirsync`, `usn`). Each is then read again as a full import would read it, within the same
scope and by the same filter: what is found is delivered, what is not found has left. Only links, such as the members of a large group,
are not read again where DirSync says who came and who went. The work depends on the number of changes, never on that of all objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from metasync.contract import Context, CursorExpired, Gone, Item, Kind, Page, Patch, ReadRequest, Reference, Reject
from metasync_ad import dirsync, lookup, primary, usn
from metasync_ad import dn as names
from metasync_ad.attributes import COMPUTED, IDENTITY, WIRE_NAMES, Codec, is_foreign, kind_of, standard
from metasync_ad.cursor import Cursor
from metasync_ad.ranges import complete_ranges
from metasync_ad.reading import decoded
from metasync_ad.scope import bases, decisive, kind_filter, must_exist
from metasync_ad.session import RawEntry, Session, Vanished
from metasync_ad.settings import Settings
from metasync_ad.touched import Touched, merged

CONTAINERS = "(|(objectClass=organizationalUnit)(objectClass=container)(objectClass=builtinDomain))"
_CLASSES = {
    Kind.USER: "(&(objectClass=user)(!(objectClass=computer)))",
    Kind.GROUP: "(objectClass=group)",
    Kind.CONTACT: "(objectClass=contact)",
}
"""By objectClass alone: a tombstone keeps that and loses objectCategory (MS-ADTS 3.1.1.5.5)."""
Members = tuple[Reference, ...]
T = TypeVar("T")
_ANYTHING = frozenset({"whenchanged", "usnchanged", "modifytimestamp"})
"""Change whenever anything of an object does."""


class Follower:
    """One delta."""

    def __init__(self, session: Session, codec: Codec, settings: Settings, context: Context, request: ReadRequest) -> None:
        self.session, self.codec, self.settings, self.context, self.request = session, codec, settings, context, request
        self.wanted = {kind: frozenset(request.attributes.get(kind, ())) for kind in request.kinds}
        flat: frozenset[str] = frozenset().union(*self.wanted.values())
        self.wire = list(dict.fromkeys([*IDENTITY, *codec.wire(sorted(flat))]))
        self.primary = primary.wanted(self.wanted)
        if self.primary and "objectSid" not in self.wire:
            self.wire.append("objectSid")
        found = [attribute for name in self.wire if (attribute := codec.schema.get(name)) is not None]
        self.links = {one.name.lower() for one in found if one.multi and one.forward}
        """Links of many values, which a delta need not read again."""
        self.mirrored = {codec.schema.forward_of(one) for one in found if one.backward} - {None}
        """Links whose other end was asked for: who is added to a group changes too, and DirSync tells of the group alone."""
        self.query = kind_filter(request.kinds, settings)
        self.places = bases(settings, request.under)
        self.classes = f"(|{''.join(_CLASSES[kind] for kind in Kind if kind in request.kinds and kind in _CLASSES)}{CONTAINERS})"

    def follow(self, cursor: Cursor) -> Iterator[Page]:
        """Pages of what changed, the last one complete. Raises `CursorExpired`, `ImportIncomplete`, `Unavailable`."""
        for place in self.places:
            must_exist(self.session, place)
        now = usn.highest(self.session)
        query = self.classes if not self.primary else f"(|{self.classes}{_CLASSES[Kind.USER]})"
        query = "(objectClass=*)" if self.mirrored else query  # whatever can hold such a link
        if cursor.way == "dirsync":
            poll = dirsync.Poll(self.session, self.settings.base, cursor.cookie, secured=cursor.secured)
            changed = merged(poll.touched(query, self._asked(), decisive(self.settings)))
            cookie = poll.cookie
        else:
            changed = merged(usn.touched(self.session, self.settings.base, cursor.usn, query, self.settings.page_size))
            cookie = b""
        done = 0
        for items in _chunks(self._items(changed), self.request.page_size):
            done += len(items)
            self.context.progress(done, None, "changes")
            yield Page(items=tuple(items))
            if self.context.stop.is_set():
                return  # without having said `complete`: the next delta starts from the same cursor
        following = Cursor(
            way=cursor.way,
            controller=self.session.server,
            invocation=cursor.invocation,
            usn=now,
            cookie=cookie,
            secured=cursor.secured,
        )
        yield Page(complete=True, cursor=following.text())

    # -- what to ask -------------------------------------------------------------------------------------------------------------------

    def _asked(self) -> list[str]:
        if any(name.lower() in _ANYTHING for name in self.wire):
            return ["*"]
        return [*self.wire, *sorted(name for name in self.mirrored if name), *(["primaryGroupID"] if self.primary else [])]

    # -- what came of it ---------------------------------------------------------------------------------------------------------------

    def _items(self, changed: Sequence[Touched]) -> Iterator[Item]:
        """Moved containers first: what they bring along must be known before anything is said of it."""
        alive = [one for one in changed if not one.deleted]
        for dn in self._moved_containers([one for one in alive if one.moved]):
            try:
                yield from self._below(dn)
            except Vanished:
                # It was deleted, or named anew once more: the next delta says so, of what was in it too. No scope may be gone.
                for place in self.places:
                    must_exist(self.session, place)
        yield from (Gone(anchor=one.guid, unlinked=True) for one in changed if one.deleted)
        known = {one.guid for one in changed}
        mirrors = [Touched(guid=guid, dn="") for guid in self._other_ends(changed) if guid not in known]
        for portion in _portions([*alive, *mirrors]):
            yield from self._again(portion)
        if self.primary:
            yield from self._joined_by_primary(alive)

    def _again(self, portion: Sequence[Touched]) -> Iterator[Item]:
        """Read objects again: those that are in the scope as they are now, and of all others that they are not."""
        part = {one.guid: one for one in portion if self.links and not one.whole}
        whole = [one.guid for one in portion if one.guid not in part]
        found: dict[str, Item] = {}
        for entry in self._read(part, [name for name in self.wire if name.lower() not in self.links]):
            guid = entry.guid or ""
            if item := self._patch(entry, part[guid]):
                found[guid] = item
            else:
                whole.append(guid)
        for entry in self._joined(self._read(whole, self.wire)):
            found[entry.guid or ""] = self._entry(entry)
        for one in portion:
            yield found.get(one.guid) or Gone(anchor=one.guid)

    def _read(self, guids: Collection[str], attributes: Sequence[str]) -> Iterator[RawEntry]:
        if not guids or not self.query:
            return
        for place in self.places:
            yield from self._search(place, f"(&(|{lookup.these(guids)}){self.query})", attributes)

    def _read_all(self, place: str) -> Iterator[RawEntry]:
        return self._joined(self._search(place, self.query, self.wire)) if self.query else iter(())

    def _joined(self, entries: Iterable[RawEntry]) -> Iterator[RawEntry]:
        """Whole objects; groups with their members by primary group, too."""
        if not self.primary:
            yield from entries
            return
        for portion in _chunks((complete_ranges(self.session, entry) for entry in entries), lookup.PORTION):
            yield from primary.joined(self.session, self.settings.base, portion, self.settings.page_size)

    def _search(self, base: str, query: str, attributes: Sequence[str]) -> Iterator[RawEntry]:
        for page in self.session.pages(base, query, attributes, self.settings.page_size):
            yield from page

    def _entry(self, entry: RawEntry) -> Item:
        kind = kind_of(entry)
        assert entry.guid is not None and kind is not None  # the filter asked for both
        return decoded(self.codec, complete_ranges(self.session, entry), kind, self.wanted)

    def _patch(self, entry: RawEntry, change: Touched) -> Item | None:
        """The plain attributes as they are now, and the links that came and went. None: the object must be read whole."""
        kind = kind_of(entry)
        assert entry.guid is not None and kind is not None  # the filter asked for both
        named = {standard(name) for name in self.wanted.get(kind, ())}
        links = {standard(name) for name in self.links}
        if kind is Kind.GROUP and primary.PRIMARY_MEMBERS in named and primary.MEMBERS not in named:
            return None
        if not named & links:
            return self._entry(entry)
        plain = {name for name in named - links if name in COMPUTED or self.codec.schema.get(WIRE_NAMES.get(name, name))}
        came = {name: _references(change.came.get(WIRE_NAMES.get(name, name).lower(), ()), alive=True) for name in named & links}
        went = {name: _references(change.went.get(WIRE_NAMES.get(name, name).lower(), ()), alive=False) for name in named & links}
        if any(held is None for held in (*came.values(), *went.values())):
            return None
        added, removed = {name: held or () for name, held in came.items()}, {name: held or () for name, held in went.items()}
        if kind is Kind.GROUP and primary.MEMBERS in named:
            self._primary(entry, change, added, removed)
        plain -= {name for name in plain if name in COMPUTED and self.links.intersection(need.lower() for need in COMPUTED[name].needs)}
        if "foreignMembers" in named and any(is_foreign(dn) for dn in change.linked()):
            return None
        try:
            present = self.codec.decode(complete_ranges(self.session, entry), plain)
        except ValueError as error:
            return Reject(where=entry.dn, reason=str(error), anchor=entry.guid)
        return Patch(
            anchor=entry.guid,
            kind=kind,
            attributes={name: present.get(name) for name in plain},
            added={name: held for name, held in added.items() if held},
            removed={name: held for name, held in removed.items() if held},
        )

    def _primary(self, entry: RawEntry, change: Touched, added: dict[str, Members], removed: dict[str, Members]) -> None:
        """Of a group: who went from `member` because it became his primary group did not go."""
        number, links = primary.rid(entry), change.went.get("member", ())
        stay = primary.still(self.session, self.settings.base, number, links) if number is not None and links else frozenset()
        left = tuple(one for one in removed[primary.MEMBERS] if one.value not in stay)
        if primary.PRIMARY_MEMBERS in self.wanted[Kind.GROUP]:
            added[primary.PRIMARY_MEMBERS] = tuple(Reference(value=guid) for guid in sorted(stay))
            removed[primary.PRIMARY_MEMBERS] = (*added[primary.MEMBERS], *left)
        removed[primary.MEMBERS] = left

    def _joined_by_primary(self, alive: Sequence[Touched]) -> Iterator[Item]:
        """Groups that are the primary one of somebody who is new, or who has another one now. Where nobody says which of it was before,
        he is told as having come, which he may have long before."""
        of: dict[int, dict[Reference, None]] = {}
        for one in alive:
            if one.primary is not None:
                of.setdefault(one.primary, {})[Reference(value=one.guid)] = None
        these = primary.sid_filter(self.session, self.settings.base, of) if of else ""
        names_wanted = {primary.MEMBERS, primary.PRIMARY_MEMBERS} & self.wanted[Kind.GROUP]
        for place in self.places if these else ():
            for entry in self._search(place, f"(&(|{these}){self.query})", ["objectGUID", "objectClass", "objectSid"]):
                number = primary.rid(entry)
                if entry.guid is not None and number in of:
                    yield Patch(anchor=entry.guid, kind=Kind.GROUP, added={name: tuple(of[number]) for name in names_wanted})

    # -- what changes with something else ----------------------------------------------------------------------------------------------

    def _other_ends(self, changed: Iterable[Touched]) -> Iterator[str]:
        found: dict[str, None] = {}
        for one in changed:
            for name, held in (*one.came.items(), *one.went.items()):
                if name in self.mirrored:
                    found.update((guid, None) for value in held if (guid := names.extended(value.decode("utf-8"))[0]))
        yield from found

    def _moved_containers(self, moved: Sequence[Touched]) -> Iterator[str]:
        """The present names of containers whose own name or place is another: the controller tells of them, not of what is in them."""
        for portion in _portions(moved):
            these = f"(|{lookup.these(one.guid for one in portion)})"
            seen = {entry.guid: entry for entry in self._search(self.settings.base, these, ["objectGUID", "objectClass"])}
            lost = [one.guid for one in portion if one.guid not in seen]
            deleted = lookup.deleted(self.session, self.settings.base, lost, ())
            for one in portion:
                entry = seen.get(one.guid)
                if one.guid in deleted:
                    continue  # meanwhile; the next delta says so, of what was in it too
                if entry is None:
                    raise CursorExpired(f"{one.dn} was moved to where the account does not see it, and with it whatever it holds")
                if kind_of(entry) is Kind.CONTAINER:
                    yield entry.dn

    def _below(self, dn: str) -> Iterator[Item]:
        """Everything in a container that was moved or renamed: what is in the scope there, and what is not any more."""
        found: set[str] = set()
        for place in self.places:
            if not names.is_under(place, dn) and not names.is_under(dn, place):
                continue
            for entry in self._read_all(place if names.is_under(place, dn) else dn):
                if entry.guid is not None and entry.guid not in found:
                    found.add(entry.guid)
                    yield self._entry(entry)
        for entry in self._search(dn, self.classes, ["objectGUID"]):
            if entry.guid is not None and entry.guid not in found:
                yield Gone(anchor=entry.guid)


def _references(raw: Iterable[bytes], *, alive: bool) -> tuple[Reference, ...] | None:
    """Who is meant; None where one is not named by its GUID. `alive`: links to deleted objects are none any more."""
    found: dict[Reference, None] = {}
    for value in raw:
        guid, _, plain = names.extended(value.decode("utf-8"))
        if guid is None:
            return None
        if not alive or names.DELETED not in plain:
            found[Reference(value=guid)] = None
    return tuple(found)


def _portions(changed: Sequence[Touched]) -> Iterator[Sequence[Touched]]:
    for at in range(0, len(changed), lookup.PORTION):
        yield changed[at : at + lookup.PORTION]


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    kept: list[T] = []
    for item in items:
        kept.append(item)
        if len(kept) == size:
            yield kept
            kept = []
    if kept:
        yield kept
