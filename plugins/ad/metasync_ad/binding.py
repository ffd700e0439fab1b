"""Signing in on a line that is encrypted already: by password, by a Kerberos ticket, or by NTLM.

Kerberos and NTLM go inside SASL GSS-SPNEGO (MS-ADTS 5.1.1.1.2), tied to the line by its certificate (channel binding, RFC 5929,
tls-server-end-point). Neither signs nor seals: the line does, and Active Directory refuses both at once.
"""

from __future__ import annotations

import hashlib
import importlib
from typing import Any

from ldap3.core.exceptions import LDAPException, LDAPOperationResult
from ldap3.protocol.sasl.sasl import send_sasl_negotiation

from metasync.contract import MetasyncError, OptionsError, SignInRefused, Unavailable
from metasync_ad import errors
from metasync_ad.errors import Refused
from metasync_ad.settings import Settings

_KEY_EXCHANGE = 0x40000000
"""NTLMSSP_NEGOTIATE_KEY_EXCH (MS-NLMP 2.2.2.5)."""
_SUCCESS, _IN_PROGRESS, _WRONG = 0, 14, 49
"""Results of a bind (RFC 4511, 4.2.2)."""


def bind(connection: Any, settings: Settings, secret: str | None, host: str) -> None:
    """Sign in; `secret` is the password, where there is one.

    Raises `SignInRefused`, `Unavailable`, and `OptionsError` where a library is missing.
    """
    try:
        if settings.sign_in == "simple":
            _simple(connection, settings, secret, host)
        else:
            _negotiate(connection, settings, secret, host)
    except LDAPOperationResult as error:
        if error.result == _WRONG:
            raise errors.sign_in(str(error.message), settings.bind, host) from None
        _, words = errors.outcome(Refused(int(error.result), str(error.description), str(error.message)), "signing in")
        raise Unavailable(f"{host}: {words}") from None
    except (LDAPException, OSError) as error:
        raise errors.connecting(error, host, settings.port, settings.certificate_name) from None


def _simple(connection: Any, settings: Settings, secret: str | None, host: str) -> None:
    connection.authentication, connection.user, connection.password = "SIMPLE", settings.bind, secret
    try:
        connection.bind(read_server_info=False)
    finally:
        connection.password = None
    if connection.result["result"] != _SUCCESS:
        raise errors.sign_in(str(connection.result.get("message")), settings.bind, host)


def _negotiate(connection: Any, settings: Settings, secret: str | None, host: str) -> None:
    spnego = _library(settings.sign_in)
    try:
        client = spnego.client(
            **_credential(spnego, settings, secret),
            hostname=host,
            service="ldap",
            protocol=settings.sign_in,
            context_req=spnego.ContextReq.mutual_auth | spnego.ContextReq.no_integrity,
            channel_bindings=spnego.channel_bindings.GssChannelBindings(application_data=channel_binding(connection)),
        )
        if settings.sign_in == "ntlm":
            # MS-NLMP 3.1.5.1.2 sends no key where nothing is signed or sealed; Samba asks for one wherever its exchange was negotiated.
            client._context_req &= ~_KEY_EXCHANGE
        connection.authentication, connection.sasl_mechanism = "SASL", "GSS-SPNEGO"
        token, result = client.step(), _IN_PROGRESS
        while result == _IN_PROGRESS:
            answer = send_sasl_negotiation(connection, None, token)  # type: ignore[no-untyped-call]
            result, token = answer["result"], answer.get("saslCreds")
            if result not in (_SUCCESS, _IN_PROGRESS):
                raise errors.sign_in(str(answer.get("message")), settings.bind, host)
            if token and not client.complete:  # with success too: here the controller proves who it is
                token = client.step(token)
        if not client.complete:
            raise SignInRefused(f"{host} did not prove who it is to {settings.bind}; is it a domain controller of the account's domain?")
    except (MetasyncError, LDAPException, OSError):
        raise
    except Exception as error:  # pyspnego's own, and those of the Kerberos libraries below it
        why = str(getattr(error, "message", error))
        if "clock skew" in why.lower():
            raise SignInRefused(
                f"{host} refused the ticket of {settings.bind}, for this machine's clock and the domain's differ by more than "
                "five minutes; set the clock (by NTP), then run again"
            ) from None
        raise SignInRefused(
            f"signing in as {settings.bind} by {settings.sign_in} at {host} failed: {why}; check the account, "
            "the clock, keytab or ticket cache, and that the controller is named by its host name"
        ) from None
    connection.bound = True


def _library(way: str) -> Any:
    """pyspnego: NTLM in Python, Kerberos by the system's GSSAPI, on Windows by SSPI."""
    try:
        spnego = importlib.import_module("spnego")
        importlib.import_module("spnego.channel_bindings")
    except ImportError:
        raise OptionsError(f"`sign in: {way}` needs a further library: pip install 'metasync-ad[{way}]'") from None
    return spnego


def _credential(spnego: Any, settings: Settings, secret: str | None) -> dict[str, Any]:
    if settings.keytab:
        return {"username": spnego.KerberosKeytab(keytab=settings.keytab, principal=settings.bind)}
    if settings.ticket_cache:
        return {"username": spnego.KerberosCCache(ccache=f"FILE:{settings.ticket_cache}", principal=settings.bind)}
    return {"username": settings.bind, "password": secret}


def channel_binding(connection: Any) -> bytes:
    """The certificate's hash, by the algorithm of its signature, SHA-256 at least (RFC 5929, 4.1)."""
    certificate = connection.socket.getpeercert(binary_form=True)
    return b"tls-server-end-point:" + hashlib.new(_hash_of_signature(certificate), certificate).digest()


def _hash_of_signature(certificate: bytes) -> str:
    """SHA-384 and SHA-512 stand in the certificate by these object identifiers (RFC 4055, 5758); all else counts as SHA-256."""
    for name, identifiers in _LONG_HASHES.items():
        if any(identifier in certificate for identifier in identifiers):
            return name
    return "sha256"


_LONG_HASHES = {
    "sha384": (bytes.fromhex("06092a864886f70d01010c"), bytes.fromhex("06082a8648ce3d040303")),
    "sha512": (bytes.fromhex("06092a864886f70d01010d"), bytes.fromhex("06082a8648ce3d040304")),
}
