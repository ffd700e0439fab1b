"""Security descriptors as a directory keeps them, and whom they allow what (MS-DTYP 2.4.4 to 2.4.6, MS-ADTS 5.1.3.3)."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

from metasync_ad import values

CREATE_CHILD, DELETE_CHILD, WRITE_PROPERTY, CONTROL_ACCESS, DELETE = 0x1, 0x2, 0x20, 0x100, 0x10000
"""Access rights of MS-ADTS 5.1.3.2."""

_ALLOWED, _DENIED, _ALLOWED_OBJECT, _DENIED_OBJECT = 0x00, 0x01, 0x05, 0x06
_CONTAINER_INHERIT, _INHERIT_ONLY = 0x02, 0x08
_HAS_TYPE, _HAS_INHERITED_TYPE = 0x1, 0x2


@dataclass(frozen=True, kw_only=True, slots=True)
class Ace:
    """One entry of an access control list."""

    allows: bool
    mask: int
    sid: str
    object_type: str | None
    """GUID of the class, property, property set or extended right that it is about; None: all."""
    inherited_type: str | None
    """GUID of the class of descendants that inherit it; None: every class."""
    here: bool
    """It counts for the object itself."""
    below: bool
    """Descendants inherit it."""


def entries(descriptor: bytes) -> list[Ace]:
    """The discretionary list of a self-relative descriptor, in its order; entries of other types (audit, callbacks) are left out.

    Raises `ValueError` where it is cut off.
    """
    try:
        offset = struct.unpack_from("<I", descriptor, 16)[0]
        if offset == 0:
            return []
        count = struct.unpack_from("<H", descriptor, offset + 4)[0]
        found: list[Ace] = []
        at = offset + 8
        for _ in range(count):
            kind, flags, size, mask = struct.unpack_from("<BBHI", descriptor, at)
            if kind in (_ALLOWED, _DENIED, _ALLOWED_OBJECT, _DENIED_OBJECT):
                found.append(_ace(kind, flags, mask, descriptor[at + 8 : at + size]))
            at += size
    except (struct.error, IndexError, ValueError) as error:
        raise ValueError(f"a security descriptor of {len(descriptor)} bytes is cut off") from error
    return found


def _ace(kind: int, flags: int, mask: int, rest: bytes) -> Ace:
    types: list[str | None] = [None, None]
    if kind in (_ALLOWED_OBJECT, _DENIED_OBJECT):
        present, rest = struct.unpack_from("<I", rest)[0], rest[4:]
        for number, bit in enumerate((_HAS_TYPE, _HAS_INHERITED_TYPE)):
            if present & bit:
                types[number], rest = values.guid(rest[:16]), rest[16:]
    return Ace(
        allows=kind in (_ALLOWED, _ALLOWED_OBJECT),
        mask=mask,
        sid=values.sid(rest[: 8 + 4 * rest[1]]),
        object_type=types[0],
        inherited_type=types[1],
        here=not flags & _INHERIT_ONLY,
        below=bool(flags & _CONTAINER_INHERIT),
    )


def allowed(found: Collection[Ace], token: Collection[str], mask: int, *, about: str | None = None, of_class: str | None = None) -> bool:
    """Do these entries allow all of `mask` to whoever holds the SIDs of `token`?

    `about`: GUID of the child class, property or extended right; None: of all of them, so that an entry about one alone does not do.
    `of_class`: asked of the descendants of this class, by what they inherit; None: of the object itself. The first entry that speaks of a
    bit decides about it.
    """
    left = mask
    for one in found:
        applies = one.here if of_class is None else one.below and one.inherited_type in (None, of_class)
        if not applies or one.sid not in token or one.object_type not in (None, about):
            continue
        if not one.allows and one.mask & left:
            return False
        left &= ~one.mask
        if not left:
            return True
    return False
