"""Reading everything of one stream: lists behind a delta token that was taken before them, so that what changes meanwhile is told after.

Sources: https://learn.microsoft.com/graph/paging, https://learn.microsoft.com/graph/delta-query-overview
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from metasync.contract import Context, Entry, ImportIncomplete, Kind, Page, ReadRequest, Reference, Reject, Values
from metasync_entra import calls, security, shards
from metasync_entra.calls import Answer, Call
from metasync_entra.codec import Codec, is_guid
from metasync_entra.codec import members as members_of
from metasync_entra.cursor import REMEMBERED, Cursor
from metasync_entra.errors import Sense
from metasync_entra.managers import Managers
from metasync_entra.permissions import need_security
from metasync_entra.places import ONE, Place
from metasync_entra.session import Flight, Session
from metasync_entra.streams import GROUPS, USERS, Wanted
from metasync_entra.tokens import claims_of, roles_of

_BIN = {USERS: "microsoft.graph.user", GROUPS: "microsoft.graph.group"}
_UNKNOWN = frozenset({Sense.REFUSED, Sense.EXPIRED, Sense.MISSING})
"""What Graph may say to a link of long ago; how long one holds is not documented."""
_COUNTS = 3
"""How often the parts of a list are counted: somebody may come between two counts."""
_COST = {"members": 3.0, "owners": 2.0}


class _Forgotten(Exception):
    """Graph does not know any more where a read was cut, or does not give parts of a list."""


class Reader:
    """One read of one stream."""

    def __init__(self, session: Session, codec: Codec, context: Context, request: ReadRequest) -> None:
        self.session, self.codec, self.context, self.request = session, codec, context, request
        self.wanted = Wanted.of(request, codec)
        self.managers = Managers(session)
        self.seen: set[str] = set()
        self.shown: dict[str, set[str]] = {}
        """Part -> who was in it."""
        self.place = Place.of(request.resume) if request.resume else None

    def read(self, tenant: str) -> Iterator[Page]:
        """Pages of entries, the last one complete and with the cursor. Raises `ImportIncomplete`, `Unavailable`."""
        if not self.wanted.kinds:
            yield Page(complete=True)
            return
        if self.place is None:
            cursor = self.begin(tenant).text() if self.wanted.followed else None
            self.place = Place(cursor=cursor)
        held: list[Entry | Reject] = []
        for key, following, rows in self._pages():
            self._told_all()
            fresh = self._new(rows)
            if self.place.counted is not None:
                self.shown.setdefault(key, set()).update(str(one["id"]) for one in rows)
            for item in self._entries(fresh):
                if len(held) >= self.request.page_size:
                    yield self._page(held)
                    held = []
                    if self.context.stop.is_set():
                        return  # without having said `complete`, so that nothing counts as gone
                held.append(item)
            self.place.done(key, following)
        if held:
            yield self._page(held)
        cursor = self.place.cursor
        if cursor is not None and self.place.counted is not None:
            cursor = Cursor.of(cursor).behind_parts().text()
        yield Page(complete=True, cursor=cursor)

    def _told_all(self) -> None:
        """Raises `RightMissing` where what is asked for looks empty to us: a later token may hold less than the first."""
        if security.SELECT in self.wanted.select:
            need_security(roles_of(claims_of(self.session.tokens.get())), self.session.host)

    def _page(self, held: Sequence[Entry | Reject]) -> Page:
        """All that was held back, with the place behind those lists' pages that are delivered as a whole."""
        assert self.place is not None
        self.context.progress(len(self.seen), None, self.wanted.stream)
        return Page(items=tuple(held), resume=self.place.text())

    def begin(self, tenant: str) -> Cursor:
        """Where the next delta starts: now, before anything is read."""
        since = self.session.pace.now()
        select = ",".join(self.wanted.tracked)
        body = self.session.read(f"/{self.wanted.stream}/delta?$deltatoken=latest&$select={select}", doing="asking for a delta token")
        link = body.get("@odata.deltaLink") if isinstance(body, Mapping) else None
        for _ in range(10):  # documented as one empty page; a nextLink would only lead on to it
            if isinstance(link, str) or not isinstance(body, Mapping) or not isinstance(body.get("@odata.nextLink"), str):
                break
            body = self.session.read(body["@odata.nextLink"], doing="asking for a delta token")
            link = body.get("@odata.deltaLink") if isinstance(body, Mapping) else None
        if not isinstance(link, str):
            raise ImportIncomplete(f"{self.session.host} gave no delta token; run the import again")
        self.session.address(link)  # refused now, not at the next import
        return Cursor(
            tenant=tenant,
            stream=self.wanted.stream,
            tracked=self.wanted.tracked,
            kinds=tuple(sorted(kind.value for kind in self.wanted.kinds)),
            link=link,
            since=since,
            gone=tuple(self._in_the_bin()),
        )

    def _in_the_bin(self) -> list[str]:
        """Those who may be restored: they will come back as a change."""
        kind = _BIN.get(self.wanted.stream)
        found: list[str] = []
        path = f"/directory/deletedItems/{kind}?$select=id&$top=999" if kind else None
        while path and len(found) < REMEMBERED:
            answer = self.session.ask(calls.get(path))
            if answer.trouble is not None:
                break  # then who returns makes the next import read everything
            found += [str(one["id"]) for one in answer.fields.get("value") or () if isinstance(one, dict) and "id" in one]
            path = answer.fields.get("@odata.nextLink")
        return found[-REMEMBERED:]

    # -- lists -------------------------------------------------------------------------------------------------------------------------

    def _entries(self, of_ours: Sequence[dict[str, Any]]) -> Iterator[Entry | Reject]:
        if not self.wanted.relations:
            for one in of_ours:
                yield entry(self.codec, self.wanted, one, {})
            return
        self._add_managers(of_ours)
        relations = Relations(self.session, self.wanted)
        related = relations.of(str(one["id"]) for one in of_ours)
        for one in of_ours:
            yield relations.unread(one) or entry(self.codec, self.wanted, one, related.get(str(one["id"]), {}))

    def _add_managers(self, users: Iterable[dict[str, Any]]) -> None:
        if "manager" not in self.wanted.relations or self.managers.expand:
            return
        known = self.managers.of(str(one["id"]) for one in users)
        for one in users:
            if one["id"] in known:
                one["manager"] = {"id": known[one["id"]]}

    def _new(self, raw: Iterable[Any]) -> list[dict[str, Any]]:
        """The objects that were not seen yet, of the kinds that were asked for."""
        found: list[dict[str, Any]] = []
        seen, kinds, kind = self.seen, self.wanted.kinds, self.wanted.kind
        for one in raw:
            identifier = one.get("id") if isinstance(one, dict) else None
            if not isinstance(identifier, str) or not is_guid(identifier):
                raise ImportIncomplete(f"{self.session.host} listed something without an identifier; run the import again")
            if identifier not in seen:
                seen.add(identifier)
                if kind(one) in kinds:
                    found.append(one)
        return found

    def _pages(self) -> Iterator[tuple[str, str | None, Sequence[Any]]]:
        """Every object of the collection, at least once: the list, where it goes on, its rows."""
        assert self.place is not None
        if self.place.lists:
            if self.place.counted is not None:
                self.session.pace.sized(self.place.counted)
            try:
                yield from self._chains()
                if self.place.counted is None or self._parts_cover(self.place.counted):
                    return
            except _Forgotten:
                self.context.logger.info("%s does not know any more where the read was cut; it is read anew", self.context.directory)
            self.place.restart({ONE: self._path()}, None)
            yield from self._chains()
            return
        count = self._count() if self.wanted.stream == USERS else None
        if count is not None:
            self.session.pace.sized(count)
        if count is not None and count > self.session.settings.shard_above:
            parts = shards.prefixes(count)
            paths = [f"{self._path()}&$filter={one}" for one in shards.filters(parts)]
            self.place.restart(dict(zip(parts, paths, strict=True)), count)
            try:
                yield from self._chains()
                if self._all_counted(count) or (yield from self._whole(dict(zip(parts, paths, strict=True)), count)):
                    return
            except _Forgotten:
                self.context.logger.warning("%s does not give parts of its list; it is read in one", self.context.directory)
        self.place.restart({ONE: self._path()}, None)
        yield from self._chains()

    def _all_counted(self, count: int) -> bool:
        """Do the parts that were read add up?"""
        still = self._count()
        return still is not None and len(self.seen) >= max(count, still)

    def _whole(self, parts: Mapping[str, str], count: int) -> Generator[tuple[str, str | None, Sequence[Any]], None, bool]:
        """Read those parts again that somebody came into meanwhile. Are the parts everything then?"""
        assert self.place is not None
        for _ in range(_COUNTS):
            short = self._short(parts)
            if not short:
                return short is not None
            self.place.restart(short, count)
            yield from self._chains()
        return False

    def _short(self, parts: Mapping[str, str]) -> dict[str, str] | None:
        """Those parts that hold more by now than they showed, since somebody came meanwhile; None where the parts are not everything."""
        whole, held = self._count(), self._held(parts)
        if whole is None or held is None or sum(held.values()) < whole:
            self.context.logger.warning("%s: the parts of the list do not add up; it is read in one", self.context.directory)
            return None
        return {part: path for part, path in parts.items() if held[part] > len(self.shown.get(part, ()))}

    def _held(self, parts: Iterable[str]) -> dict[str, int] | None:
        """How many each part holds; None where the tenant does not say."""
        asked = [replace(self._counting(one), tag=part) for part, one in zip(parts, shards.filters(list(parts)), strict=True)]
        found = {answer.call.tag: _number(answer) for answer in Flight(self.session, asked)}
        return None if None in found.values() else {part: number for part, number in found.items() if number is not None}

    def _parts_cover(self, count: int) -> bool:
        """Are the parts everything? Of a read that was cut, who was seen before is not known here, and others have come and gone since: so
        the tenant is asked how many each part holds."""
        for _ in range(_COUNTS):
            whole, held = self._count(), self._held(shards.prefixes(count))
            if whole is not None and held is not None and sum(held.values()) >= whole:
                return True
        self.context.logger.warning("%s: the parts of the list do not add up; it is read in one", self.context.directory)
        return False

    def _path(self) -> str:
        size = min(self.request.page_size, self.session.settings.page_size)
        expand = self.managers.expand if "manager" in self.wanted.relations else ""
        return f"/{self.wanted.stream}?$select={','.join(self.wanted.select)}&$top={size}{expand}"

    def _count(self) -> int | None:
        """How many there are; None where the tenant does not say."""
        return _number(self.session.ask(self._counting()))

    def _counting(self, filter_: str = "") -> Call:
        path = f"/{self.wanted.stream}/$count" + (f"?$filter={filter_}" if filter_ else "")
        return calls.get(path, headers={"ConsistencyLevel": "eventual"})

    def _chains(self) -> Iterator[tuple[str, str | None, Sequence[Any]]]:
        """The pages of all lists that are open, each followed to its end. Raises `_Forgotten`."""
        assert self.place is not None
        units, resumed = 2.0, self.place.resumed
        flight = Flight(self.session, [calls.get(path, units=units, tag=key) for key, path in self.place.lists.items()])
        for answer in flight:
            if (resumed and answer.sense in _UNKNOWN) or (self.place.counted is not None and answer.sense is Sense.REFUSED):
                raise _Forgotten
            key, body = answer.call.tag, page(self.session, answer, self.wanted.stream)
            following = body.get("@odata.nextLink")
            if following:
                flight.ahead(calls.get(str(following), units=units, tag=key))
            yield key, str(following) if following else None, body["value"]


