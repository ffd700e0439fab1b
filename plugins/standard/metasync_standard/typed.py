"""Rewrites from and to numbers, flags and times. Times are UTC; month and day names, which depend on a language, are not offered."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from metasync.contract import Parameter, Rewrite
from metasync_standard.tools import text_of

_EPOCH_OF_FILETIME = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER = (0, 0x7FFFFFFFFFFFFFFF)
_DIRECTIVE = re.compile("%(.?)")
_LENGTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "f": 6, "y": 2, "j": 3}


def number(value: Any) -> int:
    if value.__class__ in (int, bool):
        return int(value)
    text = text_of(value).strip()
    # int() would take "1_000" and digits of other scripts.
    if not re.fullmatch("[+-]?[0-9]{1,19}", text):
        raise ValueError("the value is not a whole number")
    return int(text)


def has_bit(value: Any, bit: int) -> bool:
    if bit < 1:
        raise ValueError("`bit` must be 1 or more, such as 2 or 65536")
    return number(value) & bit == bit


def format_time(value: Any, form: str) -> str:
    if not isinstance(value, datetime):
        raise ValueError("needs a time; make one of text with parse_time()")
    moment = value.astimezone(UTC)
    parts = {
        "Y": moment.year,
        "m": moment.month,
        "d": moment.day,
        "H": moment.hour,
        "M": moment.minute,
        "S": moment.second,
        "f": moment.microsecond,
        "y": moment.year % 100,
        "j": moment.timetuple().tm_yday,
    }

    def write(match: re.Match[str]) -> str:
        letter = match.group(1)
        return "%" if letter == "%" else str(parts[letter]).zfill(_LENGTHS[letter])

    _check_format(form)
    return _DIRECTIVE.sub(write, form)


def parse_time(value: Any, form: str | None) -> datetime:
    if isinstance(value, datetime):
        return value
    text = text_of(value).strip()
    if form is not None:
        _check_format(form)
    try:
        moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007 - set below
    except ValueError as error:
        raise ValueError(f"the value is not a time of the form {form or 'ISO 8601'}") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def from_filetime(value: Any) -> datetime | None:
    """100 nanoseconds since 1601 (MS-DTYP 2.3.3), as pwdLastSet and accountExpires hold them; 0 and the largest number mean never."""
    if isinstance(value, datetime):
        return value
    ticks = number(value)
    if ticks in _NEVER:
        return None
    try:
        return _EPOCH_OF_FILETIME + timedelta(microseconds=ticks // 10)
    except OverflowError as error:
        raise ValueError("the value is no time") from error


def _check_format(form: str) -> None:
    for match in _DIRECTIVE.finditer(form):
        if match.group(1) != "%" and match.group(1) not in _LENGTHS:
            raise ValueError(f"`format` may hold {' '.join('%' + letter for letter in _LENGTHS)}")


REWRITES: tuple[Rewrite, ...] = (
    Rewrite(name="number", function=number, help="A whole number of text, true or false.", example=('number("0042")', "42")),
    Rewrite(
        name="has_bit",
        function=has_bit,
        help="True where a number has this bit, as flags such as userAccountControl hold them.",
        example=("has_bit(514, 2)", "true"),
        parameters=(Parameter(name="bit", help="The bit's value: 1, 2, 4, 8 ...", type=int),),
    ),
    Rewrite(
        name="format_time",
        function=format_time,
        help="A time (UTC) as text.",
        example=('format_time(timestamp("2026-01-31T08:05:00Z"), "%d.%m.%Y")', "31.01.2026"),
        parameters=(Parameter(name="format", help="%Y %m %d %H %M %S %f %y %j, and other text.", default="%Y-%m-%d"),),
    ),
    Rewrite(
        name="parse_time",
        function=parse_time,
        help="A time of text; where the text names no zone, it is UTC.",
        example=('parse_time("31.01.2026", "%d.%m.%Y")', "2026-01-31T00:00:00+00:00"),
        parameters=(Parameter(name="format", help="%Y %m %d %H %M %S %f %y %j; without it, ISO 8601.", default=None),),
    ),
    Rewrite(
        name="from_filetime",
        function=from_filetime,
        help="A time of Active Directory's large numbers (accountExpires); nothing where that means never.",
        example=("from_filetime(133800768000000000)", "2024-12-31T00:00:00+00:00"),
    ),
)
