"""Attributes that come in parts: `member;range=0-1499` of a large group, and what DirSync adds and takes away."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from metasync.contract import ImportIncomplete
from metasync_ad import dn as names
from metasync_ad import errors
from metasync_ad.errors import Refused
from metasync_ad.session import BASE, EVERYTHING, RawEntry, Session

_RANGE = re.compile(r"(.+);range=(\d+)-(\d+|\*)")
_ADDED, _REMOVED = ";range=1-1", ";range=0-0"
"""Not positions: with LDAP_DIRSYNC_INCREMENTAL_VALUES they mark link values that came and went (MS-ADTS 3.1.1.3.4.1.3)."""

_ATTEMPTS = 4
"""How often a list that changes while it is read is read from its beginning."""

Links = Mapping[str, Sequence[bytes]]
"""Values by attribute (in lower case)."""


def complete_ranges(session: Session, entry: RawEntry) -> RawEntry:
    """Fetch the rest of what the server gave in part, `member;range=0-1499` (MS-ADTS 3.1.1.3.1.3.3). Raises `ImportIncomplete`."""
    partial = [found for name in entry.attributes if (found := _RANGE.fullmatch(name))]
    if not partial:
        return entry
    whole = {name: held for name, held in entry.attributes.items() if not _RANGE.fullmatch(name)}
    for found in partial:
        whole[found[1]] = _whole(session, entry, found[1], entry.attributes[found[0]], found[3])
    return RawEntry(dn=entry.dn, guid=entry.guid, attributes=whole)


def _whole(session: Session, entry: RawEntry, attribute: str, first: Sequence[bytes], end: str) -> Sequence[bytes]:
    """All values. A range counts positions, and one who leaves moves all behind him: so each part begins with the last value of the part
    before. Where that is another one by now, somebody would be missed, whom no delta tells of: it is read anew."""
    held = list(first)
    for _ in range(_ATTEMPTS):
        while end != "*":
            values, end = _part(session, entry, attribute, len(held) - 1)
            if not values or not _same(values[0], held[-1]):
                break
            held += values[1:]
        else:
            return held
        values, end = _part(session, entry, attribute, 0)
        held = list(values)
    raise ImportIncomplete(
        f"{attribute} of {entry.dn} changed again and again while it was read, or its rest is missing; nothing was deleted. Run the import "
        "again"
    )


def _part(session: Session, entry: RawEntry, attribute: str, begin: int) -> tuple[Sequence[bytes], str]:
    """The values from this position on, as many as the server gives at once, and the last one's position; none: it gives no such part."""
    try:
        answer = session.search(f"<GUID={entry.guid}>", EVERYTHING, [f"{attribute};range={begin}-*"], BASE)
    except Refused as refused:
        raise ImportIncomplete(f"the values of {attribute} of {entry.dn} stopped: {errors.outcome(refused, 'search')[1]}") from None
    for name, held in answer[0].attributes.items() if answer else ():
        found = _RANGE.fullmatch(name)
        if found and found[1] == attribute and int(found[2]) == begin:
            return held, found[3]
    return (), ""


def _same(one: bytes, other: bytes) -> bool:
    """Also of whom is called otherwise by now."""
    guids = [names.extended(value.decode("utf-8", "replace"))[0] for value in (one, other)]
    return one == other or (guids[0] is not None and guids[0] == guids[1])


def came_and_went(entry: RawEntry) -> tuple[Links, Links]:
    """The link values that an answer of DirSync says were added, and removed."""
    came = {name.removesuffix(_ADDED): held for name, held in entry.attributes.items() if name.endswith(_ADDED)}
    went = {name.removesuffix(_REMOVED): held for name, held in entry.attributes.items() if name.endswith(_REMOVED)}
    return came, went
