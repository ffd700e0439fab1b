"""Distinguished names as text (RFC 4514) and in the extended form of MS-ADTS 3.1.1.3.4.1.5, `<GUID=...>;<SID=...>;CN=...`."""

from __future__ import annotations

import re

_EXTENDED = re.compile(r"<(GUID|SID)=([^>]*)>;?")
_ESCAPED = re.compile(r'\\([0-9a-fA-F]{2})|\\([ "#+,;<=>\\])|\\')
DELETED = "\\0ADEL:"
"""Stands in the name of every deleted object."""


def split(dn: str) -> list[str]:
    """The relative names, leaf first. A separator behind a backslash belongs to the value."""
    parts: list[str] = []
    begin = at = 0
    while at < len(dn):
        if dn[at] == "\\":
            at += 2
            continue
        if dn[at] in ",;":
            parts.append(_trim(dn[begin:at]))
            begin = at + 1
        at += 1
    return [*parts, _trim(dn[begin:])] if dn else []


def _trim(part: str) -> str:
    text = part.lstrip(" ")
    stripped = text.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and len(stripped) < len(text) else stripped


def parent(dn: str) -> str:
    """Everything behind the first relative name."""
    return ",".join(split(dn)[1:])


def leaf(dn: str) -> tuple[str, str]:
    """Type and value of the first relative name, the value unescaped: ("CN", "Doe, Jane")."""
    kind, _, value = (split(dn) or [""])[0].partition("=")
    return kind.strip(), unescape(value.lstrip(" "))


def valid(dn: str) -> bool:
    """True for text that reads as a distinguished name; "" is the root."""
    try:
        return all(re.match(r"\s*([A-Za-z][\w-]*|\d+(\.\d+)*)\s*=", part) and unescape(part) is not None for part in split(dn))
    except ValueError:
        return False


def escape(value: str) -> str:
    """A value as it stands in a relative name (RFC 4514, 2.4)."""
    text = re.sub(r'([\\,+"<>;=#])', r"\\\1", value)
    text = text.replace("\0", "\\00").replace("\n", "\\0A").replace("\r", "\\0D")
    if text.startswith(" "):
        text = "\\" + text
    if text.endswith(" ") and len(value) != 1:
        text = text[:-1] + "\\ "
    return text


def unescape(value: str) -> str:
    """The way back from `escape`; hexadecimal pairs are UTF-8. Raises `ValueError` for a stray backslash or bytes that are not UTF-8."""
    done = bytearray()
    at = 0
    for found in _ESCAPED.finditer(value):
        done += value[at : found.start()].encode("utf-8", "surrogatepass")
        pair, letter = found.groups()
        if pair is None and letter is None:
            raise ValueError(f"a backslash in {value!r} escapes nothing")
        done += bytes.fromhex(pair) if pair else letter.encode()
        at = found.end()
    done += value[at:].encode("utf-8", "surrogatepass")
    return done.decode("utf-8", "surrogatepass")


def relative(kind: str, value: str) -> str:
    """`CN=Doe\\, Jane`."""
    return f"{kind}={escape(value)}"


def folded(dn: str) -> str:
    """Equal exactly for names that the directory takes for one: no case, no spaces around separators, one way to escape."""
    parts = []
    for part in split(dn):
        kind, _, value = part.partition("=")
        try:
            plain = unescape(value.strip(" ") if not value.endswith("\\ ") else value.lstrip(" "))
        except ValueError:
            plain = value
        parts.append(f"{kind.strip().casefold()}={escape(plain.casefold())}")
    return ",".join(parts)


def is_under(dn: str, base: str) -> bool:
    """True if `dn` is `base` or lies below it."""
    one, other = folded(dn), folded(base)
    return one == other or one.endswith("," + other)


def extended(text: str) -> tuple[str | None, str | None, str]:
    """(objectGUID, SID, plain name) of a name in extended form; None for what it does not hold."""
    guid = sid = None
    at = 0
    while found := _EXTENDED.match(text, at):
        if found[1] == "GUID":
            guid = found[2].lower()
        else:
            sid = found[2]
        at = found.end()
    return guid, sid, text[at:]


def domain(base: str) -> str:
    """The DNS name of the domain whose head this is: DC=contoso,DC=test -> contoso.test."""
    return ".".join(unescape(part.partition("=")[2]) for part in split(base) if part.upper().startswith("DC="))
