"""The matcher `attribute`: a value of the source equals a value of the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marshmallow import fields, validate

from metasync.contract import Lookup, Matcher, Options, Reference, Values, option

ADDRESSES = "proxyaddresses"
"""Holds e-mail addresses with a prefix (`smtp:`); every other attribute holds them bare."""


class AttributeOptions(Options):
    source = option(
        fields.String(required=True, validate=validate.Length(min=1)),
        title="Source",
        help="An attribute of the source, or an expression.",
    )
    target = option(
        fields.String(required=True, validate=validate.Length(min=1)),
        title="Target",
        help="An attribute of the target, or an expression of it.",
    )


class AttributeMatcher(Matcher):
    """An object of the target that has the source's value in this attribute, whatever case and spaces. Of several values any one counts.

    An e-mail address is found in proxyAddresses with its prefix, and the other way round.
    """

    name = "attribute"
    title = "The same value in an attribute"
    Options = AttributeOptions

    @property
    def sources(self) -> Sequence[str]:
        return (self.options["source"],)

    @property
    def targets(self) -> Sequence[str]:
        return (self.options["target"],)

    def lookups(self, values: Sequence[Values | None]) -> Sequence[Lookup]:
        value = values[0] if values else None
        if value is None:
            return ()
        target = self.options["target"]
        with_prefix, bare = _holds_addresses(target), _holds_addresses(self.options["source"])
        found: list[Lookup] = []
        for one in value if isinstance(value, tuple) else (value,):
            sought: Any = one.value if isinstance(one, Reference) else one
            if isinstance(sought, str) and with_prefix != bare:
                sought = _prefixed(sought) if with_prefix else _bare(sought)
            if sought is not None and sought != "":
                found.append(Lookup(key=target, value=sought))
        return found


def _holds_addresses(text: str) -> bool:
    return text.strip().rpartition(".")[2].casefold() == ADDRESSES


def _prefixed(address: str) -> str:
    return f"smtp:{address}" if ":" not in address and "@" in address else address


def _bare(address: str) -> str | None:
    """An address of another kind (X500, SIP) is no e-mail address: it finds nothing."""
    kind, colon, rest = address.partition(":")
    if not colon:
        return address
    return rest if kind.casefold() == "smtp" else None
