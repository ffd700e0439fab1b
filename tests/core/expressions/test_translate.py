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
from metasync.expressions import Expression, ExpressionError, ExpressionSyntaxError, compile_expression
from metasync.expressions.check import MOST_IN_NESTED
from metasync.expressions.parse import MACROS

Compiled = Callable[[str], Expression]

NAMES = ("t", "u", "b", "i", "l", "employee id")
"""Mostly texts, a flag, a number, several texts, and anything."""

TEXTS = ("", "a", "A", "ab", "b;a", "é", "\U0001f600", "\uffff", "a@x.com")
texts_or = st.sampled_from(TEXTS)
scalars = st.one_of(
    texts_or,
    st.integers(-3, 3),
    st.sampled_from([-(2**63), 2**63 - 1]),
    st.booleans(),
    st.binary(max_size=2),
    st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)]),
    st.sampled_from([Reference(value="a"), Reference(value="x", key="mail")]),
)
values = st.one_of(st.none(), scalars, st.lists(scalars, max_size=3).map(tuple))


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, usual, usual, st.none(), values)


objects = st.fixed_dictionaries(
    {
        "t": mostly(st.one_of(texts_or, texts_or, st.just(Reference(value="a")))),
        "u": mostly(texts_or),
        "b": mostly(st.booleans()),
        "i": mostly(st.sampled_from([0, 1, 2, -1, True, False])),
        "l": mostly(st.lists(texts_or, min_size=1, max_size=3).map(tuple)),
        "employee id": values,
    }
)


def text_expressions(depth: int) -> st.SearchStrategy[str]:
    leaves = st.sampled_from(["source.t", "target.u", "'a'", '"ab"', "''", "'\\u00e9'", 'source["employee id"]'])
    if not depth:
        return leaves
    text, flag, several = text_expressions(depth - 1), flag_expressions(depth - 1), list_expressions(depth - 1)
    return st.one_of(
        leaves,
        st.builds("({} + {})".format, text, text),
        st.builds("({} ? {} : {})".format, flag, text, text),
        st.builds("({}).lower()".format, text),
        st.builds("lower({})".format, text),
        st.builds("cut({}, {})".format, text, st.sampled_from(["1", "2", "source.i"])),
        st.builds("({}).swap({}, {})".format, text, text, text),
        st.builds("default({}, {})".format, text, text),
        st.builds("join({}, {})".format, text, several),
        st.builds("({}).join()".format, several),
        st.builds("({}).table({{'a': 'b', 'b': null, 'ab': 3}})".format, text),
        st.builds("({})[{}]".format, several, st.sampled_from(["0", "0", "1", "-1", "source.i"])),
    )


def flag_expressions(depth: int) -> st.SearchStrategy[str]:
    leaves = st.sampled_from(
        [
            "source.b",
            "true",
            "false",
            "source.t != null",
            "target.u == null",
            "source.i == 1",
            "source.i != 0",
            "source.i < 2",
            "source.t == 'a'",
        ]
    )
    if not depth:
        return leaves
    text, flag, several = text_expressions(depth - 1), flag_expressions(depth - 1), list_expressions(depth - 1)
    compare = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    alike = st.sampled_from(["==", "!="])
    one = st.one_of(text, flag, several, st.sampled_from(["null", "source.i", "1", "1u", "1.0", "b'a'"]))
    return st.one_of(
        leaves,
        st.builds("({} {} {})".format, text, compare, text),
        st.builds("({} {} {})".format, one, alike, one),
        st.builds("({} {} {})".format, flag, st.sampled_from(["&&", "||"]), flag),
        st.builds("!({})".format, flag),
        st.builds("({} in {})".format, st.one_of(text, text, one), several),
        st.builds("({}).{}({})".format, text, st.sampled_from(["endsWith", "startsWith", "contains"]), text),
        st.builds("({}).matches('^[ab]+$')".format, text),
        st.builds("(size({}) > 1)".format, st.one_of(text, several)),
        st.builds("({}).{}(x, {})".format, several, st.sampled_from(["exists", "all", "exists_one"]), about_each(flag)),
    )


