"""What the domain is, and what our account may do there, for each purpose: by what the directory computes, and by its access control lists.

What may be created is told by the directory itself (allowedChildClassesEffective, MS-ADTS 3.1.1.4.5.5); all else by the entries of the
containers, for what lies below them inherits those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from metasync.contract import Check, DirectorySettings, Kind, Purpose, Right, Unavailable
from metasync_ad import accounts, lookup, schema, values
from metasync_ad import descriptor as acl
from metasync_ad import dn as names
from metasync_ad.cursor import begin
from metasync_ad.delegation import (
    CLASSES,
    GET_CHANGES,
    GET_CHANGES_ALL,
    MIGRATE_SID_HISTORY,
    NAMES,
    REANIMATE_TOMBSTONES,
    RESET_PASSWORD,
    Trustee,
)
from metasync_ad.descriptor import Ace
from metasync_ad.errors import Refused
from metasync_ad.session import BASE, DOMAIN_SCOPE, EVERYTHING, Control, RawEntry, Session
from metasync_ad.settings import Settings

SECURITY: Control = ("1.2.840.113556.1.4.801", True, b"\x30\x03\x02\x01\x04")
"""Of nTSecurityDescriptor only the discretionary list, which takes no more than the right to read it (MS-ADTS 3.1.1.3.4.1.11)."""
READ_ONLY = "1.2.840.113556.1.4.1920"
"""Capability of a read-only domain controller (MS-ADTS 3.1.1.3.4.3)."""
_SHOWN = 5
_EVERYBODY = frozenset({"S-1-1-0", "S-1-5-11"})
"""Everyone, and Authenticated Users."""
CLASS_OF = {Kind.USER: "user", Kind.GROUP: "group", Kind.CONTACT: "contact", Kind.CONTAINER: "organizationalUnit"}


def check(session: Session, settings: Settings, document: DirectorySettings) -> Check:
    """`document`: its places are those of this domain alone. Raises `Unavailable`."""
    head = lookup.by_dn(session, settings.base, ["objectSid"])
    if head is None or head.one("objectsid") is None:
        raise Unavailable(
            f"{settings.base} is not the head of a domain that {settings.bind} may read; correct `base`, such as DC=contoso,DC=test"
        )
    ourselves = _ourselves(session, settings)
    places = _places(session, settings, document)
    warnings = [] if places.seen else ["no container can be seen; grant the account the right to list the domain"]
    warnings += [
        f"{place}, where the document makes objects or moves them to, is not there, or not below `under`, or may not be seen; "
        "make it, or let a profile of containers do so, and test again"
        for place in places.unseen
    ]
    if document.mark is None:
        warnings.append(
            "the directory has no `mark:`, so objects made by Metasync are not known as such once the database is lost; "
            "adminDescription is a good one"
        )
    if READ_ONLY in session.root.every("supportedcapabilities"):
        warnings.append(f"{session.server} is a read-only domain controller, so that nothing can be written; name another one in `servers`")
    cursor, why = begin(session, settings, schema.load(session), mirrored=False)
    granted = ["read the domain"]
    if cursor is not None:
        granted.append("follow changes by uSNChanged" if cursor.way == "usn" else "follow changes by DirSync")
    elif why:
        warnings.append(f"every import reads everything: {why}")
    rights = [Right(purpose=Purpose.IMPORT, right=f"read {settings.base}", granted=places.seen > 0)]
    lists = _Lists(session, ourselves.token)
    rights += _on_head(lists, settings.base, ourselves.trustee)
    for kind, of_class in CLASS_OF.items():
        if not document.written or kind in document.written:
            makes = not document.written or kind in document.places
            rights += _below(lists, of_class, places.of[of_class], places.without[of_class], settings, ourselves.trustee, makes=makes)
    if lists.unreadable:
        warnings.append(f"the access control list of {lists.unreadable[0]} may not be read, so that its rights are taken for missing")
    software = "Active Directory, functional level " + (session.root.text("domainfunctionality") or "unknown")
    return Check(
        identity=values.sid(head.one("objectsid") or b""), software=software, granted=tuple(granted),
        excessive=tuple(_excessive(ourselves.token)), warnings=tuple(warnings), rights=tuple(rights),
    )  # fmt: skip


def check_further(session: Session, settings: Settings, document: DirectorySettings) -> Check:
    """Of a further naming context, which need be no domain. Raises `Unavailable`."""
    head = lookup.by_dn(session, settings.base, ["objectSid"])
    if head is None:
        raise Unavailable(
            f"{settings.base} does not exist at {session.server}, or {settings.bind} may not read it; correct `further domains`"
        )
    if head.one("objectsid") is not None:
        return check(session, settings, document)
    cursor, why = begin(session, settings, schema.load(session), mirrored=False)
    warnings = (f"every import reads everything of {settings.base}: {why}",) if cursor is None and why else ()
    return Check(identity="", warnings=warnings, rights=(Right(purpose=Purpose.IMPORT, right=f"read {settings.base}", granted=True),))


# --- who we are ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ourselves:
    token: frozenset[str]
    """SIDs of the account and of every group that it is in, also through others."""
    trustee: Trustee


def _ourselves(session: Session, settings: Settings) -> _Ourselves:
    dn = _account(session, settings)
    own = lookup.by_dn(session, dn, ["objectSid", "sAMAccountName"]) if dn else None
    sids = {values.sid(raw) for raw in _token(session, dn)}
    sid = values.sid(own.one("objectsid") or b"") if own is not None and own.one("objectsid") else ""
    account = own.text("samaccountname") if own is not None else None
    name = f"{account}@{names.domain(settings.base)}" if account else settings.bind
    return _Ourselves(token=frozenset({*sids, sid, *_EVERYBODY} - {""}), trustee=Trustee(name=name, sid=sid or f"<the SID of {name}>"))


def _token(session: Session, dn: str | None) -> Sequence[bytes]:
    """Of this sign-in, from the rootDSE (MS-ADTS 3.1.1.3.2.25); else what the account's own entry computes."""
    for where in ("", dn):
        if where is None:
            continue
        try:
            found = session.search(where, EVERYTHING, ["tokenGroups"], BASE, controls=())
        except Refused:
            continue
        if found and found[0].attributes.get("tokengroups"):
            return found[0].attributes["tokengroups"]
    return ()


