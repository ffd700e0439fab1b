"""The options of the connector."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from metasync.contract import DirectorySettings
from metasync.testing.context import TestContext
from metasync_entra.clouds import CLOUDS, cloud
from metasync_entra.connector import EntraID
from metasync_entra.options import EntraOptions
from metasync_entra.settings import Settings

GOOD: dict[str, Any] = {
    "tenant": "contoso.onmicrosoft.com",
    "application": "11111111-2222-3333-4444-555555555555",
    "certificate": "app.pem",
}


def test_the_least_that_is_needed_means_a_certificate_in_the_global_cloud() -> None:
    settings = Settings.of(EntraOptions().load(GOOD))
    assert (settings.sign_in, settings.cloud, settings.own_hosts) == ("certificate", CLOUDS["global"], False)
    assert settings.cloud.scope == "https://graph.microsoft.com/.default"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"tenant": "contoso"}, "tenant"),
        ({"application": "metasync"}, "application"),
        ({"application": None}, "application"),
        ({"certificate": None}, "certificate"),
        ({"secret": {"secret": "x"}}, "secret"),
        ({"secret": "in clear"}, "secret"),
        ({"sign in": "secret"}, "certificate"),
        ({"sign in": "password"}, "sign in"),
        ({"cloud": "germany"}, "cloud"),
        ({"graph": "http://graph.lab.test"}, "graph"),
        ({"graph": "https://graph.lab.test/v1.0"}, "graph"),
        ({"login": "https://user:word@login.lab.test"}, "login"),
        ({"proxy": "http://user:word@proxy.contoso.test"}, "proxy"),
        ({"threads": 99}, "threads"),
        ({"page size": 1000}, "page size"),
        ({"extensions": {"badge": "string"}}, "extensions"),
        ({"extensions": {f"extension_{'0' * 32}_badge": "text"}}, "extensions"),
        ({"verify": False}, "verify"),
        (
            {"sign in": "secret", "certificate": None, "secret": {"secret": "x"}, "certificate password": {"secret": "y"}},
            "certificate password",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_name(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as raised:
        EntraOptions().load({**GOOD, **change})
    assert key in raised.value.normalized_messages()


def test_a_managed_identity_needs_no_application() -> None:
    assert Settings.of(EntraOptions().load({"tenant": GOOD["tenant"], "sign in": "managed identity"})).application is None


def test_the_clouds_have_hosts_of_their_own() -> None:
    assert len({one.graph for one in CLOUDS.values()}) == len(CLOUDS)
    assert all(one.login.startswith("https://") and one.graph.startswith("https://") for one in CLOUDS.values())


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://graph.microsoft.com/v1.0/users?$skiptoken=x", True),
        ("https://graph.microsoft.com:443/v1.0/users", False),
        ("https://graph.microsoft.us/v1.0/users", False),
        ("http://graph.microsoft.com/v1.0/users", False),
        ("https://graph.microsoft.com.evil.test/v1.0/users", False),
        ("https://graph.microsoft.com@evil.test/v1.0/users", False),
        ("https://evil.test@graph.microsoft.com/v1.0/users", False),
        ("//graph.microsoft.com/v1.0/users", False),
    ],
)
def test_only_links_of_our_own_host_are_ours(url: str, ours: bool) -> None:
    assert cloud("global").owns(url) is ours


@pytest.mark.parametrize(("allowed", "counted"), [(None, 10), (16, 10), (3, 3)])
def test_the_rate_of_the_document_bounds_the_requests_at_once(allowed: int | None, counted: int) -> None:
    context = TestContext("contoso", settings=DirectorySettings(connections=allowed))
    made = EntraID(EntraOptions().load(GOOD), context)
    assert (made.connections, made.session.settings.threads) == (counted, counted)
