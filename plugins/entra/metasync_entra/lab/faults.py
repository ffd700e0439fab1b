"""Faults that tests arm: which calls they meet, and what becomes of the answer."""

from __future__ import annotations

import base64
import random
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import orjson

from metasync_entra.lab.delta import expired
from metasync_entra.lab.messages import Answer, Refused, Request
from metasync_entra.lab.options import rebuilt
from metasync_entra.lab.rules import ACCESS_TOKEN, DELTA_RESYNC, FAULT, PERMISSION
from metasync_entra.lab.tenant import Tenant

Serve = Callable[[], Answer]


@dataclass(kw_only=True, slots=True)
class Fault:
    """One fault. It meets `times` calls (None: all) of those that fit, after `skip` of them, each by chance."""

    action: str
    listener: str = "graph"
    method: str | None = None
    path: str = ""
    in_batch: bool | None = None
    skip: int = 0
    times: int | None = 1
    probability: float = 1.0
    status: int = 503
    retry_after: str | None = None
    """As it is sent: `3`, `2.128`, an empty text; `date:5` becomes an HTTP date in five seconds. None: no header."""
    after_commit: bool = False
    """The call was served, and its answer is lost."""
    seconds: float = 0.0
    message: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    met: int = 0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"{self.action} is no fault: {', '.join(sorted(ACTIONS))}")
        if self.listener not in ("graph", "login"):
            raise ValueError(f"{self.listener} is no listener that faults are armed for: graph, login")
        re.compile(self.path)

    def fits(self, listener: str, request: Request) -> bool:
        """Whether it is about such a call."""
        return (
            self.listener == listener
            and (self.method is None or self.method == request.method)
            and (self.in_batch is None or self.in_batch == request.in_batch)
            and re.search(self.path, request.path) is not None
        )


