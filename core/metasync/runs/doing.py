"""How the steps of a run are done: here, one after another (`inline`), or by whoever takes them from the queue (`queued`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Each = Mapping[str, Mapping[str, Any]]
"""What a step needs to know beside what all of them do."""
NOTHING: Each = {}


class NotYet(Exception):
    """The run cannot go on before others have done their part. Whoever does the last of it has the run go on."""


class Doing(Protocol):
    """One run's way. A step is named by what it does and by what it does it to; asked for again, it is not done again: what it came to is
    remembered. So a run may be told from its beginning each time that it goes on."""

    shared: bool
    """Is it worth while to divide what several could do at once?"""

    def begin(self, name: str, of: Sequence[str], what: Mapping[str, Any], each: Each = NOTHING) -> None:
        """Have these steps begun, in parallel where that is possible. `what` and `each` are plain JSON."""

    def all(self, name: str, of: Sequence[str], what: Mapping[str, Any], each: Each = NOTHING) -> list[Any]:
        """What these steps came to, as plain JSON, in their order. Raises `NotYet`, or what one of them raised."""
        ...

    def once(self, name: str, decide: Callable[[], Any]) -> Any:
        """A decision that takes no time and must not be another one when the run goes on; plain JSON."""

    def export(self, plan_ids: Sequence[int]) -> Mapping[str, str]:
        """Have approved plans written; directory -> why it could not be. Raises `NotYet`."""
        ...


def together(parts: Iterable[Callable[[], T]]) -> list[T]:
    """Each part as far as it comes, whether another one waits or not. Raises `NotYet` where one does."""
    done: list[T] = []
    waiting: NotYet | None = None
    for part in parts:
        try:
            done.append(part())
        except NotYet as error:
            waiting = error
    if waiting is not None:
        raise waiting
    return done
