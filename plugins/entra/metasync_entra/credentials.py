"""What the application proves itself with, in the form that msal takes. Nothing of it is kept here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate

from metasync.contract import Context, SignInRefused
from metasync_entra.settings import Settings


def credential(settings: Settings, context: Context) -> Any:
    """A client secret, or key and certificate as PEM (msal then signs by PS256 with x5t#S256). Raises `SignInRefused`, `SecretMissing`."""
    if settings.sign_in == "secret":
        assert settings.secret is not None  # the options' schema sees to it
        return context.secret(settings.secret)
    assert settings.certificate is not None
    password = context.secret(settings.certificate_password).encode() if settings.certificate_password else None
    key, certificate = _read(settings.certificate, password)
    return {"private_key": key, "public_certificate": certificate}


def _read(file: str, password: bytes | None) -> tuple[str, str]:
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise SignInRefused(
            f"the file {file} of `certificate` cannot be read ({error.strerror}); correct the option or its rights"
        ) from None
    try:
        return _pem(content, password) if b"-----BEGIN" in content else _pfx(content, password)
    except (ValueError, TypeError) as error:
        if not isinstance(error, _Incomplete):
            needs = "its password is wrong, or it is no certificate with a private key" if password else "it is encrypted or damaged"
            raise SignInRefused(
                f"the file {file} of `certificate` cannot be used: {needs}; set `certificate password` to the right secret"
            ) from None
        raise SignInRefused(f"the file {file} of `certificate` {error}; export certificate and key together") from None


class _Incomplete(ValueError):
    """A file that can be read and lacks a part."""


def _pem(content: bytes, password: bytes | None) -> tuple[str, str]:
    if b"PRIVATE KEY-----" not in content:
        raise _Incomplete("holds no private key")
    if b"BEGIN CERTIFICATE" not in content:
        raise _Incomplete("holds no certificate")
    encrypted = b"ENCRYPTED" in content
    key = load_pem_private_key(_block(content, b"PRIVATE KEY"), password if encrypted else None)
    certificate = load_pem_x509_certificate(content)
    return _text(key), certificate.public_bytes(Encoding.PEM).decode()


def _block(content: bytes, what: bytes) -> bytes:
    """The block of a PEM file that ends with this name, whatever stands before and after it."""
    start = next(
        at for at in range(len(content)) if content.startswith(b"-----BEGIN ", at) and what in content[at : content.index(b"\n", at)]
    )
    end = content.index(b"-----END ", start)
    return content[start : content.index(b"-----", end + 9) + 5] + b"\n"


def _pfx(content: bytes, password: bytes | None) -> tuple[str, str]:
    key, certificate, _ = pkcs12.load_key_and_certificates(content, password)
    if key is None:
        raise _Incomplete("holds no private key")
    if certificate is None:
        raise _Incomplete("holds no certificate")
    return _text(key), certificate.public_bytes(Encoding.PEM).decode()


def _text(key: Any) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()
