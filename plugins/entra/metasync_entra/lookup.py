"""Objects by their identifier or by what they were to be called: always by direct reads, never by an index that lags more."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from metasync.contract import Change, Kind
from metasync_entra import calls
from metasync_entra.calls import Answer, literal, segment
from metasync_entra.codec import Codec, is_guid, members
from metasync_entra.errors import Sense
from metasync_entra.managers import Managers
from metasync_entra.ownership import OWNERS
from metasync_entra.session import Session
from metasync_entra.streams import USERS, stream_of

YOUNG = 900.0
"""Seconds for which Graph may not show everywhere what was just made (https://devblogs.microsoft.com/identity, eventual consistency)."""
KEY = "metasync-"
ENTRIES = 15
"""Identifiers that one `in` takes (https://learn.microsoft.com/graph/filter-query-parameter)."""


def unique_name(change: Change) -> str:
    """The alternate key of a group that this change makes: made with the change and never used for another."""
    return f"{KEY}{change.tag}"


class Young:
    """What this connector made a short while ago: where Graph does not show it yet, it is not gone."""

    def __init__(self) -> None:
        self._made: dict[str, float] = {}

    def add(self, identifier: str) -> None:
        """It was made now."""
        self._made[identifier.lower()] = time.monotonic()

    def perhaps(self, change: Change, *identifiers: object) -> bool:
        """May one of these be young? It may have been made by another process, so that a first attempt says yes to everything."""
        return not change.retried or any(one in self for one in identifiers)

    def __contains__(self, identifier: object) -> bool:
        made = self._made.get(str(identifier).lower())
        return made is not None and time.monotonic() - made < YOUNG


class Lookup:
    """Reads single objects, many in one request."""

    def __init__(self, session: Session, codec: Codec) -> None:
        self.session, self.codec = session, codec
        self.managers = Managers(session)

    def of(self, wanted: Mapping[str, tuple[Kind, Collection[str]]]) -> dict[str, Mapping[str, Any]]:
        """Identifier -> the object with these attributes and its manager; one that does not exist is absent. Raises `Unavailable`."""
        asked = []
        for identifier, (kind, names) in wanted.items():
            if not is_guid(identifier):
                continue
            asked.append(calls.get(self.path(kind, segment(identifier), names), tag=identifier))
        found: dict[str, Mapping[str, Any]] = {}
        for answer in self.session.batched(asked):
            if self._there(answer):
                found[answer.call.tag] = answer.fields
        bosses = [one for one in found if "manager" in wanted[one][1] and stream_of(wanted[one][0]) == USERS]
        if bosses and not self.managers.expand:
            for one, manager in self.managers.of(bosses).items():
                found[one] = {**found[one], "manager": {"id": manager}}
        owned = [one for one in found if OWNERS in wanted[one][1] and wanted[one][0] is Kind.GROUP]
        return {**found, **{one: {**found[one], OWNERS: several} for one, several in self._owners(owned).items()}}

    def _owners(self, groups: Iterable[str]) -> dict[str, list[str]]:
        """Of these groups; there are never more than a page holds. Raises `Unavailable`."""
        found: dict[str, list[str]] = {}
        asked = [calls.get(f"/groups/{segment(one)}/owners?$select=id&$top=999", tag=one) for one in groups]
        for answer in self.session.batched(asked):
            if answer.sense is not Sense.MISSING:
                body = self.session.needed(answer, "reading owners").fields
                found[answer.call.tag] = list(members(body.get("value") or ()))
        return found

    def path(self, kind: Kind, key: str, names: Iterable[str], *, mark: str | None = None) -> str:
        """Of one object, with what these attributes need."""
        names = {*names, *([mark] if mark and mark in self.codec.tables[kind] else [])}
        select = dict.fromkeys([*self.codec.select([kind], {kind: names}), *PROTECTION[stream_of(kind)]])
        expand = self.managers.expand if "manager" in names and stream_of(kind) == USERS else ""
        return f"/{stream_of(kind)}{'' if key.startswith('(') else '/'}{key}?$select={','.join(select)}{expand}"

    def one(self, path: str) -> Mapping[str, Any] | None:
        """What lies there, or None. Raises `Unavailable`."""
        answer = self.session.ask(calls.get(path))
        return answer.fields if self._there(answer) else None

    def _there(self, answer: Answer) -> bool:
        if answer.sense is Sense.MISSING:
            return False
        self.session.needed(answer, "reading what is there")
        return isinstance(answer.fields.get("id"), str)

    def by_name(self, kind: Kind, change: Change, names: Sequence[str], mark: str | None) -> Iterator[Mapping[str, Any]]:
        """What carries the names that this create asked for, the surest first."""
        if kind is Kind.GROUP:
            found = self.one(self.path(kind, f"(uniqueName={literal(unique_name(change))})", names, mark=mark))
            if found is not None:
                identifier = str(found["id"])
                yield {**found, OWNERS: self._owners([identifier]).get(identifier, [])} if OWNERS in names else found
            return
        name = change.after.get("userPrincipalName")
        if kind is Kind.USER and isinstance(name, str) and name:
            found = self.one(self.path(kind, segment(name), names, mark=mark))
            if found is not None:
                yield found
            return
        address = change.after.get("mail")
        if isinstance(address, str) and address:
            yield from self.filtered(kind, "mail", address, names, mark)

    def filtered(self, kind: Kind, attribute: str, value: str, names: Sequence[str], mark: str | None) -> Iterator[Mapping[str, Any]]:
        """What holds this value, by the index. Raises `Unavailable`."""
        known = self.codec.known(kind, attribute)
        property_ = f"{known.select}/{known.inside}" if known.inside else str(known.select)
        answer = self.session.ask(
            calls.get(f"{self.path(kind, '', names, mark=mark).replace('/?', '?')}&$filter={property_}%20eq%20{literal(value)}")
        )
        if answer.sense is Sense.REFUSED or answer.sense is Sense.MISSING:
            return  # the attribute cannot be searched by
        for one in self.session.needed(answer, "looking for an object").fields.get("value") or ():
            if isinstance(one, Mapping) and isinstance(one.get("id"), str):
                yield one

    def several(self, kinds: Mapping[str, Kind]) -> dict[str, Mapping[str, Any]]:
        """What decides whether they may be written, of so many that they are asked for in lists. Raises `Unavailable`."""
        asked = []
        for stream in dict.fromkeys(map(stream_of, kinds.values())):
            of_stream = [anchor for anchor, kind in kinds.items() if stream_of(kind) == stream]
            for start in range(0, len(of_stream), ENTRIES):
                some = of_stream[start : start + ENTRIES]
                select = ",".join(("id", *PROTECTION[stream]))
                path = f"/{stream}?$filter=id%20in%20({','.join(map(literal, some))})&$select={select}"
                asked.append(calls.get(path, tag=some))
        found: dict[str, Mapping[str, Any]] = {}
        for answer in self.session.batched(asked):
            if answer.sense is Sense.REFUSED:  # this tenant takes no such filter: one by one, then
                found |= self.of({anchor: (kinds[anchor], ()) for anchor in answer.call.tag})
                continue
            for raw in self.session.needed(answer, "reading what would be changed").fields.get("value") or ():
                if isinstance(raw, Mapping) and isinstance(raw.get("id"), str):
                    found[raw["id"].lower()] = raw
        return found

    def deleted(self, identifiers: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Those of them that lie in the bin. Raises `Unavailable`."""
        asked = [calls.get(f"/directory/deletedItems/{segment(one)}", tag=one) for one in identifiers if is_guid(one)]
        return {answer.call.tag: answer.fields for answer in self.session.batched(asked) if self._there(answer)}


PROTECTION = {
    "users": ("userPrincipalName", "userType", "onPremisesSyncEnabled"),
    "groups": ("displayName", "onPremisesSyncEnabled", "groupTypes", "mailEnabled", "securityEnabled"),
    "contacts": (),
}
"""What decides whether an object may be written at all."""
