"""Rewrites of distinguished names (RFC 4514) and GUIDs."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from uuid import UUID

from metasync.contract import Parameter, Rewrite
from metasync_standard.tools import text_of

_ESCAPED = frozenset(',+"\\<>;=')


def parts(dn: str) -> list[tuple[str, str]]:
    """(attribute, value) of each relative name, leaf first, escapes resolved. Raises `ValueError`."""
    found: list[tuple[str, str]] = []
    for piece in _cut(dn):
        # Of a name with several attributes (RFC 4514: `+`) the first one counts.
        key, equals, value = piece.partition("=")
        if not equals or not key.strip():
            raise ValueError("the value is not a distinguished name")
        found.append((key.strip(), _unescape(_without_second(value.lstrip(" ")))))
    return found


def parent(value: Any) -> str | None:
    """As written, without the leaf."""
    pieces = _cut(text_of(value))
    if not all("=" in piece for piece in pieces):
        raise ValueError("the value is not a distinguished name")
    return ",".join(_without_spaces(piece) for piece in pieces[1:]) or None


def dn_part(value: Any, attribute: str) -> str | None:
    return next(iter(dn_parts(value, attribute)), None)


def dn_parts(value: Any, attribute: str) -> tuple[str, ...]:
    return tuple(text for key, text in parts(text_of(value)) if key.casefold() == attribute.casefold())


def escape_dn(value: Any) -> str:
    """RFC 4514, section 2.4."""
    text = text_of(value)
    escaped = "".join("\\00" if letter == "\0" else f"\\{letter}" if letter in _ESCAPED else letter for letter in text)
    if text.endswith(" "):
        escaped = escaped[:-1] + "\\ "
    if text.startswith((" ", "#")) and not escaped.startswith("\\"):
        escaped = "\\" + escaped
    return escaped


def guid_base64(value: Any) -> str:
    """Sixteen bytes in Microsoft's order (RFC 4122 calls it little-endian), as Entra's immutable id holds them."""
    return base64.b64encode(_guid(value).bytes_le).decode("ascii")


def guid_text(value: Any) -> str:
    return str(_guid(value))


def _guid(value: Any) -> UUID:
    if isinstance(value, bytes) and len(value) == 16:
        return UUID(bytes_le=value)
    if isinstance(value, str):
        text = value.strip()
        if len(text) == 24:
            try:
                return UUID(bytes_le=base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError) as error:
                raise ValueError("the value is neither a GUID nor one in Base64") from error
        try:
            return UUID(text)
        except ValueError as error:
            raise ValueError("the value is not a GUID") from error
    raise ValueError("needs a GUID: 16 bytes, or text")


def _cut(dn: str) -> list[str]:
    pieces, start, position, quoted = [], 0, 0, False
    while position < len(dn):
        letter = dn[position]
        if letter == "\\":
            position += 1
        elif letter == '"':
            quoted = not quoted
        elif letter in ",;" and not quoted:
            pieces.append(dn[start:position])
            start = position + 1
        position += 1
    return [*pieces, dn[start:]]


def _without_second(value: str) -> str:
    position = 0
    while position < len(value):
        if value[position] == "+" and not value.startswith('"'):
            return _without_spaces(value[:position])
        position += 2 if value[position] == "\\" else 1
    return _without_spaces(value)


def _without_spaces(piece: str) -> str:
    """Without spaces around, except an escaped one at the end."""
    stripped = piece.strip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and piece.endswith(" ") else stripped


def _unescape(value: str) -> str:
    """`\\,` and `\\2C` alike; hexadecimal pairs are bytes of UTF-8."""
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        value = value[1:-1]
    if "\\" not in value:
        return value
    found, position = bytearray(), 0
    while position < len(value):
        if value[position] == "\\" and position + 1 < len(value):
            pair = value[position + 1 : position + 3]
            if len(pair) == 2 and all(letter in "0123456789abcdefABCDEF" for letter in pair):
                found.append(int(pair, 16))
                position += 3
                continue
            position += 1
        found += value[position].encode("utf-8", "surrogatepass")
        position += 1
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("the distinguished name holds bytes that are not UTF-8") from error


_ATTRIBUTE = Parameter(name="attribute", help="The part's attribute: CN, OU, DC.")

REWRITES: tuple[Rewrite, ...] = (
    Rewrite(
        name="dn_part",
        function=dn_part,
        help="The first part of a distinguished name that has this attribute.",
        example=(r'dn_part("CN=Lee\\, Ann,OU=Staff,DC=contoso,DC=com", "CN")', "Lee, Ann"),
        parameters=(_ATTRIBUTE,),
    ),
    Rewrite(
        name="dn_parts",
        function=dn_parts,
        help="All parts of a distinguished name that have this attribute.",
        example=('dn_parts("CN=Ann,OU=Staff,DC=contoso,DC=com", "DC")', "contoso, com"),
        parameters=(_ATTRIBUTE,),
    ),
    Rewrite(
        name="parent",
        function=parent,
        help="A distinguished name without its first part.",
        example=('parent("CN=Ann,OU=Staff,DC=contoso,DC=com")', "OU=Staff,DC=contoso,DC=com"),
    ),
    Rewrite(
        name="escape_dn",
        function=escape_dn,
        help='A text as it is written within a distinguished name: `"OU=" + escape_dn(source.department) + ",DC=fabrikam,DC=com"`.',
        example=('escape_dn("Research, Development")', r"Research\, Development"),
    ),
    Rewrite(
        name="guid_base64",
        function=guid_base64,
        help="A GUID as Base64 of its bytes, as Entra's immutable id is written.",
        example=('guid_base64("00112233-4455-6677-8899-aabbccddeeff")', "MyIRAFVEd2aImaq7zN3u/w=="),
    ),
    Rewrite(
        name="guid_text",
        function=guid_text,
        help="A GUID as text, from bytes or Base64.",
        example=('guid_text("MyIRAFVEd2aImaq7zN3u/w==")', "00112233-4455-6677-8899-aabbccddeeff"),
    ),
)
