"""Around the calls of a connector: whatever it raises that the contract does not know is told as its mistake. Reading and writing, which go
on in the midst of it, have their own words for that in `importing.read` and `exporting.write`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from metasync.contract import MetasyncError, Unavailable
from metasync.words import failure

T = TypeVar("T")


class ConnectorFailed(Unavailable):
    """The connector has a mistake; tell its author. Its directory is left alone for now."""


@contextmanager
def blamed(connector: str) -> Iterator[None]:
    """One call of the connector of that name; it may not end the program either. Raises `ConnectorFailed`."""
    try:
        yield
    except MetasyncError:
        raise
    except (Exception, SystemExit) as error:
        raise ConnectorFailed(
            f"the connector {connector} failed: {failure(error)}; this is a mistake in the plugin, tell its author"
        ) from error


def answers(connector: str, call: Callable[[], Iterable[T]]) -> Iterator[T]:
    """What a call of it yields, one after another. Raises `ConnectorFailed`."""
    with blamed(connector):
        yield from call()
