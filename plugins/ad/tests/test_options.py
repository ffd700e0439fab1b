"""The options of the connector."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from metasync_ad.options import ADOptions
from metasync_ad.settings import Settings

GOOD: dict[str, Any] = {
    "servers": ["dc1.contoso.test"],
    "base": "DC=contoso,DC=test",
    "bind": "svc@contoso.test",
    "password": {"secret": "contoso-bind"},
    "ca file": "ca.pem",
}


def test_the_least_that_is_needed_means_ldaps_with_a_verified_certificate() -> None:
    settings = Settings.of(ADOptions().load(GOOD))
    assert (settings.port, settings.starttls, settings.page_size, settings.ca_file) == (636, False, 1000, "ca.pem")


@pytest.mark.parametrize("text", ["(employeeID=*)", "(&(a=b)(!(c>=1)))", "(userAccountControl:1.2.840.113556.1.4.803:=2)", "(cn=\\28x)"])
def test_a_filter_is_taken_as_it_stands(text: str) -> None:
    assert Settings.of(ADOptions().load({**GOOD, "filter": text})).filter == text


def test_starttls_has_its_own_port() -> None:
    assert Settings.of(ADOptions().load({**GOOD, "tls": "starttls"})).port == 389


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"password": "hunter2"}, "password"),
        ({"tls": "none"}, "tls"),
        ({"servers": []}, "servers"),
        ({"base": "contoso.test"}, "base"),
        ({"under": ["OU=x,DC=elsewhere"]}, "under"),
        ({"filter": "(|(a=b)"}, "filter"),
        ({"filter": "(a=b)(c=d)"}, "filter"),
        ({"filter": "(a=b))(|(c=d)"}, "filter"),
        ({"filter": "((a=b))"}, "filter"),
        ({"filter": "(nonsense)"}, "filter"),
        ({"container kinds": ["printQueue"]}, "container kinds"),
        ({"verify": False}, "verify"),
        ({"domain": "contoso.test"}, "servers"),
        ({"servers": [], "domain": "contoso"}, "domain"),
        ({"site": "Zurich"}, "site"),
        ({"servers": [], "domain": "contoso.test", "site": "a.b"}, "site"),
        ({"servers": [], "domain": "contoso.test", "name servers": ["dns1"]}, "name servers"),
        ({"keytab": "svc.keytab"}, "keytab"),
        ({"sign in": "kerberos", "keytab": "svc.keytab"}, "password"),
        ({"password": None}, "password"),
        ({"sign in": "digest"}, "sign in"),
        ({"changes": "sometimes"}, "changes"),
    ],
)
def test_what_cannot_work_or_is_not_safe_is_refused(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ADOptions().load({**GOOD, **change})
    assert key in refused.value.normalized_messages()


def test_a_literal_password_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ValidationError) as refused:
        ADOptions().load({**GOOD, "password": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_every_option_teaches() -> None:
    for name, field in ADOptions().fields.items():
        assert field.metadata.get("title") and field.metadata.get("help"), name
    assert all(ADOptions().fields[name].metadata["path"] is True for name in ("ca_file", "keytab", "ticket_cache"))
