"""Judges what the connector sends, and what the lab tenant answers, by an OpenAPI description of Graph that others wrote.

Method and path, query parameters, the request's body, the status, and the answer's body, each by itself. Schemas are judged by
openapi-schema-validator; which operation a path is, is told here, since paths of OData have several spellings.

Four things are known to differ between Microsoft's description and Graph itself, and are not held against anybody:
`@odata.type` is required of every object there, and left out by Graph where the kind is clear; `$deltatoken` and `$skiptoken` are
described in words alone, and the query of a link is Graph's own; /$batch is not there, so that its parts are judged instead; and names
with an @ (annotations) or of directory extensions are no properties of the description.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from .cassette import Exchange, record

_URI = "urn:description"
_PARAMETER = re.compile(r"\{[^{}]+\}")
_NAMESPACE = re.compile(r"^(microsoft\.graph|graph)\.(?=\w+$)")
_LINK_TOKENS = frozenset({"$skiptoken", "$deltatoken"})
_FREE = re.compile(r"@|^extension_[0-9a-f]{32}_", re.IGNORECASE)
_NO_BODY = frozenset({204, 304})
_VALUES: Mapping[str, Any] = {"integer": int, "number": float, "boolean": lambda text: {"true": True, "false": False}[text.lower()]}


def load(path: Path) -> Mapping[str, Any]:
    """The description, from YAML or JSON. Raises `ValueError` where it is none."""
    with open(path, "rb") as file:
        # Microsoft's has some 30 MB: the loader in C takes a minute, the one in Python many.
        found = json.load(file) if path.suffix == ".json" else yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    version = str(found.get("openapi", "")) if isinstance(found, dict) else ""
    if not version.startswith("3.0"):
        raise ValueError(f"{path} is no OpenAPI description of version 3.0, but {version or 'something else'}")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What does not fit."""

    where: str
    """The operation, with the parameters' names, or the path that none has."""
    what: str


