"""The simple subset of CEL as Python, about ten times as fast.

The Python does only what was proved equal to the library, for the types where it is: as soon as a value has another type, and on every
error, the same values are evaluated by the library, whose result or error then holds. What users write enters as constants bound by
name (`k0`), attributes as parameters (`v0`), rewrites as functions (`f0`): no text of theirs is ever executed. A macro (`filter`, `exists`)
is a loop; the name that the user gave to the single value is not in it.
"""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable
from datetime import datetime
from types import NoneType
from typing import Any

from metasync.contract import Reference
from metasync.expressions.cel import Evaluator
from metasync.expressions.check import MOST_IN_NESTED, SENTINELS, Checked, constant, parameters_of
from metasync.expressions.errors import ExpressionError
from metasync.expressions.tree import Attribute, Binary, Call, Choice, Index, ListOf, Literal, Macro, Node, Unary, Variable
from metasync.expressions.values import entering

_ORDERED = frozenset({"<", "<=", ">", ">="})
_ALIKE = frozenset({str, int, bool, bytes, datetime, NoneType})
_TYPE_NAMES = {str: "str", bool: "bool", int: "int", bytes: "bytes", NoneType: "null"}


class Otherwise(Exception):
    """This value is none that the Python was proved equal for."""


class NotSimple(Exception):
    """This expression is outside of the subset."""


def translate(checked: Checked, evaluator: Evaluator) -> tuple[Callable[..., Any], str] | None:
    """The function of the attributes' values and its source, or None where only the library can evaluate the text."""
    writer = _Writer(checked)
    try:
        result, kind = writer.node(checked.tree)
    except NotSimple:
        return None
    if kind in ("list", "any"):
        writer.line(f"if {result}.__class__ is tuple: flat({result})")
    names = [f"v{number}" for number in range(len(checked.arguments))]
    parameters = ", ".join(names)
    lines = [f"def expression({parameters}):", "    try:"]
    lines += [f"        if {name}.__class__ not in entered: {name} = entering({name})" for name in names]
    if checked.nested:
        lines += [f"        if {name}.__class__ is tuple and len({name}) > {MOST_IN_NESTED}: raise Otherwise" for name in names]
    lines += [*writer.lines, f"        return {result}"]
    lines += ["    except (Otherwise, ExpressionError):", "        pass", f"    return explain({parameters})", ""]
    source = "\n".join(lines)
    # Every text of equal shape has the same source: the name tells them apart, and loading a text again adds nothing.
    filename = f"<expression {hashlib.sha256((checked.text + source).encode()).hexdigest()[:16]}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {**_TOOLS, **writer.constants, "explain": evaluator.explain}
    exec(compile(source, filename, "exec"), scope)  # noqa: S102 - our own template; what users wrote is bound as constants
    function: Callable[..., Any] = scope["expression"]
    return function, source


def _equal(one: Any, other: Any) -> bool:
    """`==` of two values of any type. The library compares numbers of unlike types, and lists item by item: left to it."""
    if one.__class__ is other.__class__:
        if one.__class__ in _ALIKE:
            return bool(one == other)
    elif one.__class__ in _ALIKE and other.__class__ in _ALIKE:
        return False
    raise Otherwise


def _ordered(one: Any, other: Any) -> None:
    """Texts compare by code point in both languages (UTF-8 keeps that order)."""
    if not (one.__class__ is str and other.__class__ is str) and not (one.__class__ is int and other.__class__ is int):
        raise Otherwise


def _member(one: Any, values: Any) -> bool:
    if values.__class__ is tuple and (one.__class__ is str or one is None):
        return one in values
    raise Otherwise


def _size(value: Any) -> int:
    if value.__class__ in (str, tuple, bytes):
        return len(value)
    raise Otherwise


def _item(values: Any, index: Any) -> Any:
    if values.__class__ is tuple and index.__class__ is int and 0 <= index < len(values):
        return values[index]
    raise Otherwise


def _flat(values: tuple[Any, ...]) -> None:
    if any(one.__class__ not in _ALIKE for one in values):
        raise Otherwise


