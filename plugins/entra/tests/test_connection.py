"""Signing in: each way, and what is said where it does not work."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Check, DirectorySettings, NotTrusted, OptionsError, SecretMissing, SignInRefused, Unavailable
from metasync_entra.lab import Lab

from .conftest import Connect


def test_a_certificate_as_pem_opens_the_tenant(connect: Connect, lab: Lab) -> None:
    assert connect().check().identity == lab.tenant_id


def test_a_certificate_as_pfx_opens_the_tenant(connect: Connect, lab: Lab) -> None:
    password = {"certificate password": {"secret": "pfx"}}
    connector = connect(secrets={"pfx": lab.certificate.pfx_password}, certificate=str(lab.certificate.pfx), **password)
    assert connector.check().identity == lab.tenant_id


def test_a_secret_opens_the_tenant(connect: Connect, lab: Lab) -> None:
    connector = connect(secrets={"s": lab.client_secret}, certificate=None, secret={"secret": "s"}, **{"sign in": "secret"})
    assert connector.check().identity == lab.tenant_id


def test_a_managed_identity_opens_the_tenant(connect: Connect, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{lab.login_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", lab.identity_header)
    monkeypatch.setenv("IDENTITY_SERVER_THUMBPRINT", "")
    monkeypatch.delenv("IDENTITY_SERVER_THUMBPRINT")
    connector = connect(certificate=None, login=None, application=None, **{"sign in": "managed identity"})
    assert connector.check().identity == lab.tenant_id


def without_password(lab: Lab, tmp_path: Path) -> dict[str, Any]:
    return {"certificate": str(lab.certificate.pfx)}


def stranger(lab: Lab, tmp_path: Path) -> dict[str, Any]:
    return {"certificate": str(lab.stranger.pem)}


def no_key(lab: Lab, tmp_path: Path) -> dict[str, Any]:
    text = lab.certificate.pem.read_text()
    start = text.index("-----BEGIN CERTIFICATE")
    file = tmp_path / "no-key.pem"
    file.write_text(text[start : text.index("-----END CERTIFICATE") + 25])
    return {"certificate": str(file)}


def no_certificate(lab: Lab, tmp_path: Path) -> dict[str, Any]:
    text = lab.certificate.pem.read_text()
    start = text.index("-----BEGIN CERTIFICATE")
    end = text.index("-----END CERTIFICATE") + len("-----END CERTIFICATE-----")
    file = tmp_path / "no-certificate.pem"
    file.write_text(text[:start] + text[end:])
    return {"certificate": str(file)}


def nonsense(lab: Lab, tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "nonsense.pfx"
    file.write_bytes(b"\x30\x82nonsense")
    return {"certificate": str(file)}


def nowhere(lab: Lab, tmp_path: Path) -> dict[str, Any]:
    return {"certificate": str(tmp_path / "nowhere.pem")}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (stranger, "does not know the certificate"),
        (without_password, "certificate password"),
        (no_key, "holds no private key"),
        (no_certificate, "holds no certificate"),
        (nonsense, "cannot be used"),
        (nowhere, "cannot be read"),
    ],
)
def test_a_certificate_that_does_not_do_says_why(connect: Connect, lab: Lab, tmp_path: Path, how: Any, words: str) -> None:
    with pytest.raises(SignInRefused, match=words):
        connect(**how(lab, tmp_path)).check()


def test_a_clock_that_is_wrong_says_so(connect: Connect, lab: Lab) -> None:
    lab.control.set(token_skew=7200)  # what proves the certificate holds for minutes
    with pytest.raises(SignInRefused, match="set the machine's clock right"):
        connect().check()


def test_a_wrong_or_missing_password_of_the_file_says_so(connect: Connect, lab: Lab) -> None:
    more = {"certificate": str(lab.certificate.pfx), "certificate password": {"secret": "pfx"}}
    with pytest.raises(SignInRefused, match="its password is wrong"):
        connect(secrets={"pfx": "wrong"}, **more).check()
    with pytest.raises(SecretMissing):
        connect(**more).check()


@pytest.mark.parametrize("expired", [False, True])
def test_a_secret_that_is_wrong_or_over_says_so_and_is_not_said(connect: Connect, lab: Lab, expired: bool) -> None:
    secret = lab.client_secret if expired else "w" * 40
    lab.control.secret(expired=expired)
    connector = connect(secrets={"s": secret}, certificate=None, secret={"secret": "s"}, **{"sign in": "secret"})
    with pytest.raises(SignInRefused, match="expired" if expired else "secret is wrong") as raised:
        connector.check()
    assert secret not in str(raised.value)
    assert not connector.context.leaks(raised.value)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"application": "99999999-2222-3333-4444-555555555555"}, "no such application"),
        ({"tenant": "99999999-2222-3333-4444-555555555555"}, "tenant"),
    ],
)
def test_who_is_not_there_is_named(connect: Connect, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SignInRefused, match=words):
        connect(**change).check()


def test_a_certificate_of_an_unknown_authority_is_refused_whatever_the_environment_says(
    connect: Connect, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(lab.ca_file))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(lab.ca_file))
    with pytest.raises(NotTrusted, match="ca file"):
        connect(**{"ca file": None}).check()


def test_the_environment_cannot_take_the_trust_away(connect: Connect, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert connect().check().identity == lab.tenant_id


def test_a_ca_file_that_is_not_there_is_named(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(NotTrusted, match="nowhere"):
        connect(**{"ca file": str(tmp_path / "nowhere.pem")}).check()


def test_a_sign_in_host_that_does_not_answer_is_named(connect: Connect) -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        connect(login="https://127.0.0.1:1").check()


def test_a_graph_that_the_sign_in_host_does_not_know_is_named(connect: Connect) -> None:
    with pytest.raises(SignInRefused, match="correct `cloud` or `graph`"):
        connect(graph="https://127.0.0.1:1").check()


def test_a_sign_in_host_that_is_out_of_order_says_so(connect: Connect, lab: Lab) -> None:
    lab.control.fault("status", listener="login", path="token", status=503, times=None)
    with pytest.raises(Unavailable, match=r"out of order|patience"):
        connect().check()


def test_many_threads_ask_for_one_token(connect: Connect, lab: Lab) -> None:
    connector = connect()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(connector.session.tokens.get())) for _ in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 20 and len(set(found)) == 1
    assert lab.control.stats()["calls"]["POST token"] == 1


def test_a_connector_works_again_after_it_was_closed(connect: Connect, lab: Lab) -> None:
    connector = connect()
    connector.check()
    connector.close()
    assert connector.check().identity == lab.tenant_id


# --- what the application may do ----------------------------------------------------------------------------------------------------------


def checked(connect: Connect, lab: Lab, *roles: str) -> Check:
    lab.control.grant(list(roles))
    return connect().check()


def missing(check: Check) -> dict[str, bool]:
    """Permission -> can the purpose do without it?"""
    return {right.right.partition(" ")[0]: bool(right.optional) for right in check.rights if not right.granted}


def test_the_least_permissions_suffice(connect: Connect, lab: Lab) -> None:
    least = ("User.ReadWrite.All", "Group.ReadWrite.All", "OrgContact.Read.All", "Organization.Read.All")
    check = checked(connect, lab, *least, "User.Invite.All", "User-PasswordProfile.ReadWrite.All")
    assert missing(check) == {}
    assert check.excessive == ()
    assert set(least) <= set(check.granted)


def test_what_is_missing_is_named_with_what_it_is_for(connect: Connect, lab: Lab) -> None:
    check = checked(connect, lab, "User.Read.All")
    lacking = missing(check)
    assert lacking["User.ReadWrite.All"] is False
    assert lacking["GroupMember.Read.All"] is True
    commands = [command for right in check.rights for command in right.commands]
    assert commands and all(lab.client_id in command for command in commands)


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("security_Engineering_Badge", "custom security attribute"),
        ("otherMails", "no text that a new object can be given"),
        ("userType", "no text that a new object can be given"),
        ("extension_0123456789abcdef0123456789abcdef_mark", "no attribute that is known"),
    ],
)
def test_a_mark_that_no_create_can_carry_is_refused(connect: Connect, mark: str, words: str) -> None:
    connector = connect(settings=DirectorySettings(mark=mark), **{"security attributes": {"Engineering/Badge": "string"}})
    with pytest.raises(OptionsError, match=f"{words}.*extensionAttribute15"):
        connector.check()


@pytest.mark.parametrize("role", ["Directory.ReadWrite.All", "RoleManagement.ReadWrite.Directory", "Mail.Read"])
def test_what_is_too_much_is_named(connect: Connect, lab: Lab, role: str) -> None:
    assert any(role in one for one in checked(connect, lab, "User.Read.All", role).excessive)


def test_no_permission_at_all_is_said(connect: Connect, lab: Lab) -> None:
    check = checked(connect, lab)
    assert any("no permission at all" in one for one in check.warnings)


def test_contacts_are_said_to_be_read_only_and_guests_are_offered(connect: Connect, lab: Lab) -> None:
    (warning,) = [one for one in checked(connect, lab, "User.Read.All").warnings if "contacts" in one]
    assert "read only" in warning and "guest" in warning.lower()
