"""Values of the document's language that speak of time: how long, when, how often."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from marshmallow import ValidationError

from metasync.engagement.document import Fault, one_of
from metasync.engagement.fields import Value, shown

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
DURATION_ALLOWED = "a number with its unit, such as `15 minutes`, `90 days`, `2 weeks`"
LONGEST = timedelta(days=36525)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DURATION = re.compile(r"(\d{1,9}) +(second|minute|hour|day|week)s?")
_CRON_PART = re.compile(r"(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?(,(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?)*")
_CRON_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_WINDOW = re.compile(r"(\S+) (\d\d):(\d\d)-(\d\d):(\d\d) (\S+)")
_RATE = re.compile(r"([1-9]\d{0,5})/(s|min|h)")


class Duration(Value):
    """A length of time."""

    form = DURATION_ALLOWED

    def read(self, value: Any) -> timedelta:
        return duration(value)


class Schedule(Value):
    """When a profile runs by itself, as a plain mapping."""

    form = '`every 15 minutes`, `15 minutes after the last`, or `{cron: "0 6 * * 1-5", zone: Europe/Berlin, missed: run once}`'

    def read(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return self._cron(value)
        if isinstance(value, str) and value.startswith("every "):
            return {"every": self._seconds(value.removeprefix("every "))}
        if isinstance(value, str) and value.endswith(" after the last"):
            return {"after": self._seconds(value.removesuffix(" after the last"))}
        raise self.wrong(f"{shown(value)} is not a schedule")

    def _seconds(self, text: str) -> int:
        seconds = int(duration(text).total_seconds())
        if seconds < 10:
            raise self.wrong(f"`{text}` is too short", "at least 10 seconds")
        return seconds

    def _cron(self, value: Mapping[str, Any]) -> dict[str, Any]:
        faults: dict[str, Any] = {
            str(key): [Fault("is not known here", one_of(("cron", "zone", "missed"), key))]
            for key in value
            if key not in ("cron", "zone", "missed")
        }
        cron, zone, missed = value.get("cron"), value.get("zone", "UTC"), value.get("missed", "run once")
        parts = cron.split() if isinstance(cron, str) else []
        if len(parts) != 5 or not all(_cron_part(part, *bounds) for part, bounds in zip(parts, _CRON_BOUNDS, strict=True)):
            faults["cron"] = [Fault(f"{shown(cron)} is not a cron line", "minute, hour, day, month and weekday, such as `0 6 * * 1-5`")]
        elif not _ever(cron):
            faults["cron"] = [Fault(f"{shown(cron)} names a time that never comes", "a day that its months have")]
        if not zone_known(zone):
            faults["zone"] = [Fault(f"{shown(zone)} is not a time zone", "a name such as `Europe/Berlin` or `UTC`")]
        if missed not in ("run once", "skip"):
            faults["missed"] = [Fault(f"{shown(missed)} is not known here", one_of(("run once", "skip"), missed))]
        if faults:
            raise ValidationError(faults)
        return {"cron": cron, "zone": zone, "missed": missed}


class Window(Value):
    """When a directory may be written."""

    form = "days, hours and time zone, such as `Mon-Fri 20:00-06:00 Europe/Berlin`"

    def read(self, value: Any) -> str:
        found = _WINDOW.fullmatch(value) if isinstance(value, str) else None
        if not found or not isinstance(value, str):
            raise self.wrong(f"{shown(value)} is not a window")
        days, zone = found[1], found[6]
        hours = [(int(found[2]), int(found[3])), (int(found[4]), int(found[5]))]
        if not all(day in DAYS for span in days.split(",") for day in span.split("-", 1)):
            raise self.wrong(f"`{days}` are not days", "such as `Mon-Fri` or `Sat,Sun`")
        if not all((hour < 24 and minute < 60) or (hour, minute) == (24, 0) for hour, minute in hours) or hours[0] == hours[1]:
            raise self.wrong("the hours are not a span", "such as `20:00-06:00` or `00:00-24:00`")
        if not zone_known(zone):
            raise self.wrong(f"`{zone}` is not a time zone", "a name such as `Europe/Berlin` or `UTC`")
        return value


class Rate(Value):
    """Operations in a time."""

    form = "a number per `s`, `min` or `h`, such as `50/s`"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not _RATE.fullmatch(value):
            raise self.wrong(f"{shown(value)} is not a rate")
        return value


def duration(value: Any) -> timedelta:
    """`90 days` as a length of time. Raises `ValidationError`."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValidationError([Fault(f"{shown(value)} is not a length of time", DURATION_ALLOWED)])
    length = timedelta(seconds=min(int(found[1]) * UNITS[found[2]], 10**11))
    if length > LONGEST:
        raise ValidationError([Fault(f"{shown(value)} is longer than a century", DURATION_ALLOWED)])
    return length


def zone_known(name: Any) -> bool:
    """True for the name of a time zone."""
    try:
        return isinstance(name, str) and ZoneInfo(name) is not None
    except (ValueError, OSError, KeyError):  # unknown; a folder of the database; not found is a KeyError
        return False


def _ever(line: Any) -> bool:
    try:
        return next(CronSim(line, datetime(2000, 1, 1, tzinfo=UTC)), None) is not None
    except CronSimError:
        return False


def _cron_part(part: str, least: int, most: int) -> bool:
    return (
        bool(_CRON_PART.fullmatch(part))
        and all(least <= int(number) <= most for number in re.findall(r"(?<!/)\b\d+", part))
        and not re.search(r"/0+(?!\d)", part)
    )
