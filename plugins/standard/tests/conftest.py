"""The rewrites as documents call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from metasync.contract import Rewrite
from metasync.expressions import call_rewrite, compile_expression
from metasync_standard.plugin import metasync_register_rewrites


@pytest.fixture(scope="session")
def rewrites() -> Mapping[str, Rewrite]:
    return {one.name: one for one in metasync_register_rewrites()}


@pytest.fixture(scope="session")
def rewritten(rewrites: Mapping[str, Rewrite]) -> Callable[..., Any]:
    """`rewritten("prefix", value, *arguments)`."""
    return lambda name, value, *arguments: call_rewrite(rewrites[name], value, *arguments)


@pytest.fixture(scope="session")
def evaluated(rewrites: Mapping[str, Rewrite]) -> Callable[[str], Any]:
    """The value of an expression without attributes, the fast way and through the library, which must agree."""

    def evaluate(text: str) -> Any:
        expression = compile_expression(text, rewrites=rewrites, roots=())
        assert expression.call() == expression.explain()
        return expression.call()

    return evaluate
