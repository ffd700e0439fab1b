"""A rewrite changes values: a step of a mapping's `rewrite:` pipeline, and a function in expressions, `f(x, ...)` and `x.f(...)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Null(StrEnum):
    """What a rewrite does to an absent value."""

    STAYS = "stays null"
    HANDLED = "is handled"
    """The function is called with None."""


class Several(StrEnum):
    """What a rewrite does to several values."""

    EACH = "each value by itself"
    ALL = "all values together"
    """The function is called with the tuple."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter behind the value itself. In a pipeline `{name: {parameter: argument}}`, or `{name: argument}` where there is one."""

    name: str
    help: str
    type: type[Any] = str
    default: Any = ...
    """`...`: required."""
    pattern: bool = False
    """True: a regular expression, checked when the document is loaded (google-re2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """A pure function of a value: same input, same output, no side effect, no clock."""

    name: str
    function: Callable[..., Any]
    """`function(value, *arguments)`, the arguments in the order of `parameters`. Raises `ValueError` with a reason. Returns None for
    "nothing"."""
    help: str
    example: tuple[str, str]
    """An expression and what it yields, as a person reads it; a test runs it."""
    parameters: Sequence[Parameter] = ()
    null: Null = Null.STAYS
    several: Several = Several.EACH
    value_last: bool = False
    """True: in the form `f(...)` the value stands behind the parameters, `join(", ", values)`; in `x.f(...)` and in a pipeline it comes
    first."""
