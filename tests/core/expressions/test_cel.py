"""What expressions yield, what null does, and how errors reach a person."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from metasync.contract import Kind, Reference
from metasync.expressions import CLEAR, KEEP, Expression, ExpressionError

Compiled = Callable[[str], Expression]
Evaluated = Callable[..., Any]

NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def test_the_scope_of_the_example_document_is_false_for_people_without_mail(evaluated: Evaluated) -> None:
    where = 'source.mail != null && source.mail.lower().endsWith("@contoso.com")'
    assert evaluated(where, mail=None) is False
    assert evaluated(where, mail="Ann@Contoso.com") is True
    assert evaluated(where, mail="ann@fabrikam.com") is False


def test_join_takes_its_value_last_as_a_function_and_first_as_a_method(evaluated: Evaluated) -> None:
    for text in (
        'join(", ", [source.sn, source.givenName])',
        '[source.sn, source.givenName].join(", ")',
        "join([source.sn, source.givenName])",
    ):
        assert evaluated(text, sn="Lee", givenName="Ann") == "Lee, Ann"
        assert evaluated(text, sn=None, givenName="Ann") == "Ann"
        assert evaluated(text) is None
    assert evaluated('join(", ", source.a)', a="one") == "one"
    assert evaluated('join(", ", source.a)') is None


def test_a_rewrite_leaves_null_null_as_function_and_as_method(evaluated: Evaluated) -> None:
    assert evaluated("source.mail.lower()") is None
    assert evaluated("lower(source.mail)") is None
    assert evaluated('source.mail.default("none")') == "none"


def test_a_rewrite_takes_each_of_several_values(evaluated: Evaluated) -> None:
    assert evaluated("source.a.lower()", a=("A", "B")) == ("a", "b")
    assert evaluated("source.a.parts()", a=("a;b", "c")) == ("a", "b", "c")
    assert evaluated("source.a.none()", a=("a", "b")) == ()


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ('source.mail.endsWith("x")', {}, "source.mail is empty here, and endsWith() needs a value; ask `source.mail != null` first"),
        ('source.mail + "x"', {}, "source.mail is empty here"),
        ("source.mail + source.sn", {"mail": "a"}, "source.sn is empty here"),
        ('source.sn != null && source.mail.startsWith("x")', {"sn": "a"}, "source.mail is empty here"),
        ("source.enabled && true", {}, "source.enabled is empty here"),
        ("source.enabled ? 1 : 2", {}, "source.enabled is empty here"),
        ("source.count < 3", {}, "source.count is empty here"),
        ('source.groups.exists(x, x == "a")', {}, "source.groups is empty here"),
        ("size(source.mail)", {}, "source.mail is empty here, and size() needs a value"),
        ("string(source.mail)", {}, "source.mail is empty here, and string() needs a value"),
        ('source.mail.matches("a")', {}, "source.mail is empty here, and matches() needs a value"),
        ('source.mail + "x"', {"mail": 3}, "source.mail is a whole number"),
        (
            'source.mail.endsWith("x")',
            {"mail": ("a", "b")},
            "endsWith() does not take a list of texts here: source.mail is",
        ),
        ("source.a < source.b", {"a": 1, "b": "x"}, "source.a is a whole number; source.b is text"),
        ("int(source.a)", {"a": "secret"}, "int() cannot read its value here: source.a is text"),
        ("source.a / 0", {"a": 4}, "division by zero"),
        ("source.a * 2", {"a": 2**62}, "a number is too large"),
        ("source.a[3]", {"a": ("x",)}, "the list is shorter"),
        ("lower(source.a)", {"a": 4}, "lower(): needs text"),
        ("broken(source.a)", {"a": "x"}, "broken() failed on text (ZeroDivisionError): an error in the rewrite"),
        ("cut(source.a, source.b)", {"a": "x", "b": "y"}, "`length` of cut() must be a whole number, and is text"),
        ("swap(source.a, source.b, 'x')", {"a": "x"}, "`of` of swap() is empty here"),
        ("1.5", {}, "the expression yields a fraction"),
        ("[[1]]", {}, "a list that holds a list"),
        ("fraction(source.a)", {"a": "x"}, "fraction() yields a fraction"),
        ("{'a': 1}", {}, "the expression yields a table"),
    ],
)
def test_an_error_names_attributes_and_types(compiled: Compiled, text: str, values: dict[str, Any], words: str) -> None:
    expression = compiled(text)
    given = [values.get(name) for _, name in expression.arguments]
    for function in (expression.call, expression.explain):
        with pytest.raises(ExpressionError) as caught:
            function(*given)
        assert words in str(caught.value)


def test_an_error_never_holds_a_value(compiled: Compiled, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    for text in (
        "int(source.a)",
        "source.a + 1",
        "lower(source.a) + 1",
        "broken(source.a)",
        "source.a < 1",
        "{'x': 1}[source.a]",
        "source.a.lower().b",
    ):
        with caplog.at_level(logging.DEBUG), pytest.raises(ExpressionError) as caught:
            compiled(text).explain("hunter2")
        seen = [str(caught.value), str(caught.value.__cause__), caplog.text, *capfd.readouterr()]
        assert not [one for one in seen if "hunter2" in one]


def test_or_and_and_absorb_errors_as_the_language_says(evaluated: Evaluated) -> None:
    assert evaluated('source.a.endsWith("x") || true') is True
    assert evaluated('source.a.endsWith("x") && false') is False
    assert evaluated('broken(source.a) == "x" || source.a == "y"', a="y") is True


def test_equality_asks_for_the_type_too(evaluated: Evaluated) -> None:
    assert evaluated("source.a == 1", a=True) is False
    assert evaluated("source.a == 1", a=1) is True
    assert evaluated("source.a != 'x'") is True
    assert evaluated("source.a == source.b", a="1", b=1) is False
    assert evaluated("source.a == ['x', 'y']", a=("x", "y")) is True
    assert evaluated("true in source.a", a=(1,)) is False


def test_clear_and_keep_are_results_of_their_own(evaluated: Evaluated) -> None:
    assert evaluated("clear()") is CLEAR
    assert evaluated("source.a == null ? clear() : source.a == 'x' ? keep() : source.a") is CLEAR
    assert evaluated("source.a == null ? clear() : source.a == 'x' ? keep() : source.a", a="x") is KEEP
    assert evaluated("source.a == null ? clear() : source.a == 'x' ? keep() : source.a", a="y") == "y"


def test_every_type_of_value_enters_and_leaves_unharmed(evaluated: Evaluated) -> None:
    for value in ("", "é\0", 0, -(2**63), 2**63 - 1, True, False, b"\x00\xff", NOON, ("b", "a", "a"), (1, 2), ()):
        assert evaluated("source.a", a=value) == value
        assert evaluated("true ? source.a : null", a=value) == value


def test_a_reference_passes_a_look_up_and_is_its_text_elsewhere(compiled: Compiled, evaluated: Evaluated) -> None:
    boss = Reference(value="42")
    plain = compiled("source.manager")
    assert plain.call(boss) is boss and plain.explain((boss,)) == (boss,)
    assert evaluated('source.manager + "!"', manager=boss) == "42!"
    assert evaluated("source.members.exists(x, x == '42')", members=(boss,)) is True


def test_a_kind_is_a_text(evaluated: Evaluated) -> None:
    assert evaluated("source.kind == 'user'", kind=Kind.USER) is True


def test_size_counts_characters_and_matches_speaks_re2(evaluated: Evaluated) -> None:
    assert evaluated("size(source.a)", a="Zoë") == 3
    assert evaluated("source.a.size()", a=("x", "y")) == 2
    assert evaluated(r"source.a.matches('^\\d+$')", a="٣") is False
    assert evaluated("source.a.matches('^(a+)+$')", a="a" * 100_000 + "b") is False


def test_macros_go_over_several_values(evaluated: Evaluated) -> None:
    values = ("SMTP:ann@x.com", "smtp:a@x.com", "X500:/o=x")
    assert evaluated('source.a.filter(x, x.lower().startsWith("smtp:")).map(x, x.swap("smtp:", ""))', a=values) == (
        "SMTP:ann@x.com",
        "a@x.com",
    )
    assert evaluated('source.a.exists_one(x, x.startsWith("SMTP:"))', a=values) is True


def test_lists_within_lists_are_bounded(compiled: Compiled) -> None:
    expression = compiled("source.a.all(x, source.a.all(y, true))")
    assert expression.call(tuple(str(number) for number in range(100))) is True
    with pytest.raises(ExpressionError, match=r"source\.a has more than 1000 values"):
        expression.call(("x",) * 1001)
    with pytest.raises(ExpressionError, match="more than 1000 values"):
        compiled("source.a.parts().all(x, source.a.parts().all(y, true))").call("x;" * 2000)


def test_a_rewrite_cannot_be_used_to_fill_the_memory(compiled: Compiled) -> None:
    bomb = "source.a" + ".swap('a', 'aaaaaaaaaaaaaaaa')" * 20
    with pytest.raises(ExpressionError, match="more than 65536 characters"):
        compiled(bomb).call("a")


def test_the_longest_text_still_passes_through_a_rewrite(evaluated: Evaluated) -> None:
    assert evaluated("source.a.lower()", a="A" * 100_000) == "a" * 100_000


def test_one_expression_serves_several_threads(compiled: Compiled) -> None:
    expression = compiled("source.a.map(x, x.lower() + source.b)")
    wrong: list[Any] = []

    def work(name: str) -> None:
        for number in range(300):
            if expression.call((name.upper(), str(number)), name) != (name + name, f"{number}{name}"):
                wrong.append(name)
            try:
                expression.explain((name,), None)
            except ExpressionError as error:
                if "source.b is empty here" not in str(error):
                    wrong.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong
