"""Rewrites from one value to several, from several to one, and of which values stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metasync.contract import Null, Parameter, Rewrite, Several
from metasync_standard.tools import pattern_of, text_of


def split(value: Any, separator: str) -> tuple[str, ...]:
    if not separator:
        raise ValueError("the separator is an empty text")
    return tuple(part for one in text_of(value).split(separator) if (part := one.strip()))


def join(value: Any, separator: str) -> str:
    return separator.join(text_of(one) for one in _several(value))


def default(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def lookup(value: Any, table: Mapping[Any, Any], otherwise: Any) -> Any:
    """The value as it is first, then whatever its case."""
    text = text_of(value)
    for key, found in table.items():
        if str(key) == text:
            return found
    folded = text.casefold()
    for key, found in table.items():
        if str(key).casefold() == folded:
            return found
    return otherwise


def first(value: Any) -> Any:
    return _several(value)[0]


def last(value: Any) -> Any:
    return _several(value)[-1]


def count(value: Any) -> int:
    return 0 if value is None else len(_several(value))


def add_value(value: Any, added: Any) -> tuple[Any, ...]:
    """Once, whatever its case."""
    values = () if value is None else _several(value)
    return values if _folded(added) in {_folded(one) for one in values} else (*values, added)


def keep_values(value: Any, pattern: str) -> tuple[Any, ...]:
    return tuple(one for one in _several(value) if pattern_of(pattern).search(text_of(one)))


def remove_values(value: Any, pattern: str) -> tuple[Any, ...]:
    return tuple(one for one in _several(value) if not pattern_of(pattern).search(text_of(one)))


def _several(value: Any) -> tuple[Any, ...]:
    """One value and several alike."""
    return value if isinstance(value, tuple) else (value,)


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else (type(value), value)


_PATTERN = Parameter(name="pattern", help="The pattern (RE2).", pattern=True)

REWRITES: tuple[Rewrite, ...] = (
    Rewrite(
        name="split",
        function=split,
        help="Cuts a text into several values; spaces around them go, empty ones too.",
        example=('split("a; b;;c", ";")', "a, b, c"),
        parameters=(Parameter(name="separator", help="The text that separates."),),
    ),
    Rewrite(
        name="join",
        function=join,
        help='Makes one text of several values. As a function the separator comes first: `join(", ", [source.sn, source.givenName])`. '
        "What is empty is skipped.",
        example=('join(", ", ["Lee", null, "Ann"])', "Lee, Ann"),
        parameters=(Parameter(name="separator", help="The text between two values.", default=", "),),
        several=Several.ALL,
        value_last=True,
    ),
    Rewrite(
        name="default",
        function=default,
        help="Something else where there is nothing.",
        example=('default(null, "unknown")', "unknown"),
        parameters=(Parameter(name="otherwise", help="The value to take then.", type=object, default=None),),
        null=Null.HANDLED,
        several=Several.ALL,
    ),
    Rewrite(
        name="lookup",
        function=lookup,
        help="Translates a value by a table, whatever its case; nothing, or `otherwise`, for what is not in it.",
        example=('lookup("de", {"DE": "Germany", "AT": "Austria"})', "Germany"),
        parameters=(
            Parameter(name="table", help="Values and what each becomes.", type=dict),
            Parameter(name="otherwise", help="What any other value becomes.", type=object, default=None),
        ),
    ),
    Rewrite(
        name="first", function=first, help="The first of several values.", example=('first([null, "a", "b"])', "a"), several=Several.ALL
    ),
    Rewrite(name="last", function=last, help="The last of several values.", example=('last(["a", "b"])', "b"), several=Several.ALL),
    Rewrite(
        name="count",
        function=count,
        help="How many values; 0 for nothing.",
        example=('count(["a", "b"])', "2"),
        null=Null.HANDLED,
        several=Several.ALL,
    ),
    Rewrite(
        name="add_value",
        function=add_value,
        help="Adds a value to several, unless it is there already, whatever its case.",
        example=('add_value(["a", "b"], "c")', "a, b, c"),
        parameters=(Parameter(name="value", help="The value to add.", type=object),),
        null=Null.HANDLED,
        several=Several.ALL,
    ),
    Rewrite(
        name="keep_values",
        function=keep_values,
        help="Keeps the values in which a pattern is found.",
        example=('keep_values(["smtp:a@b.c", "x500:/o=x"], "^(?i)smtp:")', "smtp:a@b.c"),
        parameters=(_PATTERN,),
        several=Several.ALL,
    ),
    Rewrite(
        name="remove_values",
        function=remove_values,
        help="Removes the values in which a pattern is found.",
        example=('remove_values(["smtp:a@b.c", "x500:/o=x"], "^(?i)smtp:")', "x500:/o=x"),
        parameters=(_PATTERN,),
        several=Several.ALL,
    ),
)
