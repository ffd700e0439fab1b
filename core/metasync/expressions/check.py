"""Judges a text before it is accepted: names, functions and their parameters, patterns, where clear() and keep() stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import re2

from metasync.contract import Rewrite
from metasync.expressions.errors import ExpressionSyntaxError, meant
from metasync.expressions.parse import MACROS, parse
from metasync.expressions.rewrites import argument_error, bind_rewrite, pattern_error, signature
from metasync.expressions.tree import Attribute, Call, Choice, Literal, Macro, MapOf, Node, children, walk
from metasync.expressions.values import CLEAR, KEEP

DATES = ("Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "FullYear", "Hours", "Milliseconds", "Minutes", "Month", "Seconds")
METHODS = frozenset({"contains", "endsWith", "startsWith"} | {f"get{part}" for part in DATES})
"""The library's own, called as `x.f()` alone, with the number of arguments left to it."""
CONVERSIONS = frozenset(["bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"])
OURS = {"size": "__size", "matches": "__matches"}
SENTINELS = {"clear": CLEAR, "keep": KEEP}
RESERVED = METHODS | CONVERSIONS | MACROS | frozenset(OURS) | frozenset(SENTINELS) | {"has"}
"""Names that a rewrite cannot have."""

MOST_IN_NESTED = 1000
"""The longest list that macros within macros go through: 10^6 steps take about a second, and no other thread runs meanwhile."""

