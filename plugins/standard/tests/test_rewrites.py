"""Every rewrite: its example, its help, and the cases that people meet."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasync.contract import Null, Rewrite, Several
from metasync.expressions import RESERVED, ExpressionError
from metasync.expressions.rewrites import signature
from metasync_standard.names import dn_part, escape_dn, guid_base64, guid_text
from metasync_standard.plugin import metasync_register_rewrites
from metasync_standard.text import strip_diacritics

Rewritten = Callable[..., Any]
NAMES = sorted(one.name for one in metasync_register_rewrites())


def shown(value: Any) -> str:
    """As a person reads it."""
    if isinstance(value, tuple):
        return ", ".join(shown(one) for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_rewrite_yields_what_it_says(name: str, rewrites: Mapping[str, Rewrite], evaluated: Callable[[str], Any]) -> None:
    text, result = rewrites[name].example
    assert name in text
    assert shown(evaluated(text)) == result


@pytest.mark.parametrize("name", NAMES)
def test_a_rewrite_and_its_parameters_are_explained(name: str, rewrites: Mapping[str, Rewrite]) -> None:
    one = rewrites[name]
    assert name not in RESERVED and name.isidentifier() and name == name.lower()
    assert one.help.endswith(".") and len(one.help) > 10
    assert all(len(parameter.help) > 1 for parameter in one.parameters)
    required = [parameter.default is ... for parameter in one.parameters]
    assert required == sorted(required, reverse=True), "what may be left out stands last"


@pytest.mark.parametrize("name", NAMES)
def test_null_stays_null_unless_the_rewrite_handles_it(name: str, rewrites: Mapping[str, Rewrite], rewritten: Rewritten) -> None:
    one = rewrites[name]
    given_values = {"pattern": "a", "table": {"a": "b"}, "length": 2, "start": 0, "bit": 1, "format": "%Y"}
    arguments = [given_values.get(parameter.name, "x") for parameter in one.parameters if parameter.default is ...]
    for nothing in (None, "", (), ("", None)):
        result = rewritten(name, nothing, *arguments)
        assert (result is None) or one.null is Null.HANDLED


def test_names_are_registered_once() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_every_rewrite_that_the_document_page_names_is_there(rewrites: Mapping[str, Rewrite]) -> None:
    promised = """prefix suffix add remove replace regex_replace truncate upper lower title trim digits replace_domain split join default
    lookup strip_diacritics dn_parts guid_base64 addresses"""
    assert set(promised.split()) <= set(rewrites)


def test_when_leaves_other_values_as_they_are(rewritten: Rewritten) -> None:
    assert rewritten("prefix", ("E1", "X2"), "no-", "^E") == ("no-E1", "X2")
    assert rewritten("remove", "Ann (ext)", " (ext)", "@") == "Ann (ext)"
    assert rewritten("upper", "ann", "^b") == "ann"


def test_a_number_becomes_text_and_nothing_else_does(rewritten: Rewritten) -> None:
    assert rewritten("prefix", 4711, "E-") == "E-4711"
    for value, words in ((True, "true or false"), (b"x", "bytes"), (datetime(2026, 1, 1, tzinfo=UTC), "a time")):
        with pytest.raises(ExpressionError, match=f"the value is {words}"):
            rewritten("prefix", value, "E-")


def test_add_adds_once(rewritten: Rewritten) -> None:
    once = rewritten("add", "Ann", " (ext)")
    assert once == rewritten("add", once, " (ext)") == "Ann (ext)"
    assert rewritten("add", "e-4711", "E-", "start") == "e-4711"
    with pytest.raises(ExpressionError, match='"start" or "end"'):
        rewritten("add", "Ann", "x", "middle")


def test_replace_domain_changes_exactly_that_domain(rewritten: Rewritten) -> None:
    def changed(value: str) -> str:
        return str(rewritten("replace_domain", value, "contoso.com", "fabrikam.com"))

    assert changed("Ann@CONTOSO.com") == "Ann@fabrikam.com"
    assert changed("SMTP:ann@contoso.com") == "SMTP:ann@fabrikam.com"
    assert changed("ann@mail.contoso.com") == "ann@mail.contoso.com"
    assert changed("ann@notcontoso.com") == "ann@notcontoso.com"
    assert changed("contoso.com") == "contoso.com"


def test_patterns_are_linear_and_know_groups(rewritten: Rewritten) -> None:
    assert rewritten("regex_replace", "Lee, Ann", r"^(\w+), (\w+)$", r"\2 \1") == "Ann Lee"
    assert rewritten("regex_replace", "a" * 50_000 + "b", "^(a+)+$", "x") == "a" * 50_000 + "b"
    assert rewritten("extract", "none", "([0-9]+)") is None
    with pytest.raises(ExpressionError, match="a group that the pattern does not have"):
        rewritten("regex_replace", "a", "a", r"\7")


def test_title_knows_names(rewritten: Rewritten) -> None:
    for given_text, expected in (("o'BRIEN", "O'Brien"), ("jean-luc", "Jean-Luc"), ("it's a", "It's A"), ("3rd floor", "3rd Floor")):
        assert rewritten("title", given_text) == expected


def test_truncate_leaves_no_space_at_the_end(rewritten: Rewritten) -> None:
    assert rewritten("truncate", "Ann Lee", 4) == "Ann"


@given(st.text(max_size=20))
def test_strip_diacritics_is_done_after_one_go(text: str) -> None:
    assert strip_diacritics(strip_diacritics(text)) == strip_diacritics(text)


def test_strip_diacritics_knows_letters_that_have_no_accent_to_lose(rewritten: Rewritten) -> None:
    assert rewritten("strip_diacritics", "Łukasz Ærøskøbing Nguyễn Þór") == "Lukasz AEroskobing Nguyen Thor"


def test_before_after_and_substring_at_their_edges(rewritten: Rewritten) -> None:
    assert rewritten("before", "ann", "@") == "ann"
    assert rewritten("after", "ann", "@") is None
    assert rewritten("substring", "abc", 5) == ""
    assert rewritten("substring", "abc", -2) == "bc"
    with pytest.raises(ExpressionError, match="separator is an empty text"):
        rewritten("before", "ann", "")


def test_several_values_become_one_and_one_becomes_several(rewritten: Rewritten) -> None:
    assert rewritten("split", ("a;b", "c"), ";") == ("a", "b", "c")
    assert rewritten("join", ("a", "", None, 1)) == "a, 1"
    assert rewritten("join", "one") == "one"
    assert rewritten("first", "one") == rewritten("last", "one") == "one"
    assert (rewritten("count", None), rewritten("count", "a"), rewritten("count", ("a", "b"))) == (0, 1, 2)
    assert rewritten("add_value", None, "a") == ("a",)
    assert rewritten("add_value", ("A",), "a") == ("A",)


def test_default_takes_every_type(rewritten: Rewritten) -> None:
    assert rewritten("default", None, True) is True
    assert rewritten("default", False, True) is False
    assert rewritten("default", ("a",), "b") == ("a",)
    assert rewritten("default", (), ("b",)) == ("b",)


def test_lookup_prefers_the_exact_case(rewritten: Rewritten) -> None:
    table = {"de": "small", "DE": "capital", 49: "number"}
    assert rewritten("lookup", "DE", table) == "capital"
    assert rewritten("lookup", "De", table) == "small"
    assert rewritten("lookup", 49, table) == "number"
    assert rewritten("lookup", "fr", table) is None
    assert rewritten("lookup", "fr", table, "other") == "other"


def test_distinguished_names_are_taken_apart(rewritten: Rewritten) -> None:
    dn = r"CN=Lee\, Ann\2C PhD + UID=al , OU=R\+D,OU=Staff,DC=contoso,DC=com"
    assert rewritten("dn_part", dn, "cn") == "Lee, Ann, PhD"
    assert rewritten("dn_parts", dn, "OU") == ("R+D", "Staff")
    assert rewritten("parent", dn) == r"OU=R\+D,OU=Staff,DC=contoso,DC=com"
    assert rewritten("dn_part", dn, "O") is None
    assert rewritten("parent", "DC=com") is None
    assert rewritten("dn_part", r"CN=Zo\C3\AB,DC=com", "CN") == "Zoë"
    with pytest.raises(ExpressionError, match="not a distinguished name"):
        rewritten("dn_part", "Ann Lee", "CN")


@given(st.text(min_size=1, max_size=12).filter(lambda text: "\x00" not in text))
def test_what_escape_dn_writes_is_read_back(text: str) -> None:
    assert dn_part(f"CN={escape_dn(text)},DC=com", "CN") == text


@given(st.uuids())
def test_guids_go_to_base64_and_back(guid: UUID) -> None:
    assert guid_base64(str(guid)) == guid_base64(guid.bytes_le) == base64.b64encode(guid.bytes_le).decode()
    assert guid_text(guid_base64(str(guid))) == guid_text(guid.bytes_le) == str(guid)


def test_what_is_no_guid_is_refused_without_being_shown(rewritten: Rewritten) -> None:
    for value in ("hunter2", "x" * 24, b"short", 4):
        with pytest.raises(ExpressionError) as caught:
            rewritten("guid_base64", value)
        assert "hunter2" not in str(caught.value) and "GUID" in str(caught.value)


def test_addresses_are_a_set_with_one_primary(rewritten: Rewritten) -> None:
    assert rewritten("addresses", ("smtp:a@x.com", "SMTP:b@x.com", "smtp:A@X.com")) == ("SMTP:b@x.com", "smtp:a@x.com")
    assert rewritten("addresses", ("SMTP:a@x.com", "SMTP:b@x.com")) == ("SMTP:a@x.com", "smtp:b@x.com")
    assert rewritten("addresses", ("smtp:a@x.com", "b@x.com")) == ("SMTP:a@x.com", "smtp:b@x.com")
    assert rewritten("addresses", ("SMTP:a@x.com",), None, "b@x.com") == ("SMTP:b@x.com", "smtp:a@x.com")
    assert rewritten("addresses", "SMTP:a@x.com") == ("SMTP:a@x.com",)


def test_addresses_keep_former_x500_addresses_and_their_case(rewritten: Rewritten) -> None:
    old, new = "X500:/o=Old/cn=Ann", "/o=New/ou=Exchange/cn=Recipients/cn=Ann"
    assert rewritten("addresses", ("SMTP:a@x.com", old), new) == ("SMTP:a@x.com", old, f"X500:{new}")
    assert rewritten("addresses", ("SMTP:a@x.com", f"x500:{new}"), new.upper()) == ("SMTP:a@x.com", f"x500:{new}")
    assert rewritten("addresses", ("SIP:a@x.com",), None) == ("SIP:a@x.com",)


def test_addresses_of_nobody_are_nothing(rewritten: Rewritten) -> None:
    assert rewritten("addresses", None) is None
    assert rewritten("addresses", None, "/o=x/cn=Ann") == ("X500:/o=x/cn=Ann",)
    with pytest.raises(ExpressionError, match="no address"):
        rewritten("addresses", ("SMTP:a@x.com", "nonsense"))


def test_numbers_and_flags(rewritten: Rewritten) -> None:
    assert rewritten("number", " -7 ") == -7
    assert rewritten("has_bit", "66050", 65536) is True
    assert rewritten("has_bit", 512, 2) is False
    for wrong in ("1_000", "٣", "7.5", ""):
        if wrong:
            with pytest.raises(ExpressionError, match="not a whole number"):
                rewritten("number", wrong)


def test_times(rewritten: Rewritten) -> None:
    moment = datetime(2026, 1, 31, 8, 5, 9, tzinfo=UTC)
    assert rewritten("format_time", moment, "%Y%m%d%H%M%S.0Z") == "20260131080509.0Z"
    assert rewritten("parse_time", "20260131080509.0Z", "%Y%m%d%H%M%S.0Z") == moment
    assert rewritten("parse_time", "2026-01-31T10:05:09+02:00") == moment
    assert rewritten("from_filetime", "0") is None
    assert rewritten("from_filetime", 0x7FFFFFFFFFFFFFFF) is None
    assert rewritten("from_filetime", 116444736000000000) == datetime(1970, 1, 1, tzinfo=UTC)
    with pytest.raises(ExpressionError, match="not a time of the form ISO 8601"):
        rewritten("parse_time", "31.01.2026")
    with pytest.raises(ExpressionError, match="`format` may hold"):
        rewritten("format_time", moment, "%B")


def test_only_lists_are_taken_as_a_whole(rewrites: Mapping[str, Rewrite]) -> None:
    together = {name for name, one in rewrites.items() if one.several is Several.ALL}
    assert together == {"join", "default", "first", "last", "count", "add_value", "keep_values", "remove_values", "addresses"}


def test_the_readme_shows_every_rewrite_as_it_is(rewrites: Mapping[str, Rewrite]) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    for one in rewrites.values():
        row = f"| `{signature(one)}` | {one.help} | `{one.example[0]}` | {one.example[1]} |"
        assert row in readme.replace("\\|", "|"), row
