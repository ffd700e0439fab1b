"""What is read from a text, and what is refused before anything is evaluated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metasync.expressions import Expression, ExpressionSyntaxError, compile_expression
from metasync.expressions.parse import parse
from metasync.expressions.tree import Attribute, Call, walk

Compiled = Callable[[str], Expression]


def test_finds_every_attribute_once_and_sorted(compiled: Compiled) -> None:
    expression = compiled('source.sn + ", " + source.givenName.lower() == mv.displayName && source.sn != target["employee id"]')
    assert expression.arguments == (("mv", "displayName"), ("source", "givenName"), ("source", "sn"), ("target", "employee id"))


def test_names_the_functions_and_methods_that_are_called(compiled: Compiled) -> None:
    assert compiled('lower(source.a).endsWith("x") ? size(source.b) : 0').functions == {"lower", "endsWith", "size"}


def test_a_single_look_up_is_plain_in_both_forms(compiled: Compiled) -> None:
    assert compiled("source.mail").plain == ("source", "mail")
    assert compiled('( source["employee-id"] )').plain == ("source", "employee-id")
    assert compiled("source.mail.lower()").plain is None


def test_a_directory_with_a_dash_is_written_with_an_underscore(compiled: Compiled) -> None:
    assert compiled("hr_file.mail").arguments == (("hr-file", "mail"),)


def test_reads_attributes_within_macros_lists_tables_and_indexes(compiled: Compiled) -> None:
    text = 'source.a.exists(x, x == target.b) ? [source.c][0] : {"k": mv.d}["k"]'
    assert compiled(text).arguments == (("mv", "d"), ("source", "a"), ("source", "c"), ("target", "b"))


def test_texts_and_comments_are_not_mistaken_for_attributes(compiled: Compiled) -> None:
    text = """'source.a' + "it's source.b" + r"\\" + \"\"\"source."c" \"\"\" // source.d
    """
    assert compiled(text).arguments == ()


def test_precedence_is_that_of_the_language() -> None:
    tree = parse("source.a == 1 || source.b == 2 && !source.c", {"source": "source"})
    assert [one.name for one in walk(tree) if isinstance(one, Attribute)] == ["a", "b", "c"]
    assert not [one for one in walk(tree) if isinstance(one, Call)]


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "empty"),
        ("source.a = 1", 9, "write `==`"),
        ("source.a and source.b", 9, "write `&&`"),
        ("not source.a", 0, "`not` is not known here"),
        ('"open', 0, "not ended"),
        ('"a" "b"', 4, "an operator is missing"),
        ("(source.a", 9, "`)` is missing where the expression ends"),
        ("source", 0, "name an attribute: `source.ATTRIBUTE`"),
        ("source.lower()", 0, "name an attribute first"),
        ("source[target.a]", 7, "in quotes"),
        ("source.in", 7, 'source["in"]'),
        ("sorce.mail", 0, "did you mean `source`?"),
        ("hr-file.mail", 0, "did you mean `hr_file`?"),
        ("has(source.mail)", 0, "source.mail != null"),
        ("lowr(source.a)", 0, "did you mean `lower`?"),
        ("source.a.lowr()", 9, "did you mean `lower`?"),
        ("lower()", 0, "needs a value"),
        ("source.a.lower(1)", 9, "no parameters"),
        ("swap(source.a, 'x')", 0, "`to` of swap() is missing: swap(value, of, to)"),
        ("source.a.cut('x')", 9, "`length` of cut() must be a whole number, and is text"),
        ("source.a.cut(true)", 9, "must be a whole number"),
        ("source.a.matches(source.b)", 9, "pattern that is written out"),
        ("source.a.matches('(a')", 17, "the pattern cannot be used"),
        ("source.a.matches('a(?=b)')", 17, "no look-around"),
        ("source.a.find('(a')", 14, "the pattern cannot be used"),
        ("source.a.find(source.b)", 14, "must be written out"),
        ("'x' + clear()", 6, "stands alone"),
        ("[keep()]", 1, "stands alone"),
        ("source.a.map(source, 1)", 13, "take another name"),
        ("endsWith(source.a, 'x')", 0, "write `x.endsWith(...)`"),
        ("9223372036854775808", 0, "this number is not written as CEL wants it"),
        (r'"\q"', 0, "this text is not written as CEL wants it"),
        ("-5.lower()", 0, "parentheses"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused_at_its_place(compiled: Compiled, text: str, position: int, words: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compiled(text)
    assert words in str(caught.value)
    assert (caught.value.text, caught.value.position) == (text, position)


def test_an_unknown_function_is_answered_with_all_that_there_are(compiled: Compiled) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compiled("shout(source.a)")
    assert {"lower", "endsWith", "clear", "exists"} <= set(caught.value.allowed)


def test_a_misspelt_attribute_is_refused_where_the_attributes_are_known() -> None:
    with pytest.raises(ExpressionSyntaxError, match="did you mean `mail`"):
        compile_expression("source.mial", rewrites={}, roots=["source"], names_hint={"source": ["mail", "sn"]})
    assert compile_expression("mv.mial", rewrites={}, roots=["source", "mv"], names_hint={"source": ["mail"]}).plain


@pytest.mark.parametrize(
    ("within", "beyond", "words"),
    [
        ("'" + "a" * 8190 + "'", "'" + "a" * 8191 + "'", "longer than 8192"),
        ("+".join(["'a'"] * 250), "+".join(["'a'"] * 251), "more than 500 parts"),
        ("(" * 31 + "1" + ")" * 31, "(" * 32 + "1" + ")" * 32, "nested more than 32"),
        ("'a'" + ".lower()" * 31, "'a'" + ".lower()" * 32, "nested more than 32"),
        ("!" * 32 + "true", "!" * 33 + "true", "nested more than 32"),
        ("[1].all(x, [1].all(y, true))", "[1].all(x, [1].all(y, [1].all(z, true)))", "within each other"),
    ],
)
def test_size_is_bounded(compiled: Compiled, within: str, beyond: str, words: str) -> None:
    compiled(within).call()
    with pytest.raises(ExpressionSyntaxError, match=words):
        compiled(beyond)
