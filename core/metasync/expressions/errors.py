"""What can be wrong with an expression: before it is accepted (`ExpressionSyntaxError`), and for one object (`ExpressionError`)."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from metasync.contract import MetasyncError

SHOWN = 80


class ExpressionError(MetasyncError):
    """An expression has no value for this object."""


class ExpressionSyntaxError(MetasyncError):
    """An expression cannot be accepted."""

    def __init__(self, text: str, position: int, message: str, allowed: Iterable[str] = ()) -> None:
        """`position` counts characters from 0; `allowed` lists what may stand there instead, where that can be listed."""
        self.text = text
        self.position = position
        self.message = message
        self.allowed = tuple(allowed)
        where = f" (character {position + 1} of `{excerpt(text, position)}`)" if text.strip() else ""
        may = f"; allowed: {', '.join(self.allowed)}" if self.allowed else ""
        super().__init__(f"{message}{where}{may}")


def excerpt(text: str, position: int = 0) -> str:
    """As much of a long expression as fits on a line, around the position."""
    if len(text) <= SHOWN:
        return text
    start = max(0, min(position - SHOWN // 2, len(text) - SHOWN))
    return ("…" if start else "") + text[start : start + SHOWN] + ("…" if start + SHOWN < len(text) else "")


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` where a known name is close, else nothing."""
    by_fold = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return f"; did you mean `{by_fold[close[0]]}`?" if close else ""
