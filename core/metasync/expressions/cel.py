"""Evaluates a checked CEL text with the library, and says in the user's words why it could not.

Before the library sees a text, each attribute read in it becomes a variable of its own (`source.mail` is `__0`): handing over plain
values is several times as fast as handing over objects, and any attribute's name is possible. `matches` and `size` go to functions of ours,
because the library's own differ from the specification (another dialect of patterns; bytes counted instead of characters).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import cel

from metasync.expressions.check import CONVERSIONS, METHODS, MOST_IN_NESTED, OURS, SENTINELS, Checked
from metasync.expressions.errors import ExpressionError, ExpressionSyntaxError
from metasync.expressions.tree import Attribute, Call, Macro, walk
from metasync.expressions.values import CLEAR, KEEP, entering, leaving, type_words

_MARK = "\0metasync"
_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*\Z")
_FUNCTION_OF = re.compile(r"^Function '(\w+)'")
_NOT_A_VALUE = object()
"""What a function hands to the library to make it fail: a type that it does not know. An exception would be logged, values and all."""


class _PerThread(threading.local):
    context: Any = None
    errors: list[ExpressionError]


class Evaluator:
    """One text, evaluated by the library."""

    def __init__(self, checked: Checked) -> None:
        self.checked = checked
        self.text = patched(checked)
        self.names = tuple(f"__{number}" for number in range(len(checked.arguments)))
        self.local = _PerThread()
        try:
            self.program = cel.compile(self.text)
            self._agree()
        except ValueError as error:
            raise ExpressionSyntaxError(checked.text, 0, f"the expression cannot be read: {_first_line(error)}") from error

    def _agree(self) -> None:
        """The library must have read the same names as we did."""
        macros = {node.variable for node in walk(self.checked.tree) if isinstance(node, Macro)}
        functions = {one.removeprefix("__") for one in self.program.functions() if _NAME.match(one)}
        if functions != self.checked.functions or not {*self.program.variables()} <= {*self.names} | macros:
            raise ValueError("write it more simply, with parentheses")

    def explain(self, *values: Any) -> Any:
        """The result for these values, which stand in the order of `arguments`. Raises `ExpressionError`."""
        local = self.local
        if local.context is None:
            local.errors = []
            local.context = cel.Context(functions=self._functions(local.errors))
        local.errors.clear()
        values = tuple([entering(one) for one in values])
        self._bounds(values)
        try:
            for name, value in zip(self.names, values, strict=True):
                local.context.add_variable(name, value)
            result = self.program.execute(local.context)
        except (TypeError, RuntimeError, ValueError, ArithmeticError, LookupError) as error:
            # Without `from`: the library's messages hold values.
            raise self._explained(error, values, local.errors) from None
        if result.__class__ is dict and _MARK in result:
            return CLEAR if result[_MARK] == "clear" else KEEP
        return leaving(result, "the expression")

    def _bounds(self, values: tuple[Any, ...]) -> None:
        if self.checked.nested:
            for (root, name), value in zip(self.checked.arguments, values, strict=True):
                if value.__class__ is tuple and len(value) > MOST_IN_NESTED:
                    raise ExpressionError(f"{root}.{name} has more than {MOST_IN_NESTED} values, too many for lists within lists")

    def _functions(self, errors: list[ExpressionError]) -> dict[str, Callable[..., Any]]:
        def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                try:
                    return function(*arguments)
                except ExpressionError as error:
                    errors.append(error)
                    return _NOT_A_VALUE

            return call

        found = {name: guarded(function) for name, function in self.checked.bound.items()}
        for name, rewrite in self.checked.rewrites.items():
            if rewrite.value_last:
                found[f"__{name}"] = guarded(_value_first(self.checked.bound[name]))
        # Asked only where the library's own function does not fit the value.
        found |= {name: guarded(_does_not_fit(self, name)) for name in (METHODS | CONVERSIONS) & self.checked.functions}
        found["__size"] = guarded(size)
        found["__matches"] = guarded(self._matches)
        found |= {name: (lambda name=name: {_MARK: name}) for name in SENTINELS}
        return found

    def _matches(self, value: Any, pattern: str) -> bool:
        if value.__class__ is not str:
            raise DoesNotFit("matches", value)
        return self.checked.patterns[pattern].search(value) is not None

    def _explained(self, error: Exception, values: tuple[Any, ...], errors: list[ExpressionError]) -> ExpressionError:
        # An error that && or || absorbed may stand in `errors` as well.
        own = errors[-1] if errors and "Failed to convert Python result" in str(error) else None
        if own is not None and not isinstance(own, DoesNotFit):
            return ExpressionError(str(own))
        function = own.function if own is not None else None
        read = self._read_by(function) if function else set(self.checked.arguments)
        types = {
            f"{root}.{name}": value for (root, name), value in zip(self.checked.arguments, values, strict=True) if (root, name) in read
        }
        empty = [name for name, value in types.items() if value is None]
        if empty and not isinstance(error, ArithmeticError | LookupError):
            needed = f"{function}() needs" if function else "the expression needs"
            verb = "is" if len(empty) == 1 else "are"
            return ExpressionError(f"{' and '.join(empty)} {verb} empty here, and {needed} a value; ask `{empty[0]} != null` first")
        listed = "; ".join(f"{name} is {type_words(value)}" for name, value in types.items())
        if isinstance(error, ZeroDivisionError):
            words = "division by zero"
        elif isinstance(error, ArithmeticError):
            words = "a number is too large"
        elif isinstance(error, IndexError):
            words = "the list is shorter than the index asks for"
        elif isinstance(error, KeyError):
            words = "the table has no such key"
        elif own is not None:
            words = str(own)
        elif isinstance(error, TypeError):
            words = "an operator does not take values of these types (the types must be the same: text + text)"
        else:
            name = _FUNCTION_OF.search(str(error))
            words = f"{name.group(1).strip('_')}() cannot read its value" if name else "the values do not fit"
        return ExpressionError(f"{words}{' here: ' + listed if listed else ''}")

    def _read_by(self, function: str) -> set[tuple[str, str]]:
        calls = [node for node in walk(self.checked.tree) if isinstance(node, Call) and node.name == function]
        return {(one.root, one.name) for call in calls for one in walk(call) if isinstance(one, Attribute)} or set(self.checked.arguments)


class DoesNotFit(ExpressionError):
    """A function of the language does not take this type of value."""

    def __init__(self, function: str, value: Any) -> None:
        self.function = function
        self.kind = "an empty value" if value is None else type_words(value)
        super().__init__(f"{function}() does not take {self.kind}")


def size(value: Any) -> int:
    """Characters of a text, values of a list, bytes."""
    if value.__class__ in (str, list, tuple, bytes, dict):
        return len(value)
    raise DoesNotFit("size", value)


def patched(checked: Checked) -> str:
    """The text as the library compiles it."""
    numbers = {argument: number for number, argument in enumerate(checked.arguments)}
    changes: list[tuple[int, int, str]] = []
    for node in walk(checked.tree):
        if isinstance(node, Attribute):
            changes.append((node.start, node.end, f"__{numbers[node.root, node.name]}"))
        elif isinstance(node, Call):
            rewrite = checked.rewrites.get(node.name)
            name = OURS.get(node.name) or (f"__{node.name}" if rewrite and rewrite.value_last and node.receiver is None else None)
            if name:
                changes.append((node.start, node.start + len(node.name), name))
    text = checked.text
    for start, end, name in sorted(changes, reverse=True):
        text = text[:start] + name + text[end:]
    return text


def _value_first(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: function(arguments[-1], *arguments[:-1])


def _does_not_fit(evaluator: Evaluator, name: str) -> Callable[..., Any]:
    def fail(*arguments: Any) -> Any:
        if name == "string" and arguments[0].__class__ is bool:
            return "true" if arguments[0] else "false"
        odd = [one for one in arguments if one is None] or [one for one in arguments if one.__class__ is not str] or list(arguments)
        raise DoesNotFit(name, odd[0])

    return fail


def _first_line(error: Exception) -> str:
    found = re.search(r"ERROR: <input>:\d+:\d+: (?:Syntax error: )?([^\n|]*)", str(error))
    return found.group(1).strip() if found else str(error).splitlines()[0]
