"""What the rewrites share: text from a value, patterns, and the parameter `when`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import re2

from metasync.contract import Parameter, Rewrite

WHEN = Parameter(
    name="when",
    help="Only values in which this pattern is found are changed; the others stay as they are.",
    default=None,
    pattern=True,
)


def text_of(value: Any) -> str:
    """The value as text. A whole number is its digits; nothing else becomes text silently. Raises `ValueError`."""
    if value.__class__ is str:
        return str(value)
    if value.__class__ is int:
        return str(value)
    kind = {bool: "true or false", bytes: "bytes"}.get(value.__class__, "a time" if hasattr(value, "year") else "something else")
    raise ValueError(f"needs text, and the value is {kind}")


@lru_cache(maxsize=1024)
def pattern_of(pattern: str) -> Any:
    """A compiled pattern (google-re2: linear time). It was checked when the document was loaded."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError("the pattern cannot be used") from error


def text_rewrite(
    name: str,
    function: Callable[..., str | None],
    *,
    help: str,  # noqa: A002 - the contract's own word
    example: tuple[str, str],
    parameters: Sequence[Parameter] = (),
) -> Rewrite:
    """A rewrite of one text into another, with `when` as its last parameter."""

    def apply(value: Any, *arguments: Any) -> str | None:
        *own, when = arguments
        text = text_of(value)
        if when is not None and pattern_of(when).search(text) is None:
            return text
        return function(text, *own)

    return Rewrite(name=name, function=apply, help=help, example=example, parameters=(*parameters, WHEN))
