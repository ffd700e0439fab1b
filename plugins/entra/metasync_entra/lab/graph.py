"""Graph: who calls, may they, is there quota, is a fault armed, and then the handler."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from metasync_entra.lab.batch import check_part, serve_batch
from metasync_entra.lab.clock import iso
from metasync_entra.lab.messages import Answer, Refused, Request
from metasync_entra.lab.permissions import denied, gate, granted
from metasync_entra.lab.routes import Route, find
from metasync_entra.lab.rules import ACCESS_TOKEN, BODY, PERMISSION, SEGMENT, follows
from metasync_entra.lab.tenant import GRAPH_APP, Tenant
from metasync_entra.lab.tokens import TokenService

_PREFIX = "/v1.0"
_MEMBERS_ONLY = {"members@odata.bind"}


class Graph:
    """Answers of graph.microsoft.com/v1.0."""

    def __init__(self, tenant: Tenant, tokens: TokenService) -> None:
        self._tenant = tenant
        self._tokens = tokens

    def serve(self, request: Request) -> Answer:
        """Answer one request."""
        with self._tenant.lock:
            self._tenant.settle()
            self._tenant.directory.remember = self._tenant.settings.lags()
            if self._tenant.directory.bin:
                self._tenant.directory.expire()
            try:
                request.claims = self._claims(request)
                _read_body(request)
                if request.method == "POST" and request.path.casefold() == f"{_PREFIX}/$batch":
                    answer = self._faulty(request, lambda: serve_batch(request, self._part))
                    self._note(request, "POST /$batch", answer)
                else:
                    answer = self._part(request)
            except Refused as refused:
                answer = self._refusal(refused, request)
                self._note(request, "refused", answer)
            answer.headers.setdefault("request-id", str(uuid.uuid4()))
            answer.headers.setdefault("client-request-id", request.headers.get("client-request-id", answer.headers["request-id"]))
            return answer

    def _part(self, request: Request) -> Answer:
        """One call, alone or of a batch."""
        name = "refused"
        try:
            if request.in_batch:
                check_part(request)
            if not request.path.startswith(_PREFIX + "/"):
                raise Refused(SEGMENT, 400, "BadRequest", f"Invalid version: {request.path.split('/')[1]}.")
            route, parameters = find(request.method, request.path.removeprefix(_PREFIX))
            name = f"{route.method} {route.path}"
            answer = self._faulty(request, lambda: self._handled(route, request, parameters))
        except Refused as refused:
            answer = self._refusal(refused, request)
        self._note(request, name, answer)
        return answer

    def _handled(self, route: Route, request: Request, parameters: dict[str, str]) -> Answer:
        headers: dict[str, str] = {}
        try:
            cost = self._tenant.throttle.cost(request, route.cost)
            headers = self._tenant.throttle.take(request, cost, write=route.writes)
            gate(request, route.needs)
            _gate_group_change(route, request)
            answer = route.handler(self._tenant, request, **parameters)
        except Refused as refused:
            answer = self._refusal(refused, request)
        answer.headers = {**headers, **answer.headers}
        return answer

    def _faulty(self, request: Request, serve: Any) -> Answer:
        fault = self._tenant.faults.meet("graph", request)
        return serve() if fault is None else self._tenant.faults.serve(fault, request, serve)

    def _refusal(self, refused: Refused, request: Request) -> Answer:
        return refused.answer(self._tenant.clock.now(), request.headers.get("client-request-id"))

    @follows(ACCESS_TOKEN)
    def _claims(self, request: Request) -> dict[str, Any]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not token:
            raise _unauthorized("Access token is empty.")
        claims = self._tokens.claims(token.strip())
        if claims is None:
            raise _unauthorized("Access token validation failure. Invalid signature.")
        if claims["aud"].rstrip("/") not in ("https://graph.microsoft.com", GRAPH_APP, self._tenant.graph_url):
            raise _unauthorized("Access token validation failure. Invalid audience.")
        if claims["tid"] != self._tenant.id:
            raise _unauthorized("Access token validation failure. Invalid tenant.")
        now = self._tenant.clock.now()
        if not claims["nbf"] - 300 <= now < claims["exp"]:
            raise _unauthorized("Lifetime validation failed, the token is expired.")
        return claims

    def _note(self, request: Request, name: str, answer: Answer) -> None:
        tenant = self._tenant
        tenant.calls[name] += 1
        tenant.statuses[answer.status] += 1
        if tenant.tracing:
            tenant.trace.append(
                {
                    "time": iso(tenant.clock.now()),
                    "seconds": tenant.clock.now(),
                    "method": request.method,
                    "path": request.path,
                    "query": dict(request.query),
                    "in_batch": request.in_batch,
                    "request": request.content,
                    "route": name,
                    "status": answer.status,
                    "headers": dict(answer.headers),
                    "response": answer.content,
                }
            )


@follows(PERMISSION)
def _gate_group_change(route: Route, request: Request) -> None:
    """Who may write members alone, changes nothing else of a group."""
    if (
        route.method == "PATCH"
        and route.path == "/groups/{key}"
        and not granted(request, ("Group.ReadWrite.All", "Directory.ReadWrite.All"))
        and not (isinstance(request.content, dict) and set(request.content) <= _MEMBERS_ONLY)
    ):
        raise denied()


def _read_body(request: Request) -> None:
    if not request.body or request.content is not None:
        return
    try:
        request.content = orjson.loads(request.body)
    except ValueError:
        message = "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."
        raise Refused(BODY, 400, "BadRequest", message) from None


def _unauthorized(message: str) -> Refused:
    challenge = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="invalid_token"'
    headers = {"WWW-Authenticate": challenge}
    return Refused(ACCESS_TOKEN, 401, "InvalidAuthenticationToken", message, headers=headers)
