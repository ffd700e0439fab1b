"""What changed since a cursor, as items for the engine.

An object that the engine knows is delivered as a patch; one that is new, or was gone, whole. Nothing is concluded from what a delta does
not list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from metasync.contract import (
    Context,
    CursorExpired,
    Gone,
    ImportIncomplete,
    Item,
    Kind,
    Page,
    Patch,
    ReadRequest,
    Reference,
    Reject,
    Stopped,
    Values,
)
from metasync_entra import calls
from metasync_entra.codec import Codec, decoded, held, is_guid
from metasync_entra.codec import time as parsed
from metasync_entra.cursor import Cursor
from metasync_entra.errors import Sense
from metasync_entra.managers import Managers
from metasync_entra.merging import Round, Told, whole
from metasync_entra.reading import Relations, entry
from metasync_entra.session import Session
from metasync_entra.streams import GROUPS, USERS, Wanted

STANDSTILL = 5
"""How often in a row a page may lead to itself."""


class Follower:
    """One delta of one stream."""

    def __init__(self, session: Session, codec: Codec, context: Context, request: ReadRequest) -> None:
        self.session, self.codec, self.context, self.request = session, codec, context, request
        self.wanted = Wanted.of(request, codec)
        self.managers = Managers(session)
        self.gone: list[str] = []

    def follow(self, cursor: Cursor, tenant: str) -> Iterator[Page]:
        """Pages of what changed, the last one complete. Raises `CursorExpired`, `ImportIncomplete`, `Unavailable`."""
        cursor.check(tenant, self.wanted)
        if not self.wanted.followed:
            raise CursorExpired("nobody says whether changes of custom security attributes are told")
        since = self.session.pace.now()
        told, link = self._round(cursor.link)
        items: list[Item] = []
        for done, item in enumerate(self._items(cursor, told), 1):
            items.append(item)
            if len(items) >= self.request.page_size:
                self.context.progress(done, len(told.objects), "changes")
                yield Page(items=tuple(items))
                items = []
                if self.context.stop.is_set():
                    return  # without having said `complete`: the next delta starts from the same cursor
        if items:
            yield Page(items=tuple(items))
        yield Page(complete=True, cursor=cursor.following(link, since, self.gone).text())

    def _round(self, link: str) -> tuple[Round, str]:
        """Everything that Graph tells, to the deltaLink: only then is a large group's list of changes whole."""
        told = Round(self.wanted.relations)
        again = 0
        while True:
            answer = self.session.ask(calls.get(link))
            if answer.sense is Sense.EXPIRED:
                raise CursorExpired("the tenant no longer knows where the last import ended")
            body = self.session.needed(answer, "asking for changes").fields
            if not isinstance(body.get("value"), list):
                raise ImportIncomplete(f"{self.session.host} answered without a list of changes; run the import again")
            for row in body["value"]:
                if not isinstance(row, Mapping) or not is_guid(str(row.get("id", ""))):
                    raise ImportIncomplete(f"{self.session.host} told of a change without an identifier; run the import again")
                told.add(row)
            following, end = body.get("@odata.nextLink"), body.get("@odata.deltaLink")
            if isinstance(following, str) and again < STANDSTILL:
                again = again + 1 if following == link else 0
                link = following
            elif isinstance(end, str):
                self.session.address(end)  # refused now, not at the next import
                return told, end
            else:
                raise ImportIncomplete(f"{self.session.host} ended its list of changes without a deltaLink; run the import again")
            if self.context.stop.is_set():
                raise Stopped()

    # -- what came of it ---------------------------------------------------------------------------------------------------------------

    def _items(self, cursor: Cursor, told: Round) -> Iterator[Item]:
        new: dict[str, Told] = {}
        self._complete(cursor, told)
        for identifier, one in told.objects.items():
            if one.removed is not None:
                self.gone.append(identifier)
                yield Gone(anchor=identifier, unlinked=True)
            elif self.wanted.kind(one.fields) not in self.wanted.kinds:
                self.gone.append(identifier)  # a guest who became a member, or the other way round: it may come back, too
                yield Gone(anchor=identifier)
            elif cursor.is_new(identifier, _created(one)) and self.wanted.is_whole(one.fields):
                new[identifier] = one
            else:
                yield self._patch(identifier, one)
        yield from self._whole(new)

    def _complete(self, cursor: Cursor, told: Round) -> None:
        """Read again what a row does not hold and must be known: the kind of a user, and all of what is new."""
        asked = [
            calls.get(f"/{self.wanted.stream}/{identifier}?$select={','.join(self.wanted.select)}", tag=one)
            for identifier, one in told.objects.items()
            if one.removed is None
            and not self.wanted.is_whole(one.fields)
            and (self.wanted.stream != GROUPS or cursor.is_new(identifier, _created(one)))
        ]
        for answer in self.session.batched(asked):
            if answer.sense is not Sense.MISSING:
                answer.call.tag.fields = dict(self.session.needed(answer, "reading what changed").fields)

    def _patch(self, identifier: str, told: Told) -> Patch | Reject:
        """Every property, as it is now: absent ones are cleared; of relations only what came and went."""
        complete = self.wanted.is_whole(told.fields)
        raw = whole(told, self.wanted.select)
        kind = self.wanted.kind(raw)
        attributes: dict[str, Values | None] = {}
        added: dict[str, tuple[Reference, ...]] = {}
        removed: dict[str, tuple[Reference, ...]] = {}
        try:
            for name in self.wanted.names[kind]:
                known = self.codec.tables[kind].get(name)
                if known is not None and known.select is not None and known.name != "anchor" and (complete or known.select in told.fields):
                    attributes[name] = self._value(kind, name, raw)
        except ValueError as error:
            return Reject(where=str(raw.get("displayName") or identifier), reason=str(error), anchor=identifier)
        for relation, links in told.linked.items():
            if relation not in self.wanted.names[kind]:
                continue
            came = tuple(Reference(value=one) for one, there in links.items() if there)
            if relation == "manager":
                attributes[relation] = came[-1] if came else None
                continue
            went = tuple(Reference(value=one) for one, there in links.items() if not there)
            added |= {relation: came} if came else {}
            removed |= {relation: went} if went else {}
        return Patch(anchor=identifier, kind=kind, attributes=attributes, added=added, removed=removed)

    def _value(self, kind: Kind, name: str, raw: Mapping[str, Any]) -> Values | None:
        known = self.codec.tables[kind][name]
        return decoded(known, held(known, raw))

    def _whole(self, new: Mapping[str, Told]) -> Iterator[Item]:
        """Those that the engine may not know. What the delta said of relations is fresher than what is read of them now."""
        relations = Relations(self.session, self.wanted)
        related = relations.of(new)
        asked = self.wanted.stream == USERS and "manager" in self.wanted.relations
        managers = self.managers.of(one for one, told in new.items() if "manager" not in told.linked) if asked else {}
        for identifier, told in new.items():
            raw = {**whole(told, self.wanted.select), "id": identifier}
            links = related.get(identifier, {})
            for relation, changes in told.linked.items():
                there = dict.fromkeys(links.get(relation, ()))
                for one, belongs in changes.items():
                    if belongs:
                        there[one] = None
                    else:
                        there.pop(one, None)
                links[relation] = list(there)
            manager = next(iter(reversed(links.pop("manager", []))), None) or managers.get(identifier)
            raw["manager"] = {"id": manager} if manager else None
            yield entry(self.codec, self.wanted, raw, links)


def _created(told: Told) -> Any:
    text = told.fields.get("createdDateTime")
    return parsed(text) if isinstance(text, str) else None
