"""Python's cyclic garbage collector, paused while a portion is worked: it would go through the many objects that a portion makes again and
again, and find nothing, for they refer to each other in no circles and go when the portion does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0
_waits = 0
_was_on = False
_settled = False


@contextmanager
def paused() -> Iterator[None]:
    """No collection meanwhile, in whatever thread; whoever turned it off himself finds it off afterwards.

    What is there the first time (modules, plugins, the document) stays for as long as the process, and is not gone through any more: not
    even once, which would cost as much as an import of a thousand objects.
    """
    global _pauses, _was_on, _settled
    with _lock:
        if not _settled:
            gc.freeze()
            _settled = True
        if _pauses == 0:
            _was_on = gc.isenabled()
        _pauses += 1
        _set()
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if _pauses == 0 and _was_on:
                gc.enable()


@contextmanager
def waiting() -> Iterator[None]:
    """However many have paused it, it goes on: whoever waits may do so for hours, and others work meanwhile."""
    global _waits
    with _lock:
        _waits += 1
        _set()
    try:
        yield
    finally:
        with _lock:
            _waits -= 1
            _set()


def _set() -> None:
    """As it is to be while somebody has paused it."""
    if _pauses and _was_on:
        if _waits:
            gc.enable()
        else:
            gc.disable()
