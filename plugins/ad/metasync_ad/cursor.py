"""Where a delta starts: opaque to the engine, and bound to one domain controller, in whose numbers it is written."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from metasync.contract import CursorExpired
from metasync_ad import dirsync, errors, usn
from metasync_ad.errors import Refused
from metasync_ad.schema import DirectorySchema
from metasync_ad.scope import untold
from metasync_ad.session import LEVEL, SHOW_DELETED, UNKNOWN, Session
from metasync_ad.settings import Settings

VERSION = 1
BLIND = (
    "the account sees no deleted object, so that a deletion would be missed: grant it to list and read CN=Deleted Objects, or Get-Changes "
    "on the domain"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """A place in the changes of one controller."""

    way: str
    """`dirsync` or `usn`."""
    controller: str
    """The host that answered."""
    invocation: str
    """Its invocationId: another one means another controller, or one that was restored from a backup."""
    usn: int
    """Its highestCommittedUSN."""
    cookie: bytes = b""
    """What DirSync gave."""
    secured: bool = False
    """DirSync shows what the account may see; else everything, by the right Get-Changes."""

    def text(self) -> str:
        """As the engine keeps it."""
        kept = [VERSION, self.way, self.controller, self.invocation, self.usn, base64.b64encode(self.cookie).decode(), self.secured]
        return json.dumps(kept, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Read again. Raises `CursorExpired` for what this connector never wrote."""
        try:
            version, way, controller, invocation, usn, cookie, secured = json.loads(text)
            if version != VERSION or way not in ("dirsync", "usn"):
                raise ValueError("of another version")
            return cls(
                way=way,
                controller=str(controller),
                invocation=str(invocation),
                usn=int(usn),
                cookie=base64.b64decode(cookie, validate=True),
                secured=bool(secured),
            )
        except (ValueError, TypeError, binascii.Error):
            raise CursorExpired("the place where the last import ended was written by something else") from None


def begin(session: Session, settings: Settings, schema: DirectorySchema, mirrored: bool) -> tuple[Cursor | None, str]:
    """A cursor that the next delta starts from, taken before a read, or why there can be none. Raises `Unavailable`."""
    if settings.changes == "full":
        return None, ""
    if why := untold(settings, schema):
        return None, why
    if session.invocation.startswith(UNKNOWN):
        return None, (
            f"{session.server} does not show its invocationId, so that nothing would tell its restore from a backup: grant the account to "
            "read its NTDS Settings in the configuration partition"
        )
    number = usn.highest(session)
    for secured in (False, True) if settings.changes in ("auto", "dirsync") else ():
        try:
            cookie = dirsync.start(session, settings.base, secured=secured)
        except Refused as refused:
            why = errors.outcome(refused, "DirSync")[1]
            if refused.code in errors.LATER:
                raise errors.later(session.server, why) from None
            continue
        if secured and not sees_deleted(session, settings.base):
            return None, BLIND
        return _cursor(session, number, way="dirsync", cookie=cookie, secured=secured), ""
    if settings.changes == "dirsync":
        return None, why
    if mirrored:
        return None, "by uSNChanged attributes such as memberOf cannot be followed: leave them out, or grant Get-Changes on the domain"
    if not sees_deleted(session, settings.base, numbered=True):
        return None, BLIND
    return _cursor(session, number, way="usn"), ""


def _cursor(session: Session, number: int, *, way: str, cookie: bytes = b"", secured: bool = False) -> Cursor:
    return Cursor(way=way, controller=session.server, invocation=session.invocation, usn=number, cookie=cookie, secured=secured)


def sees_deleted(session: Session, base: str, *, numbered: bool = False) -> bool:
    """Whether at least one deleted object can be seen, `numbered`: with its uSNChanged. It is the only proof that deletions will be seen;
    DirSync leaves out silently what the account may not see."""
    query = "(&(isDeleted=TRUE)(uSNChanged>=1))" if numbered else "(isDeleted=TRUE)"
    try:
        return session.any(f"CN=Deleted Objects,{base}", query, LEVEL, (SHOW_DELETED,))
    except Refused:
        return False


def check(session: Session, settings: Settings, schema: DirectorySchema, cursor: Cursor) -> None:
    """Raises `CursorExpired` where a delta from there could miss something."""
    if settings.changes not in ("auto", cursor.way):
        raise CursorExpired(f"`changes: {settings.changes}` stands in the document now")
    if why := untold(settings, schema):
        raise CursorExpired(why)
    if session.invocation != cursor.invocation:
        if session.server == cursor.controller:
            raise CursorExpired(f"{session.server} is not what it was: it was restored from a backup, or replaced")
        raise CursorExpired(f"the last import read {cursor.controller}, and {session.server} answers now")
    if usn.highest(session) < cursor.usn:
        raise CursorExpired(f"{session.server} went back in time: its highest number is below that of the last import")
    if (cursor.way == "usn" or cursor.secured) and not sees_deleted(session, settings.base, numbered=cursor.way == "usn"):
        raise CursorExpired(BLIND)
