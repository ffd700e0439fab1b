"""What the domain is, and what our account may do there: asked of the directory itself, which computes it from its access control lists."""

from __future__ import annotations

from metasync.contract import Check, Unavailable
from metasync_ad import accounts, lookup, values
from metasync_ad import dn as names
from metasync_ad.cursor import begin
from metasync_ad.errors import Refused
from metasync_ad.session import BASE, EVERYTHING, RawEntry, Session
from metasync_ad.settings import Settings

_KINDS = ("user", "group", "contact", "organizationalUnit")
_NEEDED = ("sAMAccountName", "userAccountControl", "member", "displayName")
_SHOWN = 5


def check(session: Session, settings: Settings, mark: str | None) -> Check:
    """Raises `Unavailable`."""
    head = _object(session, settings.base, ["objectSid"])
    if head is None or head.one("objectsid") is None:
        raise Unavailable(
            f"{settings.base} is not the head of a domain that {settings.bind} may read; correct `base`, such as DC=contoso,DC=test"
        )
    granted, missing, warnings = _creation(session, settings)
    if mark is None:
        warnings.append(
            "the directory has no `mark:`, so objects made by Metasync are not known as such once the database is lost; "
            "adminDescription is a good one"
        )
    cursor, why = begin(session, settings, mirrored=False)
    if cursor is not None:
        granted.append("follow changes by uSNChanged" if cursor.way == "usn" else "follow changes by DirSync")
    elif why:
        warnings.append(f"every import reads everything: {why}")
    excessive = _excessive(session, settings)
    software = "Active Directory, functional level " + (session.root.text("domainfunctionality") or "unknown")
    return Check(
        identity=values.sid(head.one("objectsid") or b""), software=software, granted=tuple(granted), missing=tuple(missing),
        excessive=tuple(excessive), warnings=tuple(warnings),
    )  # fmt: skip


def _object(session: Session, dn: str, attributes: list[str]) -> RawEntry | None:
    return lookup.by_dn(session, dn, attributes)


def _creation(session: Session, settings: Settings) -> tuple[list[str], list[str], list[str]]:
    """Where which kinds may be made. Those places are named whose parent does not say the same already."""
    places: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    below = settings.under or (settings.base,)
    query = "(|(objectClass=organizationalUnit)(objectClass=domainDNS)(objectCategory=container))"
    units = 0
    for base in below:
        for page in session.pages(base, query, ["allowedChildClassesEffective", "showInAdvancedViewOnly"], settings.page_size):
            for entry in page:
                if entry.one("showinadvancedviewonly") == b"TRUE":
                    continue
                units += 1
                for kind in set(entry.every("allowedchildclasseseffective")) & set(_KINDS):
                    places[kind].append(entry.dn)
    granted = ["read the domain"]
    missing: list[str] = []
    for kind, where in places.items():
        top = [dn for dn in where if not any(other != dn and names.is_under(dn, other) for other in where)]
        shown = ", ".join(sorted(top)[:_SHOWN]) + (f" and {len(top) - _SHOWN} more" if len(top) > _SHOWN else "")
        if top:
            granted.append(f"create {kind} below {shown}")
        else:
            missing.append(f"create {kind} anywhere below {', '.join(below)} (delegate it on the target OUs)")
    warnings = [] if units else ["no container can be seen; grant the account the right to list the domain"]
    return granted, missing, warnings


def _excessive(session: Session, settings: Settings) -> list[str]:
    """Memberships that a synchronisation does not need."""
    entry = _myself(session, settings)
    if entry is None:
        return []
    try:
        found = session.search(entry, EVERYTHING, ["tokenGroups"], BASE)
    except Refused:
        return []
    groups = {values.sid(raw) for one in found for raw in one.attributes.get("tokengroups", ())}
    said = [
        f"{name}: a synchronisation does not need it"
        for rid, name in accounts.ADMINISTRATORS.items()
        if any(_is(sid, rid) for sid in groups)
    ]
    if accounts.BUILTIN_ADMINISTRATORS in groups:
        said.append("Administrators of the domain controllers: a synchronisation does not need it")
    return said


def _is(sid: str, rid: int) -> bool:
    return sid.startswith("S-1-5-21-") and accounts.rid(sid) == rid


def _myself(session: Session, settings: Settings) -> str | None:
    """Our own account's name: Who Am I is not everywhere, so we look for what we signed in with."""
    if names.valid(settings.bind) and "=" in settings.bind:
        return settings.bind
    account = settings.bind.rpartition("\\")[2]
    for attribute, value in (("userPrincipalName", account), ("sAMAccountName", account.partition("@")[0])):
        found = lookup.by_value(session, settings.base, attribute, value, ())
        if len(found) == 1:
            return found[0].dn
    return None
