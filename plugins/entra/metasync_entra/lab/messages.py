"""What goes in and out: one request, one answer, and the refusal that becomes an answer in Graph's own shape."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metasync_entra.lab.clock import iso
from metasync_entra.lab.rules import Rule, name_of

JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"


@dataclass(kw_only=True, slots=True)
class Request:
    """One call, the parts of a batch each one of its own."""

    method: str
    path: str
    """Decoded, from the version on: /v1.0/users."""
    query: dict[str, str]
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = b""
    content: Any = None
    """The body as JSON, once it was read."""
    in_batch: bool = False
    claims: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the verified access token."""


@dataclass(kw_only=True, slots=True)
class Answer:
    """What the listener sends."""

    status: int
    content: Any = None
    """JSON, or None for no body."""
    raw: bytes | None = None
    """Sent as it is, in place of content."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    kind: str = JSON
    wait: float = 0.0
    """Seconds of real time before it is sent; others are served meanwhile."""
    cut: int | None = None
    """The connection is reset after so many bytes of the body."""


class Refused(Exception):
    """A rule of the service says no. Every refusal names its rule, and the rule its source."""

    def __init__(
        self,
        rule: Rule,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        details: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.details = details

    def answer(self, now: float, client_request: str | None = None) -> Answer:
        """In the shape of Graph's errors."""
        request = str(uuid.uuid4())
        inner = {"date": iso(now).removesuffix("Z"), "request-id": request, "client-request-id": client_request or request}
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = [dict(one) for one in self.details]
        headers = {**self.headers, "x-lab-rule": name_of(self.rule)}
        return Answer(status=self.status, content={"error": {**error, "innerError": inner}}, headers=headers, kind="application/json")


def bad_request(rule: Rule, message: str, *, details: Sequence[Mapping[str, str]] = ()) -> Refused:
    """The most frequent refusal."""
    return Refused(rule, 400, "Request_BadRequest", message, details=details)