_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A text that may be used, taken apart."""

    text: str
    tree: Node
    arguments: tuple[tuple[str, str], ...]
    functions: frozenset[str]
    rewrites: Mapping[str, Rewrite]
    """Those it calls."""
    bound: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """The same, ready to be called `(value, *arguments)`."""
    patterns: Mapping[str, Any] = field(default_factory=dict)
    """What `matches()` looks for, compiled."""
    nested: bool = False
    """Macros within macros."""


def check(
    text: str, rewrites: Mapping[str, Rewrite], roots: Collection[str], names: Mapping[str, Collection[str]] | None = None
) -> Checked:
    """Read and judge a text. Raises `ExpressionSyntaxError`."""
    tree = parse(text, _written(roots))
    nodes = walk(tree)
    calls = [node for node in nodes if isinstance(node, Call)]
    patterns: dict[str, Any] = {}
    for call in calls:
        _check_call(text, call, rewrites)
        if call.name == "matches" and isinstance(call.arguments[0], Literal):
            patterns[call.arguments[0].value] = re2.compile(call.arguments[0].value)
    _check_results(text, tree, nodes)
    attributes = [node for node in nodes if isinstance(node, Attribute)]
    for one in attributes:
        known = (names or {}).get(one.root)
        if known is not None and one.name not in known:
            raise ExpressionSyntaxError(text, one.start, f"{one.root} has no attribute {one.name}{meant(one.name, known)}")
    nested = _macro_depth(tree) > 1
    used = {call.name: rewrites[call.name] for call in calls if call.name in rewrites and call.name not in RESERVED}
    literal = {name: all(_literal_parameters(call, used[name]) for call in calls if call.name == name) for name in used}
    bound = {name: bind_rewrite(one, checked=literal[name], most=MOST_IN_NESTED if nested else None) for name, one in used.items()}
    return Checked(
        text=text,
        tree=tree,
        arguments=tuple(sorted({(one.root, one.name) for one in attributes})),
        functions=frozenset(call.name for call in calls),
        rewrites=used,
        bound=bound,
        patterns=patterns,
        nested=nested,
    )


def parameters_of(call: Call, rewrite: Rewrite) -> tuple[Node | None, tuple[Node, ...]]:
    """The value of a call and what stands for the parameters."""
    if call.receiver is not None:
        return call.receiver, call.arguments
    if not call.arguments:
        return None, ()
    if rewrite.value_last:
        return call.arguments[-1], call.arguments[:-1]
    return call.arguments[0], call.arguments[1:]


def constant(node: Node) -> tuple[bool, Any]:
    """(True, value) of what is written out: a literal, or a table of literals."""
    if isinstance(node, Literal) and node.exact:
        return True, node.value
    if isinstance(node, MapOf) and all(isinstance(one, Literal) and one.exact for pair in node.items for one in pair):
        return True, {key.value: value.value for key, value in node.items if isinstance(key, Literal) and isinstance(value, Literal)}
    return False, None


def texts_in(text: str, roots: Collection[str]) -> tuple[str, ...]:
    """The texts that are written out in an expression, in their order. Raises `ExpressionSyntaxError`."""
    return tuple(node.value for node in walk(parse(text, _written(roots))) if isinstance(node, Literal) and isinstance(node.value, str))


def _written(roots: Collection[str]) -> dict[str, str]:
    """How each root is written: a directory `hr-file` as `hr_file`, since a dash is a minus."""
    written = {root: root for root in roots if _IDENTIFIER.match(root)}
    for root in sorted(roots):
        written.setdefault(re.sub(r"[^_a-zA-Z0-9]", "_", root), root)
    return written


def _check_call(text: str, call: Call, rewrites: Mapping[str, Rewrite]) -> None:
    name, count = call.name, len(call.arguments)
    total = count + (call.receiver is not None)

    def wrong(message: str, allowed: Iterable[str] = ()) -> ExpressionSyntaxError:
        return ExpressionSyntaxError(text, call.start, message, allowed)

    if name in SENTINELS:
        if total:
            raise wrong(f"{name}() takes nothing")
    elif name in METHODS:
        if call.receiver is None:
            raise wrong(f"write `x.{name}(...)`")
        if name in ("contains", "endsWith", "startsWith") and count != 1:
            raise wrong(f"`x.{name}(y)` takes one text")
    elif name in ("size", *CONVERSIONS):
        if total != 1:
            raise wrong(f"{name}() takes one value")
    elif name == "matches":
        pattern = call.arguments[-1] if total == 2 else None
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            raise wrong("matches() takes a text, and a pattern that is written out: `source.mail.matches('@contoso[.]com$')`")
        problem = pattern_error(pattern.value)
        if problem:
            raise ExpressionSyntaxError(text, pattern.start, problem)
    elif name in MACROS:
        raise wrong(f"write `x.{name}(y, ...)`")
    elif name in rewrites:
        _check_rewrite(text, call, rewrites[name])
    else:
        allowed = sorted({*rewrites, *METHODS, *CONVERSIONS, *OURS, *SENTINELS, *MACROS} - {"dyn"})
        raise wrong(f"there is no function {name}(){meant(name, allowed)}", allowed)


def _check_rewrite(text: str, call: Call, rewrite: Rewrite) -> None:
    value, nodes = parameters_of(call, rewrite)
    if value is None:
        raise ExpressionSyntaxError(text, call.start, f"{call.name}() needs a value: {signature(rewrite)}")
    known = [constant(node) for node in nodes]
    # What is not written out is judged at evaluation: stand in with something right.
    arguments = [argument if sure else _StandIn for sure, argument in known]
    problem = argument_error(_with_stand_ins(rewrite, arguments), arguments)
    if problem:
        raise ExpressionSyntaxError(text, call.start, problem)
    for parameter, node, (sure, argument) in zip(rewrite.parameters, nodes, known, strict=False):
        if parameter.pattern:
            if not sure or not (isinstance(argument, str) or (argument is None and parameter.default is None)):
                raise ExpressionSyntaxError(text, node.start, f"the pattern `{parameter.name}` of {call.name}() must be written out")
            problem = pattern_error(argument) if argument is not None else None
            if problem:
                raise ExpressionSyntaxError(text, node.start, problem)


class _StandIn:
    """An argument whose value is not known yet."""


def _with_stand_ins(rewrite: Rewrite, arguments: list[Any]) -> Rewrite:
    parameters = list(rewrite.parameters)
    for position, argument in enumerate(arguments[: len(parameters)]):
        if argument is _StandIn:
            parameters[position] = replace(parameters[position], type=object)
    return replace(rewrite, parameters=tuple(parameters))


def _literal_parameters(call: Call, rewrite: Rewrite) -> bool:
    return all(constant(node)[0] for node in parameters_of(call, rewrite)[1])


def _check_results(text: str, tree: Node, nodes: list[Node]) -> None:
    """`clear()` and `keep()` are results, never parts of a value."""
    results: set[int] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        results.add(id(node))
        if isinstance(node, Choice):
            waiting += [node.yes, node.no]
    for node in nodes:
        if isinstance(node, Call) and node.name in SENTINELS and id(node) not in results:
            raise ExpressionSyntaxError(text, node.start, f"{node.name}() stands alone, or as a branch of `? :`")


def _macro_depth(tree: Node) -> int:
    deepest, waiting = 0, [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        inner = depth + isinstance(node, Macro)
        deepest = max(deepest, inner)
        for child in children(node):
            # The receiver of a macro is evaluated once, outside of its loop.
            waiting.append((child, depth if isinstance(node, Macro) and child is node.receiver else inner))
    return deepest
