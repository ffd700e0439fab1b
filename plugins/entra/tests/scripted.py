"""A line that answers from a script, for what a server cannot easily be made to do; and options that lead to it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metasync.testing.context import TestContext
from metasync_entra.connector import EntraID
from metasync_entra.options import EntraOptions

TENANT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
OPTIONS: dict[str, Any] = {
    "tenant": TENANT,
    "application": "11111111-2222-3333-4444-555555555555",
    "sign in": "secret",
    "secret": {"secret": "client"},
}


def token(number: int = 1, **claims: Any) -> str:
    """Something with the form of a token."""
    body = json.dumps({"tid": TENANT, "number": number, **claims}).encode()
    return f"e30.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.signature"


@dataclass
class Asked:
    """What was sent."""

    method: str
    path: str
    body: Any
    headers: Mapping[str, str]


@dataclass
class Reply:
    """What comes back."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status_code(self) -> int:
        return self.status

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else b"" if self.body is None else json.dumps(self.body).encode()


def error(status: int, code: str = "", message: str = "", **headers: str) -> Reply:
    """A refusal in Graph's form."""
    return Reply(status, {"error": {"code": code, "message": message}}, headers)


class Script:
    """Answers each request by a function; one that raises stands for a line that breaks."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []

    def request(self, method: str, url: str, *, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        asked = Asked(method, url.partition("/v1.0")[2], json.loads(data) if data else None, headers or {})
        self.asked.append(asked)
        if asked.path == "/$batch":
            return Reply(200, {"responses": [self._part(one) for one in asked.body["requests"]]})
        return self.answer(asked)

    def _part(self, one: Mapping[str, Any]) -> dict[str, Any]:
        reply = self.answer(Asked(one["method"], one["url"], one.get("body"), one.get("headers", {})))
        return {"id": one["id"], "status": reply.status, "headers": dict(reply.headers), "body": reply.body}

    def close(self) -> None:
        return None


class Tokens:
    """Gives tokens, and another one when one was refused."""

    def __init__(self) -> None:
        self.number = 1
        self.claims: list[str | None] = []

    def get(self, *, instead_of: str | None = None, claims: str | None = None) -> str:
        if instead_of == token(self.number):
            self.number += 1
            self.claims.append(claims)
        return token(self.number)

    def close(self) -> None:
        return None


def connector(answer: Callable[[Asked], Reply], **more: Any) -> tuple[EntraID, Script, TestContext]:
    """A connector whose line is the script."""
    context = TestContext("tenant", secrets={"client": "s3cr3t-of-the-client"})
    made = EntraID(EntraOptions().load({**OPTIONS, **more}), context)
    script = Script(answer)
    made.session._line = script  # type: ignore[assignment]
    made.session.tokens = Tokens()  # type: ignore[assignment]
    return made, script, context
