"""One request to Graph and its answer, as values; and how an answer's body is taken apart. Nothing here touches the line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from metasync_entra.errors import Sense, Trouble, sense
from metasync_entra.patience import retry_after

VERSION = "/v1.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request. `path` is below the version (`/users/ID`), or a whole link that Graph gave."""

    method: str
    path: str
    body: Any = field(default=None, repr=False)
    """It may hold a new password, and is not shown where the call is."""
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """Doing it twice does no harm, so that it is sent again where no answer came."""
    units: float = 1.0
    """Resource units (https://learn.microsoft.com/graph/throttling-limits)."""
    writes: float = 0.0
    tag: Any = field(default=None, repr=False)
    """The caller's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back. A status of 0: nothing that can be understood did."""

    call: Call
    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    trouble: Trouble | None = None
    sent: bool = True
    """False: no line came about, so that nothing was asked."""

    @property
    def sense(self) -> Sense:
        """What it means."""
        return Sense.FINE if self.trouble is None else sense(self.trouble.status, self.trouble.code, self.trouble.text)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body as an object; empty where it is none."""
        return self.body if isinstance(self.body, dict) else {}


def get(path: str, *, units: float = 1.0, tag: Any = None, headers: Mapping[str, str] | None = None) -> Call:
    """A read."""
    return Call(method="GET", path=path, units=units, tag=tag, headers=headers or {})


def write(
    method: str, path: str, body: Any = None, *, repeatable: bool = True, tag: Any = None, headers: Mapping[str, str] | None = None
) -> Call:
    """A write."""
    return Call(method=method, path=path, body=body, repeatable=repeatable, writes=1.0, tag=tag, headers=headers or {})


def segment(value: str) -> str:
    """A value as one segment of a path: nothing in it leads elsewhere."""
    return quote(value, safe="")


def literal(value: str) -> str:
    """A value as a text in a filter or a key (OData 4.01, 5.1.1.14.1): quotes are doubled, the rest is percent-encoded."""
    doubled = value.replace("'", "''")
    return f"'{quote(doubled, safe='')}'"


def answered(call: Call, status: int, content: bytes, headers: Mapping[str, str], *, now: datetime) -> Answer:
    """The answer to a request of its own."""
    body: Any = None
    readable = True
    if content:
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError:
            readable = headers.get("content-type", "").startswith("text/plain")
            body = content.decode("utf-8", "replace") if readable else None
    if 200 <= status < 300:
        if not readable:
            return Answer(call=call, status=0, headers=headers, trouble=Trouble(status=0, code="unreadable answer"))
        return Answer(call=call, status=status, body=body, headers=headers)
    if status < 400:
        return Answer(call=call, status=0, headers=headers, trouble=Trouble(status=0, code=f"redirected, HTTP {status}"))
    return Answer(call=call, status=status, body=body, headers=headers, trouble=_trouble(status, body, headers, now))


def _trouble(status: int, body: Any, headers: Mapping[str, str], now: datetime) -> Trouble:
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    wait = retry_after(headers.get("retry-after"), now=now)
    return Trouble(status=status, code=str(error.get("code") or ""), text=str(error.get("message") or ""), wait=wait)


def parts(call: Call, answer: Answer, asked: list[Call], *, now: datetime) -> list[Answer]:
    """The answers of a batch's parts, in the order of what was asked. A part without an answer, or all of a lost batch, came to nothing
    that is known. Source: https://learn.microsoft.com/graph/json-batching"""
    given: dict[str, Any] = {}
    for one in answer.fields.get("responses") or ():
        if isinstance(one, dict) and "id" in one:
            given[str(one["id"])] = one
    found: list[Answer] = []
    for number, part in enumerate(asked):
        one = given.get(str(number))
        if one is None or not isinstance(one.get("status"), int):
            found.append(Answer(call=part, status=0, trouble=Trouble(status=0, code="no answer in the batch")))
            continue
        headers = {str(name).lower(): str(value) for name, value in (one.get("headers") or {}).items()}
        status, body = int(one["status"]), one.get("body")
        trouble = None if 200 <= status < 300 else _trouble(status, body, headers, now)
        found.append(Answer(call=part, status=status, body=body, headers=headers, trouble=trouble))
    return found


def batch(asked: list[Call]) -> Call:
    """One `$batch` of at most 20 requests."""
    requests = []
    for number, part in enumerate(asked):
        one: dict[str, Any] = {"id": str(number), "method": part.method, "url": part.path}
        headers = dict(part.headers)
        if part.body is not None:
            one["body"] = part.body
            headers["Content-Type"] = "application/json"
        if headers:
            one["headers"] = headers
        requests.append(one)
    return Call(
        method="POST",
        path="/$batch",
        body={"requests": requests},
        repeatable=all(part.method == "GET" for part in asked),
        units=sum(part.units for part in asked),
        writes=sum(part.writes for part in asked),
        tag=asked,
    )
