"""The e-mail addresses of a mailbox (proxyAddresses), as a set with one primary address."""

from __future__ import annotations

from typing import Any

from metasync.contract import Null, Parameter, Rewrite, Several
from metasync_standard.tools import text_of


def addresses(value: Any, legacy: Any, primary: Any) -> tuple[str, ...] | None:
    """The primary first, then the others in their order.

    A reply to an old message goes to the sender's legacyExchangeDN: without it as an X500 address it bounces (IMCEAEX, KB929875). X500
    addresses keep their case. `SMTP:` in capitals marks the primary address; there is exactly one where there is any.
    """
    given = () if value is None else value if isinstance(value, tuple) else (value,)
    found: dict[tuple[str, str], str] = {}
    chosen: tuple[str, str] | None = None
    if primary is not None:
        kind, address = _taken_apart(primary)
        if kind.casefold() != "smtp":
            raise ValueError("`primary` must be an e-mail address")
        chosen = ("smtp", address.casefold())
        found[chosen] = f"SMTP:{address}"
    for one in given:
        kind, address = _taken_apart(one)
        key = (kind.casefold(), address.casefold())
        if kind == "SMTP" and chosen is None:
            chosen = key
        if key[0] == "smtp":
            found.setdefault(key, f"smtp:{address}")
        else:
            found.setdefault(key, f"{kind}:{address}")
    for one in legacy if isinstance(legacy, tuple | list) else () if legacy is None else (legacy,):
        address = text_of(one)
        address = address[5:] if address[:5].casefold() == "x500:" else address
        if address:
            found.setdefault(("x500", address.casefold()), f"X500:{address}")
    chosen = chosen or next((key for key in found if key[0] == "smtp"), None)
    if chosen is None:
        return tuple(found.values()) or None
    first = "SMTP:" + found[chosen].partition(":")[2]
    return (first, *(address for key, address in found.items() if key != chosen))


def _taken_apart(value: Any) -> tuple[str, str]:
    text = text_of(value).strip()
    kind, colon, address = text.partition(":")
    if not colon:
        kind, address = "smtp", text
    if not kind.strip() or not address.strip() or not (colon or "@" in address):
        raise ValueError("one of the values is no address such as `smtp:ann@contoso.com`")
    return kind.strip(), address.strip()


REWRITES: tuple[Rewrite, ...] = (
    Rewrite(
        name="addresses",
        function=addresses,
        help="A mailbox's addresses as a set with one primary `SMTP:` address, and the legacyExchangeDN as an X500 address, so that "
        "replies to old messages arrive.",
        example=('addresses(["smtp:a@x.com", "SMTP:ann@x.com"], "/o=Org/cn=Ann")', "SMTP:ann@x.com, smtp:a@x.com, X500:/o=Org/cn=Ann"),
        parameters=(
            Parameter(name="legacy", help="The legacyExchangeDN, or several.", type=object, default=None),
            Parameter(name="primary", help="The e-mail address to make the primary one.", type=object, default=None),
        ),
        null=Null.HANDLED,
        several=Several.ALL,
    ),
)
