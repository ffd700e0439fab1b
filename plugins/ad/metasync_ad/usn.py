"""Changes by uSNChanged (MS-ADTS 3.1.1.1.9): every object whose number is above the watermark, deleted ones included.

The controller does not say what of an object changed, so that each is read whole, and everything below a container that changed in any way.
"""

from __future__ import annotations

from collections.abc import Iterator

from metasync.contract import Unavailable
from metasync_ad.session import DOMAIN_SCOPE, EXTENDED_DN, SHOW_DELETED, Session
from metasync_ad.touched import Touched


def highest(session: Session) -> int:
    """The controller's number now. Whatever is written from here on has a higher one. Raises `Unavailable`."""
    found = session.fresh_root(["highestCommittedUSN"]).number("highestcommittedusn")
    if found is None:
        raise Unavailable(f"{session.server} does not show its highestCommittedUSN; is it a domain controller?")
    return found


def touched(session: Session, base: str, since: int, query: str, size: int) -> Iterator[Touched]:
    """The changed objects. Raises `ImportIncomplete`, `Unavailable`."""
    wanted = ["objectGUID", "isDeleted", "uSNCreated", "primaryGroupID"]
    controls = (EXTENDED_DN, DOMAIN_SCOPE, SHOW_DELETED)
    for page in session.pages(base, f"(&(uSNChanged>={since + 1}){query})", wanted, size, controls):
        for entry in page:
            if entry.guid is not None:
                new = (entry.number("usncreated") or 0) > since
                deleted, primary = entry.one("isdeleted") == b"TRUE", entry.number("primarygroupid")
                yield Touched(guid=entry.guid, dn=entry.dn, deleted=deleted, moved=not new, primary=primary)
