"""Objects as they are now: by anchor, up to 50 in one search; by mark; by name; deleted ones. And whether a member is in a group."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from metasync_ad import values
from metasync_ad.errors import Refused
from metasync_ad.session import BASE, DOMAIN_SCOPE, EVERYTHING, EXTENDED_DN, SHOW_DELETED, RawEntry, Session

PORTION = 50
_ABSENT = (32, 34)
"""LDAP results of a search whose base is not there (or whose name cannot exist)."""


def portions(anchors: Iterable[str]) -> Iterator[list[str]]:
    """Those that can be anchors at all, at most 50 at a time."""
    every = [anchor for anchor in dict.fromkeys(anchors) if is_anchor(anchor)]
    for at in range(0, len(every), PORTION):
        yield every[at : at + PORTION]


def is_anchor(text: str) -> bool:
    """Whether it can be an objectGUID at all."""
    try:
        values.guid_bytes(text)
    except ValueError:
        return False
    return True


def these(anchors: Iterable[str]) -> str:
    """Filters for the objects of these anchors, to stand in an "or"."""
    return "".join(f"(objectGUID={values.guid_filter(anchor)})" for anchor in anchors)


def equals(attribute: str, value: str) -> str:
    """A filter that finds exactly this value, whatever it holds: every byte is escaped, for ldap3 takes spaces away at both ends. Raises
    `ValueError` for text that has no UTF-8."""
    return f"({attribute}={values.bytes_filter(value.encode())})"


def by_anchor(session: Session, base: str, anchors: Iterable[str], attributes: Collection[str]) -> dict[str, RawEntry]:
    """The objects that are there, by anchor."""
    found: dict[str, RawEntry] = {}
    for portion in portions(anchors):
        for entry in session.search(base, f"(|{these(portion)})", ["objectGUID", *attributes]):
            if entry.guid is not None:
                found[entry.guid] = entry
    return found


def by_dn(session: Session, dn: str, attributes: Collection[str]) -> RawEntry | None:
    """The object of this name (also `<GUID=...>`), or None."""
    try:
        found = session.search(dn, EVERYTHING, ["objectGUID", *attributes], BASE)
    except Refused as refused:
        if refused.code in _ABSENT:
            return None
        raise
    return found[0] if found else None


def by_value(session: Session, base: str, attribute: str, value: str, attributes: Collection[str]) -> list[RawEntry]:
    """The objects with this value."""
    return session.search(base, equals(attribute, value), ["objectGUID", *attributes])


def deleted(session: Session, base: str, anchors: Iterable[str], attributes: Collection[str]) -> dict[str, RawEntry]:
    """Deleted objects that are still kept, by anchor. Seeing them takes a right that few accounts have."""
    found: dict[str, RawEntry] = {}
    for portion in portions(anchors):
        controls = (EXTENDED_DN, DOMAIN_SCOPE, SHOW_DELETED)
        for entry in session.search(base, f"(&(isDeleted=TRUE)(|{these(portion)}))", ["objectGUID", *attributes], controls=controls):
            if entry.guid is not None:
                found[entry.guid] = entry
    return found


def has_member(session: Session, group: str, member_dn: str) -> bool:
    """Whether the member stands in the group, without reading all members."""
    try:
        return bool(session.search(f"<GUID={group}>", equals("member", member_dn), ["objectGUID"], BASE))
    except Refused as refused:
        if refused.code in _ABSENT:
            return False
        raise