class Faults:
    """Those that are armed. The first that meets a call has it."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.armed: list[Fault] = []

    def arm(self, fault: Fault) -> str:
        """Arm one; its id."""
        self.armed.append(fault)
        return fault.id

    def clear(self) -> None:
        """Disarm all."""
        self.armed.clear()

    def meet(self, listener: str, request: Request) -> Fault | None:
        """The fault that has this call."""
        for fault in self.armed:
            if fault.times == 0 or not fault.fits(listener, request):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.probability < 1 and self._tenant.random.random() >= fault.probability:
                continue
            if fault.times is not None:
                fault.times -= 1
            fault.met += 1
            return fault
        return None

    def serve(self, fault: Fault, request: Request, serve: Serve) -> Answer:
        """The call, with the fault."""
        return ACTIONS[fault.action].act(self._tenant, fault, request, serve)


def retry_after(text: str | None) -> dict[str, str]:
    """The header, or none."""
    if text is None:
        return {}
    if text.startswith("date:"):
        return {"Retry-After": formatdate(time.time() + float(text[5:]), usegmt=True)}
    return {"Retry-After": text}


_CODES: Mapping[int, tuple[str, str]] = {
    400: ("Request_BadRequest", "A fault that was armed."),
    401: ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
    403: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    404: ("Request_ResourceNotFound", "Resource does not exist or one of its queried reference-property objects are not present."),
    409: ("Directory_ConcurrencyViolation", "Another request writes to the same object. Please wait and retry again."),
    424: ("FailedDependency", "A dependency failed."),
    429: ("TooManyRequests", "Too many requests. category:aadgraph.app.tenant_large"),
    500: ("Service_InternalServerError", "Encountered an internal server error."),
    502: ("BadGateway", "Bad gateway."),
    503: ("Directory_ConcurrencyViolation", "Service is temporarily unavailable. Please wait and retry again."),
    504: ("Timeout_ExpiredToken", "The request timed out."),
}


def _status(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    if fault.after_commit:
        serve()
    code, message = _CODES.get(fault.status, ("UnknownError", "A fault that was armed."))
    if fault.listener == "login":
        content = {"error": "temporarily_unavailable", "error_description": f"AADSTS90033: {message}", "error_codes": [90033]}
        return Answer(status=fault.status, content=content, headers=retry_after(fault.retry_after), kind="application/json")
    return _refused(tenant, request, Refused(FAULT, fault.status, code, fault.message or message, headers=retry_after(fault.retry_after)))


def _refused(tenant: Tenant, request: Request, refused: Refused) -> Answer:
    return refused.answer(tenant.clock.now(), request.headers.get("client-request-id"))


def _claims(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    """Continuous access evaluation wants a fresh token."""
    moment = str(int(tenant.clock.now()))
    claims = base64.b64encode(orjson.dumps({"access_token": {"nbf": {"essential": True, "value": moment}}})).decode()
    challenge = (
        f'Bearer realm="", authorization_uri="{tenant.login_url}/common/oauth2/authorize", client_id="{request.claims.get("appid", "")}",'
        f' error="insufficient_claims", claims="{claims}"'
    )
    message = (
        "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp"
    )
    return _refused(
        tenant, request, Refused(ACCESS_TOKEN, 401, "InvalidAuthenticationToken", message, headers={"WWW-Authenticate": challenge})
    )


def _denied(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    return _refused(tenant, request, Refused(PERMISSION, 403, *_CODES[403]))


def _resync(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    headers = {"Location": f"{tenant.graph_url}{request.path}?$deltatoken="}
    message = "Resync required. Any delta token is no longer valid."
    return _refused(tenant, request, Refused(DELTA_RESYNC, 410, "resyncRequired", message, headers=headers))


def _sync_state(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    return _refused(tenant, request, expired(410 if fault.status == 410 else 400))


def _reset(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    """The connection ends in the middle of the body."""
    answer = serve() if fault.after_commit or request.method == "GET" else Answer(status=200, content={"value": ["x" * 2_000]})
    body = (
        answer.raw if answer.raw is not None else orjson.dumps(answer.content if answer.content is not None else {"value": ["x" * 2_000]})
    )
    return Answer(
        status=answer.status if answer.status != 204 else 200, raw=body, headers=answer.headers, kind=answer.kind, cut=len(body) // 2
    )


def _truncate(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    """The body is cut, and its length says so: it is whole for HTTP, and no JSON."""
    answer = serve()
    body = answer.raw if answer.raw is not None else orjson.dumps(answer.content)
    return Answer(status=answer.status, raw=body[: len(body) // 2], headers=answer.headers, kind=answer.kind)


def _html(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    """What a gateway answers."""
    if fault.after_commit:
        serve()
    page = b"<html><head><title>Service Unavailable</title></head><body><h2>Our services aren't available right now</h2></body></html>"
    return Answer(status=fault.status, raw=page, kind="text/html", headers=retry_after(fault.retry_after))


def _slow(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    """It takes real time, and is served before that."""
    answer = serve()
    answer.wait += fault.seconds
    return answer


def _already_there(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    """A PATCH that had been written is told to have been written before."""
    serve()
    message = "One or more added object references already exist for the following modified properties: 'members'."
    return _refused(tenant, request, Refused(FAULT, 400, "Request_BadRequest", message))


# --- pages ------------------------------------------------------------------------------------------------------------------------------


def _rows(change: Callable[[Tenant, Fault, Request, dict[str, Any]], None]) -> Callable[[Tenant, Fault, Request, Serve], Answer]:
    """A fault that changes one page of a collection."""

    def act(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
        answer = serve()
        if answer.status == 200 and isinstance(answer.content, dict) and isinstance(answer.content.get("value"), list):
            change(tenant, fault, request, answer.content)
        return answer

    return act


def _duplicate(tenant: Tenant, fault: Fault, request: Request, content: dict[str, Any]) -> None:
    content["value"] = [row for row in content["value"] for _ in (0, 1)]


def _reorder(tenant: Tenant, fault: Fault, request: Request, content: dict[str, Any]) -> None:
    rows = list(content["value"])
    random.Random(tenant.random.random()).shuffle(rows)  # noqa: S311
    content["value"] = rows


def _empty(tenant: Tenant, fault: Fault, request: Request, content: dict[str, Any]) -> None:
    """An empty page that leads to what this one would have been."""
    content.pop("@odata.deltaLink", None)
    content.pop("@odata.nextLink", None)
    content["value"] = []
    content["@odata.nextLink"] = rebuilt(tenant.graph_url, request.path, request.query)


def _removed(tenant: Tenant, fault: Fault, request: Request, content: dict[str, Any]) -> None:
    content["value"] = [*content["value"], {"id": str(uuid.uuid4()), "@removed": {"reason": "deleted"}}]


def _unknown(tenant: Tenant, fault: Fault, request: Request, content: dict[str, Any]) -> None:
    content["value"] = [{**row, "aPropertyOfTomorrow": {"x": [1, None]}, "@microsoft.graph.tips": "A note."} for row in content["value"]]


def _foreign(tenant: Tenant, fault: Fault, request: Request, content: dict[str, Any]) -> None:
    for name in ("@odata.nextLink", "@odata.deltaLink"):
        if name in content:
            content[name] = content[name].replace(tenant.graph_url, "https://graph.attacker.example")


# --- batches ----------------------------------------------------------------------------------------------------------------------------


def _shuffle(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    answer = serve()
    if answer.status == 200:
        rows = list(answer.content["responses"])
        random.Random(tenant.random.random()).shuffle(rows)  # noqa: S311
        answer.content["responses"] = rows
    return answer


def _missing(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    """Some parts were served, and are not in the answer."""
    answer = serve()
    if answer.status == 200:
        answer.content["responses"] = answer.content["responses"][::2]
    return answer


def _outer(tenant: Tenant, fault: Fault, request: Request, serve: Serve) -> Answer:
    """The older page's outer status of a batch with throttled parts."""
    answer = serve()
    answer.status = fault.status
    answer.headers |= retry_after(fault.retry_after)
    return answer


