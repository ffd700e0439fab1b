"""The one form in which match keys are stored and looked up: two values are the same key exactly when their forms are equal."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from unicodedata import normalize

from metasync.contract import Reference, Value

LONGEST = 400
"""Characters of a key: an entry of PostgreSQL's indexes holds 2,704 bytes, and may have two of them."""

CACHED = 16_384
"""Texts whose form is remembered, of those that take time: the same value is looked at many times within a portion."""


def normalise(value: Value | None) -> str:
    """A value as a match key: NFC, without regard to case, spaces trimmed and collapsed. Empty ("") never matches anything.

    What is longer than `LONGEST` is its beginning and the SHA-256 of all of it.
    """
    if isinstance(value, str):
        if value.isascii() and value.isprintable() and len(value) <= LONGEST:
            # Nearly all of them: nothing to escape, to fold or to shorten.
            return " ".join(value.split()).lower() if " " in value else value.lower()
        return short(_text(value))
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return short(value.hex())
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Reference):
        return short(_text(value.value))
    raise TypeError(f"a value of type {type(value).__name__} cannot be a match key")


def differ(one: str, other: str) -> bool:
    """Are these two keys? Mostly they are the very same text."""
    return one != other and normalise(one) != normalise(other)


def short(text: str) -> str:
    """Text that every index takes; different texts stay different."""
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[: LONGEST - len(digest)]}{digest}"


def storable(text: str) -> str:
    """Text that every database takes: a lone surrogate (not Unicode) and NUL are written as escapes."""
    if text.isascii():
        return text.replace("\0", "\\x00") if "\0" in text else text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


@lru_cache(maxsize=CACHED)
def _text(value: str) -> str:
    if value.isascii():
        return " ".join(storable(value).split()).lower()
    # Folding may take a string out of NFC again.
    return " ".join(normalize("NFC", normalize("NFC", storable(value)).casefold()).split())
