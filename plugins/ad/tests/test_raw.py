"""Entries taken apart by hand: what was put in comes out, and what is broken is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab import ber

from metasync_ad.raw import entry, head

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC;=-0123456789", min_size=1, max_size=200)
VALUES = st.lists(st.one_of(st.binary(max_size=20), st.binary(min_size=120, max_size=300)), max_size=4)


def message(number: int, dn: str, attributes: dict[str, list[bytes]]) -> bytes:
    held = [ber.encode(ber.SEQUENCE, ber.octets(name), ber.values(values)) for name, values in attributes.items()]
    content = ber.encode(0x64, ber.octets(dn), ber.encode(ber.SEQUENCE, *held))
    return ber.encode(ber.SEQUENCE, ber.integer(number), content)


@given(st.integers(1, 1 << 31), st.text(max_size=300), st.dictionaries(NAMES, VALUES, max_size=5))
def test_name_and_values_come_out_as_they_were_put_in(number: int, dn: str, attributes: dict[str, list[bytes]]) -> None:
    whole = message(number, dn, attributes)
    assert head(whole) == (number, 0x64)
    assert entry(whole, {}) == (dn.encode(), {name.lower(): values for name, values in attributes.items()})


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_message_of_which_one_byte_is_another_is_an_entry_or_refused(at: int, byte: int) -> None:
    whole = bytearray(message(7, "CN=Jane Doe,DC=contoso,DC=test", {"cn": [b"Jane Doe"], "mail": [b"a@x", b"b" * 200], "title": []}))
    whole[at % len(whole)] = byte
    try:
        dn, attributes = entry(bytes(whole), {})
    except ValueError:
        return
    assert isinstance(dn, bytes) and all(isinstance(value, bytes) for held in attributes.values() for value in held)


def test_a_message_that_ends_too_early_is_refused() -> None:
    whole = message(7, "CN=x", {"cn": [b"x" * 200]})
    for size in range(2, len(whole)):
        with pytest.raises(ValueError, match="do not fit"):
            entry(whole[:size], {})
