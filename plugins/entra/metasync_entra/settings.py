"""The options of `connector: entra` as the other modules read them: typed, with what follows from one another worked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metasync.contract import SecretReference
from metasync_entra.clouds import Cloud, cloud


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """See `EntraOptions` for what each means."""

    tenant: str
    application: str | None
    sign_in: str
    certificate: str | None = None
    certificate_password: SecretReference | None = None
    secret: SecretReference | None = None
    cloud: Cloud
    own_hosts: bool
    """The sign-in host is not Microsoft's, so that Microsoft is not asked about it."""
    ca_file: str | None = None
    proxy: str | None = None
    connect_timeout: int = 10
    receive_timeout: int = 60
    threads: int = 10
    pace: str = "published"
    page_size: int = 999
    shard_above: int = 5000
    extensions: Mapping[str, str] = field(default_factory=dict)
    security_attributes: Mapping[str, str] = field(default_factory=dict)
    invitation_address: str = "https://myapplications.microsoft.com"
    send_invitations: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """From options that have passed the schema."""
        return cls(
            tenant=options["tenant"],
            application=options.get("application"),
            sign_in=options["sign_in"],
            certificate=options.get("certificate"),
            certificate_password=options.get("certificate_password"),
            secret=options.get("secret"),
            cloud=cloud(options["cloud"], login=options.get("login"), graph=options.get("graph")),
            own_hosts=bool(options.get("login")),
            ca_file=options.get("ca_file"),
            proxy=options.get("proxy"),
            connect_timeout=options["connect_timeout"],
            receive_timeout=options["receive_timeout"],
            threads=options["threads"],
            pace=options["pace"],
            page_size=options["page_size"],
            shard_above=options["shard_above"],
            extensions=dict(options["extensions"]),
            security_attributes=dict(options["security_attributes"]),
            invitation_address=options["invitation_address"],
            send_invitations=options["send_invitations"],
        )