class Relations:
    """Members and owners of groups, each list followed to its end, many groups at once."""

    def __init__(self, session: Session, wanted: Wanted) -> None:
        self.session, self.wanted = session, wanted
        self._missing: set[str] = set()

    def unread(self, group: Mapping[str, Any]) -> Reject | None:
        """Of a group that was listed, and does not exist where its members were asked for: deleted since, or too young to be everywhere.
        Neither is taken for granted; the delta behind this read tells."""
        if group["id"] not in self._missing:
            return None
        name = str(group.get("displayName") or group["id"])
        return Reject(where=name, reason="its members cannot be read now; the next import tries again", anchor=str(group["id"]))

    def of(self, groups: Iterable[str]) -> dict[str, dict[str, list[str]]]:
        """Group -> relation -> identifiers. Raises `ImportIncomplete`, `Unavailable`."""
        found: dict[str, dict[str, list[str]]] = {}
        if self.wanted.stream != GROUPS:
            return found
        todo = [
            calls.get(f"/groups/{group}/{name}?$select=id&$top=999", units=_COST[name] - 1, tag=(group, name))
            for group in groups
            for name in self.wanted.relations
        ]
        while todo:
            further: list[Call] = []
            for answer in self._asked(todo):
                group, name = answer.call.tag
                lists = found.setdefault(group, {}).setdefault(name, [])
                if answer.sense is Sense.MISSING:
                    self._missing.add(group)
                    continue
                body = page(self.session, answer, f"the {name} of {group}")
                lists += members_of(body["value"])
                if following := body.get("@odata.nextLink"):
                    further.append(calls.get(str(following), units=_COST[name] - 1, tag=(group, name)))
            todo = further
        return found

    def _asked(self, todo: list[Call]) -> Iterator[Answer]:
        """First pages go together in batches; what follows is a link, which no batch takes."""
        together = [one for one in todo if one.path.startswith("/")]
        yield from self.session.batched(together)
        yield from Flight(self.session, [one for one in todo if not one.path.startswith("/")])


