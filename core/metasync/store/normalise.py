"""The one form in which match keys are stored and looked up: two values are the same key exactly when their forms are equal."""

from __future__ import annotations

from datetime import UTC, datetime
from unicodedata import normalize

from metasync.contract import Reference, Value


def normalise(value: Value | None) -> str:
    """A value as a match key: NFC, without regard to case, spaces trimmed and collapsed. Empty ("") never matches anything."""
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Reference):
        return _text(value.value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be a match key")


def storable(text: str) -> str:
    """Text that every database takes: a lone surrogate (not Unicode) and NUL are written as escapes."""
    if text.isascii():
        return text.replace("\0", "\\x00") if "\0" in text else text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _text(value: str) -> str:
    if value.isascii():
        return " ".join(storable(value).split()).lower()
    # Folding may take a string out of NFC again.
    return " ".join(normalize("NFC", normalize("NFC", storable(value)).casefold()).split())
