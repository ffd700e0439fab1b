"""Distinguished names, as far as a test double needs them (RFC 4514): escape, split, compare."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r'([,+"\\<>;=])')


def escape(value: str) -> str:
    """A value as it stands in a name: special characters get a backslash, and so do an outer space and a leading #."""
    escaped = _SPECIAL.sub(r"\\\1", value).replace("\0", r"\00")
    if escaped.startswith((" ", "#")):
        escaped = "\\" + escaped
    if escaped.endswith(" ") and len(value) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped


def split(name: str) -> tuple[str, str]:
    """The first part of a name, and its parent ("" if there is none)."""
    match = re.match(r"((?:\\.|[^\\,])*),(.*)", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")


def folded(name: str) -> str:
    """The form in which two spellings of one name are equal: case and the spaces around commas and equals signs do not count."""
    return re.sub(r"\s*(?<!\\)([,=])\s*", r"\1", name.strip()).casefold()