def page(session: Session, answer: Answer, what: str) -> Mapping[str, Any]:
    """The body of one page of a list. Raises `ImportIncomplete`, `Unavailable`."""
    body = session.needed(answer, f"reading {what}").fields
    if not isinstance(body.get("value"), list):
        raise ImportIncomplete(f"{session.host} answered without a list while {what} were read; nothing was deleted. Run the import again")
    return body


def entry(codec: Codec, wanted: Wanted, raw: Mapping[str, Any], related: Mapping[str, Iterable[str]]) -> Entry | Reject:
    """The whole object, or why it cannot be taken."""
    kind, anchor = wanted.kind(raw), str(raw["id"])
    try:
        attributes = codec.decode(kind, raw, wanted.names[kind])
    except ValueError as error:
        return Reject(where=str(raw.get("userPrincipalName") or raw.get("displayName") or anchor), reason=str(error), anchor=anchor)
    if wanted.relations:
        attributes |= references(wanted, kind, raw, related)
    return Entry(anchor=anchor, kind=kind, attributes=attributes)


def references(wanted: Wanted, kind: Kind, raw: Mapping[str, Any], related: Mapping[str, Iterable[str]]) -> dict[str, Values]:
    """Those attributes that refer to other objects."""
    found: dict[str, Values] = {}
    for name in wanted.relations:
        if name not in wanted.names[kind]:
            continue
        if name == "manager":
            manager = raw.get("manager")
            identifier = manager.get("id") if isinstance(manager, Mapping) else None
            if isinstance(identifier, str):
                found[name] = Reference(value=identifier)
        elif several := tuple(Reference(value=one) for one in dict.fromkeys(related.get(name, ()))):
            found[name] = several
    return found


def _number(answer: Answer) -> int | None:
    """What `$count` says."""
    try:
        return int(str(answer.body).lstrip("\ufeff")) if answer.trouble is None else None
    except ValueError:
        return None


def filtered(property_: str, value: str) -> str:
    """A filter for one value, percent-encoded."""
    return f"{quote(property_, safe='/')}%20eq%20{calls.literal(value)}"
