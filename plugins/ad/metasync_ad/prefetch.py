"""One page ahead: while the engine stores a page, the next one is already asked for and taken apart."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
_PATIENCE = 0.1
"""Seconds after which a full queue is looked at again: whoever took from it may have gone."""


class _End:
    """Nothing follows."""


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class Ahead(Generic[Item]):
    """Runs an iterator in a thread of its own, at most one item ahead. The thread ends with `close`, or when the items do."""

    def __init__(self, source: Generator[Item, None, None]) -> None:
        self._source = source
        self._ready: queue.Queue[Item | _End | _Failed] = queue.Queue(maxsize=1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="metasync-ad pages", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        """The items; an error of the iterator is raised here."""
        while True:
            item = self._ready.get()
            if isinstance(item, _End):
                return
            if isinstance(item, _Failed):
                raise item.error
            yield item

    def close(self) -> None:
        """Take nothing more. What is just being asked for is waited for, so that the connection is free afterwards."""
        self._over.set()
        with contextlib.suppress(queue.Empty):
            self._ready.get_nowait()
        self._thread.join()

    def _work(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    return
            self._put(_End())
        except BaseException as error:  # handed to whoever waits for the next item
            self._put(_Failed(error))
        finally:
            self._source.close()

    def _put(self, item: Item | _End | _Failed) -> bool:
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(item, timeout=_PATIENCE)
                return True
        return False
