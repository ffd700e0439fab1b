"""Distinguished names as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.utils.dn import parse_dn

from metasync_ad import dn

VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(VALUES)
def test_any_value_survives_escaping(value: str) -> None:
    assert dn.leaf(f"{dn.relative('CN', value)},OU=x,DC=y") == ("CN", value)


@given(VALUES, VALUES)
def test_no_value_reaches_beyond_its_own_part(value: str, above: str) -> None:
    name = f"{dn.relative('CN', value)},{dn.relative('OU', above)},DC=y"
    assert dn.split(name) == [dn.relative("CN", value), dn.relative("OU", above), "DC=y"]
    assert dn.leaf(dn.parent(name)) == ("OU", above)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30))
def test_ldap3_reads_our_escapes_as_one_part(value: str) -> None:
    assert len(parse_dn(f"{dn.relative('CN', value)},DC=y")) == 2


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("Doe, Jane", "Doe\\, Jane"),
        (" x ", "\\ x\\ "),
        ("#1", "\\#1"),
        ("a+b=c", "a\\+b\\=c"),
        ('q"<>;\\', 'q\\"\\<\\>\\;\\\\'),
        ("\0", "\\00"),
        (" ", "\\ "),
    ],
)
def test_escapes_are_those_of_rfc_4514(value: str, escaped: str) -> None:
    assert dn.escape(value) == escaped


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=A B,dc=x", "CN=a b, DC=X"),
        ("CN=Doe\\2C Jane,DC=x", "cn=doe\\, jane,dc=x"),
        ("CN=\\C3\\A9,DC=x", "CN=é,DC=x"),
        ("CN=a\\=b,DC=x", "CN=a=b,DC=x"),
        ("CN=a\\ ,DC=x", "CN=a\\20,DC=x"),
    ],
)
def test_two_spellings_of_one_name_are_the_same(one: str, other: str) -> None:
    assert dn.folded(one) == dn.folded(other)


def test_a_base_in_the_middle_of_a_value_is_not_a_parent() -> None:
    assert dn.is_under("CN=a,OU=Staff,DC=x", "ou=staff, dc=x")
    assert not dn.is_under("CN=a\\,OU=Staff,DC=x", "OU=Staff,DC=x")
    assert not dn.is_under("CN=a,OU=OldStaff,DC=x", "OU=Staff,DC=x")


@pytest.mark.parametrize("text", ["nonsense", "CN=a,oops,DC=x", "CN=a\\", "CN=\\GG,DC=x", "=a,DC=x"])
def test_what_is_no_name_is_refused(text: str) -> None:
    assert not dn.valid(text)


@given(VALUES)
def test_an_extended_name_gives_up_its_parts(value: str) -> None:
    plain = f"{dn.relative('CN', value)},DC=x"
    assert dn.extended(f"<GUID=98546FD3-ef86-40c3-bd07-d2bd25d6e6b0>;<SID=S-1-5-32-544>;{plain}") == (
        "98546fd3-ef86-40c3-bd07-d2bd25d6e6b0",
        "S-1-5-32-544",
        plain,
    )
    assert dn.extended(plain) == (None, None, plain)
