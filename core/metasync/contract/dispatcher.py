"""A dispatcher brings batches to where they are worked. The database is the truth; a dispatcher only nudges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol


class RunBatch(Protocol):
    """Work one batch. Safe to call twice, late, or with ids that were forged: it takes only what the ledger allows. Never raises for what
    became of the batch."""

    def __call__(self, run: int, batch: int, nonce: str) -> None: ...


class Served(Protocol):
    """What a dispatcher's own workers are handed."""

    engagements: Sequence[str]
    """The names of those whose batches are worked here."""
    processes: int
    """How many batches at once, each in a process of its own."""

    def run_batch(self, run: int, batch: int, nonce: str) -> None:
        """Work one batch, in a process that works one at a time. It opens what it needs where it is called first, so that a child that was
        forked shares nothing with others. Never raises for what became of the batch."""
        ...

    def leave(self) -> None:
        """End soon what is worked in any of these processes, and leave the rest to others. From any of them, and from any thread."""
        ...


class Dispatcher(ABC):
    """Registered once, by `metasync_register_dispatchers`."""

    name: ClassVar[str]
    """What `--dispatch` says."""
    title: ClassVar[str]

    def __init__(self, run_batch: RunBatch, settings: Mapping[str, Any]) -> None:
        """`settings`: `engagement`, its name, and `broker`, the URL that was given, or "". Makes no connection.

        Raises `MetasyncError` where they do not do."""
        self.run_batch = run_batch
        self.settings = settings

    @abstractmethod
    def nudge(self, run: int, batch: int, nonce: str) -> None:
        """Have the batch worked, now or soon. May raise, and may be lost: it is nudged again. Must not wait for longer than seconds."""

    def serve(self, served: Served) -> bool:
        """Work in the main thread of this process what was nudged, until SIGTERM or SIGINT. False, at once: this dispatcher has no workers
        of its own, and the engine's ask the database."""
        return False