def about_each(flag: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What a macro asks of a single value."""
    own = st.sampled_from(
        [
            "x == 'a'",
            "x != null",
            "x.startsWith('a')",
            "x < target.u",
            "x.lower() == 'ab'",
            "x.matches('^[ab]+$')",
            "size(x) > 1",
            "x in source.l",
            "x in [1, null, 'a']",
            "x",
            "source.l.exists(y, y == x)",
            "['a', x, 'b'].all(y, y <= x)",
            "source.l.map(y, y + 'a').exists_one(z, z.contains(x))",
        ]
    )
    return st.one_of(
        own,
        own,
        st.builds("({} {} {})".format, own, st.sampled_from(["&&", "||"]), st.one_of(own, flag)),
        st.builds("({} ? {} : {})".format, own, flag, own),
        flag,
    )


def list_expressions(depth: int) -> st.SearchStrategy[str]:
    leaves = st.sampled_from(["source.l", "[]", "['a', null]", "[target.u]", "[source.t, source.i, true]"])
    if not depth:
        return leaves
    text, flag, several = text_expressions(depth - 1), flag_expressions(depth - 1), list_expressions(depth - 1)
    return st.one_of(
        leaves,
        st.builds("[{}, {}]".format, text, text),
        st.builds("({}).parts()".format, st.one_of(text, several)),
        st.builds("({}).lower()".format, several),
        st.builds("({} ? {} : {})".format, flag, several, several),
        st.builds("({}).filter(x, {})".format, several, about_each(flag)),
        st.builds("({}).map(x, {})".format, several, made_of_each(text)),
        st.builds("({}).map(x, {}, {})".format, several, about_each(flag), made_of_each(text)),
    )


def made_of_each(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What `map` makes of a single value."""
    own = st.sampled_from(["x", "x + 'a'", "lower(x)", "x == 'a'", "x.parts()[0]", "x.default('b')", "size(x)", "[x]", "null"])
    return st.one_of(own, own, st.builds("({} + x)".format, text), text)


def wild_expressions(depth: int) -> st.SearchStrategy[str]:
    """Of any types: nearly all of them are errors, which must be the same errors."""
    typed = st.one_of(
        text_expressions(depth), flag_expressions(depth), list_expressions(depth), st.sampled_from(["null", "1.0", "source.i"])
    )
    operators = st.sampled_from(["==", "<", "&&", "||", "+", "in", "-"])
    functions = st.sampled_from(["lower", "parts", "count", "join", "none", "broken", "fraction", "size", "cut", "string"])
    return st.one_of(
        st.builds("({}) {} ({})".format, typed, operators, typed),
        st.builds("!({})".format, typed),
        st.builds("!!({})".format, typed),
        st.builds("({}) ? ({}) : ({})".format, typed, typed, typed),
        st.builds("({}).{}()".format, typed, functions),
        st.builds("({}).endsWith({})".format, typed, typed),
        st.builds("[{}, {}]".format, typed, typed),
        st.builds("({}) ? clear() : keep()".format, typed),
        st.builds("({})[{}]".format, typed, typed),
        st.builds(
            "({}).{}(x, {})".format, typed, st.sampled_from(sorted(MACROS)), st.one_of(typed, about_each(typed), made_of_each(typed))
        ),
        st.builds("({}).map(x, {}, {})".format, typed, typed, made_of_each(typed)),
    )


def outcome(function: Callable[..., Any], given_values: list[Any]) -> tuple[Any, ...]:
    try:
        value = function(*given_values)
    except ExpressionError as error:
        return ("error", str(error))
    return ("value", type(value), value, [type(one) for one in value] if isinstance(value, tuple) else None)


def same(rewrites: Mapping[str, Rewrite], text: str, rows: list[dict[str, Any]]) -> None:
    try:
        expression = compile_expression(text, rewrites=rewrites, roots=["source", "target"])
    except ExpressionSyntaxError as error:
        # `cut(x, 'a')`, `x.swap(null, ...)` and an `x` within an `x` are refused before they are evaluated; nothing else in these texts is.
        assert any(why in str(error) for why in ("must be", "is empty here", "it has a meaning already", "of all, exists, ")), text
        return
    for row in rows:
        given_values = [row[name] for _, name in expression.arguments]
        assert outcome(expression.call, given_values) == outcome(expression.explain, given_values), text


rows = st.lists(objects, min_size=1, max_size=6)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.one_of(text_expressions(2), flag_expressions(2), list_expressions(2)), rows=rows)
def test_call_and_explain_give_the_same(rewrites: Mapping[str, Rewrite], text: str, rows: list[dict[str, Any]]) -> None:
    same(rewrites, text, rows)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=wild_expressions(1), rows=rows)
