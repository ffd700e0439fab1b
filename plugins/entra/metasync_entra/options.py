"""The options of `connector: entra`, as the document writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, validate, validates_schema

from metasync.contract import Options, Secret, option
from metasync_entra import security
from metasync_entra.clouds import CLOUDS

EXTENSION = re.compile(r"extension_[0-9a-fA-F]{32}_[A-Za-z][A-Za-z0-9_]*")
EXTENSION_TYPES = ("string", "strings", "integer", "boolean", "time", "bytes")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _is_guid(text: str) -> None:
    if not _GUID.fullmatch(text):
        raise ValidationError("write the identifier as the portal shows it, such as 11111111-2222-3333-4444-555555555555")


def _is_tenant(text: str) -> None:
    if not _GUID.fullmatch(text) and not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", text):
        raise ValidationError("write the tenant's identifier, or one of its domains, such as contoso.onmicrosoft.com")


def _is_https(text: str) -> None:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.path.strip("/") or "@" in parts.netloc:
        raise ValidationError(
            "write https:// and a host, such as https://graph.microsoft.com; nothing is sent over a line that is not encrypted"
        )


def _is_address(text: str) -> None:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValidationError("write an address, such as https://proxy.contoso.test:3128")
    if parts.username or parts.password:
        raise ValidationError("it holds a name or a password; use a proxy that needs none")


def _is_extension(text: str) -> None:
    if not EXTENSION.fullmatch(text):
        raise ValidationError(
            "write the whole name of a directory extension: extension_, the application's identifier without hyphens, _, the name"
        )


def _is_security_attribute(text: str) -> None:
    if not security.NAME.fullmatch(text):
        raise ValidationError("write the attribute set, a slash, and the attribute's name, such as Engineering/Project")


def _path(field: Any) -> Any:
    field.metadata["path"] = True
    return field


def _called(name: str, field: Any) -> Any:
    field.data_key = name
    return field


class EntraOptions(Options):
    """What the document says below `options:`."""

    tenant = option(
        fields.String(required=True, validate=_is_tenant),
        title="Tenant",
        help="The tenant's identifier (a GUID), or one of its domains, such as contoso.onmicrosoft.com.",
        group="Connection",
    )
    application = option(
        fields.String(load_default=None, allow_none=True, validate=_is_guid),
        title="Application",
        help="The application (client) identifier of the app registration. With a managed identity: that of a user-assigned one, or none.",
        group="Connection",
    )
    sign_in = option(
        fields.String(
            data_key="sign in", load_default="certificate", validate=validate.OneOf(["certificate", "secret", "managed identity"])
        ),
        title="Sign in by",
        help="`certificate`: the key of a certificate that the app registration knows. `secret`: a client secret. `managed identity`: the "
        "identity of the Azure machine that Metasync runs on.",
        group="Connection",
    )
    certificate = _path(
        option(
            fields.String(load_default=None, allow_none=True),
            title="Certificate",
            help="File with certificate and private key, PEM or PFX (.pfx, .p12). Only the engine's user may read it.",
            group="Connection",
        )
    )
    certificate_password = _called(
        "certificate password",
        Secret(
            title="Password of the certificate",
            help="What the file's private key is encrypted with, as a reference to a secret; leave it out where it is not.",
            group="Connection",
        ),
    )
    secret = Secret(
        title="Client secret",
        help="With `sign in: secret`: the client secret, as a reference to a secret. A certificate is safer.",
        group="Connection",
    )
    cloud = option(
        fields.String(load_default="global", validate=validate.OneOf(list(CLOUDS))),
        title="Cloud",
        help="`global` (also GCC), `us government` (GCC High), `us government dod`, `china` (21Vianet).",
        group="Connection",
    )
    login = option(
        fields.String(load_default=None, allow_none=True, validate=_is_https),
        title="Sign-in host",
        help="Only where it is not the cloud's own, as with a lab tenant: https://127.0.0.1:8443.",
        group="Connection",
        advanced=True,
    )
    graph = option(
        fields.String(load_default=None, allow_none=True, validate=_is_https),
        title="Graph host",
        help="Only where it is not the cloud's own, as with a lab tenant: https://127.0.0.1:8444.",
        group="Connection",
        advanced=True,
    )
    ca_file = _path(
        option(
            fields.String(data_key="ca file", load_default=None, allow_none=True),
            title="CA file",
            help="PEM file of the authorities to trust, where a proxy opens the line or a lab tenant answers. Without it, the public ones "
            "that `certifi` lists. Variables such as REQUESTS_CA_BUNDLE do not count.",
            group="Connection",
        )
    )
    proxy = option(
        fields.String(load_default=None, allow_none=True, validate=_is_address),
        title="Proxy",
        help="The proxy to go through. Variables such as HTTPS_PROXY do not count.",
        group="Connection",
        advanced=True,
    )
    connect_timeout = option(
        fields.Integer(data_key="connect timeout", load_default=10, validate=validate.Range(1, 300)),
        title="Seconds to connect",
        help="How long to wait for a connection.",
        group="Connection",
        advanced=True,
    )
    receive_timeout = option(
        fields.Integer(data_key="receive timeout", load_default=60, validate=validate.Range(1, 600)),
        title="Seconds to answer",
        help="How long Graph may take to answer one request.",
        group="Connection",
        advanced=True,
    )
    threads = option(
        fields.Integer(load_default=10, validate=validate.Range(1, 16)),
        title="Requests at once",
        help="How many requests are under way at the same time, at most. 10 to 16 use up the quotas of a tenant.",
        group="Connection",
        advanced=True,
    )
    pace = option(
        fields.String(load_default="published", validate=validate.OneOf(["published", "adaptive"])),
        title="Pace",
        help="`published`: no faster than Microsoft's published quotas allow, and slower where Graph asks for it. "
        "`adaptive`: only as Graph asks.",
        group="Connection",
        advanced=True,
    )
    page_size = option(
        fields.Integer(data_key="page size", load_default=999, validate=validate.Range(1, 999)),
        title="Page size",
        help="Objects per page of a list; Graph allows 999.",
        group="Reading",
        advanced=True,
    )
    shard_above = option(
        fields.Integer(data_key="shard above", load_default=5000, validate=validate.Range(0)),
        title="Read in parts above",
        help="With more users than this, a full read asks for them by the first character of their names, several at once.",
        group="Reading",
        advanced=True,
    )
    extensions = option(
        fields.Dict(
            keys=fields.String(validate=_is_extension), values=fields.String(validate=validate.OneOf(EXTENSION_TYPES)), load_default=dict
        ),
        title="Directory extensions",
        help="Those that the document uses, each with its type: {extension_0123456789abcdef0123456789abcdef_badge: string}. Types: "
        "string, strings (several), integer, boolean, time, bytes.",
        group="Attributes",
    )
    security_attributes = option(
        fields.Dict(
            data_key="security attributes",
            keys=fields.String(validate=_is_security_attribute),
            values=fields.String(validate=validate.OneOf(security.TYPES)),
            load_default=dict,
        ),
        title="Custom security attributes",
        help="Those of users that the document uses, by set and name, each with its type: {Engineering/Project: strings}, which the "
        "document calls security_Engineering_Project. Types: string, strings (several), integer, integers, boolean. With them, every "
        "import reads everything: whether Microsoft tells of their changes is not documented.",
        group="Attributes",
    )
    invitation_address = option(
        fields.String(data_key="invitation address", load_default="https://myapplications.microsoft.com", validate=_is_address),
        title="Where guests are led",
        help="The page that a guest sees after having accepted the invitation.",
        group="Guests",
        advanced=True,
    )
    send_invitations = option(
        fields.Boolean(data_key="send invitations", load_default=False),
        title="Send invitations",
        help="Let Microsoft send each new guest an e-mail. Without it, guests are made silently.",
        group="Guests",
    )

    @validates_schema
    def _together(self, data: Mapping[str, Any], **_: Any) -> None:
        way = data.get("sign_in", "certificate")
        wanted = {"certificate": "certificate", "secret": "secret"}.get(way)
        for name in ("certificate", "secret"):
            if data.get(name) is not None and name != wanted:
                raise ValidationError(f"it means something with `sign in: {name}` alone", name)
        if wanted and data.get(wanted) is None:
            raise ValidationError(f"`sign in: {way}` needs it", wanted)
        if data.get("certificate_password") is not None and way != "certificate":
            raise ValidationError("it means something with `sign in: certificate` alone", "certificate password")
        if way != "managed identity" and not data.get("application"):
            raise ValidationError("name the app registration's application (client) identifier", "application")
        names = [security.called(one) for one in data.get("security_attributes", ())]
        if len(set(names)) < len(names):
            raise ValidationError("two of them would be called the same in the document; leave one out", "security attributes")
        if way == "managed identity" and data.get("login"):
            raise ValidationError("a managed identity is signed in by the machine, not by a host", "login")
