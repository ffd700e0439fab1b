"""The options of `connector: ad`, as the document writes them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ldap3.core.exceptions import LDAPException
from ldap3.operation.search import compile_filter, parse_filter
from marshmallow import ValidationError, fields, validate, validates_schema

from metasync.contract import Options, Secret, option
from metasync_ad import dn as names

CONTAINER_CLASSES = ("organizationalUnit", "container", "builtinDomain")


def _is_dn(text: str) -> None:
    if not names.valid(text) or not text:
        raise ValidationError("write a distinguished name, such as OU=Staff,DC=contoso,DC=test")


def _is_filter(text: str) -> None:
    """As it will be sent: what ldap3 cannot take apart would look like a line that broke."""
    try:
        (only,) = parse_filter(text, None, True, True, None, False).elements  # type: ignore[no-untyped-call]
        compile_filter(only)  # type: ignore[no-untyped-call]
    except (LDAPException, AttributeError, IndexError, ValueError):  # of parentheses that match in number alone it says the second
        raise ValidationError("write one LDAP filter in parentheses, such as (employeeID=*)") from None


def _is_domain(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+", text):
        raise ValidationError("write the domain's DNS name, such as contoso.test")


def _is_site(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValidationError("write the site's name, such as Zurich: letters, digits and hyphens")


def _is_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValidationError("write the address of a DNS server, such as 192.0.2.53") from None


def _path(field: Any) -> Any:
    field.metadata["path"] = True
    return field


class ADOptions(Options):
    """What the document says below `options:`."""

    servers = option(
        fields.List(fields.String(validate=validate.Length(min=1)), load_default=list),
        title="Domain controllers",
        help="Host names or addresses, tried in this order. Everything of one run goes to the first that answers. Or give `domain`.",
        group="Connection",
    )
    domain = option(
        fields.String(load_default=None, allow_none=True, validate=_is_domain),
        title="Domain",
        help="The domain's DNS name, such as contoso.test: its controllers are found in DNS, instead of `servers`.",
        group="Connection",
    )
    site = option(
        fields.String(load_default=None, allow_none=True, validate=_is_site),
        title="Site",
        help="With `domain`: the controllers of this Active Directory site are tried first.",
        group="Connection",
        advanced=True,
    )
    name_servers = option(
        fields.List(fields.String(validate=_is_address), data_key="name servers", load_default=list),
        title="Name servers",
        help="With `domain`: addresses of the DNS servers to ask, where those of this machine do not know the domain.",
        group="Connection",
        advanced=True,
    )
    base = option(
        fields.String(required=True, validate=_is_dn),
        title="Base",
        help="The distinguished name of the domain, such as DC=contoso,DC=test.",
        group="Connection",
    )
    further_domains = option(
        fields.Dict(
            keys=fields.String(validate=_is_dn),
            values=fields.List(fields.String(validate=validate.Length(min=1))),
            data_key="further domains",
            load_default=dict,
        ),
        title="Further domains",
        help="Bases of further naming contexts that belong to this directory, such as child domains, each with its domain controllers: "
        '{"DC=eu,DC=contoso,DC=test": [dc1.eu.contoso.test]}. An empty list: with `servers` the same ones, with `domain` those of DNS.',
        group="Connection",
        advanced=True,
    )
    sign_in = option(
        fields.String(data_key="sign in", load_default="simple", validate=validate.OneOf(["simple", "kerberos", "ntlm"])),
        title="Sign in by",
        help="`simple`: the password goes over the encrypted line. `kerberos`: a keytab, a ticket cache or the password makes a ticket. "
        "`ntlm`: only where neither of them is allowed. The last two need an extra of this plugin.",
        group="Connection",
        advanced=True,
    )
    bind = option(
        fields.String(required=True, validate=validate.Length(min=1)),
        title="Account",
        help="Who signs in: a user principal name (svc@contoso.test) or a distinguished name. Delegated rights suffice; "
        "it need not be a Domain Admin. For `kerberos` the principal, for `ntlm` also CONTOSO\\svc.",
        group="Connection",
    )
    password = Secret(
        title="Password",
        help="The account's password, as a reference to a secret. Only Kerberos with a keytab or a ticket cache does without.",
        group="Connection",
    )
    keytab = _path(
        option(
            fields.String(load_default=None, allow_none=True),
            title="Keytab",
            help="For `kerberos`: the file with the account's keys, instead of a password. Only the engine's user may read it.",
            group="Connection",
            advanced=True,
        )
    )
    ticket_cache = _path(
        option(
            fields.String(data_key="ticket cache", load_default=None, allow_none=True),
            title="Ticket cache",
            help="For `kerberos`: the file with tickets that something else keeps fresh, instead of a password.",
            group="Connection",
            advanced=True,
        )
    )
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
    connections = option(
        fields.Integer(load_default=1, validate=validate.Range(1, 16)),
        title="Connections",
        help="How many connections to one domain controller an import with several `under`, or an export, may use at a time.",
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

    changes = option(
        fields.String(load_default="auto", validate=validate.OneOf(["auto", "dirsync", "usn", "full"])),
        title="How changes are followed",
        help="`auto`: by DirSync, else by uSNChanged, else every import reads everything: the first that the account's rights make safe. "
        "`dirsync`, `usn`: only so. `full`: always read everything.",
        group="Reading",
        advanced=True,
    )

    @validates_schema
    def _together(self, data: Mapping[str, Any], **_: Any) -> None:
        bases = [data.get("base", ""), *data.get("further_domains", {})]
        if len({names.folded(base) for base in bases}) < len(bases):
            raise ValidationError("it names a base twice, or that of `base`", "further domains")
        outside = [one for one in data.get("under", ()) if not any(names.is_under(one, base) for base in bases)]
        if outside:
            raise ValidationError(f"{outside[0]} does not lie below the base {data.get('base')}", "under")
        if bool(data.get("servers")) == bool(data.get("domain")):
            raise ValidationError("name the domain controllers in `servers`, or the DNS name in `domain`: one of the two", "servers")
        for name in ("site", "name_servers"):
            if data.get(name) and not data.get("domain"):
                raise ValidationError("it means something with `domain` alone", name.replace("_", " "))
        files = [name for name in ("keytab", "ticket_cache") if data.get(name)]
        if files and data.get("sign_in") != "kerberos":
            raise ValidationError("it means something with `sign in: kerberos` alone", files[0].replace("_", " "))
        if len(files) + (data.get("password") is not None) != 1:
            ways = "a password, a keytab or a ticket cache" if data.get("sign_in") == "kerberos" else "a password"
            raise ValidationError(f"give {ways}, and no more than one", "password")
