"""$filter: read into a tree, refused where Graph would, and made into one function of an object's fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metasync_entra.lab.messages import Refused
from metasync_entra.lab.rules import FILTER, FILTER_ADVANCED
from metasync_entra.lab.schema import EXTENSION_ATTRIBUTES, Property, Schema

Test = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<time>\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d))|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<number>-?\d+)|(?P<word>\$?[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[(),/:]))"
)
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "ge": lambda one, other: one >= other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "lt": lambda one, other: one < other,
}


@dataclass(kw_only=True, slots=True)
class Filter:
    """One read filter."""

    text: str
    test: Test
    advanced: bool
    beginning: str | None = None
    """The filter is startsWith(userPrincipalName, this) and nothing else."""
    ids: list[str] | None = None
    """The filter is id eq this, or that ..., and nothing else."""


@dataclass(slots=True)
class _Reader:
    schema: Schema
    kind: str
    eventual: bool
    text: str
    tokens: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    place: int = 0
    advanced: bool = False
    simple: set[tuple[str, str]] | None = field(default_factory=set[tuple[str, str]])
    """(what, value) while the filter is a plain `or` of id eq or one startsWith; None once it is more."""

    # --- tokens -------------------------------------------------------------------------------------------------------------------------

    def split(self) -> None:
        place = 0
        while place < len(self.text.rstrip()):
            found = _TOKEN.match(self.text, place)
            if not found or found.lastgroup is None:
                raise self.wrong()
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()

    def wrong(self) -> Refused:
        return Refused(FILTER, 400, "BadRequest", f"Invalid filter clause: syntax error in '{self.text}'.")

    def unsupported(self, name: str) -> Refused:
        resource = self.kind[0].upper() + self.kind[1:]
        message = f"Unsupported or invalid query filter clause specified for property '{name}' of resource '{resource}'."
        return Refused(FILTER_ADVANCED, 400, "Request_UnsupportedQuery", message)

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def take(self, value: str | None = None) -> tuple[str, str]:
        token = self.peek()
        if token[0] == "end" or (value is not None and token[1].casefold() != value):
            raise self.wrong()
        self.place += 1
        return token

    def is_next(self, value: str) -> bool:
        kind, word = self.peek()
        return kind in ("word", "mark") and word.casefold() == value

    # --- the grammar --------------------------------------------------------------------------------------------------------------------

    def either(self) -> Test:
        tests = [self.both()]
        while self.is_next("or"):
            self.take()
            tests.append(self.both())
        if len(tests) == 1:
            return tests[0]
        return lambda fields: any(test(fields) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.is_next("and"):
            self.take()
            self.simple = None
            tests.append(self.one())
        if len(tests) == 1:
            return tests[0]
        return lambda fields: all(test(fields) for test in tests)

    def one(self) -> Test:
        if self.is_next("not"):
            self.take()
            self.need_eventual("not")
            inner = self.one()
            self.simple = None
            return lambda fields: not inner(fields)
        if self.is_next("("):
            self.take()
            inner = self.either()
            self.take(")")
            return inner
        kind, word = self.take()
        if kind != "word":
            raise self.wrong()
        if word.casefold() in ("startswith", "endswith"):
            return self.beginning_or_end(word.casefold())
        return self.comparison(word)

    def beginning_or_end(self, function: str) -> Test:
        self.take("(")
        get, property_ = self.operand(self.take()[1])
        self.take(",")
        kind, literal = self.take()
        self.take(")")
        if kind != "text":
            raise self.wrong()
        value = _unquote(literal).casefold()
        if property_.type != "text":
            raise self.unsupported(property_.name)
        if function == "endswith":
            self.need_eventual(property_.name)
            self.simple = None
            return lambda fields: (get(fields) or "").endswith(value)
        self.note("startswith:" + property_.name, value)
        return lambda fields: (get(fields) or "").startswith(value)

    def comparison(self, name: str) -> Test:
        if self.is_next("/") and self.tokens[self.place + 1 : self.place + 2] == [("word", "any")]:
            return self.any_of(name)
        get, property_ = self.operand(name)
        operator = self.take()[1].casefold()
        if operator == "in":
            self.simple = None
            values = self.several(property_)
            return lambda fields: get(fields) in values
        value = self.literal(property_)
        if operator == "eq":
            self.note("eq:" + property_.name, str(value))
            return lambda fields: get(fields) == value
        self.simple = None
        if operator == "ne":
            self.need_eventual(property_.name)
            return lambda fields: get(fields) != value
        compare = _COMPARISONS.get(operator)
        if compare is None:
            raise self.wrong()
        if value is None or property_.type in ("flag", "thing"):
            raise self.unsupported(property_.name)
        return lambda fields: (one := get(fields)) is not None and compare(one, value)

    def any_of(self, name: str) -> Test:
        """name/any(x:x eq 'v') and name/any(x:startsWith(x,'v'))."""
        self.simple = None
        property_ = self.schema.find(self.kind, name)
        self.take("/")
        self.take("any")
        self.take("(")
        variable = self.take()[1]
        self.take(":")
        if property_ is None or not property_.many:
            raise self.unsupported(name)
        starts = self.is_next("startswith")
        if starts:
            self.take()
            self.take("(")
        self.take(variable.casefold())
        self.take("," if starts else "eq")
        kind, literal = self.take()
        if kind != "text":
            raise self.wrong()
        value = _unquote(literal).casefold()
        if starts:
            self.take(")")
        self.take(")")
        if starts:
            return lambda fields: any(str(one).casefold().startswith(value) for one in fields.get(name) or ())
        return lambda fields: any(str(one).casefold() == value for one in fields.get(name) or ())

    def operand(self, name: str) -> tuple[Callable[[Mapping[str, Any]], Any], Property]:
        property_ = self.schema.find(self.kind, name)
        if property_ is None:
            raise Refused(FILTER, 400, "BadRequest", f"Could not find a property named '{name}' on type 'microsoft.graph.{self.kind}'.")
        if property_.name == "onPremisesExtensionAttributes" and self.is_next("/"):
            self.take()
            inner = self.take()[1]
            if inner not in EXTENSION_ATTRIBUTES:
                raise self.unsupported(inner)
            return (lambda fields: _fold((fields.get("onPremisesExtensionAttributes") or {}).get(inner))), Property(name=inner)
        if property_.many or property_.outside or property_.type == "thing":
            raise self.unsupported(name)
        if property_.type == "text":
            return (lambda fields: _fold(fields.get(property_.name))), property_
        return (lambda fields: fields.get(property_.name)), property_

    def several(self, property_: Property) -> set[Any]:
        self.take("(")
        values = {self.literal(property_)}
        while self.is_next(","):
            self.take()
            values.add(self.literal(property_))
        self.take(")")
        return values

    def literal(self, property_: Property) -> Any:
        kind, text = self.take()
        if kind == "word":
            words: Mapping[str, Any] = {"null": None, "true": True, "false": False}
            if text not in words or (text != "null" and property_.type != "flag"):
                raise self.wrong()
            return words[text]
        expected = {"text": ("text", "guid"), "flag": (), "time": ("time",), "number": ("number",), "thing": ()}[property_.type]
        if kind not in expected:
            raise self.wrong()
        if kind == "text":
            return _unquote(text).casefold()
        return int(text) if kind == "number" else text.casefold() if kind == "guid" else text

    def need_eventual(self, name: str) -> None:
        self.advanced = True
        if not self.eventual:
            raise self.unsupported(name)

    def note(self, what: str, value: str) -> None:
        if self.simple is not None:
            self.simple.add((what, value))


def read_filter(schema: Schema, kind: str, text: str, *, eventual: bool) -> Filter:
    """Read $filter. `eventual`: the request has ConsistencyLevel: eventual and $count=true."""
    reader = _Reader(schema, kind, eventual, text)
    reader.split()
    test = reader.either()
    if reader.peek()[0] != "end":
        raise reader.wrong()
    beginning, ids = None, None
    if reader.simple:
        if all(what == "eq:id" for what, _ in reader.simple):
            ids = sorted(value for _, value in reader.simple)
        elif len(reader.simple) == 1:
            ((what, value),) = reader.simple
            beginning = value if what == "startswith:userPrincipalName" else None
    return Filter(text=text, test=test, advanced=reader.advanced, beginning=beginning, ids=ids)


def _unquote(literal: str) -> str:
    return literal[1:-1].replace("''", "'")


def _fold(value: Any) -> Any:
    return value.casefold() if value else value
