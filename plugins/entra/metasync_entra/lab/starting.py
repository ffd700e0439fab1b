"""Start and stop a lab tenant: certificates, listeners, and the facts that clients need."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasync_entra.lab.apps import App
from metasync_entra.lab.certificates import AppCertificate, Authority
from metasync_entra.lab.control import Control, ControlPlane
from metasync_entra.lab.exchange import Exchange
from metasync_entra.lab.faults import Faults
from metasync_entra.lab.graph import Graph
from metasync_entra.lab.messages import Answer, Request
from metasync_entra.lab.permissions import EVERYTHING
from metasync_entra.lab.server import Listener, need_loopback
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.throttle import Throttle
from metasync_entra.lab.tokens import TokenService


@dataclass(frozen=True, kw_only=True, slots=True)
class Lab:
    """A running tenant, as its clients see it."""

    login_url: str
    """https://localhost:PORT; the authority is login_url/tenant_id."""
    graph_url: str
    """https://localhost:PORT, without the version."""
    control_url: str
    exchange_url: str
    """https://localhost:PORT: what is outlook.office365.com elsewhere."""
    control_key: str
    ca_file: Path
    tenant_id: str
    client_id: str
    client_secret: str
    certificate: AppCertificate
    """key_pem, certificate_pem, pem (both), pfx with pfx_password, thumbprint."""
    stranger: AppCertificate
    """A certificate that the app does not have."""
    identity_header: str
    """For App Service's managed identity: IDENTITY_HEADER, with IDENTITY_ENDPOINT = login_url/msi/token."""
    domains: tuple[str, ...]
    folder: Path
    control: Control

    @property
    def scope(self) -> str:
        """What tokens are asked for."""
        return f"{self.graph_url}/.default"

    @property
    def authority(self) -> str:
        """For msal."""
        return f"{self.login_url}/{self.tenant_id}"

    @property
    def options(self) -> dict[str, str]:
        """Of a document's `connector: entra`, for this tenant."""
        return {
            "tenant": self.tenant_id,
            "application": self.client_id,
            "certificate": str(self.certificate.pem),
            "login": self.login_url,
            "graph": self.graph_url,
            "ca file": str(self.ca_file),
        }

    def facts(self) -> dict[str, Any]:
        """All that another process needs, for JSON."""
        return {
            "login_url": self.login_url,
            "graph_url": self.graph_url,
            "control_url": self.control_url,
            "exchange_url": self.exchange_url,
            "control_key": self.control_key,
            "ca_file": str(self.ca_file),
            "tenant_id": self.tenant_id,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "certificate": str(self.certificate.pem),
            "pfx": str(self.certificate.pfx),
            "pfx_password": self.certificate.pfx_password,
            "thumbprint": self.certificate.thumbprint,
            "identity_header": self.identity_header,
            "domains": list(self.domains),
        }


@contextmanager
def tenant(
    *,
    folder: Path | None = None,
    domains: Sequence[str] = ("contoso.onmicrosoft.com", "contoso.com"),
    roles: Sequence[str] = EVERYTHING,
    users: int = 0,
    groups: int = 0,
    contacts: int = 0,
    members: int = 0,
    seed: int = 0,
    address: str = "127.0.0.1",
    ports: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Iterator[Lab]:
    """Run a tenant in this process until the block ends. `ports`: login, Graph, control, Exchange; 0 takes a free one."""
    need_loopback(address)
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="metasync-lab-")))
        authority = Authority(place)
        context = authority.server()
        made = Tenant([one.casefold() for one in domains], seed=seed)
        made.throttle, made.faults = Throttle(made), Faults(made)
        certificate, stranger = authority.app(), authority.app("stranger")
        app = App(roles=list(roles))
        app.trust(certificate)
        made.apps[app.client_id] = app
        tokens = TokenService(made)
        control, key = Control(made), secrets.token_urlsafe(16)
        if users or groups or contacts:
            control.seed(users=users, groups=groups, contacts=contacts, members=members, number=seed)
        exchange = Exchange(made, tokens)
        made.settle = exchange.settle
        graph = Graph(made, tokens)

        def sign_in(request: Request) -> Answer:
            with made.lock:
                fault = made.faults.meet("login", request)
                answer = tokens.serve(request) if fault is None else made.faults.serve(fault, request, lambda: tokens.serve(request))
                made.calls[f"{request.method} {'token' if request.path.endswith('/token') else 'discovery'}"] += 1
                return answer

        listeners: list[Listener] = []
        for (name, serve), port in zip(
            (("login", sign_in), ("graph", graph.serve), ("control", ControlPlane(control, key).serve), ("exchange", exchange.serve)),
            ports,
            strict=True,
        ):
            listener = Listener(context, serve, address=address, port=port, name=name)
            stack.callback(listener.close)
            listeners.append(listener)
        made.login_url, made.graph_url = listeners[0].url, listeners[1].url
        made.exchange_url = listeners[3].url
        yield Lab(
            login_url=made.login_url,
            graph_url=made.graph_url,
            control_url=listeners[2].url,
            exchange_url=made.exchange_url,
            control_key=key,
            ca_file=authority.file,
            tenant_id=made.id,
            client_id=app.client_id,
            client_secret=app.secret,
            certificate=certificate,
            stranger=stranger,
            identity_header=tokens.identity_header,
            domains=tuple(made.directory.domains),
            folder=place,
            control=control,
        )
