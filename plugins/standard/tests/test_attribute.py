"""The attribute matcher: which look-ups a rule becomes."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from metasync.contract import Lookup, Reference
from metasync_standard.attribute import AttributeMatcher
from metasync_standard.plugin import metasync_register_matchers


def looked_up(source: str, target: str, value: Any) -> list[tuple[str, Any]]:
    matcher = AttributeMatcher(AttributeMatcher.Options().load({"source": source, "target": target}))
    assert (matcher.sources, matcher.targets) == ((source,), (target,))
    found = matcher.lookups([value])
    assert all(isinstance(one, Lookup) for one in found)
    return [(one.key, one.value) for one in found]


def test_it_is_what_a_rule_without_a_matcher_means() -> None:
    assert metasync_register_matchers() == (AttributeMatcher,)
    assert AttributeMatcher.name == "attribute"


def test_one_value_is_one_look_up_in_the_target() -> None:
    assert looked_up("employeeID", "employeeNumber", "4711") == [("employeeNumber", "4711")]
    assert looked_up("employeeID", "employeeNumber", 4711) == [("employeeNumber", 4711)]


def test_nothing_is_never_looked_up() -> None:
    for nothing in (None, "", (), ("",)):
        assert looked_up("employeeID", "employeeID", nothing) == []


def test_of_several_values_any_one_may_match() -> None:
    assert looked_up("otherIds", "employeeID", ("1", "2")) == [("employeeID", "1"), ("employeeID", "2")]


def test_a_reference_is_looked_up_by_its_value() -> None:
    assert looked_up("manager", "manager", Reference(value="42")) == [("manager", "42")]


def test_an_address_is_found_among_proxy_addresses_with_its_prefix() -> None:
    assert looked_up("mail", "proxyAddresses", "ann@x.com") == [("proxyAddresses", "smtp:ann@x.com")]
    assert looked_up("source.mail", "target.proxyaddresses", "ann@x.com") == [("target.proxyaddresses", "smtp:ann@x.com")]


def test_proxy_addresses_are_found_in_mail_without_their_prefix() -> None:
    values = ("SMTP:ann@x.com", "X500:/o=x/cn=ann", "sip:ann@x.com")
    assert looked_up("proxyAddresses", "mail", values) == [("mail", "ann@x.com")]


def test_proxy_addresses_are_compared_with_their_like_as_they_are() -> None:
    assert looked_up("proxyAddresses", "proxyAddresses", ("SMTP:ann@x.com",)) == [("proxyAddresses", "SMTP:ann@x.com")]


def test_a_rule_needs_both_sides_and_knows_no_other_key() -> None:
    for wrong in ({"source": "a"}, {"target": "a"}, {"source": "", "target": "a"}, {"source": "a", "target": "b", "case": True}):
        with pytest.raises(ValidationError):
            AttributeMatcher.Options().load(wrong)


def test_its_options_are_explained() -> None:
    for field in AttributeMatcher.Options().fields.values():
        assert field.metadata["title"] and field.metadata["help"]
