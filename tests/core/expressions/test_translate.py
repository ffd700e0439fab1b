"""The Python and the library agree, whatever is written and whatever the values are."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metasync.contract import Reference, Rewrite
from metasync.expressions import Expression, ExpressionError, compile_expression

Compiled = Callable[[str], Expression]

NAMES = ("a", "b", "employee id")
TEXTS = ("", "a", "A", "ab", "b;a", "é", "\U0001f600", "a@x.com")
scalars = st.one_of(
    st.sampled_from(TEXTS),
    st.integers(-3, 3),
    st.sampled_from([-(2**63), 2**63 - 1]),
    st.booleans(),
    st.binary(max_size=2),
    st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)]),
    st.sampled_from([Reference(value="a"), Reference(value="x", key="mail")]),
)
values = st.one_of(st.none(), scalars, st.lists(scalars, max_size=3).map(tuple))

LITERALS = (
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "1u",
    "1.0",
    "''",
    "'a'",
    '"ab"',
    "b'a'",
    "'\\u00e9'",
    "[]",
    "['a', null]",
    "[1, true]",
)
attributes = st.sampled_from(["source.a", "target.b", 'source["employee id"]'])


def _wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    methods = st.sampled_from(["endsWith", "startsWith", "contains"])
    functions = st.sampled_from(["lower", "parts", "count", "join", "none", "broken", "fraction", "size", "cut"])
    two = st.tuples(inner, inner)
    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "in", "-"])
    return st.one_of(
        st.tuples(inner, operators, inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        inner.map(lambda part: f"!({part})"),
        inner.map(lambda part: f"!!({part})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        st.tuples(inner, methods, inner).map(lambda parts: f"({parts[0]}).{parts[1]}({parts[2]})"),
        st.tuples(inner, functions).map(lambda parts: f"({parts[0]}).{parts[1]}()"),
        two.map(lambda parts: f"default({parts[0]}, {parts[1]})"),
        two.map(lambda parts: f"cut({parts[0]}, {parts[1]})"),
        two.map(lambda parts: f"join({parts[0]}, {parts[1]})"),
        two.map(lambda parts: f"[{parts[0]}, {parts[1]}]"),
        inner.map(lambda part: f"({part}).table({{'a': 1, 'b': null}})"),
        inner.map(lambda part: f"({part}).matches('^[ab]+$')"),
    )


def _result(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(text, text.map(lambda part: f"{part} ? clear() : keep()"))


texts = _result(st.recursive(st.one_of(attributes, attributes, st.sampled_from(LITERALS)), _wrapped, max_leaves=8))


def outcome(function: Callable[..., Any], given_values: list[Any]) -> tuple[Any, ...]:
    try:
        value = function(*given_values)
    except ExpressionError as error:
        return ("error", str(error))
    return ("value", type(value), value, [type(one) for one in value] if isinstance(value, tuple) else None)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts, drawn=st.lists(st.lists(values, min_size=3, max_size=3), min_size=1, max_size=4))
def test_call_and_explain_give_the_same(rewrites: Mapping[str, Rewrite], text: str, drawn: list[list[Any]]) -> None:
    try:
        expression = compile_expression(text, rewrites=rewrites, roots=["source", "target"])
    except Exception as error:
        # `cut(x, 'a')` is refused before it is evaluated; nothing else in these texts is.
        assert "must be" in str(error) or "is empty here" in str(error), text
        return
    for row in drawn:
        known = dict(zip(NAMES, row, strict=True))
        given_values = [known[name] for _, name in expression.arguments]
        assert outcome(expression.call, given_values) == outcome(expression.explain, given_values), text


@pytest.mark.parametrize(
    "text",
    [
        'source.mail != null && source.mail.lower().endsWith("@contoso.com")',
        'join(", ", [source.sn, source.givenName])',
        'source.a in ["x", "y"] || !(source.b == true)',
        'source.a == null ? keep() : "SMTP:" + source.a',
        'wave.state != "cut over"',
        'source.a.table({"DE": "Germany"})',
    ],
)
def test_what_documents_mostly_hold_becomes_python(compiled: Compiled, text: str) -> None:
    assert compiled(text).python is not None


@pytest.mark.parametrize(
    "text", ["source.a.exists(x, x == 1)", "source.a - 1", "source.a[0]", "string(source.a)", "!!source.a", "1u == source.a"]
)
def test_what_was_not_proved_equal_stays_with_the_library(compiled: Compiled, text: str) -> None:
    assert compiled(text).python is None


def test_no_text_of_the_user_is_in_the_python(compiled: Compiled) -> None:
    evil = """source["x'] + __import__('os').system('id') + ['"] == "'''\\n__import__('os')" || lower("evil()") == 'evil'"""
    source = compiled(evil).python
    assert source is not None and "import" not in source and "evil" not in source and "lower" not in source


def test_the_python_can_be_read_in_a_traceback(compiled: Compiled) -> None:
    expression = compiled('source.a + "!" == "a!"')
    assert "".join(linecache.getlines(expression.call.__code__.co_filename)) == expression.python
