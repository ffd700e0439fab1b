"""The token service: what it grants, and how it refuses."""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

import jwt
import pytest

from metasync_entra.lab import Lab, rules

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def assertion(lab: Lab, *, thumbprint: str | None = None, key: Any = None, algorithm: str = "PS256", **claims: Any) -> dict[str, str]:
    """What a client with the app's certificate sends."""
    now = int(time.time())
    whole = {
        "aud": f"{lab.authority}/oauth2/v2.0/token",
        "iss": lab.client_id,
        "sub": lab.client_id,
        "jti": str(uuid.uuid4()),
        "nbf": now,
        "exp": now + 600,
        **claims,
    }
    raw = bytes.fromhex(thumbprint or lab.certificate.thumbprint_sha256)
    headers = {"x5t#S256" if len(raw) == 32 else "x5t": base64.urlsafe_b64encode(raw).decode()}
    signed = jwt.encode(whole, key or lab.certificate.key_pem.read_bytes(), algorithm=algorithm, headers=headers)
    return {"client_secret": "", "client_assertion_type": ASSERTION, "client_assertion": signed}


def test_a_secret_gets_a_token_whose_claims_say_whose_it_is(lab: Lab, graph: Any) -> None:
    answer = graph.token()
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 3_599
    keys = graph.session.get(f"{lab.authority}/discovery/v2.0/keys").json()["keys"]
    key = jwt.PyJWK(keys[0])
    claims = jwt.decode(answer.json()["access_token"], key, algorithms=["RS256"], audience=lab.graph_url)
    assert claims["tid"] == lab.tenant_id
    assert claims["appid"] == lab.client_id
    assert claims["idtyp"] == "app"
    assert "User.ReadWrite.All" in claims["roles"]


def test_discovery_names_the_endpoints(lab: Lab, graph: Any) -> None:
    found = graph.session.get(f"{lab.authority}/v2.0/.well-known/openid-configuration").json()
    assert found["token_endpoint"] == f"{lab.authority}/oauth2/v2.0/token"
    assert found["issuer"].startswith(lab.login_url)
    instance = graph.session.get(f"{lab.login_url}/common/discovery/instance").json()
    assert instance["api-version"] == "1.1"
    assert instance["tenant_discovery_endpoint"].startswith(lab.login_url)


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_an_assertion_by_the_apps_certificate_gets_a_token(lab: Lab, graph: Any, algorithm: str) -> None:
    assert graph.token(**assertion(lab, algorithm=algorithm)).status_code == 200
    assert graph.token(**assertion(lab, algorithm=algorithm, thumbprint=lab.certificate.thumbprint)).status_code == 200


def test_refusals_have_the_shape_and_the_numbers_of_the_service(lab: Lab, graph: Any, refused: Any) -> None:
    answer = graph.token(client_secret="wrong")
    refused(answer, rules.TOKEN_SECRET, 401, "invalid_client", "AADSTS7000215")
    assert set(answer.json()) >= {"error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"}, rules.TOKEN_SHAPE
    assert answer.json()["error_codes"] == [7000215]
    assert answer.json()["trace_id"] in answer.json()["error_description"]
    refused(graph.token(grant_type="password"), rules.TOKEN_GRANT, 400, "unsupported_grant_type", "AADSTS70003")
    refused(graph.token(client_id=str(uuid.uuid4())), rules.TOKEN_APP, 400, "unauthorized_client", "AADSTS700016")
    refused(graph.token(scope="https://graph.microsoft.com/User.Read"), rules.TOKEN_SCOPE, 400, "invalid_scope", "AADSTS1002012")
    refused(graph.token(client_secret=""), rules.TOKEN_CREDENTIAL, 401, "invalid_client", "7000218")
    lab.control.secret(expired=True)
    refused(graph.token(), rules.TOKEN_SECRET_EXPIRED, 401, "invalid_client", "AADSTS7000222")
    elsewhere = graph.session.post(f"{lab.login_url}/{uuid.uuid4()}/oauth2/v2.0/token", data={})
    refused(elsewhere, rules.TOKEN_TENANT, 400, "invalid_request", "AADSTS90002")


def test_an_assertion_that_is_not_right_is_refused(lab: Lab, graph: Any, refused: Any) -> None:
    stranger = lab.stranger
    key = stranger.key_pem.read_bytes()
    refused(graph.token(**assertion(lab, key=key)), rules.TOKEN_ASSERTION, 401, "invalid_client", "AADSTS700027")
    unknown = assertion(lab, key=key, thumbprint=stranger.thumbprint)
    refused(graph.token(**unknown), rules.TOKEN_ASSERTION, 401, text="The key was not found")
    refused(graph.token(**assertion(lab, iss="somebody")), rules.TOKEN_SUBJECT, 401, text="AADSTS700021")
    refused(graph.token(**assertion(lab, aud="https://elsewhere")), rules.TOKEN_AUDIENCE, 401, text="AADSTS700023")
    refused(graph.token(**assertion(lab, exp=int(time.time()) - 3_600)), rules.TOKEN_TIME, 401, text="AADSTS700024")
    once = assertion(lab)
    assert graph.token(**once).status_code == 200
    refused(graph.token(**once), rules.TOKEN_ONCE, 401)


def test_a_clock_that_is_wrong_makes_the_assertion_untimely(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.set(token_skew=3_600.0)
    refused(graph.token(**assertion(lab)), rules.TOKEN_TIME, 401, text="not within its valid time range")


def test_managed_identities(lab: Lab, graph: Any) -> None:
    url = f"{lab.login_url}/metadata/identity/oauth2/token"
    query = {"resource": lab.graph_url, "api-version": "2018-02-01"}
    assert graph.session.get(url, params=query).status_code == 400, rules.MANAGED_IDENTITY
    answer = graph.session.get(url, params=query, headers={"Metadata": "true"})
    assert answer.json()["token_type"] == "Bearer"
    service = f"{lab.login_url}/msi/token"
    assert graph.session.get(service, params=query).status_code == 401
    assert graph.session.get(service, params=query, headers={"X-IDENTITY-HEADER": lab.identity_header}).status_code == 200


def test_graph_takes_tokens_of_its_own_tenant_alone_and_while_they_live(lab: Lab, graph: Any, refused: Any) -> None:
    assert graph.get("/users").status_code == 200
    lab.control.clock(advance=3_601)
    refused(graph.get("/users"), rules.ACCESS_TOKEN, 401, "InvalidAuthenticationToken", "expired")
    graph.sign_in()
    assert graph.get("/users").status_code == 200
    graph.sign_in(scope="https://outlook.office365.com/.default")
    refused(graph.get("/users"), rules.ACCESS_TOKEN, 401, text="audience")
    graph.session.headers["Authorization"] = "Bearer made.up.token"
    refused(graph.get("/users"), rules.ACCESS_TOKEN, 401, text="signature")
    graph.session.headers["Authorization"] = ""
    refused(graph.get("/users"), rules.ACCESS_TOKEN, 401, text="empty")
