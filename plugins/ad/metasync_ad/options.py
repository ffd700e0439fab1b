"""The options of `connector: ad`, and the settings that the other modules read them as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from metasync.contract import Options, Secret, SecretReference, option
from metasync_ad import dn as names

CONTAINER_CLASSES = ("organizationalUnit", "container", "builtinDomain")


def _is_dn(text: str) -> None:
    if not names.valid(text) or not text:
        raise ValidationError("write a distinguished name, such as OU=Staff,DC=contoso,DC=test")


def _is_filter(text: str) -> None:
    if not (text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")")):
        raise ValidationError("write an LDAP filter in parentheses, such as (employeeID=*)")


def _path(field: Any) -> Any:
    field.metadata["path"] = True
    return field


class ADOptions(Options):
    """What the document says below `options:`."""

    servers = option(
        fields.List(fields.String(validate=validate.Length(min=1)), required=True, validate=validate.Length(min=1)),
        title="Domain controllers",
        help="Host names or addresses, tried in this order. Everything of one run goes to the first that answers.",
        group="Connection",
    )
    base = option(
        fields.String(required=True, validate=_is_dn),
        title="Base",
        help="The distinguished name of the domain, such as DC=contoso,DC=test.",
        group="Connection",
    )
    bind = option(
        fields.String(required=True, validate=validate.Length(min=1)),
        title="Account",
        help="Who signs in: a user principal name (svc@contoso.test) or a distinguished name. Delegated rights suffice; "
        "it need not be a Domain Admin.",
        group="Connection",
    )
    password = Secret(title="Password", help="The account's password, as a reference to a secret.", required=True, group="Connection")
    tls = option(
        fields.String(load_default="ldaps", validate=validate.OneOf(["ldaps", "starttls"])),
        title="Encryption",
        help="`ldaps` (port 636) or `starttls` (port 389). There is no unencrypted connection.",
        group="Connection",
    )
    ca_file = _path(
        option(
            fields.String(data_key="ca file", load_default=None, allow_none=True),
            title="CA file",
            help="PEM file of the authority that issued the domain controllers' certificates. Without it, those that this machine trusts.",
            group="Connection",
        )
    )
    certificate_name = option(
        fields.String(data_key="certificate name", load_default=None, allow_none=True),
        title="Name in the certificate",
        help="The host name that the certificate must carry, where `servers` names an address or an alias.",
        group="Connection",
        advanced=True,
    )
    port = option(
        fields.Integer(load_default=None, allow_none=True, validate=validate.Range(1, 65535)),
        title="Port",
        help="Only where it is not 636 (ldaps) or 389 (starttls).",
        group="Connection",
        advanced=True,
    )
    connect_timeout = option(
        fields.Integer(data_key="connect timeout", load_default=10, validate=validate.Range(1, 300)),
        title="Seconds to connect",
        help="How long to wait for one domain controller before the next is tried.",
        group="Connection",
        advanced=True,
    )
    receive_timeout = option(
        fields.Integer(data_key="receive timeout", load_default=60, validate=validate.Range(1, 3600)),
        title="Seconds to answer",
        help="How long a domain controller may take to answer one request.",
        group="Connection",
        advanced=True,
    )
    under = option(
        fields.List(fields.String(validate=_is_dn), load_default=list),
        title="Only below",
        help="Read only below these containers. Empty: the whole base.",
        group="Reading",
    )
    filter = option(
        fields.String(load_default=None, allow_none=True, validate=_is_filter),
        title="Filter",
        help="A further LDAP filter for users, groups and contacts, such as (!(employeeType=service)). What it hides counts as not there.",
        group="Reading",
        advanced=True,
    )
    page_size = option(
        fields.Integer(data_key="page size", load_default=1000, validate=validate.Range(1, 5000)),
        title="Page size",
        help="Objects per page; domain controllers allow 1000 by default.",
        group="Reading",
        advanced=True,
    )
    container_kinds = option(
        fields.List(
            fields.String(validate=validate.OneOf(CONTAINER_CLASSES)),
            data_key="container kinds",
            load_default=lambda: ["organizationalUnit", "container"],
            validate=validate.Length(min=1),
        ),
        title="Kinds of containers",
        help="Which classes are read as containers. Those of the system (shown in the advanced view alone) never are.",
        group="Reading",
        advanced=True,
    )

    @validates_schema
    def _together(self, data: Mapping[str, Any], **_: Any) -> None:
        outside = [one for one in data.get("under", ()) if not names.is_under(one, data.get("base", ""))]
        if outside:
            raise ValidationError(f"{outside[0]} does not lie below the base {data.get('base')}", "under")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The options, typed."""

    servers: tuple[str, ...]
    base: str
    bind: str
    password: SecretReference
    starttls: bool
    ca_file: str | None
    certificate_name: str | None
    port: int
    connect_timeout: int
    receive_timeout: int
    under: tuple[str, ...]
    filter: str | None
    page_size: int
    container_kinds: tuple[str, ...]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """From options that have passed the schema."""
        starttls = options["tls"] == "starttls"
        return cls(
            servers=tuple(options["servers"]),
            base=options["base"],
            bind=options["bind"],
            password=options["password"],
            starttls=starttls,
            ca_file=options.get("ca_file"),
            certificate_name=options.get("certificate_name"),
            port=options.get("port") or (389 if starttls else 636),
            connect_timeout=options["connect_timeout"],
            receive_timeout=options["receive_timeout"],
            under=tuple(options.get("under") or ()),
            filter=options.get("filter"),
            page_size=options["page_size"],
            container_kinds=tuple(options["container_kinds"]),
        )
