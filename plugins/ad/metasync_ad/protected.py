"""Who administers the domain by membership, also before adminCount says so.

A Windows domain marks members of its administrative groups by adminCount once an hour (AdminSDHolder, MS-ADTS 3.1.1.6.1), Samba never.
Until then only the membership itself tells, and groups within those groups count as their members do.
"""

from __future__ import annotations

from collections.abc import Collection

from metasync_ad import accounts, lookup, values
from metasync_ad.session import Session

_IN_CHAIN = "1.2.840.113556.1.4.1941"
"""LDAP_MATCHING_RULE_TRANSITIVE_EVAL: directly, or through other groups (MS-ADTS 3.1.1.3.4.4.3)."""


def among(session: Session, base: str, anchors: Collection[str]) -> frozenset[str]:
    """Those of the objects that are in such a group. Raises `Refused`, `Unavailable`."""
    groups = _groups(session, base) if anchors else ()
    chain = "".join(f"(memberOf:{_IN_CHAIN}:={values.bytes_filter(dn.encode())})" for dn in groups)
    found: set[str] = set()
    for portion in lookup.portions(anchors) if chain else ():
        entries = session.search(base, f"(&(|{lookup.these(portion)})(|{chain}))", ["objectGUID"])
        found.update(entry.guid for entry in entries if entry.guid is not None)
    return frozenset(found)


def _groups(session: Session, base: str) -> list[str]:
    """Their names; those of the forest stand in its first domain alone."""
    head = lookup.by_dn(session, base, ["objectSid"])
    raw = head.one("objectsid") if head is not None else None
    if raw is None:  # no domain, and so nobody who signs in
        return []
    domain = values.sid(raw)
    sids = [*(f"{domain}-{rid}" for rid in accounts.PROTECTED_GROUPS), *(f"{accounts.BUILTIN}{rid}" for rid in accounts.PROTECTED_BUILTIN)]
    query = "".join(f"(objectSid={values.bytes_filter(values.sid_bytes(sid))})" for sid in sids)
    return [entry.dn for entry in session.search(base, f"(|{query})", ["objectGUID"])]
