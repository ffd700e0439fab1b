"""What Graph takes of names: characters, and what it makes of them where the mapping says nothing.

Sources: https://learn.microsoft.com/graph/api/resources/user, .../group, .../invitation (the properties' tables)
"""

from __future__ import annotations

import re
import unicodedata

from metasync.contract import Kind

_NOT_IN_NICKNAMES = re.compile(r"""[^!#$%&'*+\-/0-9=?A-Z^_`a-z{|}~]""")
_NOT_IN_A_GROUPS = re.compile(r"""[@()\\\[\]";:.<>, ]|[^\x00-\x7f]""")
_NOT_IN_AN_ANCHOR = re.compile(r"[$_]")
_NOT_IN_AN_INVITED = re.compile(r"""[~!#$%^&*()+=\[\]{}\\/|;:"<>?,\s]""")
_COUNTRY = re.compile(r"[A-Za-z]{2}")


def check_characters(kind: Kind, name: str, value: str) -> None:
    """Raises `ValueError` where an attribute, by Graph's name, cannot have this value."""
    if name == "mailNickname" and kind is Kind.GROUP:
        _refuse(name, value, _NOT_IN_A_GROUPS)
    elif name == "onPremisesImmutableId":
        _refuse(name, value, _NOT_IN_AN_ANCHOR)
    elif name == "usageLocation" and not _COUNTRY.fullmatch(value):
        raise ValueError(f"usageLocation {value!r} is no country of two letters (ISO 3166); correct it in the mapping")


def check_invited(address: str) -> None:
    """Raises `ValueError` for an address that Graph does not invite."""
    local, _, domain = address.partition("@")
    if not local or not domain or "@" in domain:
        raise ValueError(f"mail {address!r} is no address that could be invited; correct it in the mapping")
    _refuse("mail", address, _NOT_IN_AN_INVITED, "an invitation")
    if local.strip(".-") != local:
        raise ValueError(
            f"mail {address!r} begins or ends with a dot or a hyphen, which an invitation does not take; leave it out of the scope"
        )


def _refuse(name: str, value: str, wrong: re.Pattern[str], whose: str = "Graph") -> None:
    found = sorted(set(wrong.findall(value)))
    if found:
        shown = " ".join("a space" if one.isspace() else one for one in found)
        raise ValueError(f"{name} {value!r} holds {shown}, which {whose} does not take; take it out with `ascii` or `replace`")


def nickname(text: str) -> str:
    """A mailNickname made of a name: ASCII without what Graph forbids, at most 64 characters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _NOT_IN_NICKNAMES.sub("", plain)[:64] or "unnamed"


def address(text: str, tag: str) -> str:
    """The mailNickname, and so the address, of a Microsoft 365 group. Where no letter of its name is left of it, others of the sort
    would have the same: then what is the change's own tells them apart."""
    plain = nickname(text)
    told = unicodedata.normalize("NFKD", text).encode("ascii", "ignore")
    return plain if any(chr(one).isalpha() for one in told) else f"group-{tag[:8]}"
