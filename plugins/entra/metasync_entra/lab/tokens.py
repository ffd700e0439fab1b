"""The token service: discovery, keys, and tokens for apps by secret, by certificate and as a managed identity."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from jwt.types import Options

from metasync_entra.lab.apps import App
from metasync_entra.lab.messages import Answer, Request
from metasync_entra.lab.rules import (
    MANAGED_IDENTITY,
    TOKEN_APP,
    TOKEN_ASSERTION,
    TOKEN_AUDIENCE,
    TOKEN_CREDENTIAL,
    TOKEN_GRANT,
    TOKEN_ONCE,
    TOKEN_SCOPE,
    TOKEN_SECRET,
    TOKEN_SECRET_EXPIRED,
    TOKEN_SHAPE,
    TOKEN_SUBJECT,
    TOKEN_TENANT,
    TOKEN_TIME,
    Rule,
    follows,
    name_of,
)
from metasync_entra.lab.tenant import GRAPH_APP, Tenant

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RESOURCES = {"https://graph.microsoft.com", GRAPH_APP, "https://outlook.office365.com"}
_SLACK = 300
_UNCHECKED: Options = {
    "verify_aud": False,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_jti": False,
    "verify_sub": False,
}
"""The signature alone is checked by the library: times are the tenant's own, and each wrong claim has a number of its own."""


