"""Single values on the wire."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasync_ad import values


def test_a_guid_has_its_first_three_fields_little_endian() -> None:
    raw = bytes.fromhex("d36f549886efc340bd07d2bd25d6e6b0")
    assert values.guid(raw) == "98546fd3-ef86-40c3-bd07-d2bd25d6e6b0"
    assert values.guid_bytes("98546fd3-ef86-40c3-bd07-d2bd25d6e6b0") == raw


@given(st.uuids())
def test_every_byte_of_a_guid_is_escaped_in_a_filter(one: uuid.UUID) -> None:
    assert bytes.fromhex(values.guid_filter(str(one)).replace("\\", "")) == one.bytes_le


def test_a_sid_is_read_as_people_write_it() -> None:
    raw = bytes.fromhex("010500000000000515000000" + "6a431911" + "fad93294" + "81440d71" + "87040000")
    assert values.sid(raw) == "S-1-5-21-286868330-2486360570-1896694913-1159"


@given(st.integers(0, 2**48 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=15))
def test_a_sid_survives_the_way_there_and_back(authority: int, rest: list[int]) -> None:
    raw = bytes([1, len(rest)]) + authority.to_bytes(6, "big") + b"".join(part.to_bytes(4, "little") for part in rest)
    assert values.sid_bytes(values.sid(raw)) == raw


@pytest.mark.parametrize("raw", [b"", b"\x01\x05", b"\x01\x02" + bytes(6) + bytes(4)])
def test_a_cut_sid_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a security identifier"):
        values.sid(raw)


@pytest.mark.parametrize("ticks", [0, -1, values.NEVER, 2**63 - 1])
def test_states_of_a_filetime_are_no_times(ticks: int) -> None:
    assert values.from_filetime(ticks) is None


def test_a_filetime_that_no_calendar_holds_is_no_time() -> None:
    assert values.from_filetime(values.NEVER - 1) is None


@given(st.datetimes(min_value=datetime(1601, 1, 2), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_a_time_survives_as_filetime(time: datetime) -> None:
    assert values.from_filetime(values.to_filetime(time)) == time


@pytest.mark.parametrize(
    ("raw", "time"),
    [
        (b"20261123201601.0Z", datetime(2026, 11, 23, 20, 16, 1, tzinfo=UTC)),
        (b"20261123201601.25Z", datetime(2026, 11, 23, 20, 16, 1, 250000, tzinfo=UTC)),
        (b"20261123211601+0100", datetime(2026, 11, 23, 20, 16, 1, tzinfo=UTC)),
        (b"261123201601Z", datetime(2026, 11, 23, 20, 16, 1, tzinfo=UTC)),
        (b"16010101000000.0Z", None),
    ],
)
def test_a_generalized_time_is_read_in_utc(raw: bytes, time: datetime | None) -> None:
    assert values.from_generalized(raw) == time


@given(st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_a_time_of_whole_seconds_survives_as_generalized_time(time: datetime) -> None:
    whole = time.replace(microsecond=0)
    assert values.from_generalized(values.to_generalized(whole)) == whole


@pytest.mark.parametrize("time", [datetime(2026, 1, 1, 0, 0, 0, 5, tzinfo=UTC), datetime(2026, 1, 1)])
def test_a_time_that_would_not_come_back_as_it_is_is_refused(time: datetime) -> None:
    with pytest.raises(ValueError, match="a time "):
        values.to_generalized(time)


@pytest.mark.parametrize("time", [datetime(1601, 1, 1, tzinfo=UTC), datetime(1500, 7, 1, tzinfo=UTC)])
def test_what_would_be_read_back_as_never_is_not_written_as_a_filetime(time: datetime) -> None:
    with pytest.raises(ValueError, match="after the year 1601"):
        values.to_filetime(time)


def test_the_time_that_stands_for_none_is_not_written_as_one() -> None:
    with pytest.raises(ValueError, match="beginning of 1601"):
        values.to_generalized(datetime(1601, 1, 1, tzinfo=UTC))


def test_a_time_without_an_offset_is_no_filetime() -> None:
    with pytest.raises(ValueError, match="offset"):
        values.to_filetime(datetime(2026, 1, 1))


def test_an_early_year_has_four_digits() -> None:
    assert values.to_generalized(datetime(999, 1, 1, tzinfo=UTC)) == b"09990101000000.0Z"


@pytest.mark.parametrize("text", ["S-1-5-4294967296", "S-1-281474976710656", "S-256-5-1"])
def test_a_sid_with_a_number_that_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        values.sid_bytes(text)


@pytest.mark.parametrize("raw", [b"", b"yesterday", b"20261399000000Z"])
def test_what_is_no_time_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        values.from_generalized(raw)


def test_a_password_is_quoted_and_utf_16() -> None:
    assert values.unicode_password("aé") == '"aé"'.encode("utf-16-le")
