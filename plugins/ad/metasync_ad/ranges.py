"""Attributes that come in parts: `member;range=0-1499` of a large group, and what DirSync adds and takes away."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from metasync.contract import ImportIncomplete
from metasync_ad import errors
from metasync_ad.errors import Refused
from metasync_ad.session import BASE, EVERYTHING, RawEntry, Session

_RANGE = re.compile(r"(.+);range=(\d+)-(\d+|\*)")
_ADDED, _REMOVED = ";range=1-1", ";range=0-0"
"""Not positions: with LDAP_DIRSYNC_INCREMENTAL_VALUES they mark link values that came and went (MS-ADTS 3.1.1.3.4.1.3)."""

Links = Mapping[str, Sequence[bytes]]
"""Values by attribute (in lower case)."""


def complete_ranges(session: Session, entry: RawEntry) -> RawEntry:
    """Fetch the rest of what the server gave in part, `member;range=0-1499` (MS-ADTS 3.1.1.3.1.3.3)."""
    partial = [found for name in entry.attributes if (found := _RANGE.fullmatch(name))]
    if not partial:
        return entry
    whole = {name: held for name, held in entry.attributes.items() if not _RANGE.fullmatch(name)}
    for found in partial:
        attribute, end = found[1], found[3]
        held = list(entry.attributes[found[0]])
        while end != "*":
            following = int(end) + 1
            asked = f"{attribute};range={following}-*"
            try:
                answer = session.search(f"<GUID={entry.guid}>", EVERYTHING, [asked], BASE)
            except Refused as refused:
                raise ImportIncomplete(f"the values of {attribute} of {entry.dn} stopped: {errors.outcome(refused, 'search')[1]}") from None
            part = next(
                (part for name in (answer[0].attributes if answer else ()) if (part := _RANGE.fullmatch(name)) and part[1] == attribute),
                None,
            )
            if part is None or int(part[2]) != following:
                raise ImportIncomplete(f"{attribute} of {entry.dn} changed while it was read, or its rest is missing; nothing was deleted")
            held += answer[0].attributes[part[0]]
            end = part[3]
        whole[attribute] = held
    return RawEntry(dn=entry.dn, guid=entry.guid, attributes=whole)


def came_and_went(entry: RawEntry) -> tuple[Links, Links]:
    """The link values that an answer of DirSync says were added, and removed."""
    came = {name.removesuffix(_ADDED): held for name, held in entry.attributes.items() if name.endswith(_ADDED)}
    went = {name.removesuffix(_REMOVED): held for name, held in entry.attributes.items() if name.endswith(_REMOVED)}
    return came, went