def test_call_and_explain_fail_the_same(rewrites: Mapping[str, Rewrite], text: str, rows: list[dict[str, Any]]) -> None:
    same(rewrites, text, rows)


@pytest.mark.parametrize(
    "text",
    [
        'source.mail != null && source.mail.lower().endsWith("@contoso.com")',
        'join(", ", [source.sn, source.givenName])',
        'source.a in ["x", "y"] || !(source.b == true)',
        'source.a == null ? keep() : "SMTP:" + source.a',
        'wave.state != "cut over"',
        'source.a.table({"DE": "Germany"})',
        'source.a.exists(x, x.startsWith("a") && x != source.b)',
        'source.a.filter(x, x.endsWith("@contoso.com"))[0]',
        'source.a.map(x, x != null, "smtp:" + x.lower())',
        "source.a.all(x, source.b.exists_one(y, y == x))",
    ],
)
def test_what_documents_mostly_hold_becomes_python(compiled: Compiled, text: str) -> None:
    assert compiled(text).python is not None


@pytest.mark.parametrize(
    "text", ["source.a.exists(x, x - 1 == 1)", "source.a - 1", "'a'.filter(x, true)", "string(source.a)", "!!source.a", "1u == source.a"]
)
def test_what_was_not_proved_equal_stays_with_the_library(compiled: Compiled, text: str) -> None:
    assert compiled(text).python is None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("source.l.exists(x, x.startsWith('a'))", ("a", 1)),
        ("source.l.exists(x, x.startsWith('a'))", (1, "a")),
        ("source.l.all(x, x.startsWith('a'))", ("b", None)),
        ("source.l.all(x, x.startsWith('a'))", (None, "b")),
        ("source.l.exists_one(x, x.startsWith('a'))", ("a", "ab", 1)),
        ("source.l.exists_one(x, x)", (True, False, False)),
        ("source.l.filter(x, x != 'a')", ("a", 1, None, b"a", datetime(2026, 1, 1, tzinfo=UTC), Reference(value="a"))),
        ("source.l.map(x, [x])", ("a",)),
        ("source.l.map(x, [x])[0]", ("a",)),
        ("source.l.map(x, [x, 'b'])[1]", ("a", "c")),
        ("source.l[0]", ()),
        ("source.l[1]", ("a",)),
        ("source.l[0]", "a"),
        ("source.l.exists(x, broken(x) == 'a')", ("a",)),
        ("source.l.exists(x, x == 'a' || broken(x) == 'a')", ("b", "a")),
        ("source.l.all(x, source.l.exists(y, y == x))", ("a",) * MOST_IN_NESTED),
        ("source.l.all(x, source.l.exists(y, y == x))", ("a",) * (MOST_IN_NESTED + 1)),
        ("[source.l, source.l].all(x, x.exists(y, y == 'a'))", ("a",) * (MOST_IN_NESTED + 1)),
        ("source.l.exists(x, x == 'a')", None),
        ("source.l.exists(x, x == 'a')", "a"),
        ("source.l.filter(x, true)", ()),
    ],
)
def test_a_macro_and_the_library_agree(rewrites: Mapping[str, Rewrite], text: str, values: Any) -> None:
    same(rewrites, text, [{"l": values}])


def test_no_text_of_the_user_is_in_the_python(compiled: Compiled) -> None:
    evil = """source["x'] + __import__('os').system('id') + ['"] == "'''\\n__import__('os')" || lower("evil()") == 'evil'"""
    source = compiled(evil).python
    assert source is not None and "import" not in source and "evil" not in source and "lower" not in source
    macro = compiled("source.a.exists(evil, evil == 'import')").python
    assert macro is not None and "import" not in macro and "evil" not in macro


def test_the_python_can_be_read_in_a_traceback(compiled: Compiled) -> None:
    expression = compiled('source.a + "!" == "a!"')
    assert "".join(linecache.getlines(expression.call.__code__.co_filename)) == expression.python
