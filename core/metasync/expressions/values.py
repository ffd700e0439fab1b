"""The values that expressions and rewrites take and yield: how they enter, how they leave, and the words for their types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import NoneType
from typing import Any, Final, final

from metasync.contract import Reference
from metasync.expressions.errors import ExpressionError

SMALLEST, LARGEST = -(2**63), 2**63 - 1
SCALARS: Final = frozenset({str, int, bool, bytes, datetime})


@final
class Sentinel:
    """What an expression may yield beside a value (law 4): `CLEAR` or `KEEP`, and no other. No `Enum`: whoever writes JSON takes the
    members of one for their values."""

    __slots__ = ("_words",)

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words


CLEAR: Final = Sentinel("clear()")
"""Asserts that the attribute is empty."""
KEEP: Final = Sentinel("keep()")
"""Leaves the attribute alone."""


def tidy(value: Any) -> Any:
    """A result as the engine keeps it: nothing ("", an empty list) is None, a list is a tuple without empty values and
    without repetitions, in its order. CLEAR and KEEP pass."""
    kind = value.__class__
    if kind is str:
        return value or None
    if kind is tuple or kind is list:
        return tuple({(one.__class__, one): one for one in value if one is not None and one != ""}.values()) or None
    return value


def entering(value: Any) -> Any:
    """A value as expressions and rewrites see it: a reference is its value's text."""
    kind = value.__class__
    if kind in SCALARS or value is None:
        return value
    if kind is Reference:
        return value.value
    if kind is tuple or kind is list:
        return tuple([one if one.__class__ is str else entering(one) for one in value])
    if isinstance(value, str):
        return str(value)
    return value


def leaving(result: Any, what: str) -> Any:
    """A result as it leaves: lists become tuples, and only what an attribute can hold is let through. `what` yielded it."""
    kind = result.__class__
    if kind is str or kind is bool or result is None or kind is bytes or kind is datetime:
        return result
    if kind is int:
        if SMALLEST <= result <= LARGEST:
            return result
        raise ExpressionError(f"{what} yields a whole number of more than 64 bits")
    if kind is tuple or kind is list:
        for one in result:
            if one.__class__ not in SCALARS and one is not None:
                raise ExpressionError(f"{what} yields a list that holds {type_words(one)}; a list holds texts, whole numbers and the like")
        return tuple(result)
    if isinstance(result, str):
        return str(result)
    raise ExpressionError(
        f"{what} yields {type_words(result)}; allowed: text, a whole number, true or false, bytes, a time, lists of these"
    )


def type_words(value: Any) -> str:
    """The type of a value in the user's words; never the value."""
    if isinstance(value, tuple | list):
        kinds = {type_words(one) for one in value}
        return f"a list of {_PLURAL.get(kinds.pop(), 'values')}" if len(kinds) == 1 else "a list"
    for kind, words in _WORDS:
        if isinstance(value, kind):
            return words
    return f"a value of the type {type(value).__name__}"


_WORDS: Final[tuple[tuple[type[Any], str], ...]] = (
    (NoneType, "empty"),
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a fraction"),
    (str, "text"),
    (bytes, "bytes"),
    (datetime, "a time"),
    (timedelta, "a duration"),
    (Reference, "a reference"),
    (Mapping, "a table"),
    (Sentinel, "clear() or keep()"),
)
_PLURAL: Final = {"text": "texts", "a whole number": "whole numbers", "a time": "times", "bytes": "bytes", "a reference": "references"}