_TOOLS: dict[str, Any] = {
    "Otherwise": Otherwise,
    "ExpressionError": ExpressionError,
    "Reference": Reference,
    "entering": entering,
    "entered": frozenset({str, NoneType, bool, int}),
    "equal": _equal,
    "ordered": _ordered,
    "member": _member,
    "size": _size,
    "item": _item,
    "flat": _flat,
}


_MACROS = {
    "exists": ("False", "{result} = True; break", "", "bool"),
    "all": ("True", "{result} = False; break", "", "bool"),
    "exists_one": ("0", "{result} += 1", "{result} == 1", "bool"),
    "filter": ("[]", "{result}.append({value})", "tuple({result})", "list"),
    "map": ("[]", "{result}.append({value})", "tuple({result})", "list"),
}
"""How the result begins, what is done with a value that counts, what is made of it at the end, and the result's type."""


class _Writer:
    """Writes statements; each node's value is a name that stands for it, with what is known of its type."""

    def __init__(self, checked: Checked) -> None:
        self.checked = checked
        self.arguments = {argument: f"v{number}" for number, argument in enumerate(checked.arguments)}
        self.constants: dict[str, Any] = {}
        self.functions: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        """Those of the macros around: none of them has the name of another."""
        self.lines: list[str] = []
        self.indent = 2
        self.made = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def name(self) -> str:
        self.made += 1
        return f"t{self.made}"

    def constant(self, value: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def function(self, name: str) -> str:
        if name not in self.functions:
            self.functions[name] = f"f{len(self.functions)}"
            self.constants[self.functions[name]] = self.checked.bound[name]
        return self.functions[name]

    def block(self, opening: str) -> _Block:
        return _Block(self, opening)

    def node(self, node: Node) -> tuple[str, str]:
        match node:
            case Literal():
                return self.literal(node)
            case Attribute():
                return self.arguments[node.root, node.name], "any"
            case Variable():
                return self.variables[node.name], "any"
            case Macro():
                return self.macro(node)
            case Index():
                values, index = self.node(node.receiver)[0], self.node(node.index)[0]
                return self.assigned(f"item({values}, {index})", "any")
            case ListOf():
                items = [self.node(item)[0] for item in node.items]
                return self.assigned(f"({''.join(item + ', ' for item in items)})", "list")
            case Unary(operator="!", count=1):
                operand = self.truth(*self.node(node.operand))
                return self.assigned(f"not {operand}", "bool")
            case Binary(operator="&&" | "||"):
                return self.logical(node)
            case Binary():
                return self.binary(node)
            case Choice():
                return self.choice(node)
            case Call():
                return self.call(node)
            case _:
                raise NotSimple

    def literal(self, node: Literal) -> tuple[str, str]:
        if not node.exact:
            raise NotSimple
        if node.value is None or isinstance(node.value, bool):
            return repr(node.value), "null" if node.value is None else "bool"
        return self.constant(node.value), _TYPE_NAMES[type(node.value)]

    def assigned(self, value: str, kind: str) -> tuple[str, str]:
        name = self.name()
        self.line(f"{name} = {value}")
        return name, kind

    def truth(self, name: str, kind: str) -> str:
        """Goes on only with true or false."""
        if kind == "any":
            self.line(f"if {name}.__class__ is not bool: raise Otherwise")
        elif kind != "bool":
            raise NotSimple
        return name

    def text(self, name: str, kind: str) -> str:
        """Goes on only with a text."""
        if kind == "any":
            self.line(f"if {name}.__class__ is not str: raise Otherwise")
        elif kind != "str":
            raise NotSimple
        return name

    def logical(self, node: Binary) -> tuple[str, str]:
        left = self.truth(*self.node(node.left))
        result, _ = self.assigned(left, "bool")
        with self.block(f"if {result}:" if node.operator == "&&" else f"if not {result}:"):
            self.line(f"{result} = {self.truth(*self.node(node.right))}")
        return result, "bool"

    def choice(self, node: Choice) -> tuple[str, str]:
        condition = self.truth(*self.node(node.condition))
        result = self.name()
        with self.block(f"if {condition}:"):
            yes, one = self.node(node.yes)
            self.line(f"{result} = {yes}")
        with self.block("else:"):
            no, other = self.node(node.no)
            self.line(f"{result} = {no}")
        return result, one if one == other else "any"

    def macro(self, node: Macro) -> tuple[str, str]:
        """Errors are the library's: it absorbs some of those of `exists` and `all`, and none of the others'."""
        values, kind = self.node(node.receiver)
        if kind == "any":
            self.line(f"if {values}.__class__ is not tuple: raise Otherwise")
        elif kind != "list":
            raise NotSimple
        begin, step, end, kind = _MACROS[node.name]
        result, _ = self.assigned(begin, kind)
        variable = self.variables[node.variable] = self.name()
        *conditions, value = node.arguments if node.name == "map" else (*node.arguments, Variable(node.start, node.variable))
        with self.block(f"for {variable} in {values}:"):
            if not conditions:
                self.line(step.format(result=result, value=self.node(value)[0]))
            for condition in conditions:
                found = self.truth(*self.node(condition))
                with self.block(f"if not {found}:" if node.name == "all" else f"if {found}:"):
                    self.line(step.format(result=result, value=self.node(value)[0]))
        return self.assigned(end.format(result=result), kind) if end else (result, kind)

    def binary(self, node: Binary) -> tuple[str, str]:
        (left, one), (right, other) = self.node(node.left), self.node(node.right)
        operator = node.operator
        if operator in ("==", "!="):
            return self.equality(operator, left, one, right, other)
        if operator in _ORDERED:
            if not (one == other == "str"):
                self.line(f"ordered({left}, {right})")
            return self.assigned(f"{left} {operator} {right}", "bool")
        if operator == "in":
            return self.assigned(f"member({left}, {right})", "bool")
        if operator == "+":
            return self.assigned(f"{self.text(left, one)} + {self.text(right, other)}", "str")
        raise NotSimple

    def equality(self, operator: str, left: str, one: str, right: str, other: str) -> tuple[str, str]:
        """A null or a text is equal to nothing of another type in both languages."""
        if "null" in (one, other):
            return self.assigned(f"{left} {'is' if operator == '==' else 'is not'} {right}", "bool")
        if "str" in (one, other):
            return self.assigned(f"{left} {operator} {right}", "bool")
        return self.assigned(f"{'' if operator == '==' else 'not '}equal({left}, {right})", "bool")

    def call(self, node: Call) -> tuple[str, str]:
        if node.name in SENTINELS:
            return self.constant(SENTINELS[node.name]), "any"
        if node.name in self.checked.bound:
            value, parameters = parameters_of(node, self.checked.rewrites[node.name])
            if value is None:
                raise NotSimple
            given = [self.node(value)[0], *(self.parameter(one) for one in parameters)]
            return self.assigned(f"{self.function(node.name)}({', '.join(given)})", "any")
        operands = [self.node(one) for one in ((node.receiver,) if node.receiver else ()) + node.arguments]
        if node.name == "size":
            return self.assigned(f"size({operands[0][0]})", "int")
        if node.name == "matches":
            subject = self.text(*operands[0])
            found = self.constant(self.checked.patterns[self.constants[operands[1][0]]].search)
            return self.assigned(f"{found}({subject}) is not None", "bool")
        if node.name in ("endsWith", "startsWith", "contains"):
            subject, part = self.text(*operands[0]), self.text(*operands[1])
            python = f"{part} in {subject}" if node.name == "contains" else f"{subject}.{node.name.lower()}({part})"
            return self.assigned(python, "bool")
        raise NotSimple

    def parameter(self, node: Node) -> str:
        sure, value = constant(node)
        return self.constant(value) if sure else self.node(node)[0]


class _Block:
    """`with writer.block("if x:"):` writes an indented block."""

    def __init__(self, writer: _Writer, opening: str) -> None:
        self.writer = writer
        self.opening = opening

    def __enter__(self) -> None:
        self.writer.line(self.opening)
        self.writer.indent += 1

    def __exit__(self, *_: object) -> None:
        self.writer.indent -= 1