@dataclass(frozen=True, slots=True)
class Action:
    """What a fault does, and the words for it."""

    says: str
    act: Callable[[Tenant, Fault, Request, Serve], Answer]


ACTIONS: Mapping[str, Action] = {
    "status": Action("Answer `status`, with `retry_after` in any form; `after_commit`: once the call was served.", _status),
    "claims": Action("401 with a claims challenge: continuous access evaluation wants a fresh token.", _claims),
    "denied": Action("403, as if a permission had been taken away.", _denied),
    "resync": Action("410 with a Location whose `$deltatoken` is empty.", _resync),
    "sync-state": Action("400, or 410 by `status`: the state of a delta token is not found.", _sync_state),
    "reset": Action("The connection ends in the middle of the body; a write was served with `after_commit` alone.", _reset),
    "truncate": Action("The body is cut and is no JSON any more, though HTTP is content with it.", _truncate),
    "html": Action("A page of HTML with `status`, as a gateway sends it.", _html),
    "slow": Action("The answer takes `seconds` of real time.", _slow),
    "already-there": Action("A PATCH of members is written, and answered that they were there already.", _already_there),
    "duplicate-rows": Action("Each row of a page stands there twice.", _rows(_duplicate)),
    "reorder-rows": Action("The rows of a page come in another order.", _rows(_reorder)),
    "empty-page": Action("An empty page, whose nextLink leads to what it should have been.", _rows(_empty)),
    "removed-row": Action("A page tells of an object that was deleted, also in the first round.", _rows(_removed)),
    "unknown-properties": Action("Rows have properties that nobody asked for.", _rows(_unknown)),
    "foreign-link": Action("The next link leads to another host, which would be handed the token.", _rows(_foreign)),
    "batch-shuffle": Action("The answers of a batch come in another order.", _shuffle),
    "batch-missing": Action("Every second answer of a batch is missing, though all parts were served.", _missing),
    "batch-outer": Action("A batch is served, and its outer status is `status`, such as 424.", _outer),
}
