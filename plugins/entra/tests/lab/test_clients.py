"""Clients that others wrote, against the lab tenant: msal, azure-identity, msgraph-core."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import msal
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import CertificateCredential, ClientSecretCredential
from kiota_abstractions.authentication import AnonymousAuthenticationProvider
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from msgraph_core import BaseGraphRequestAdapter, GraphClientFactory

from metasync_entra.lab import Lab


def session(lab: Lab) -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    made.verify = str(lab.ca_file)
    return made


def credential(lab: Lab, kind: str) -> Any:
    certificate = lab.certificate
    return {
        "secret": lab.client_secret,
        "certificate": {"private_key": certificate.key_pem.read_text(), "public_certificate": certificate.certificate_pem.read_text()},
        "thumbprint": {"private_key": certificate.key_pem.read_text(), "thumbprint": certificate.thumbprint},
        "pfx": {"private_key_pfx_path": str(certificate.pfx), "passphrase": certificate.pfx_password, "public_certificate": True},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "algorithm", "header"),
    [("secret", None, None), ("certificate", "PS256", "x5t#S256"), ("thumbprint", "RS256", "x5t"), ("pfx", "PS256", "x5c")],
)
def test_msal(lab: Lab, monkeypatch: pytest.MonkeyPatch, kind: str, algorithm: str | None, header: str | None) -> None:
    sent: list[dict[str, Any]] = []
    http = session(lab)
    post = http.post

    def watched(url: str, **named: Any) -> requests.Response:
        sent.append(named.get("data") or {})
        return post(url, **named)

    monkeypatch.setattr(http, "post", watched)
    app = msal.ConfidentialClientApplication(
        lab.client_id, authority=lab.authority, client_credential=credential(lab, kind), instance_discovery=False, http_client=http
    )
    result = app.acquire_token_for_client([lab.scope])
    assert "access_token" in result, result
    if algorithm:
        found = jwt.get_unverified_header(sent[-1]["client_assertion"])
        assert found["alg"] == algorithm
        assert header in found
    answer = http.get(f"{lab.graph_url}/v1.0/users", headers={"Authorization": f"Bearer {result['access_token']}"})
    assert answer.status_code == 200
    assert app.acquire_token_for_client([lab.scope])["token_source"] == "cache"
    http.close()


def test_msal_is_told_what_is_wrong(lab: Lab) -> None:
    http = session(lab)
    for wrong, number in (("wrong", 7000215), ({**credential(lab, "thumbprint"), "thumbprint": "AB" * 20}, 700027)):
        app = msal.ConfidentialClientApplication(
            lab.client_id, authority=lab.authority, client_credential=wrong, instance_discovery=False, http_client=http
        )
        result = app.acquire_token_for_client([lab.scope])
        assert result["error"] == "invalid_client"
        assert result["error_codes"] == [number]
    http.close()


def test_msals_managed_identity(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{lab.login_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", lab.identity_header)
    http = session(lab)
    client = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=http)
    assert "access_token" in client.acquire_token_for_client(resource=lab.graph_url)
    http.close()


@pytest.mark.parametrize("kind", ["secret", "pem", "pfx"])
def test_azure_identity(lab: Lab, kind: str) -> None:
    common = {
        "authority": lab.login_url,
        "disable_instance_discovery": True,
        "transport": RequestsTransport(connection_verify=str(lab.ca_file), use_env_settings=False),
    }
    file, password = (lab.certificate.pem, None) if kind == "pem" else (lab.certificate.pfx, lab.certificate.pfx_password)
    made: Any = (
        ClientSecretCredential(lab.tenant_id, lab.client_id, lab.client_secret, **common)
        if kind == "secret"
        else CertificateCredential(lab.tenant_id, lab.client_id, str(file), password=password, **common)
    )
    token = made.get_token(lab.scope).token
    http = session(lab)
    assert http.get(f"{lab.graph_url}/v1.0/users", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    http.close()
    made.close()


def test_azure_identity_is_told_what_is_wrong(lab: Lab) -> None:
    wrong = ClientSecretCredential(
        lab.tenant_id,
        lab.client_id,
        "wrong",
        authority=lab.login_url,
        disable_instance_discovery=True,
        transport=RequestsTransport(connection_verify=str(lab.ca_file), use_env_settings=False),
    )
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        wrong.get_token(lab.scope)
    wrong.close()


@asynccontextmanager
async def graph_core(lab: Lab, graph: Any) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """msgraph-core with its own middleware (retries, redirects, telemetry): a function that sends and gives what was answered."""
    plain = httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=str(lab.ca_file)),
        trust_env=False,
        headers={"Authorization": graph.session.headers["Authorization"]},
    )
    transport = plain._transport
    client = GraphClientFactory.create_with_default_middleware(client=plain)
    adapter = BaseGraphRequestAdapter(AnonymousAuthenticationProvider(), http_client=client)

    async def send(method: Method, url: str, body: Any = None) -> Any:
        information = RequestInformation()
        information.http_method = method
        information.url = url
        if body is not None:
            information.set_stream_content(json.dumps(body).encode(), "application/json")
        raw = await adapter.send_primitive_async(information, "bytes", {})
        return json.loads(raw) if raw else None

    try:
        yield send
    finally:
        await plain.aclose()
        # The middleware does not close what it wraps.
        await transport.aclose()


def test_msgraph_core_pages_and_waits_when_it_is_throttled(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=25)["users"]
    lab.control.fault("status", status=429, retry_after="1", path="/users$", skip=1)

    async def walk() -> list[str]:
        found: list[str] = []
        async with graph_core(lab, graph) as send:
            link: str | None = f"{graph.base}/users?$top=10&$select=id"
            while link:
                page = await send(Method.GET, link)
                found += [row["id"] for row in page["value"]]
                link = page.get("@odata.nextLink")
        return found

    assert sorted(asyncio.run(walk())) == sorted(made)
    assert lab.control.stats()["statuses"]["429"] == 1, "it was refused once, and the client came again"


def test_msgraph_core_follows_a_delta_round(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=7)["users"]
    lab.control.set(delta_users=3)

    async def walk() -> tuple[list[str], str]:
        found: list[str] = []
        async with graph_core(lab, graph) as send:
            link = f"{graph.base}/users/microsoft.graph.delta()?$select=displayName"
            while True:
                page = await send(Method.GET, link)
                found += [row["id"] for row in page["value"]]
                if "@odata.deltaLink" in page:
                    return found, page["@odata.deltaLink"]
                link = page["@odata.nextLink"]

    found, link = asyncio.run(walk())
    assert sorted(found) == sorted(made)
    assert graph.round(link)[0] == []


def test_msgraph_core_writes_and_repeats_what_a_busy_service_refused(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.fault("status", status=503, retry_after="1", method="POST", path="/users$")

    async def write() -> tuple[Any, Any]:
        async with graph_core(lab, graph) as send:
            made = await send(Method.POST, f"{graph.base}/users", refused.new_user())
            return made, await send(Method.PATCH, f"{graph.base}/users/{made['id']}", {"givenName": "Ada"})

    made, changed = asyncio.run(write())
    assert changed is None
    assert lab.control.read(made["id"])["fields"]["givenName"] == "Ada"
    assert lab.control.stats()["statuses"]["503"] == 1


def test_the_certificates_are_left_to_their_owner_alone(lab: Lab) -> None:
    for file in (lab.certificate.pem, lab.certificate.key_pem, lab.certificate.pfx):
        assert Path(file).stat().st_mode & 0o077 == 0
