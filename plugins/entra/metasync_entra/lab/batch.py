"""$batch: read, put in order, served part by part."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from metasync_entra.lab.messages import JSON, Answer, Refused, Request
from metasync_entra.lab.rules import BATCH, BATCH_BODY, BATCH_DEPENDS, BATCH_ID, BATCH_NESTED, BATCH_SIZE, name_of

MOST = 20
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


def serve_batch(request: Request, serve: Callable[[Request], Answer]) -> Answer:
    """200 with one answer for each part; 400 for a batch that cannot be read."""
    parts = _parts(request.content)
    statuses: dict[str, int] = {}
    responses: list[dict[str, Any]] = []
    wait = 0.0
    for part in _in_order(parts):
        id_ = str(part["id"])
        failed = [one for one in part.get("dependsOn", ()) if statuses[str(one).casefold()] >= 400]
        answer = _dependency() if failed else serve(_request(part, request))
        statuses[id_.casefold()] = answer.status
        responses.append(_response(id_, answer))
        wait = max(wait, answer.wait)
    return Answer(status=200, content={"responses": responses}, kind="application/json", wait=wait)


def _parts(content: Any) -> list[dict[str, Any]]:
    requests = content.get("requests") if isinstance(content, dict) else None
    if not isinstance(requests, list) or not requests or not all(isinstance(one, dict) for one in requests):
        raise _bad("Invalid batch payload format.")
    if len(requests) > MOST:
        raise Refused(BATCH_SIZE, 400, "BadRequest", f"Number of batch requests exceeds the maximum of {MOST}.")
    seen: set[str] = set()
    for part in requests:
        id_ = part.get("id")
        if not isinstance(id_, str) or not id_:
            raise _bad("Every request of a batch has an id.")
        if id_.casefold() in seen:
            raise Refused(BATCH_ID, 400, "BadRequest", f"The id '{id_}' is used by more than one request of the batch.")
        seen.add(id_.casefold())
        if str(part.get("method", "")).upper() not in METHODS or not isinstance(part.get("url"), str):
            raise _bad(f"The request '{id_}' lacks a method or a url.")
        if not isinstance(part.get("headers", {}), dict):
            raise _bad(f"The headers of the request '{id_}' are no object.")
        if part["url"].startswith(("https:", "http:")):
            raise _bad(f"The url of the request '{id_}' is not relative.")
        depends = part.get("dependsOn", [])
        if not isinstance(depends, list):
            raise _bad(f"The dependsOn of the request '{id_}' is no list.")
    for part in requests:
        for other in part.get("dependsOn", ()):
            if str(other).casefold() not in seen or str(other).casefold() == part["id"].casefold():
                raise _bad(f"The request '{part['id']}' depends on '{other}', which is not in the batch.")
    return requests


def _in_order(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each behind what it depends on."""
    done: set[str] = set()
    ordered: list[dict[str, Any]] = []
    left = list(parts)
    while left:
        ready = [one for one in left if all(str(other).casefold() in done for other in one.get("dependsOn", ()))]
        if not ready:
            raise _bad("The requests of the batch depend on each other in a circle.")
        ordered += ready
        done |= {one["id"].casefold() for one in ready}
        left = [one for one in left if one["id"].casefold() not in done]
    return ordered


def _request(part: Mapping[str, Any], outer: Request) -> Request:
    path, _, query = part["url"].partition("?")
    path = unquote("/" + path.lstrip("/"))
    headers = {str(name).casefold(): str(value) for name, value in part.get("headers", {}).items()}
    version = outer.path.removesuffix("/$batch")
    body, content = b"", part.get("body")
    if isinstance(content, str):
        try:
            body = base64.urlsafe_b64decode(content + "=" * (-len(content) % 4))
            content = orjson.loads(body)
        except (binascii.Error, ValueError):
            content = None
    elif content is not None:
        body = b"{}"
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    return Request(
        method=part["method"].upper(),
        path=version + path,
        query=pairs,
        headers=headers,
        body=body,
        content=content,
        in_batch=True,
        claims=outer.claims,
    )


def check_part(request: Request) -> None:
    """What is asked of a part alone."""
    if request.path.endswith("/$batch"):
        raise Refused(BATCH_NESTED, 400, "BadRequest", "A batch cannot be nested in a batch.")
    if request.body and "content-type" not in request.headers:
        message = "Write request id: does not contain Content-Type header or body."
        raise Refused(BATCH_BODY, 400, "BadRequest", message)


def _response(id_: str, answer: Answer) -> dict[str, Any]:
    headers = {"Cache-Control": "no-cache", **answer.headers}
    response: dict[str, Any] = {"id": id_, "status": answer.status, "headers": headers}
    if answer.raw is not None:
        headers["Content-Type"] = answer.kind
        response["body"] = (
            answer.raw.decode("utf-8", "replace") if answer.kind.startswith("text/") else base64.b64encode(answer.raw).decode()
        )
    elif answer.content is not None:
        if answer.kind == JSON:
            headers["OData-Version"] = "4.0"
        headers["Content-Type"] = answer.kind
        response["body"] = answer.content
    return response


def _dependency() -> Answer:
    message = "A request that this one depends on failed."
    refused = Refused(BATCH_DEPENDS, 424, "FailedDependency", message)
    headers = {"x-lab-rule": name_of(BATCH_DEPENDS)}
    content = {"error": {"code": refused.code, "message": refused.message}}
    return Answer(status=424, content=content, headers=headers, kind="application/json")


def _bad(message: str) -> Refused:
    return Refused(BATCH, 400, "BadRequest", message)
