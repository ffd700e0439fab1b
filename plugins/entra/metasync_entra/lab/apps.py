"""Apps that may sign in: their secrets, certificates and granted permissions."""

from __future__ import annotations

import base64
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from metasync_entra.lab.certificates import AppCertificate


@dataclass(kw_only=True, slots=True)
class App:
    """One registration and its service principal."""

    roles: list[str]
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    principal_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    secret_expired: bool = False
    certificates: dict[str, x509.Certificate] = field(default_factory=dict[str, x509.Certificate])
    """By x5t and by x5t#S256, without padding."""
    extensions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    used: set[str] = field(default_factory=set[str])
    """The jti of assertions that were taken."""

    def trust(self, certificate: AppCertificate) -> None:
        """Register a certificate."""
        for thumbprint in (certificate.thumbprint, certificate.thumbprint_sha256):
            self.certificates[_encoded(bytes.fromhex(thumbprint))] = certificate.certificate


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
