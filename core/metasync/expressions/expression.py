"""What the engine holds of one expression."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from metasync.contract import Reference, Rewrite
from metasync.expressions.cel import Evaluator
from metasync.expressions.check import check
from metasync.expressions.translate import translate
from metasync.expressions.tree import Attribute


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """A compiled expression. Safe to use from several threads; the same values give the same result."""

    text: str
    arguments: tuple[tuple[str, str], ...]
    """Every (root, attribute) that it reads, sorted: the values for `call` and `explain`, in this order; absent is None."""
    functions: frozenset[str]
    """The functions that it calls, rewrites and the language's own."""
    plain: tuple[str, str] | None
    """(root, attribute) where it is nothing but one look-up."""
    python: str | None
    """The Python that `call` runs, or None where it asks the library."""
    call: Callable[..., Any] = field(repr=False, compare=False)
    """`call(*values)`: the result, by the fast way. Lists are tuples; a plain look-up gives its value unchanged, also a reference, which
    otherwise is its text. Raises `ExpressionError`, which names attributes and types and holds no value."""
    explain: Callable[..., Any] = field(repr=False, compare=False)
    """The same, always through the library."""


def compile_expression(
    text: str, *, rewrites: Mapping[str, Rewrite], roots: Collection[str], names_hint: Mapping[str, Collection[str]] | None = None
) -> Expression:
    """Compile a text. `roots`: what it may read from (`source`, `target`, directories, `mv`, `wave`); one that is no name in CEL is
    written with underscores (`hr-file`: `hr_file.mail`). `names_hint`: per root the attributes that there are, where that is
    known, to refuse a misspelt one. Raises `ExpressionSyntaxError`.

    Without a hint, the same text is compiled once: every import and every synchronisation asks for all of a document's.
    """
    if names_hint is None:
        return _compiled(text, _Same(rewrites), frozenset(roots))
    return _compile(text, rewrites, roots, names_hint)


class _Same:
    """A mapping that is equal to itself alone, and is kept for as long as anybody might ask."""

    def __init__(self, mapping: Mapping[str, Rewrite]) -> None:
        self.mapping = mapping

    def __hash__(self) -> int:
        return id(self.mapping)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.mapping is self.mapping


@lru_cache(maxsize=2048)
def _compiled(text: str, rewrites: _Same, roots: frozenset[str]) -> Expression:
    return _compile(text, rewrites.mapping, roots, None)


def _compile(
    text: str, rewrites: Mapping[str, Rewrite], roots: Collection[str], names_hint: Mapping[str, Collection[str]] | None
) -> Expression:
    checked = check(text, rewrites, roots, names_hint)
    evaluator = Evaluator(checked)
    plain = (checked.tree.root, checked.tree.name) if isinstance(checked.tree, Attribute) else None
    translated = None if plain else translate(checked, evaluator)
    return Expression(
        text=text,
        arguments=checked.arguments,
        functions=checked.functions,
        plain=plain,
        python=translated[1] if translated else None,
        call=_same if plain else translated[0] if translated else evaluator.explain,
        explain=_explain_plain(evaluator) if plain else evaluator.explain,
    )


def _same(value: Any) -> Any:
    return value


def _explain_plain(evaluator: Evaluator) -> Callable[..., Any]:
    def explain(value: Any) -> Any:
        """The library knows no references."""
        if value.__class__ is Reference or (value.__class__ is tuple and any(one.__class__ is Reference for one in value)):
            return value
        return evaluator.explain(value)

    return explain


def is_bare(text: str) -> bool:
    """True for the bare name of an attribute; anything else is an expression (the sides of a match rule are either)."""
    return text.replace("_", "a").replace("-", "a").isalnum() and not text[0].isdigit()
