"""Single values on the wire and in Metasync: GUID, SID, times, booleans. Knows no attribute."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

NEVER = 0x7FFF_FFFF_FFFF_FFFF
"""FILETIME: does not expire (MS-ADTS 2.3.1, accountExpires); 0 means the same."""
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_TIME = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d)(\d\d)?)")
_UTC_TIME = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:Z|([+-])(\d\d)(\d\d))")


def guid(raw: bytes) -> str:
    """objectGUID: 16 bytes, the first three fields little-endian, as the canonical text."""
    return str(uuid.UUID(bytes_le=raw))


def guid_bytes(text: str) -> bytes:
    """The way back. Raises `ValueError`."""
    return uuid.UUID(text).bytes_le


def guid_filter(text: str) -> str:
    """A GUID as a filter value."""
    return bytes_filter(guid_bytes(text))


def bytes_filter(raw: bytes) -> str:
    """Bytes as a filter value: every one escaped (RFC 4515, 3)."""
    return "".join(f"\\{byte:02x}" for byte in raw)


def sid(raw: bytes) -> str:
    """MS-DTYP 2.4.2.2: revision, count, six bytes of authority (big-endian), sub-authorities (little-endian)."""
    if len(raw) < 8 or len(raw) != 8 + 4 * raw[1]:
        raise ValueError("not a security identifier")
    authority = int.from_bytes(raw[2:8], "big")
    rest = [int.from_bytes(raw[at : at + 4], "little") for at in range(8, len(raw), 4)]
    return "-".join(["S", str(raw[0]), str(authority) if authority < 1 << 32 else f"0x{authority:012x}", *map(str, rest)])


def sid_bytes(text: str) -> bytes:
    """The way back. Raises `ValueError`."""
    letter, revision, authority, *rest = text.split("-")
    if letter != "S" or len(rest) > 15:
        raise ValueError("not a security identifier")
    try:
        head = bytes([int(revision), len(rest)]) + int(authority, 0).to_bytes(6, "big")
        return head + b"".join(int(part).to_bytes(4, "little") for part in rest)
    except OverflowError:
        raise ValueError("not a security identifier: one of its numbers is too large") from None


def from_filetime(ticks: int) -> datetime | None:
    """100 ns since 1601. None for 0, -1 and "never", which are states and not times, and for what no calendar holds."""
    if ticks <= 0 or ticks == NEVER:
        return None
    try:
        return _EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


def to_filetime(time: datetime) -> int:
    """The way back, exact to the microsecond. Raises `ValueError`, also for what would be read back as no time."""
    ticks = (_aware(time) - _EPOCH) // timedelta(microseconds=1) * 10
    if ticks <= 0:
        raise ValueError("a time after the year 1601 is needed; leave it empty in the mapping for never")
    return ticks


def from_generalized(raw: bytes) -> datetime | None:
    """GeneralizedTime (RFC 4517, 3.3.13) or UTCTime, both with seconds. None for the zero time 1601-01-01. Raises `ValueError`."""
    if len(raw) == 17 and raw.endswith(b".0Z") and raw[:14].isdigit():  # as every domain controller writes it
        time = datetime(int(raw[:4]), int(raw[4:6]), int(raw[6:8]), int(raw[8:10]), int(raw[10:12]), min(int(raw[12:14]), 59), tzinfo=UTC)
        return None if time == _EPOCH else time
    found = _TIME.fullmatch(raw)
    if found:
        year, month, day, hour, minute = (int(found[part]) for part in range(1, 6))
        fraction = int((found[7] or b"0")[:6].ljust(6, b"0"))
        sign, hours, minutes = found[8], found[9], found[10]
    else:
        found = _UTC_TIME.fullmatch(raw)
        if not found:
            raise ValueError("not a time")
        year, month, day, hour, minute = (int(found[part]) for part in range(1, 6))
        year += 1900 if year >= 50 else 2000
        fraction = 0
        sign, hours, minutes = found[7], found[8], found[9]
    second = min(int(found[6]), 59)  # a leap second has no place in datetime
    time = datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC)
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        time = time - offset if sign == b"+" else time + offset
    return None if time == _EPOCH else time


def to_generalized(time: datetime) -> bytes:
    """Whole seconds, as the directory stores them. Raises `ValueError` for what it would not give back as it is."""
    if _aware(time) == _EPOCH:
        raise ValueError("a time other than the beginning of 1601 is needed, which stands for none; leave it empty in the mapping")
    if time.microsecond:
        raise ValueError("a time of whole seconds is needed; cut it in the mapping")
    utc = time.astimezone(UTC)
    return f"{utc.year:04}{utc:%m%d%H%M%S}.0Z".encode()


def _aware(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("a time with its offset from UTC is needed")
    return time


def from_boolean(raw: bytes) -> bool:
    """TRUE or FALSE. Raises `ValueError`."""
    if raw not in (b"TRUE", b"FALSE"):
        raise ValueError("not a boolean")
    return raw == b"TRUE"


def unicode_password(password: str) -> bytes:
    """The value of unicodePwd: quoted, UTF-16 little-endian (MS-ADTS 3.1.1.3.1.5.1)."""
    return f'"{password}"'.encode("utf-16-le")
