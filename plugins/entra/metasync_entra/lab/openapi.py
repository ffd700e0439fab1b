"""The OpenAPI description of what is served, made of the routes and the schema: for clients that are generated, and for schemathesis."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from metasync_entra.lab.routes import ROUTES, Route
from metasync_entra.lab.schema import PROPERTIES, REQUIRED, Property

VERSION = "3.0.3"
_TYPES: Mapping[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "flag": {"type": "boolean"},
    "time": {"type": "string", "format": "date-time"},
    "number": {"type": "integer"},
    "thing": {"type": "object"},
}
_KIND_OF = (("/users", "user"), ("/groups", "group"), ("/contacts", "orgContact"))
_STATUSES = {
    "400": "The request is not right.",
    "401": "No valid token.",
    "403": "Not granted.",
    "404": "Not there.",
    "405": "Not so.",
    "429": "Wait.",
}
_TARGETS = ("/manager", "/owners", "/members", "/memberOf")


def describe(server: str, keys: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """The description. `keys`: known values of path parameters by the collection they stand in (`users`, `groups`, ...)."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, keys or {})
    paths["/$batch"] = {"post": _batch()}
    return {
        "openapi": VERSION,
        "info": {
            "title": "The lab tenant's Graph",
            "version": "v1.0",
            "description": "What metasync_entra.lab serves of Microsoft Graph v1.0.",
        },
        "servers": [{"url": f"{server}/v1.0"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"error": _error(), **{kind: _object(kind) for kind in PROPERTIES}},
        },
    }


def _operation(route: Route, keys: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    parameters = [*_path_parameters(route, keys), *(_query(route) if route.method == "GET" else ())]
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^A-Za-z0-9]+", "-", f"{route.method} {route.path}").strip("-"),
        "summary": route.says,
        "parameters": parameters,
        "responses": {
            **_success(route),
            **{status: _answer(text, {"$ref": "#/components/schemas/error"}) for status, text in _STATUSES.items()},
        },
    }
    body = _body(route)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _path_parameters(route: Route, keys: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in re.findall(r"\{(\w+)\}", route.path):
        collection = route.path.split("/")[1].partition("(")[0]
        known = list(keys.get("users" if name == "member" else collection, ()))
        schema: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9@.-]+$"}
        if known and name in ("key", "member"):
            schema = {"type": "string", "enum": known}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _kind(route: Route) -> str | None:
    if "microsoft.graph.user" in route.path or "/memberOf" in route.path:
        return "user" if "microsoft.graph.user" in route.path else "group"
    if "microsoft.graph.group" in route.path:
        return "group"
    if any(part in route.path for part in _TARGETS):
        return None
    return next((kind for path, kind in _KIND_OF if route.path.startswith(path)), None)


def _query(route: Route) -> list[dict[str, Any]]:
    kind = _kind(route)
    if kind is None or "onPremisesSyncBehavior" in route.path:
        return []
    names = [one.name for one in PROPERTIES[kind].values() if not one.outside]
    select = {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1, "maxItems": 5}
    found: list[dict[str, Any]] = []
    if not route.path.endswith("$count"):
        found.append({"name": "$select", "in": "query", "style": "form", "explode": False, "schema": select})
    if not _single(route) and not route.path.endswith(("/delta", "$count")):
        found.append({"name": "$top", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 999}})
    if route.path in ("/users", "/groups", "/contacts"):
        found.append({"name": "$count", "in": "query", "schema": {"type": "boolean"}})
        if kind == "user":
            found.append({"name": "$expand", "in": "query", "schema": {"type": "string", "enum": ["manager", "manager($select=id)"]}})
        found.append({"name": "$filter", "in": "query", "schema": {"type": "string"}, "example": "startsWith(displayName,'a')"})
        found.append({"name": "$orderby", "in": "query", "schema": {"type": "string", "enum": ["displayName", "displayName desc"]}})
    if route.path in ("/users", "/groups", "/contacts") or route.path.endswith("$count"):
        found.append({"name": "ConsistencyLevel", "in": "header", "schema": {"type": "string", "enum": ["eventual"]}})
    return found


def _single(route: Route) -> bool:
    return route.path.endswith(("}", "}')", "/manager"))


def _success(route: Route) -> dict[str, Any]:
    if route.path.endswith("$count"):
        return {"200": {"description": "The number.", "content": {"text/plain": {"schema": {"type": "string", "pattern": "^[0-9]+$"}}}}}
    if route.method == "GET":
        return {"200": _answer("It is there.", _one(route) if _single(route) or "SyncBehavior" in route.path else _page(route))}
    if route.path.endswith(("getByIds", "/restore")):
        return {"200": _answer("Done.", {"type": "object"})}
    if route.method == "POST" and not route.path.endswith("$ref"):
        return {"201": _answer("Made.", _one(route))}
    done = {"204": {"description": "Done."}}
    if route.method == "PATCH" and route.path.startswith("/groups"):
        return {**done, "200": {"description": "Done, by Exchange."}, "201": _answer("Made.", _one(route))}
    return done