class SignInRefused(Exception):
    """The token service says no."""

    def __init__(self, rule: Rule, number: int, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.rule, self.number, self.error, self.text, self.status = rule, number, error, text, status


class TokenService:
    """Signs with one key, made at start."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = uuid.uuid4().hex
        self._verified: dict[str, dict[str, Any]] = {}
        self.identity_header = uuid.uuid4().hex
        """What App Service's endpoint wants to see."""

    # --- for the other listeners --------------------------------------------------------------------------------------------------------

    def claims(self, token: str) -> dict[str, Any] | None:
        """The claims of an access token that this service signed, or None. Whether it is still valid is asked by the caller."""
        known = self._verified.get(token)
        if known is None:
            try:
                known = jwt.decode(
                    token,
                    self._key.public_key(),
                    algorithms=["RS256"],
                    options=_UNCHECKED,
                )
            except jwt.InvalidTokenError:
                return None
            if len(self._verified) > 1_000:
                self._verified.clear()
            self._verified[token] = known
        return known

    def issue(self, app: App, resource: str) -> dict[str, Any]:
        """A token, as it is answered."""
        now = int(self._tenant.clock.now())
        life = self._tenant.settings.token_life
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{self._tenant.id}/",
            "iat": now,
            "nbf": now,
            "exp": now + life,
            "app_displayname": "lab",
            "appid": app.client_id,
            "appidacr": "2",
            "azp": app.client_id,
            "idp": f"https://sts.windows.net/{self._tenant.id}/",
            "idtyp": "app",
            "oid": app.principal_id,
            "sub": app.principal_id,
            "roles": list(app.roles),
            "tid": self._tenant.id,
            "uti": uuid.uuid4().hex[:22],
            "ver": "1.0",
        }
        token = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id, "x5t": self._key_id})
        return {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token}

    # --- requests -----------------------------------------------------------------------------------------------------------------------

    def serve(self, request: Request) -> Answer:
        """Answer one request."""
        path, method = request.path, request.method
        try:
            if path == "/common/discovery/instance" and method == "GET":
                return self._instance(request)
            if path == "/metadata/identity/oauth2/token" and method == "GET":
                return self._machine_identity(request)
            if path == "/msi/token" and method == "GET":
                return self._service_identity(request)
            found = re.fullmatch(r"/([^/]+)/(v2\.0/\.well-known/openid-configuration|discovery/v2\.0/keys|oauth2/v2\.0/token)", path)
            if found is None:
                return Answer(status=404, raw=b"", kind="text/html")
            if found[1].casefold() not in {self._tenant.id, *self._tenant.directory.domains}:
                text = f"Tenant '{found[1]}' not found. Check that you have the correct tenant ID and are signing into the correct cloud."
                raise SignInRefused(TOKEN_TENANT, 90002, "invalid_request", text)
            if found[2].endswith("configuration") and method == "GET":
                return Answer(status=200, content=self._configuration(), kind="application/json")
            if found[2].endswith("keys") and method == "GET":
                return Answer(status=200, content={"keys": [self._public_key()]}, kind="application/json")
            if found[2].endswith("token") and method == "POST":
                return self._token(request)
            return Answer(status=405, raw=b"", kind="text/html")
        except SignInRefused as error:
            return self._refusal(error, request)

    @follows(TOKEN_SHAPE)
    def _refusal(self, error: SignInRefused, request: Request) -> Answer:
        moment = datetime.fromtimestamp(self._tenant.clock.now(), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        trace = str(uuid.uuid4())
        correlation = request.headers.get("client-request-id") or str(uuid.uuid4())
        text = f"AADSTS{error.number}: {error.text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {moment}"
        content = {
            "error": error.error,
            "error_description": text,
            "error_codes": [error.number],
            "timestamp": moment,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{self._tenant.login_url}/error?code={error.number}",
        }
        headers = {"x-lab-rule": name_of(error.rule)}
        return Answer(status=error.status, content=content, headers=headers, kind="application/json; charset=utf-8")

    def _authority(self) -> str:
        return f"{self._tenant.login_url}/{self._tenant.id}"

    def _configuration(self) -> dict[str, Any]:
        authority = self._authority()
        return {
            "token_endpoint": f"{authority}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "jwks_uri": f"{authority}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "cloud_instance_name": "lab.test",
            "msgraph_host": self._tenant.graph_url.removeprefix("https://"),
        }

    def _public_key(self) -> dict[str, Any]:
        key: dict[str, Any] = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {**key, "kid": self._key_id, "x5t": self._key_id, "use": "sig"}

    def _instance(self, request: Request) -> Answer:
        host = self._tenant.login_url.removeprefix("https://")
        content = {
            "tenant_discovery_endpoint": f"{self._authority()}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
        return Answer(status=200, content=content, kind="application/json")

    def _token(self, request: Request) -> Answer:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            text = f"The app requested an unsupported grant type '{form.get('grant_type', '')}'."
            raise SignInRefused(TOKEN_GRANT, 70003, "unsupported_grant_type", text)
        app = self._tenant.apps.get(form.get("client_id", "").casefold())
        if app is None:
            text = (
                f"Application with identifier '{form.get('client_id', '')}' was not found in the directory 'Lab'. This can happen if the"
                " application has not been installed by the administrator of the tenant or consented to by any user in the tenant."
                " You may have sent your authentication request to the wrong tenant."
            )
            raise SignInRefused(TOKEN_APP, 700016, "unauthorized_client", text)
        resource = self._resource(form.get("scope", ""))
        self._authenticate(app, form)
        return Answer(
            status=200,
            content=self.issue(app, resource),
            kind="application/json; charset=utf-8",
            headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"},
        )

    def _resource(self, scope: str) -> str:
        resource = scope.removesuffix("/.default").rstrip("/")
        if " " in scope or not scope.endswith("/.default"):
            text = (
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with"
                " /.default suffixed to the resource identifier (application ID URI)."
            )
            raise SignInRefused(TOKEN_SCOPE, 1002012, "invalid_scope", text)
        if resource not in {*RESOURCES, self._tenant.graph_url, self._tenant.exchange_url}:
            text = f"The resource principal named {resource} was not found in the tenant named Lab."
            raise SignInRefused(TOKEN_SCOPE, 500011, "invalid_resource", text)
        return resource

    def _authenticate(self, app: App, form: Mapping[str, str]) -> None:
        if "client_assertion" in form:
            self._check_assertion(app, form)
        elif "client_secret" in form:
            if app.secret_expired:
                text = f"The provided client secret keys for app '{app.client_id}' are expired. Create new keys for your app."
                raise SignInRefused(TOKEN_SECRET_EXPIRED, 7000222, "invalid_client", text, 401)
            if form["client_secret"] != app.secret:
                text = (
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client"
                    f" secret ID, for a secret added to app '{app.client_id}'."
                )
                raise SignInRefused(TOKEN_SECRET, 7000215, "invalid_client", text, 401)
        else:
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise SignInRefused(TOKEN_CREDENTIAL, 7000218, "invalid_client", text, 401)

    def _check_assertion(self, app: App, form: Mapping[str, str]) -> None:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            text = "The request body must contain the following parameter: 'client_assertion_type'."
            raise SignInRefused(TOKEN_CREDENTIAL, 900144, "invalid_request", text)
        claims = self._verified_assertion(app, form["client_assertion"])
        if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id:
            text = "Client assertion application identifier doesn't match 'client_id' parameter."
            raise SignInRefused(TOKEN_SUBJECT, 700021, "invalid_client", text, 401)
        authority = self._authority()
        if claims.get("aud") not in (f"{authority}/oauth2/v2.0/token", f"{authority}/v2.0"):
            text = "Client assertion audience claim does not match Realm issuer."
            raise SignInRefused(TOKEN_AUDIENCE, 700023, "invalid_client", text, 401)
        # Clients take this machine's time; a test moves the service's away from it.
        now = time.time() + self._tenant.settings.token_skew
        begins, ends = claims.get("nbf", 0), claims.get("exp", 0)
        if not isinstance(ends, (int, float)) or not isinstance(begins, (int, float)) or not begins - _SLACK <= now <= ends + _SLACK:
            text = (
                f"Client assertion is not within its valid time range. Current time: {int(now)}, assertion valid from {begins},"
                f" expiry time of assertion {ends}."
            )
            raise SignInRefused(TOKEN_TIME, 700024, "invalid_client", text, 401)
        if claims.get("jti") in app.used:
            raise SignInRefused(
                TOKEN_ONCE, 700027, "invalid_client", "Client assertion was already used. [Reason - The jti claim was seen before.]", 401
            )
        app.used.add(str(claims.get("jti")))

    def _verified_assertion(self, app: App, assertion: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(assertion)
            thumbprint = str(header.get("x5t#S256") or header.get("x5t") or "").rstrip("=")
            certificate = app.certificates.get(thumbprint)
            if certificate is None:
                text = (
                    "The certificate with identifier used to sign the client assertion is not registered on application."
                    f" [Reason - The key was not found., Thumbprint of key used by client: '{thumbprint}']"
                )
                raise SignInRefused(TOKEN_ASSERTION, 700027, "invalid_client", text, 401)
            key = certificate.public_key()
            assert isinstance(key, rsa.RSAPublicKey)
            claims: dict[str, Any] = jwt.decode(assertion, key, algorithms=["PS256", "RS256"], options=_UNCHECKED)
        except jwt.InvalidTokenError as error:
            text = f"Client assertion contains an invalid signature. [Reason - {error}]"
            raise SignInRefused(TOKEN_ASSERTION, 700027, "invalid_client", text, 401) from None
        return claims

    # --- managed identities -------------------------------------------------------------------------------------------------------------

    @follows(MANAGED_IDENTITY)
    def _machine_identity(self, request: Request) -> Answer:
        """The metadata service of a virtual machine."""
        if request.headers.get("metadata", "").casefold() != "true":
            content = {"error": "bad_request_102", "error_description": "Required metadata header not specified"}
            return Answer(status=400, content=content, kind="application/json")
        return self._managed(request)

    def _service_identity(self, request: Request) -> Answer:
        """App Service."""
        if request.headers.get("x-identity-header") != self.identity_header:
            content = {"statusCode": 401, "message": "X-IDENTITY-HEADER is missing or wrong"}
            return Answer(status=401, content=content, kind="application/json")
        return self._managed(request)

    def _managed(self, request: Request) -> Answer:
        resource = request.query.get("resource", "").removesuffix("/.default").rstrip("/")
        wanted = request.query.get("client_id", "").casefold()
        app = self._tenant.apps.get(wanted) if wanted else next(iter(self._tenant.apps.values()))
        if app is None or resource not in {*RESOURCES, self._tenant.graph_url, self._tenant.exchange_url}:
            content = {
                "error": "invalid_request",
                "error_description": "Identity not found" if app is None else "The resource is not known",
            }
            return Answer(status=400, content=content, kind="application/json")
        issued = self.issue(app, resource)
        now = int(self._tenant.clock.now())
        life = int(issued["expires_in"])
        content = {
            "access_token": issued["access_token"],
            "client_id": app.client_id,
            "expires_in": str(life),
            "expires_on": str(int(time.time()) + life),
            "ext_expires_in": str(life),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        }
        return Answer(status=200, content=content, kind="application/json; charset=utf-8")
