"""Pipelines: how steps are written, what passes through them, and how they fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from metasync.contract import Reference, Rewrite
from metasync.engagement.model import RewriteCall
from metasync.expressions import CLEAR, KEEP, ExpressionError, call_rewrite, read_step, rewrite_pipeline, tidy
from metasync.expressions.rewrites import MAX_TEXT

Rewrites = Mapping[str, Rewrite]


def pipeline(rewrites: Rewrites, *steps: Any) -> Any:
    return rewrite_pipeline([read_step(step, rewrites) for step in steps], rewrites)


def test_steps_run_in_their_order(rewrites: Rewrites) -> None:
    run = pipeline(rewrites, "lower", {"swap": {"of": "a", "to": "b"}}, {"cut": 2})
    assert run("AxA") == "bx"
    assert run(("AxA", "CD")) == ("bx", "cd")


def test_nothing_stays_nothing_unless_a_step_handles_it(rewrites: Rewrites) -> None:
    assert pipeline(rewrites, "lower")(None) is None
    assert pipeline(rewrites, "lower")("") is None
    assert pipeline(rewrites, "lower")(()) is None
    assert pipeline(rewrites, "none", {"default": "x"})("value") == "x"
    assert pipeline(rewrites, "none", "lower", "count")("value") == 0


def test_clear_and_keep_pass_unchanged(rewrites: Rewrites) -> None:
    run = pipeline(rewrites, {"default": "x"})
    assert run(CLEAR) is CLEAR and run(KEEP) is KEEP


def test_a_reference_is_its_text(rewrites: Rewrites) -> None:
    assert pipeline(rewrites, "lower")((Reference(value="A"), "B")) == ("a", "b")


def test_an_error_names_the_step_and_not_the_value(rewrites: Rewrites) -> None:
    with pytest.raises(ExpressionError, match=r"^step 2 of `rewrite:`: lower\(\): needs text$"):
        pipeline(rewrites, "count", "lower")(("x", "y"))
    with pytest.raises(ExpressionError, match=r"^`rewrite:`: broken\(\) failed on text \(ZeroDivisionError\)"):
        pipeline(rewrites, "broken")("hunter2")


def test_a_single_call_obeys_the_same_rules(rewrites: Rewrites) -> None:
    assert call_rewrite(rewrites["cut"], "abcdef") == "abc"
    assert call_rewrite(rewrites["join"], ("a", None, "b"), "-") == "a-b"
    with pytest.raises(ExpressionError, match="takes no parameters"):
        call_rewrite(rewrites["lower"], "a", 1)


@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("lower", RewriteCall(name="lower")),
        ({"lower": None}, RewriteCall(name="lower")),
        ("cut", RewriteCall(name="cut", arguments=(3,))),
        ({"cut": 5}, RewriteCall(name="cut", arguments=(5,))),
        ({"cut": {"length": 5}}, RewriteCall(name="cut", arguments=(5,))),
        ({"swap": {"to": "b", "of": "a"}}, RewriteCall(name="swap", arguments=("a", "b"))),
        ({"table": {"DE": "Germany"}}, RewriteCall(name="table", arguments=({"DE": "Germany"},))),
        ({"table": {"table": {"DE": "Germany"}}}, RewriteCall(name="table", arguments=({"DE": "Germany"},))),
    ],
)
def test_a_step_is_read_as_the_document_writes_it(rewrites: Rewrites, step: Any, call: RewriteCall) -> None:
    assert read_step(step, rewrites) == call


def test_a_name_may_be_written_with_spaces(rewrites: Rewrites) -> None:
    both = {**rewrites, "two_words": rewrites["lower"]}
    assert read_step("two words", both).name == "lower"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("lowr", "there is no rewrite `lowr`; did you mean `lower`?; allowed: broken, count"),
        ({"lower": 1}, "lower takes no parameters"),
        ({"swap": {"from": "a", "to": "b"}}, "swap has no parameter from; allowed: of, to"),
        ({"swap": "a"}, "swap needs the parameter to"),
        ({"cut": "long"}, "`length` of cut() must be a whole number, and is text"),
        ({"find": "(a"}, "`pattern`: the pattern cannot be used"),
        (["lower"], "a step is the name of a rewrite"),
        ({"lower": None, "cut": 1}, "a step is the name of a rewrite"),
    ],
)
def test_a_step_that_fits_no_rewrite_is_refused(rewrites: Rewrites, step: Any, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_step(step, rewrites)
    assert words in str(caught.value)


def test_a_pipeline_refuses_calls_that_were_not_checked(rewrites: Rewrites) -> None:
    with pytest.raises(ValueError, match="is missing"):
        rewrite_pipeline([RewriteCall(name="swap", arguments=("a",))], rewrites)
    with pytest.raises(ValueError, match="there is no rewrite"):
        rewrite_pipeline([RewriteCall(name="gone")], rewrites)


@pytest.mark.parametrize(
    "value", ["Aa;b", "", None, 3, True, ("A", "b"), ("A", None, ""), b"a", "x" * (MAX_TEXT + 1), Reference(value="A")]
)
@pytest.mark.parametrize("name", ["lower", "cut", "parts", "join", "default", "count", "table", "broken", "fraction", "none", "long"])
def test_a_pipeline_of_one_step_yields_what_the_call_yields(rewrites: Rewrites, name: str, value: Any) -> None:
    long = Rewrite(name="long", function=lambda text: "x" * (MAX_TEXT + 1), help="For tests.", example=("", ""))
    every = {**rewrites, "long": long}
    arguments = {"default": ("other",), "table": ({"Aa;b": "one"},)}.get(name, ())

    def outcome(function: Callable[[Any], Any]) -> tuple[str, Any]:
        try:
            return "value", function(value)
        except ExpressionError as error:
            return "error", str(error).removeprefix("`rewrite:`: ")

    run = rewrite_pipeline([RewriteCall(name=name, arguments=arguments)], every)
    called = outcome(lambda one: call_rewrite(every[name], one, *arguments))
    assert outcome(run) == (called[0], tidy(called[1]) if isinstance(called[1], tuple) else called[1])
