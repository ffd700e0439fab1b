"""The slow twin of a program: it computes the same from the document itself and says why. `explain` shows it; the tests hold the two equal.

It always goes through CEL, and looks every value up one by one. Nothing here is called for more than one object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metasync.contract import Reference
from metasync.engagement.model import Strength
from metasync.expressions import CLEAR, KEEP, Expression, ExpressionError, tidy
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.needs import canonical
from metasync.synchronising.program import NOTHING, Environment, Program


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """How one attribute came about."""

    attribute: str
    value: Any
    expression: str
    inputs: Mapping[str, Any]
    """`source.mail` -> its value."""
    steps: tuple[tuple[str, Any], ...] = ()
    """Each rewrite, and what it made of the value."""
    words: str = ""


def desired(program: Program, environment: Environment) -> tuple[dict[str, Any], list[Reason]]:
    """The scalar mappings' values by attribute, those that `Program.desired` gives, and the reasons. Raises `ObjectError` likewise."""
    values: dict[str, Any] = {}
    reasons: list[Reason] = []
    for attribute, expression in program.expressions.items():
        reason = _reason(program, environment, attribute, expression)
        values[attribute] = reason.value
        reasons.append(reason)
    return values, reasons


def in_where(program: Program, environment: Environment) -> tuple[bool, str]:
    """Whether `where:` holds, and in words."""
    if program.where is None:
        return True, "the profile has no `where`"
    answer = _evaluate(program, environment, "scope", program.where)
    if answer is not None and not isinstance(answer, bool):
        raise ObjectError("scope", f"`where` must yield true or false, and yields {type(answer).__name__} here: {program.where.text}")
    shown = ", ".join(f"{name} is {show(value)}" for name, value in inputs(program, environment, program.where).items())
    return bool(answer), f"`{program.where.text}` is {'true' if answer else 'false'}: {shown}"


def inputs(program: Program, environment: Environment, expression: Expression) -> dict[str, Any]:
    """Every value that an expression reads, by the name that it is written with."""
    return {f"{root}.{attribute}": _value(program, environment, root, attribute) for root, attribute in expression.arguments}


def show(value: Any) -> str:
    """A value for a person."""
    if value is None:
        return "empty"
    if value is KEEP:
        return "left alone"
    if value is CLEAR:
        return "cleared"
    if isinstance(value, tuple):
        return "[" + ", ".join(show(one) for one in value) + "]"
    if isinstance(value, Reference):
        return f"→ {value.value}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _reason(program: Program, environment: Environment, attribute: str, expression: Expression) -> Reason:
    mapping = program.mappings[attribute]
    read = inputs(program, environment, expression)
    condition = program.conditions.get(attribute)
    if condition is not None and _evaluate(program, environment, attribute, condition) is not True:
        return Reason(
            attribute=attribute,
            value=KEEP,
            expression=expression.text,
            inputs=read,
            words=f"left alone, because `{condition.text}` is not true",
        )
    value = _evaluate(program, environment, attribute, expression)
    value = value if expression.plain else tidy(value)
    steps: list[tuple[str, Any]] = []
    if mapping.rewrite:
        try:
            value = tidy(program.pipelines[attribute](value))
        except ExpressionError as error:
            raise ObjectError(attribute, str(error)) from error
        steps.append((" then ".join(call.name for call in mapping.rewrite), value))
    words = {Strength.ONCE: "only when the object is created", Strength.FILL: "only where the target has nothing"}.get(mapping.strength, "")
    return Reason(attribute=attribute, value=value, expression=expression.text, inputs=read, steps=tuple(steps), words=words)


def _evaluate(program: Program, environment: Environment, at: str, expression: Expression) -> Any:
    values = [_value(program, environment, root, attribute) for root, attribute in expression.arguments]
    if expression.plain:
        return values[0]
    try:
        return expression.explain(*values)
    except ExpressionError as error:
        raise ObjectError(at, str(error)) from error


def _value(program: Program, environment: Environment, root: str, attribute: str) -> Any:
    name = canonical(program.source_schema, attribute) if root == "source" else attribute
    return environment.get(root, NOTHING).get(name)