class Judge:
    """One description."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._description: dict[str, Any] = _without_types(description)
        self._registry = Registry().with_resource(_URI, Resource(contents=self._description, specification=DRAFT4))
        self._templates: dict[tuple[str, int], list[tuple[int, re.Pattern[str], str]]] = {}
        for template in self._description.get("paths", {}):
            segments = _segments(template)
            found = self._templates.setdefault((segments[0].partition("(")[0].lower(), len(segments)), [])
            found.append((len(_PARAMETER.findall(template)), _pattern(segments), template))

    def all(self, exchanges: Iterable[Exchange]) -> Counter[Finding]:
        """What does not fit, and how often."""
        return Counter(finding for one in exchanges for finding in self.of(one))

    def of(self, exchange: Exchange) -> Iterator[Finding]:
        """What does not fit of one exchange."""
        templates = self._find(exchange.path)
        if not templates:
            yield Finding(where=f"{exchange.method} {exchange.path}", what="no such path is described")
            return
        method = exchange.method.lower()
        template = next((one for one in templates if method in self._path(one)), None)
        if template is None:
            yield Finding(where=f"{exchange.method} {templates[0]}", what="the path is described, the method is not")
            return
        operation = self._path(template)[method]
        where = f"{exchange.method} {template}"
        for what in (
            *self._query(exchange, [*self._path(template).get("parameters", ()), *operation.get("parameters", ())]),
            *self._request(exchange, operation),
            *self._response(exchange, operation),
        ):
            yield Finding(where=where, what=what)

    def knows(self, exchange: Exchange) -> bool:
        """Is its path described?"""
        return bool(self._find(exchange.path))

    # -- paths -------------------------------------------------------------------------------------------------------------------------

    def _find(self, path: str) -> list[str]:
        """The templates that a path may be of, the most exact one first."""
        segments = _segments(path)
        first = segments[0].partition("(")[0].lower()
        known = self._templates.get((first, len(segments)), ())
        fitting = [(parameters, template) for parameters, pattern, template in known if pattern.fullmatch("/".join(segments))]
        return [template for _, template in sorted(fitting)]

    def _path(self, template: str) -> Mapping[str, Any]:
        return self._resolved(self._description["paths"][template])

    # -- the request -------------------------------------------------------------------------------------------------------------------

    def _query(self, exchange: Exchange, parameters: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        if exchange.follows_link:
            return
        known = {one["name"]: one for one in map(self._resolved, parameters) if one.get("in") == "query"}
        for name, text in exchange.query.items():
            if name.lower() in _LINK_TOKENS:
                continue
            if name not in known:
                yield f"query: {name} is not described"
                continue
            schema = self._resolved(known[name].get("schema", {}))
            try:
                value = _value(schema, text, self._resolved)
            except (ValueError, KeyError):
                yield f"query: {name}={text} is no {schema.get('type')}"
                continue
            yield from (f"query: {name}: {what}" for what in self._judged(value, schema, OAS30WriteValidator))
        for name, one in known.items():
            if one.get("required") and name not in exchange.query:
                yield f"query: {name} is required"

    def _request(self, exchange: Exchange, operation: Mapping[str, Any]) -> Iterator[str]:
        described = self._resolved(operation.get("requestBody", {}))
        if exchange.request is None:
            if described.get("required"):
                yield "request: a body is required"
            return
        schema = _json_schema(described)
        if schema is None:
            yield "request: no body is described"
            return
        yield from (f"request: {what}" for what in self._body(exchange.request, schema, OAS30WriteValidator))

    # -- the answer --------------------------------------------------------------------------------------------------------------------

    def _response(self, exchange: Exchange, operation: Mapping[str, Any]) -> Iterator[str]:
        responses = {str(status).upper(): one for status, one in operation.get("responses", {}).items()}
        keys = (str(exchange.status), f"{exchange.status // 100}XX", "DEFAULT")
        described = next((responses[key] for key in keys if key in responses), None)
        if described is None:
            yield f"answer: the status {exchange.status} is not described, but {', '.join(sorted(responses))}"
            return
        schema = _json_schema(self._resolved(described))
        if exchange.response is None:
            if schema is not None and exchange.status not in _NO_BODY:
                yield f"answer {exchange.status}: a body is described, and none came"
            return
        if schema is None:
            yield f"answer {exchange.status}: no body is described, and one came"
            return
        yield from (f"answer {exchange.status}: {what}" for what in self._body(exchange.response, schema, OAS30ReadValidator))

    # -- schemas -----------------------------------------------------------------------------------------------------------------------

    def _body(self, value: Any, schema: Mapping[str, Any], validator: Any) -> Iterator[str]:
        yield from self._judged(value, schema, validator)
        yield from (f"{at} is not described" for at in self._strangers(value, schema, ""))

    def _judged(self, value: Any, schema: Mapping[str, Any], validator: Any) -> Iterator[str]:
        made = validator(_absolute(schema), registry=self._registry, format_checker=validator.FORMAT_CHECKER)
        nulls: set[tuple[Any, ...]] = set()
        for error in made.iter_errors(value):
            deepest = _deepest(error)
            if deepest.instance is None:  # a null where none may be is told for its type, too
                if tuple(deepest.absolute_path) in nulls:
                    continue
                nulls.add(tuple(deepest.absolute_path))
            at = "".join("[]" if isinstance(one, int) else f".{one}" for one in deepest.absolute_path).lstrip(".")
            yield f"{at or 'the whole'}: {deepest.message[:300]}"

    def _strangers(self, value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
        """Properties that no part of the schema names. A schema that names none is open."""
        if isinstance(value, list):
            items = [one["items"] for one in self._parts(schema) if "items" in one]
            for one in value if items else ():
                yield from self._strangers(one, items[0], f"{at}[]")
        if not isinstance(value, Mapping):
            return
        told = str(value.get("@odata.type", "")).removeprefix("#")
        exact = self._description.get("components", {}).get("schemas", {}).get(told)
        parts = list(self._parts(schema if exact is None else exact))
        known: dict[str, list[Mapping[str, Any]]] = {}
        for part in parts:
            for name, one in part.get("properties", {}).items():
                known.setdefault(name, []).append(one)
        is_open = not known or any(part.get("additionalProperties") for part in parts)
        for name, inner in value.items():
            if name in known:
                yield from self._strangers(inner, {"anyOf": known[name]}, f"{at}.{name}".lstrip("."))
            elif not is_open and not _FREE.search(name):
                yield f"{at}.{name}".lstrip(".")

    def _parts(self, schema: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[Mapping[str, Any]]:
        """A schema, and those that it is made of."""
        if "$ref" in schema:
            if schema["$ref"] not in seen:
                yield from self._parts(self._resolved(schema), seen | {schema["$ref"]})
            return
        yield schema
        for how in ("allOf", "anyOf", "oneOf"):
            for one in schema.get(how, ()):
                yield from self._parts(one, seen)

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            node = self._registry.resolver(_URI).lookup(node["$ref"]).contents
        return node


def _segments(path: str) -> list[str]:
    """`/users/microsoft.graph.delta()` and `/users/delta` are one path."""
    found = path.strip("/").split("/")
    return [found[0], *(_NAMESPACE.sub("", one.removesuffix("()")) for one in found[1:])]


def _pattern(segments: Iterable[str]) -> re.Pattern[str]:
    text = "/".join(segments)
    pieces = (re.escape(piece) for piece in _PARAMETER.split(text))
    return re.compile("[^/]+".join(pieces), re.IGNORECASE)


def _without_types(node: Any, inside: str = "") -> Any:
    """The description, in which no `@odata.type` is required."""
    if isinstance(node, Mapping):
        kept = {str(name): one for name, one in node.items() if not _tells_types(name, one)}
        return {name: _without_types(one, name) for name, one in kept.items()}
    if isinstance(node, list):
        return [_without_types(one) for one in node if not (inside == "required" and one == "@odata.type")]
    return node


def _tells_types(name: str, node: Any) -> bool:
    """It demands an `@odata.type` to choose a schema by."""
    return name == "discriminator" and isinstance(node, Mapping) and node.get("propertyName") == "@odata.type"


def _json_schema(described: Mapping[str, Any]) -> Mapping[str, Any] | None:
    content: Mapping[str, Any] = described.get("content", {})
    found = next((one for kind, one in content.items() if kind.partition(";")[0].endswith("json")), None)
    return None if found is None else found.get("schema", {})


def _absolute(node: Any) -> Any:
    """A schema whose references lead into the description, wherever it stands."""
    if isinstance(node, Mapping):
        return {name: f"{_URI}{one}" if name == "$ref" and str(one).startswith("#") else _absolute(one) for name, one in node.items()}
    return [_absolute(one) for one in node] if isinstance(node, list) else node


def _value(schema: Mapping[str, Any], text: str, resolved: Any) -> Any:
    """What a parameter's text stands for: `style: form`, several values between commas. Options of `$expand` are judged by no schema."""
    if schema.get("type") == "array":
        items = resolved(schema.get("items", {}))
        return [_value(items, one, resolved) for one in re.sub(r"\([^()]*\)", "", text).split(",")]
    return _VALUES.get(str(schema.get("type")), str)(text)


