"""Which objects are read: the filter for their kinds, and below which containers."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from metasync.contract import ImportIncomplete, Kind
from metasync_ad import accounts, errors
from metasync_ad import dn as names
from metasync_ad.errors import Refused
from metasync_ad.schema import DirectorySchema
from metasync_ad.session import BASE, EVERYTHING, NO_SUCH_OBJECT, Session
from metasync_ad.settings import Settings

_PEOPLE = "(objectCategory=person)"
_USERS = (
    f"(&{_PEOPLE}(objectClass=user)(!(objectClass=computer))(!(userAccountControl:1.2.840.113556.1.4.803:={accounts.INTERDOMAIN_TRUST})))"
)
FILTERS = {Kind.USER: _USERS, Kind.GROUP: "(objectCategory=group)", Kind.CONTACT: f"(&{_PEOPLE}(objectClass=contact))"}
"""Without computers, managed service accounts and trusts."""
_NAMED = re.compile(r"\(\s*([A-Za-z][\w-]*)[\w;.:-]*?\s*[~<>]?=")


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


def decisive(settings: Settings) -> frozenset[str]:
    """The attributes that `kind_filter` looks at, in lower case: where one of them changes, an object may come into the scope or leave."""
    return frozenset(_filtered(settings) | {"useraccountcontrol", "objectcategory", "showinadvancedviewonly"})


def _filtered(settings: Settings) -> frozenset[str]:
    return frozenset(found.lower() for found in _NAMED.findall(settings.filter or ""))


def untold(settings: Settings, schema: DirectorySchema) -> str:
    """Why no delta tells who comes into the scope, or leaves it; empty: each does. Links change with what is at their other end, values
    that are not replicated without anybody's knowledge, and what the schema does not have (`anr`) stands for several others."""
    for name in sorted(_filtered(settings)):
        attribute = schema.get(name)
        if attribute is None or attribute.link or not attribute.replicated:
            return (
                f"`filter` looks at {attribute.name if attribute else name}, and no change of an object tells when that changes; let it "
                "look at what each object holds itself, so that changes can be followed"
            )
    return ""


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


def must_exist(session: Session, place: str) -> None:
    """A scope that was renamed away must not look like everybody having left. Raises `ImportIncomplete`, `Unavailable`."""
    try:
        found = session.search(place, EVERYTHING, ["objectGUID"], BASE)
    except Refused as refused:
        if refused.code in errors.LATER:
            session.close()
            raise errors.later(session.server, errors.outcome(refused, f"reading {place}")[1]) from None
        if refused.code != NO_SUCH_OBJECT:
            raise ImportIncomplete(f"{errors.outcome(refused, f'reading {place}')[1]}. Nothing was deleted") from None
        found = []
    if not found:  # also where it is there, and nothing of it may be read
        raise ImportIncomplete(
            f"{place} cannot be read: it does not exist, or the account may not see it; correct the scope, or grant the right. "
            "Nothing was deleted"
        )