def _one(route: Route) -> dict[str, Any]:
    kind = _kind(route)
    known = kind is not None and "SyncBehavior" not in route.path and "deletedItems" not in route.path
    return {"$ref": f"#/components/schemas/{kind}"} if known else {"type": "object"}


def _page(route: Route) -> dict[str, Any]:
    """A collection: a delta page has exactly one of its links."""
    kind = _kind(route)
    row: dict[str, Any] = {"$ref": f"#/components/schemas/{kind}"} if kind else {"type": "object"}
    if route.path.endswith("/delta"):
        row = {**_object(str(kind)), "required": ["id"]}
    properties: dict[str, Any] = {
        "@odata.context": {"type": "string"},
        "@odata.nextLink": {"type": "string"},
        "@odata.count": {"type": "integer"},
        "value": {"type": "array", "items": row},
    }
    page: dict[str, Any] = {"type": "object", "required": ["@odata.context", "value"], "properties": properties}
    if route.path.endswith("/delta"):
        properties["@odata.deltaLink"] = {"type": "string"}
        page["oneOf"] = [{"required": ["@odata.nextLink"]}, {"required": ["@odata.deltaLink"]}]
    return page


def _body(route: Route) -> dict[str, Any] | None:
    reference = {
        "type": "object",
        "required": ["@odata.id"],
        "properties": {"@odata.id": {"type": "string"}},
        "additionalProperties": False,
    }
    if route.method in ("POST", "PUT") and route.path.endswith("$ref"):
        return reference
    if "SyncBehavior" in route.path and route.method == "PATCH":
        return {
            "type": "object",
            "required": ["isCloudManaged"],
            "properties": {"isCloudManaged": {"type": "boolean"}},
            "additionalProperties": False,
        }
    if route.method in ("POST", "PATCH") and route.path.startswith(("/users", "/groups")):
        kind = "user" if route.path.startswith("/users") else "group"
        return _writable(kind, required=route.method == "POST")
    if route.path == "/invitations":
        names = ("invitedUserEmailAddress", "inviteRedirectUrl")
        return {
            "type": "object",
            "required": list(names),
            "properties": {name: {"type": "string"} for name in names},
            "additionalProperties": False,
        }
    if route.path.endswith("getByIds"):
        return {
            "type": "object",
            "required": ["ids"],
            "properties": {"ids": {"type": "array", "items": {"type": "string"}, "maxItems": 20}},
        }
    if route.path.endswith("extensionProperties") and route.method == "POST":
        targets = {"type": "array", "items": {"type": "string", "enum": ["User", "Group"]}, "minItems": 1}
        properties = {"name": {"type": "string"}, "dataType": {"type": "string", "enum": ["String", "Boolean"]}, "targetObjects": targets}
        return {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}
    return None


def _writable(kind: str, *, required: bool) -> dict[str, Any]:
    table = {name: one for name, one in PROPERTIES[kind].items() if one.writable != "never" and not one.outside}
    properties = {name: _value(one, nullable=False) for name, one in table.items()}
    if kind == "user":
        profile = {"password": {"type": "string", "minLength": 1}, "forceChangePasswordNextSignIn": {"type": "boolean"}}
        properties["passwordProfile"] = {"type": "object", "properties": profile, "required": ["password"], "additionalProperties": False}
    body: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}
    if required:
        body["required"] = list(REQUIRED[kind])
    return body


def _object(kind: str) -> dict[str, Any]:
    """As it is answered: annotations and extensions may stand beside the properties."""
    return {"type": "object", "properties": {name: _value(one, nullable=True) for name, one in PROPERTIES[kind].items()}}


def _value(one: Property, *, nullable: bool) -> dict[str, Any]:
    value = dict(_TYPES[one.type])
    if one.longest and one.type == "text" and not nullable:
        value["maxLength"] = one.longest
    if one.many:
        return {"type": "array", "items": value}
    return {**value, "nullable": True} if nullable else value


def _error() -> dict[str, Any]:
    inner = {"type": "object", "required": ["date", "request-id", "client-request-id"]}
    properties = {"code": {"type": "string"}, "message": {"type": "string"}, "innerError": inner}
    error = {"type": "object", "required": list(properties), "properties": properties}
    return {"type": "object", "required": ["error"], "properties": {"error": error}}


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _batch() -> dict[str, Any]:
    part = {
        "type": "object",
        "required": ["id", "method", "url"],
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "method": {"type": "string", "enum": ["GET"]},
            "url": {"type": "string", "enum": ["/users", "/groups?$top=2", "/nonsense"]},
        },
        "additionalProperties": False,
    }
    body = {
        "type": "object",
        "required": ["requests"],
        "properties": {"requests": {"type": "array", "items": part, "minItems": 1, "maxItems": 20}},
    }
    one = {"type": "object", "required": ["id", "status", "headers"], "properties": {"status": {"type": "integer"}}}
    content = {"type": "object", "required": ["responses"], "properties": {"responses": {"type": "array", "items": one}}}
    return {
        "operationId": "POST-batch",
        "summary": "Several requests in one.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": _answer("Each part has its own status.", content),
            **{status: _answer(text, _error()) for status, text in _STATUSES.items()},
        },
    }