def _account(session: Session, settings: Settings) -> str | None:
    """Our own account's name: Who Am I is not everywhere, so we look for what we signed in with."""
    if names.valid(settings.bind) and "=" in settings.bind:
        return settings.bind
    account = settings.bind.rpartition("\\")[2]
    for attribute, value in (("userPrincipalName", account), ("sAMAccountName", account.partition("@")[0])):
        found = lookup.by_value(session, settings.base, attribute, value, ())
        if len(found) == 1:
            return found[0].dn
    return None


def _excessive(token: frozenset[str]) -> list[str]:
    """Memberships that a synchronisation does not need."""
    said = [
        f"{name}: a synchronisation does not need it"
        for rid, name in accounts.ADMINISTRATORS.items()
        if any(_is(sid, rid) for sid in token)
    ]
    if accounts.BUILTIN_ADMINISTRATORS in token:
        said.append("Administrators of the domain controllers: a synchronisation does not need it")
    return said


def _is(sid: str, rid: int) -> bool:
    return sid.startswith("S-1-5-21-") and accounts.rid(sid) == rid


# --- where we may do what --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    seen: int
    """Containers that can be seen."""
    of: Mapping[str, list[str]]
    """Class -> containers where it may be created, without those whose parent is one, too."""
    without: Mapping[str, list[str]]
    """Class -> containers where the document makes it or moves it to, and it may not be created."""
    unseen: Sequence[str]
    """What the document names, and neither it nor what it lies in, the domain's head aside, can be seen."""


def _places(session: Session, settings: Settings, document: DirectorySettings) -> _Places:
    every: dict[str, list[str]] = {kind: [] for kind in CLASSES}
    query = "(|(objectClass=organizationalUnit)(objectClass=domainDNS)(objectCategory=container))"
    seen: dict[str, str] = {}
    for base in settings.under or (settings.base,):
        for page in session.pages(base, query, ["allowedChildClassesEffective", "showInAdvancedViewOnly"], settings.page_size):
            for entry in page:
                if entry.one("showinadvancedviewonly") == b"TRUE":
                    continue
                seen[names.folded(entry.dn)] = entry.dn
                for kind in set(entry.every("allowedchildclasseseffective")) & set(CLASSES):
                    every[kind].append(entry.dn)
    without: dict[str, list[str]] = {kind: [] for kind in CLASSES}
    unseen: dict[str, None] = {}
    for kind, paths in document.places.items():
        allowed = {names.folded(dn) for dn in every.get(CLASS_OF.get(kind, ""), ())}
        for path in paths if kind in CLASS_OF else ():
            place = _nearest(path, seen)
            if place is not None and names.folded(place) in allowed:
                continue
            if place is None or (place != path and names.folded(place) == names.folded(settings.base)):
                unseen[path] = None
            elif place not in without[CLASS_OF[kind]]:
                without[CLASS_OF[kind]].append(place)
    highest = {kind: _highest(found) for kind, found in every.items()}
    return _Places(seen=len(seen), of=highest, without=without, unseen=tuple(unseen))


def _upwards(dn: str) -> Iterator[str]:
    """The name, its parent's, and so on, each folded."""
    while dn:
        yield names.folded(dn)
        dn = names.parent(dn)


def _nearest(path: str, seen: Mapping[str, str]) -> str | None:
    """The container itself, or the nearest above it that can be seen: what is made in that one inherits from it."""
    return next((seen[one] for one in _upwards(path) if one in seen), None)


