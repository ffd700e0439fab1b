"""Rewrites for the engine's own tests, one of each sort: the engine ships none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from metasync.contract import Null, Parameter, Rewrite, Several
from metasync.expressions import Expression, compile_expression

ROOTS = ("source", "target", "mv", "wave", "hr-file")


def _rewrite(name: str, function: Callable[..., Any], *parameters: Parameter, **rules: Any) -> Rewrite:
    return Rewrite(name=name, function=function, help="For tests.", example=("", ""), parameters=parameters, **rules)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("needs text")
    return value


def _divide(value: Any) -> float:
    return len(value) / 0


@pytest.fixture(scope="session")
def rewrites() -> Mapping[str, Rewrite]:
    of = Parameter(name="of", help="Text.")
    to = Parameter(name="to", help="Text.")
    found = (
        _rewrite("lower", lambda value: _text(value).lower()),
        _rewrite("cut", lambda value, length: _text(value)[:length], Parameter(name="length", help="Number.", type=int, default=3)),
        _rewrite("swap", lambda value, old, new: _text(value).replace(old, new), of, to),
        _rewrite("parts", lambda value, sign: _text(value).split(sign), Parameter(name="sign", help="Text.", default=";")),
        _rewrite(
            "join",
            lambda value, sign: sign.join(_text(one) for one in (value if isinstance(value, tuple) else (value,))),
            Parameter(name="sign", help="Text.", default=", "),
            several=Several.ALL,
            value_last=True,
        ),
        _rewrite(
            "default",
            lambda value, other: other if value is None else value,
            Parameter(name="other", help="Anything.", type=object),
            null=Null.HANDLED,
            several=Several.ALL,
        ),
        _rewrite("count", lambda value: 0 if value is None else len(value), null=Null.HANDLED, several=Several.ALL),
        _rewrite("table", lambda value, table: table.get(value), Parameter(name="table", help="Table.", type=dict)),
        _rewrite("find", lambda value, pattern: value, Parameter(name="pattern", help="Pattern.", pattern=True)),
        _rewrite("broken", _divide),
        _rewrite("fraction", lambda value: 1.5),
        _rewrite("none", lambda value: None),
    )
    return {one.name: one for one in found}


@pytest.fixture(scope="session")
def compiled(rewrites: Mapping[str, Rewrite]) -> Callable[[str], Expression]:
    return lambda text: compile_expression(text, rewrites=rewrites, roots=ROOTS)


@pytest.fixture(scope="session")
def evaluated(compiled: Callable[[str], Expression]) -> Callable[..., Any]:
    """The value of an expression, the fast way and through the library, which must agree."""

    def evaluate(text: str, **source: Any) -> Any:
        expression = compiled(text)
        values = [source.get(name) for _, name in expression.arguments]
        fast, slow = expression.call(*values), expression.explain(*values)
        assert (type(fast), fast) == (type(slow), slow)
        return fast

    return evaluate
