"""Distinguished names as text (RFC 4514): taken apart, compared and moved from one tree to another. Knows no schema."""

from __future__ import annotations

from functools import lru_cache

HEX = frozenset("0123456789abcdefABCDEF")


def split(dn: str) -> list[str]:
    """The relative names, leaf first, each trimmed and otherwise as written. An escaped comma does not separate."""
    parts: list[str] = []
    start = position = 0
    while position < len(dn):
        letter = dn[position]
        if letter == "\\":
            position += 2
            continue
        if letter in ",;":
            parts.append(_trim(dn[start:position]))
            start = position + 1
        position += 1
    last = _trim(dn[start:])
    return [*parts, last] if last or parts else []


def parent(dn: str) -> str:
    """What is left without the leaf; "" for a name of one part."""
    return ",".join(split(dn)[1:])


@lru_cache(maxsize=65536)
def folded(dn: str) -> str:
    """A form that is equal exactly when two names are: no spaces around separators, no case, escapes resolved to one form."""
    return ",".join(_fold(part) for part in split(dn))


def is_under(dn: str, base: str) -> bool:
    """True if `dn` is `base` or lies below it."""
    one, other = folded(dn), folded(base)
    return one == other or one.endswith("," + other)


def mirrored(dn: str, base: str, target: str) -> str | None:
    """The place below `target` that corresponds to `dn` below `base`; None if it does not lie there."""
    if not is_under(dn, base):
        return None
    relative = split(dn)[: len(split(dn)) - len(split(base))]
    return ",".join([*relative, target]) if relative else target


def _trim(part: str) -> str:
    """Without the spaces around it; an escaped space at the end belongs to the value."""
    stripped = part.strip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and part.rstrip(" ") != part else stripped


def _fold(part: str) -> str:
    name, equals, value = part.partition("=")
    if not equals:
        return part.strip(" ").casefold()
    return name.strip(" ").casefold() + "=" + _unescaped(_trim(value)).casefold()


def _unescaped(value: str) -> str:
    """The value with every escape in one form: what must be escaped keeps a backslash, hexadecimal pairs become their letters."""
    out: list[str] = []
    raw = bytearray()

    def flush() -> None:
        if raw:
            out.append("".join("\\" + one if one in ',;+"\\<>=' else one for one in raw.decode("utf-8", "backslashreplace")))
            raw.clear()

    position = 0
    while position < len(value):
        letter = value[position]
        if letter == "\\" and position + 1 < len(value):
            pair = value[position + 1 : position + 3]
            if len(pair) == 2 and pair[0] in HEX and pair[1] in HEX:
                raw.append(int(pair, 16))
                position += 3
                continue
            flush()
            following = value[position + 1]
            out.append("\\" + following if following in ',;+"\\<>=' else following)
            position += 2
            continue
        flush()
        out.append("\\=" if letter == "=" else letter)
        position += 1
    flush()
    return "".join(out)