def _highest(found: Collection[str]) -> list[str]:
    """Without those that lie below another one of them."""
    every = {names.folded(dn) for dn in found}
    return sorted(dn for dn in found if every.isdisjoint(islice(_upwards(dn), 1, None)))


class _Lists:
    """The access control lists of containers, each read once."""

    def __init__(self, session: Session, token: frozenset[str]) -> None:
        self._session, self._token = session, token
        self._known: dict[str, list[Ace]] = {}
        self.unreadable: list[str] = []

    def allows(self, dn: str, mask: int, *, about: str | None = None, of_class: str | None = None) -> bool:
        """See `descriptor.allowed`; what cannot be read allows nothing."""
        if dn not in self._known:
            self._known[dn] = self._read(dn)
        return acl.allowed(self._known[dn], self._token, mask, about=about, of_class=of_class)

    def _read(self, dn: str) -> list[Ace]:
        found: list[RawEntry] = self._session.search(dn, EVERYTHING, ["nTSecurityDescriptor"], BASE, controls=(SECURITY, DOMAIN_SCOPE))
        raw = found[0].one("ntsecuritydescriptor") if found else None
        if raw is None:
            self.unreadable.append(dn)
            return []
        return acl.entries(raw)


def _on_head(lists: _Lists, head: str, trustee: Trustee) -> list[Right]:
    """Extended rights on the head of the domain."""

    def right(purpose: Purpose, guid: str, why: str, optional: str = "") -> Right:
        granted = lists.allows(head, acl.CONTROL_ACCESS, about=guid)
        return Right(
            purpose=purpose, right=f"{NAMES[guid]} on {head} ({why})", granted=granted, optional=optional,
            commands=trustee.on_head(head, guid),
        )  # fmt: skip

    return [
        right(Purpose.IMPORT, GET_CHANGES, "what was hidden is told from what was deleted", "what it may not see looks deleted"),
        right(Purpose.EXPORT, REANIMATE_TOMBSTONES, "bring back what was deleted", "a delete cannot be undone"),
        right(Purpose.PASSWORDS, GET_CHANGES, "read password hashes, together with the next"),
        right(Purpose.PASSWORDS, GET_CHANGES_ALL, "read password hashes: of every account, so guard this one like an administrator's"),
        right(Purpose.SID_HISTORY, MIGRATE_SID_HISTORY, "add SIDs of the other domain"),
    ]


def _below(
    lists: _Lists, kind: str, created: list[str], without: list[str], settings: Settings, trustee: Trustee, *, makes: bool
) -> list[Right]:
    """What may be done to objects of a class where they may be created, and where the document wants them (`without` that right)."""
    guid = CLASSES[kind]
    there = [*created, *without]
    asked = there or list(settings.under) or [f"OU=<where they belong>,{settings.base}"]
    deletable = [one for one in there if _deletes(lists, one, guid)]
    writable = [one for one in there if lists.allows(one, acl.WRITE_PROPERTY, of_class=guid)]
    resettable = [one for one in there if lists.allows(one, acl.CONTROL_ACCESS, about=RESET_PASSWORD, of_class=guid)]
    spare = "" if makes else "no profile of the document makes any"

    def right(purpose: Purpose, what: str, where: list[str], commands: list[tuple[str, ...]], optional: str = "") -> Right:
        lacking = [one for one in asked if one not in where]
        return Right(
            purpose=purpose,
            right=f"{what} below {_listed(lacking or where)}",
            granted=not lacking,
            optional=optional,
            commands=tuple(line for of_place in commands for line in of_place) if lacking and not optional else (),
        )

    def lacking(where: list[str]) -> list[str]:
        return [one for one in asked if one not in where][:_SHOWN]

    found = [
        right(Purpose.EXPORT, f"create {kind}", created, [trustee.create(one, kind) for one in lacking(created)], spare),
        right(Purpose.EXPORT, f"delete {kind}", deletable, [trustee.create(one, kind) for one in lacking(deletable)], spare),
        right(Purpose.EXPORT, f"write, rename and move {kind}", writable, [trustee.write(one, kind) for one in lacking(writable)]),
    ]
    if kind == "user":
        commands = [trustee.extended(one, RESET_PASSWORD, kind) for one in lacking(resettable)]
        found.append(right(Purpose.PASSWORDS, f"{NAMES[RESET_PASSWORD]} of users", resettable, commands))
    return found


def _deletes(lists: _Lists, place: str, guid: str) -> bool:
    """By the right on the container, or by that on the objects (MS-ADTS 3.1.1.5.5.2)."""
    return lists.allows(place, acl.DELETE_CHILD, about=guid) or lists.allows(place, acl.DELETE, of_class=guid)


def _listed(places: list[str]) -> str:
    return ", ".join(places[:_SHOWN]) + (f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else "")
