"""The streams: which collection of Graph's holds which kinds. Users and guests are one, for one becomes the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from metasync.contract import Kind, ReadRequest
from metasync_entra import security
from metasync_entra.codec import Codec

USERS, GROUPS, CONTACTS = "users", "groups", "contacts"
KINDS = {USERS: (Kind.USER, Kind.GUEST), GROUPS: (Kind.GROUP,), CONTACTS: (Kind.CONTACT,)}
"""Stream -> its kinds. The name is that of Graph's collection, too."""
_OF_KIND = {kind: stream for stream, kinds in KINDS.items() for kind in kinds}
_RELATIONS = {USERS: ("manager",), GROUPS: ("members", "owners"), CONTACTS: ()}
_ALWAYS = {
    USERS: ("userType", "createdDateTime", "userPrincipalName"),
    GROUPS: ("createdDateTime", "displayName"),
    CONTACTS: ("displayName",),
}
"""What tells the kind, whether the engine can know the object already, and whether a row of a delta holds all of it."""
_NEVER_EMPTY = {USERS: "userPrincipalName", GROUPS: "displayName", CONTACTS: "displayName"}


def streams(kinds: Collection[str]) -> tuple[str, ...]:
    """The streams of these kinds."""
    return tuple(stream for stream, of in KINDS.items() if any(kind.value in kinds for kind in of))


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What one read or delta asks of one stream."""

    stream: str
    kinds: frozenset[Kind]
    names: Mapping[Kind, frozenset[str]]
    """Per kind, what is delivered."""
    select: tuple[str, ...]
    """Properties, without relations."""
    relations: tuple[str, ...]

    @classmethod
    def of(cls, request: ReadRequest, codec: Codec) -> Wanted:
        """From the engine's request."""
        stream = request.stream
        kinds = frozenset(kind for kind in KINDS.get(stream, ()) if kind in request.kinds)
        names = {kind: frozenset(request.attributes.get(kind, ())) for kind in kinds}
        every = frozenset[str]().union(*names.values()) if names else frozenset[str]()
        select = dict.fromkeys([*codec.select(sorted(kinds), names), *_ALWAYS.get(stream, ())])
        return cls(
            stream=stream,
            kinds=kinds,
            names=names,
            select=tuple(select),
            relations=tuple(name for name in _RELATIONS.get(stream, ()) if name in every),
        )

    @property
    def tracked(self) -> tuple[str, ...]:
        """What a delta's `$select` names: it decides also which changes are told."""
        return (*self.select, *self.relations)

    @property
    def followed(self) -> bool:
        """Does a delta tell of everything that is asked for? Of custom security attributes nobody says so."""
        return security.SELECT not in self.select

    def is_whole(self, raw: Mapping[str, Any]) -> bool:
        """Does a row of a delta hold all properties that were ever set? One that only says who joined a group does not."""
        return raw.get(_NEVER_EMPTY[self.stream]) is not None

    def kind(self, raw: Mapping[str, Any]) -> Kind:
        """Of an object of this stream; without a type, a user is a member (https://learn.microsoft.com/graph/api/resources/user)."""
        return kind_of_user(raw) if self.stream == USERS else KINDS[self.stream][0]


def kind_of_user(raw: Mapping[str, Any]) -> Kind:
    """Of a user of Graph's: `userType` decides."""
    found = raw.get("userType")
    if found == "Member":
        return Kind.USER
    return Kind.GUEST if str(found or "").casefold() == "guest" else Kind.USER


def stream_of(kind: Kind) -> str:
    """The stream, and the collection, of a kind."""
    return _OF_KIND[kind]
