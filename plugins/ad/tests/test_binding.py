"""Signing in otherwise than by a password that is sent: NTLM, and Kerberos by password, keytab and ticket cache."""

from __future__ import annotations

import importlib.util
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from lab import kerberos

from metasync.contract import OptionsError, SignInRefused
from metasync_ad import binding

PASSWORD = "Canary-Passw0rd-4711"


def needs(*modules: str) -> pytest.MarkDecorator:
    absent = [one for one in modules if importlib.util.find_spec(one) is None]
    return pytest.mark.skipif(bool(absent), reason=f"these Python packages are not installed: {', '.join(absent)}")


@needs("spnego")
@pytest.mark.parametrize("name", ["svc-metasync@contoso.test", "CONTOSO\\svc-metasync"])
def test_ntlm_signs_in(connect: Any, name: str) -> None:
    assert connect(bind=name, **{"sign in": "ntlm"}).check().identity.startswith("S-1-5-21-")


@needs("spnego")
def test_ntlm_with_a_wrong_password_says_so_without_it(connect: Any) -> None:
    with pytest.raises(SignInRefused, match="password is wrong") as refused:
        connect(password=PASSWORD, **{"sign in": "ntlm"}).check()
    assert PASSWORD not in str(refused.value)


@pytest.fixture
def by_ticket(connect: Any, samba: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Connect by the controller's name, with options for Kerberos."""
    reason = kerberos.why_not()
    if reason is not None:
        pytest.skip(reason)
    monkeypatch.setenv("KRB5_CONFIG", str(kerberos.configure(samba, tmp_path)))
    found = {"servers": None, "domain": samba.domain, "name servers": [samba.address], "certificate name": None, "sign in": "kerberos"}
    return lambda **more: connect(**{**found, "bind": kerberos.principal(samba, samba.service), **more})


@needs("spnego", "gssapi", "krb5")
def test_kerberos_signs_in_by_password_keytab_and_ticket_cache(by_ticket: Any, samba: Any, tmp_path: Path) -> None:
    keytab = kerberos.make_keytab(samba, samba.service, tmp_path / "svc.keytab")
    tickets = kerberos.make_ticket_cache(samba, samba.service, tmp_path / "tickets")
    for more in ({}, {"without": ["password"], "keytab": str(keytab)}, {"without": ["password"], "ticket cache": str(tickets)}):
        assert by_ticket(**more).check().identity.startswith("S-1-5-21-"), more


@needs("spnego", "gssapi", "krb5")
def test_kerberos_that_fails_says_why(by_ticket: Any, tmp_path: Path) -> None:
    with pytest.raises(SignInRefused, match=r"nobody@CONTOSO\.TEST"):
        by_ticket(bind="nobody@CONTOSO.TEST").check()
    with pytest.raises(SignInRefused, match="ticket cache"):
        by_ticket(without=["password"], **{"ticket cache": str(tmp_path / "none")}).check()


def test_a_missing_library_is_named_with_how_to_install_it(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(OptionsError, match=r"pip install 'metasync-ad\[ntlm\]'"):
        connect(**{"sign in": "ntlm"}).check()


@pytest.mark.parametrize(("algorithm", "name"), [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512")])
def test_the_channel_binding_hashes_the_certificate_as_its_issuer_did(algorithm: hashes.HashAlgorithm, name: str) -> None:
    import hashlib

    from .certificates import authority

    certificate = ssl.PEM_cert_to_DER_cert(authority("Issuer", algorithm=algorithm).pem.decode())

    class Line:
        class socket:
            @staticmethod
            def getpeercert(binary_form: bool) -> bytes:
                return certificate

    assert binding.channel_binding(Line) == b"tls-server-end-point:" + hashlib.new(name, certificate).digest()
