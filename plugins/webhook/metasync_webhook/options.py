"""What the document says of a webhook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from metasync.contract import Options, Secret, option

FORMATS = ("json", "slack", "teams")


class WebhookOptions(Options):
    """Of the notifier `webhook`."""

    url = Secret(
        title="URL",
        help="Where it is posted to, https:// alone. A secret, because whoever knows the address of a webhook may post there.",
        required=True,
    )
    secret = Secret(
        title="Secret",
        help="What each message is signed with, as text or as `whsec_` and Base64. Without it, none is. Only with the format `json`.",
    )
    format = option(
        fields.String(load_default="json", validate=validate.OneOf(FORMATS)),
        title="Format",
        help="`json` for programs; `slack` and `teams` for an incoming webhook there.",
    )
    ca_file = option(
        fields.String(data_key="ca file", load_default=None, allow_none=True),
        title="CA file",
        help="PEM file of the authority that issued the server's certificate. Without it, those that this machine trusts.",
    )
    ca_file.metadata["path"] = True

    @validates_schema
    def _signed(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("secret") is not None and data.get("format", "json") != "json":
            raise ValidationError(f"signs nothing that {data['format']} would look at; leave it out", "secret")
