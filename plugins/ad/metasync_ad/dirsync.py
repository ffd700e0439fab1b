"""Changes by the DirSync control (MS-ADTS 3.1.1.3.4.1.3): the controller says which objects changed, which links came and which went."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pyasn1.codec.ber import encoder
from pyasn1.type import namedtype, univ

from metasync.contract import CursorExpired
from metasync_ad import errors
from metasync_ad.errors import Refused
from metasync_ad.ranges import came_and_went
from metasync_ad.session import Control, RawEntry, Session
from metasync_ad.touched import Touched

DIRSYNC = "1.2.840.113556.1.4.841"
OBJECT_SECURITY = 0x1
"""LDAP_DIRSYNC_OBJECT_SECURITY: no right is needed, and what the account may not see is left out."""
INCREMENTAL_VALUES = -0x80000000
"""LDAP_DIRSYNC_INCREMENTAL_VALUES, 0x80000000 as a signed integer of four bytes: Windows reads no more than those."""
ANSWER_BYTES = 1 << 20
NOTHING = "(objectGUID=" + "\\00" * 16 + ")"
ALWAYS = ("objectGUID", "objectClass", "name", "isDeleted")
"""Asked for whatever was requested: they tell what is new, moved, renamed, deleted and restored."""


class _Value(univ.Sequence):  # type: ignore[misc,unused-ignore]
    """Flags, MaxBytes, Cookie."""

    componentType = namedtype.NamedTypes(
        namedtype.NamedType("flags", univ.Integer()),
        namedtype.NamedType("bytes", univ.Integer()),
        namedtype.NamedType("cookie", univ.OctetString()),
    )


def control(cookie: bytes, *, secured: bool) -> Control:
    """The control of a request."""
    value = _Value()
    value["flags"], value["bytes"], value["cookie"] = INCREMENTAL_VALUES + (OBJECT_SECURITY if secured else 0), ANSWER_BYTES, cookie
    return (DIRSYNC, True, bytes(encoder.encode(value)))


def start(session: Session, base: str, *, secured: bool) -> bytes:
    """A cookie that knows of everything up to now, without any object being sent. Raises `Refused` where the account may not."""
    cookie, more = b"", True
    while more:
        _, answered = session.changes(base, NOTHING, ["objectGUID"], control(cookie, secured=secured))
        cookie, more = bytes(answered["cookie"]), bool(answered["more_results"])
    return cookie


class Poll:
    """What changed since a cookie. `cookie` is the next one once all of it was taken."""

    def __init__(self, session: Session, base: str, cookie: bytes, *, secured: bool) -> None:
        self.session, self.base, self.cookie, self.secured = session, base, cookie, secured

    def touched(self, query: str, attributes: Collection[str], decisive: Collection[str]) -> Iterator[Touched]:
        """The changed objects. Raises `CursorExpired`, `Unavailable`. `decisive`: attributes that may bring an object into the scope."""
        wanted = ["*"] if "*" in attributes else list(dict.fromkeys([*ALWAYS, *attributes, *decisive]))
        more = True
        while more:
            try:
                entries, answered = self.session.changes(self.base, query, wanted, control(self.cookie, secured=self.secured))
            except Refused as refused:
                words = errors.outcome(refused, "asking for changes")[1]
                if refused.code in errors.LATER:
                    raise errors.later(self.session.server, words) from None
                raise CursorExpired(f"{self.session.server}: {words}") from None
            for entry in entries:
                if entry.guid is not None:
                    yield _touched(entry, entry.guid, decisive)
            self.cookie, more = bytes(answered["cookie"]), bool(answered["more_results"])


def _touched(entry: RawEntry, guid: str, decisive: Collection[str]) -> Touched:
    """`objectClass` stands in the answer where the object is new, `name` also where it was renamed, moved, deleted or restored."""
    came, went = came_and_went(entry)
    new, named = "objectclass" in entry.attributes, "name" in entry.attributes
    return Touched(
        guid=guid,
        dn=entry.dn,
        deleted=entry.one("isdeleted") == b"TRUE",
        whole=new or named or "isdeleted" in entry.attributes or any(name in entry.attributes for name in decisive),
        moved=named and not new,
        primary=entry.number("primarygroupid"),
        came={name: list(held) for name, held in came.items()},
        went={name: list(held) for name, held in went.items()},
    )
