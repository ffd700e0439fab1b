"""The options of `connector: ad` as the other modules read them: typed, with what follows from one another worked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metasync.contract import SecretReference

Text = str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """See `ADOptions` for what each means."""

    servers: tuple[str, ...] = ()
    domain: Text = None
    site: Text = None
    name_servers: tuple[str, ...] = ()
    base: str
    sign_in: str = "simple"
    bind: str
    password: SecretReference | None = None
    keytab: Text = None
    ticket_cache: Text = None
    starttls: bool
    ca_file: Text
    certificate_name: Text
    port: int
    connect_timeout: int
    receive_timeout: int
    under: tuple[str, ...]
    filter: Text
    page_size: int
    connections: int = 1
    container_kinds: tuple[str, ...]
    changes: str = "auto"
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Bases of further naming contexts, each with its own controllers, if it has any."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """From options that have passed the schema."""
        starttls = options["tls"] == "starttls"
        return cls(
            servers=tuple(options.get("servers") or ()),
            domain=options.get("domain"),
            site=options.get("site"),
            name_servers=tuple(options.get("name_servers") or ()),
            base=options["base"],
            sign_in=options["sign_in"],
            bind=options["bind"],
            password=options.get("password"),
            keytab=options.get("keytab"),
            ticket_cache=options.get("ticket_cache"),
            starttls=starttls,
            ca_file=options.get("ca_file"),
            certificate_name=options.get("certificate_name"),
            port=options.get("port") or (389 if starttls else 636),
            connect_timeout=options["connect_timeout"],
            receive_timeout=options["receive_timeout"],
            under=tuple(options.get("under") or ()),
            filter=options.get("filter"),
            page_size=options["page_size"],
            connections=options["connections"],
            container_kinds=tuple(options["container_kinds"]),
            changes=options["changes"],
            further={base: tuple(servers) for base, servers in (options.get("further_domains") or {}).items()},
        )
