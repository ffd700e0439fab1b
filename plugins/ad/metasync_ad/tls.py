"""Encryption by Python's own rules: ldap3's `Tls` checks host names by a function that Python deprecates, and sends no server name."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import ldap3


class VerifiedTls(ldap3.Tls):
    """The certificate must be valid, be issued by the authority, and carry the name. TLS 1.2 or later."""

    def __init__(self, *, ca_file: str | None, name: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._name = name
        self._context = ssl.create_default_context(cafile=ca_file)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Called by ldap3, for LDAPS and for StartTLS. The handshake is always made here, and the name checked in it."""
        plain = connection.socket
        try:
            connection.socket = self._context.wrap_socket(plain, server_hostname=self._name)
        except OSError:
            with contextlib.suppress(OSError):
                plain.close()
            raise
