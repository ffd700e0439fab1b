"""From a domain controller's name to a line that is encrypted, verified and signed in.

The settings defend against ldap3's traps: referrals are never followed (they would carry the password to the host that they name), the
certificate is always checked, and a silent server ends in an error.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException

from metasync.contract import Context, NotTrusted
from metasync_ad import errors
from metasync_ad.binding import bind
from metasync_ad.controllers import Controller
from metasync_ad.raw import RawStrategy
from metasync_ad.settings import Settings
from metasync_ad.tls import VerifiedTls


def connect(controller: Controller, settings: Settings, context: Context) -> Any:
    """A bound ldap3 connection to this controller. Raises `Unavailable`, `NotTrusted`, `SignInRefused`."""
    host = controller.host
    secret = context.secret(settings.password) if settings.password else None
    try:
        tls = VerifiedTls(ca_file=settings.ca_file, name=settings.certificate_name or host)
    except OSError as error:
        raise NotTrusted(
            f"the CA file for {host} cannot be read ({error.strerror or 'it holds no certificate'}); correct `ca file`"
        ) from None
    server = ldap3.Server(
        controller.address or host,
        port=settings.port,
        use_ssl=not settings.starttls,
        tls=tls,
        get_info="NO_INFO",
        connect_timeout=settings.connect_timeout,
        allowed_referral_hosts=[],
    )
    connection: Any = ldap3.Connection(
        server,
        auto_bind="NONE",
        authentication="ANONYMOUS",  # name and secret are handed over once the line is encrypted
        auto_referrals=False,
        auto_range=False,
        check_names=False,
        raise_exceptions=True,
        receive_timeout=settings.receive_timeout,
        return_empty_attributes=False,
    )
    _answer_raw(connection)
    try:
        _encrypt(connection, settings, host)
        bind(connection, settings, secret, host)
    except BaseException:
        discard(connection)
        raise
    return connection


def discard(connection: Any) -> None:
    """Close a connection, in whatever state; ldap3 leaves the socket of a failed attempt open."""
    line = connection.socket
    with contextlib.suppress(LDAPException, OSError, AttributeError):
        connection.unbind()
    if line is not None:
        with contextlib.suppress(OSError):
            line.close()


def _answer_raw(connection: Any) -> None:
    """ldap3 chooses its strategy by name; ours takes the place of the one that it chose, as ldap3 itself wires it."""
    strategy = RawStrategy(connection)
    connection.strategy = strategy
    for name in ("send", "open", "get_response", "post_send_single_response", "post_send_search"):
        setattr(connection, name, getattr(strategy, name))


def _encrypt(connection: Any, settings: Settings, host: str) -> None:
    try:
        connection.open(read_server_info=False)
        if settings.starttls:
            connection.start_tls(read_server_info=False)
    except (LDAPException, OSError) as error:
        raise errors.connecting(error, host, settings.port, settings.certificate_name) from None
    if not isinstance(connection.socket, ssl.SSLSocket):
        raise NotTrusted(f"the connection to {host} is not encrypted; the password was not sent")
