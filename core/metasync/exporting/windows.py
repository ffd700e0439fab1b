"""When a directory may be written: the document's `windows`, by the clock on the wall of their zone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from metasync.engagement.times import DAYS

_WINDOW = re.compile(r"(\S+) (\d\d):(\d\d)-(\d\d):(\d\d) (\S+)")
AHEAD = 8
"""Days: any window opens within a week."""


def opens(windows: Sequence[str], now: datetime) -> datetime | None:
    """When the directory may be written next, in UTC; None: now. Without windows it may always be."""
    if not windows:
        return None
    spans = [span for window in windows for span in _spans(window, now)]
    if any(start <= now < end for start, end in spans):
        return None
    return min(start for start, _ in spans if start > now)


def words(windows: Sequence[str], at: datetime) -> str:
    """Why it may not be written yet."""
    return f"it may be written {' and '.join(windows)}; that begins at {at.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def _spans(window: str, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """(beginning, end) in UTC, from yesterday on. A span that ends before it begins ends on the next day; it is of the day it begins on."""
    found = _WINDOW.fullmatch(window)
    assert found is not None, "checked when the document was loaded"
    zone = ZoneInfo(found[6])
    hours = [timedelta(hours=int(found[at]), minutes=int(found[at + 1])) for at in (2, 4)]
    days = {number for span in found[1].split(",") for number in _days(span)}
    today = now.astimezone(zone).date()
    for ahead in range(-1, AHEAD + 1):
        day = today + timedelta(days=ahead)
        if day.weekday() in days:
            begins, ends = hours[0], hours[1] if hours[1] > hours[0] else hours[1] + timedelta(days=1)
            yield _moment(day, begins, zone), _moment(day, ends, zone)


def _days(span: str) -> Iterator[int]:
    first, _, last = span.partition("-")
    number, end = DAYS.index(first), DAYS.index(last or first)
    while True:
        yield number
        if number == end:
            return
        number = (number + 1) % 7


def _moment(day: date, after: timedelta, zone: ZoneInfo) -> datetime:
    """So long after midnight by the clock on the wall, not by a stop watch: the two differ twice a year."""
    whole, rest = divmod(after, timedelta(days=1))
    wall = datetime.combine(day + timedelta(days=whole), time.min) + rest
    return wall.replace(tzinfo=zone).astimezone(UTC)