def _deepest(error: Any) -> Any:
    """Of alternatives, the one that came furthest says most."""
    while error.context:
        error = max(error.context, key=lambda one: len(one.absolute_path))
    return error


def main(arguments: Sequence[str]) -> int:
    """0: everything fits. 1: something does not. 2: it could not be judged."""
    parser = argparse.ArgumentParser(prog="script/judge-graph", description=__doc__)
    parser.add_argument("openapi", type=Path)
    parser.add_argument("--cassette", type=Path)
    asked = parser.parse_args(arguments)
    try:
        judge = Judge(load(asked.openapi))
    except (OSError, ValueError, yaml.YAMLError) as error:
        print(f"{asked.openapi} cannot be judged by: {error}", file=sys.stderr)
        return 2
    exchanges = record()
    if asked.cassette is not None:
        asked.cassette.write_bytes(b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in exchanges))
    found = judge.all(exchanges)
    for finding, times in sorted(found.items(), key=lambda one: (one[0].where, one[0].what)):
        print(f"{finding.where}: {finding.what}" + (f" ({times} times)" if times > 1 else ""))
    if not any(judge.knows(one) for one in exchanges):
        print(f"not one path of the scenario stands in {asked.openapi.name}; is that Graph's v1.0?", file=sys.stderr)
    fits = f"{len(found)} things do not fit" if found else "everything fits"
    print(f"{len(exchanges)} requests of the scenario, and their answers: {fits} {asked.openapi.name}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
