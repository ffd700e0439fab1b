"""Opaque state tokens: what a nextLink or deltaLink carries, signed, so that a client that makes up or alters one is told so."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Any

import orjson

_SIGNATURE = 12


class Cursors:
    """Writes and reads tokens of one tenant. Another tenant's tokens are not read."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def write(self, state: dict[str, Any]) -> str:
        """The token."""
        plain = orjson.dumps(state)
        return base64.urlsafe_b64encode(self._sign(plain) + plain).rstrip(b"=").decode()

    def read(self, token: str) -> dict[str, Any] | None:
        """What was written, or None for a token that is not ours."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            return None
        signature, plain = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not hmac.compare_digest(signature, self._sign(plain)):
            return None
        state: dict[str, Any] = orjson.loads(plain)
        return state

    def _sign(self, plain: bytes) -> bytes:
        return hmac.digest(self._key, plain, hashlib.sha256)[:_SIGNATURE]
