"""Members by primary group. The directory keeps them with the member, as the last number of the group's SID in primaryGroupID, and not in
the group's `member` (MS-ADTS 3.1.1.1.6; MS-SAMR 3.1.1.8.2). We show them in both places of the group: in `members`, for they are members,
and in `primaryMembers`, for no request to the group can take them out.

Whoever gets another primary group stays a member of both: the directory itself takes him out of the new one's `member` and puts him into
the old one's, in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from metasync.contract import Kind
from metasync_ad import accounts, lookup, values
from metasync_ad import dn as names
from metasync_ad.scope import FILTERS
from metasync_ad.session import RawEntry, Session

MEMBERS, PRIMARY_MEMBERS = "members", "primaryMembers"
PRIMARY = "primarymembers"
"""The place in a `RawEntry` where who has the group as primary group is kept, in the form of `member`."""
_PORTION = 200
"""Groups that one search asks for; primaryGroupID is indexed."""


def wanted(asked: Mapping[Kind, Collection[str]]) -> bool:
    """Whether the members of groups were asked for."""
    return bool({MEMBERS, PRIMARY_MEMBERS} & set(asked.get(Kind.GROUP, ())))


def rid(entry: RawEntry) -> int | None:
    """What members have in their primaryGroupID; None where it is no group of a domain, which nobody can have as primary group."""
    raw = entry.one("objectsid")
    if raw is None or "group" not in {name.lower() for name in entry.every("objectclass")}:
        return None
    sid = values.sid(raw)
    return accounts.rid(sid) if sid.startswith("S-1-5-21-") else None


def joined(session: Session, base: str, entries: Sequence[RawEntry], size: int) -> list[RawEntry]:
    """The entries; groups with their members by primary group, too. Raises `ImportIncomplete`, `Unavailable`."""
    groups = {number: entry for entry in entries if (number := rid(entry)) is not None}
    if not groups:
        return list(entries)
    found: dict[int, list[bytes]] = {}
    for number, entry in _members(session, base, list(groups), size):
        found.setdefault(number, []).append(_link(entry))
    return [_with(entry, found.get(number, [])) if (number := rid(entry)) is not None else entry for entry in entries]


def _members(session: Session, base: str, numbers: Sequence[int], size: int) -> Iterator[tuple[int, RawEntry]]:
    for at in range(0, len(numbers), _PORTION):
        these = "".join(f"(primaryGroupID={number})" for number in numbers[at : at + _PORTION])
        for page in session.pages(base, f"(&(|{these}){FILTERS[Kind.USER]})", ["primaryGroupID"], size):
            for entry in page:
                number = entry.number("primarygroupid")
                if number is not None and entry.guid is not None:
                    yield number, entry


def _with(entry: RawEntry, found: Sequence[bytes]) -> RawEntry:
    if not found:
        return entry
    attributes = {**entry.attributes, PRIMARY: list(found), "member": [*entry.attributes.get("member", ()), *found]}
    return RawEntry(dn=entry.dn, guid=entry.guid, attributes=attributes)


def _link(entry: RawEntry) -> bytes:
    return f"<GUID={entry.guid}>;{entry.dn}".encode()


def still(session: Session, base: str, number: int, went: Iterable[bytes]) -> frozenset[str]:
    """Of the links that went from a group's `member`, the GUIDs of those who have it as primary group now: they are its members still.

    All are asked, not only who changed in the same delta: link and primaryGroupID may be replicated one after the other.
    """
    guids = [guid for value in went if (guid := names.extended(value.decode("utf-8", "replace"))[0])]
    found = lookup.by_anchor(session, base, guids, ["primaryGroupID"])
    return frozenset(guid for guid, entry in found.items() if entry.number("primarygroupid") == number)


def sid_filter(session: Session, base: str, numbers: Collection[int]) -> str:
    """A filter for the groups of the domain with these numbers."""
    head = lookup.by_dn(session, base, ["objectSid"])
    raw = head.one("objectsid") if head is not None else None
    if raw is None:
        return ""
    domain = values.sid(raw)
    return "".join(f"(objectSid={values.bytes_filter(values.sid_bytes(f'{domain}-{number}'))})" for number in sorted(numbers))
