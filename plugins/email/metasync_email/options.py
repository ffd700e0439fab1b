"""What the document says of a mail server and of whom to write to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from metasync.contract import Options, Secret, option

PORTS = {"starttls": 587, "tls": 465, "none": 25}
# An addr-spec of RFC 5322 without quoted parts, comments and line breaks: there is nothing in it that a header could end with.
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_SERVER = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?))(?::(?P<port>[0-9]{1,5}))?")


def _address(value: str) -> None:
    if not ADDRESS.fullmatch(value):
        raise ValidationError("is not an address such as team@contoso.com; names and lists do not stand here")


def _server(value: str) -> None:
    found = _SERVER.fullmatch(value)
    if not found or not 0 < int(found["port"] or 25) < 65536:
        raise ValidationError("is not a server; write HOST, HOST:PORT or [IPv6]:PORT")


class _OneOrMany(fields.List[Any]):
    """A list; a single value stands for a list of one."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        return super()._deserialize([value] if isinstance(value, str) else value, attr, data, **kwargs)


class EmailOptions(Options):
    """Of the notifier `email`."""

    server = option(
        fields.String(required=True, validate=_server),
        title="Server",
        help="The mail server, HOST or HOST:PORT. Without a port, 587 with `starttls`, 465 with `tls`, 25 with `none`.",
        group="Connection",
    )
    encryption = option(
        fields.String(load_default="starttls", validate=validate.OneOf(list(PORTS))),
        title="Encryption",
        help="`starttls`, which is insisted on, `tls` from the first byte, or `none`: only without a password, for a relay nearby.",
        group="Connection",
    )
    ca_file = option(
        fields.String(data_key="ca file", load_default=None, allow_none=True),
        title="CA file",
        help="PEM file of the authority that issued the server's certificate. Without it, those that this machine trusts.",
        group="Connection",
    )
    ca_file.metadata["path"] = True
    verify = option(
        fields.Boolean(load_default=True),
        title="Verify",
        help="Whether the server's certificate is verified. `false` lets anybody on the way read along, and is refused with a password.",
        group="Connection",
        advanced=True,
    )
    user = option(
        fields.String(load_default=None, allow_none=True),
        title="User",
        help="Who signs in. Without it, nobody does.",
        group="Sign-in",
    )
    password = Secret(title="Password", help="The password of `user`.", group="Sign-in")
    sender = option(
        fields.String(data_key="from", required=True, validate=_address),
        title="From",
        help="The address that the mails come from.",
        group="Mail",
    )
    to = option(
        _OneOrMany(fields.String(validate=_address), required=True, validate=validate.Length(min=1, max=100)),
        title="To",
        help="The addresses that the mails go to: one, or a list.",
        group="Mail",
    )

    @validates_schema
    def _together(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data.get("user") is None) != (data.get("password") is None):
            raise ValidationError("stand together or not at all: `user` and `password`", "user")
        if data.get("password") is None:
            return
        if data.get("encryption") == "none":
            raise ValidationError("would send the password for everybody to read; use `starttls` or `tls`", "encryption")
        if not data.get("verify", True):
            raise ValidationError("would hand the password to whoever answers; name the authority in `ca file`", "verify")


def server_of(options: Mapping[str, Any]) -> tuple[str, int]:
    """(host, port)."""
    found = _SERVER.fullmatch(options["server"])
    assert found is not None
    return found["six"] or found["host"], int(found["port"] or PORTS[options["encryption"]])
