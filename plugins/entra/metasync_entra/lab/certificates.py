"""Certificates that live as long as one lab tenant: an authority, the servers' certificate, and the one that the app signs in with."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

NAMES = ("localhost", "login.lab.test", "graph.lab.test")
_LIFE = timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class AppCertificate:
    """What an app signs in with: files for its side, thumbprints and the public key for the token service's."""

    key_pem: Path
    certificate_pem: Path
    pem: Path
    pfx: Path
    pfx_password: str
    thumbprint: str
    """SHA-1 in hex, as the portal shows it."""
    thumbprint_sha256: str
    certificate: x509.Certificate

    @classmethod
    def of(cls, folder: Path, name: str, certificate: x509.Certificate, pfx_password: str) -> AppCertificate:
        """By the names that its files have."""
        return cls(
            key_pem=folder / f"{name}-key.pem",
            certificate_pem=folder / f"{name}-certificate.pem",
            pem=folder / f"{name}.pem",
            pfx=folder / f"{name}.pfx",
            pfx_password=pfx_password,
            thumbprint=_thumbprint(certificate, "sha1"),
            thumbprint_sha256=_thumbprint(certificate, "sha256"),
            certificate=certificate,
        )


class Authority:
    """A throw-away authority. Its key is never written down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Metasync lab authority")
        usage = _usage(digital_signature=True, key_cert_sign=True, crl_sign=True)
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(usage, critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.file = folder / "ca.pem"
        self.file.write_bytes(_pem(self._certificate))

    def server(self) -> ssl.SSLContext:
        """What the listeners speak TLS with: localhost, 127.0.0.1, login.lab.test and graph.lab.test."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
        alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        builder = _builder(_name("localhost"), self._name, key.public_key(), self._key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        certificate = builder.add_extension(_usage(digital_signature=True), critical=True).sign(self._key, hashes.SHA256())
        whole = self._folder / "server.pem"
        _write_secret(whole, _pem(certificate) + _private(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(whole)
        whole.unlink()
        return context

    def app(self, name: str = "app") -> AppCertificate:
        """A key pair that vouches for itself, as the portal's upload takes it: PEM and PFX."""
        key = _key(name)
        subject = _name(f"Metasync lab {name}")
        certificate = _builder(subject, subject, key.public_key()).sign(key, hashes.SHA256())
        password = "lab-pfx"  # noqa: S105  it guards a key that lives as long as one lab tenant
        made = AppCertificate.of(self._folder, name, certificate, password)
        _write_secret(made.key_pem, _private(key))
        made.certificate_pem.write_bytes(_pem(certificate))
        _write_secret(made.pem, _private(key) + _pem(certificate))
        sealed = serialization.BestAvailableEncryption(password.encode())
        _write_secret(made.pfx, pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, None, sealed))
        return made


@cache
def _key(name: str) -> rsa.RSAPrivateKey:
    """Making one takes longer than all the rest of a tenant; the tenants of one process share them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _thumbprint(certificate: x509.Certificate, algorithm: str) -> str:
    return hashlib.new(algorithm, certificate.public_bytes(serialization.Encoding.DER), usedforsecurity=False).hexdigest().upper()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issued_by: ec.EllipticCurvePublicKey | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), now - timedelta(hours=1), now + _LIFE)
    # What Python 3.13 and newer insist on (VERIFY_X509_STRICT).
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issued_by or key), critical=False)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
