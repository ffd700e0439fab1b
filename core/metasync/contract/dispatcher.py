"""A dispatcher brings batches to where they are worked. The database is the truth; a dispatcher only nudges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol


class RunBatch(Protocol):
    """Work one batch. Safe to call twice, late, or with ids that were forged: it takes only what the ledger allows."""

    def __call__(self, run: int, batch: int, nonce: str) -> None: ...


class Dispatcher(ABC):
    """Registered once, by `metasync_register_dispatchers`."""

    name: ClassVar[str]
    """What `--dispatch` says."""
    title: ClassVar[str]

    def __init__(self, run_batch: RunBatch, settings: Mapping[str, Any]) -> None:
        self.run_batch = run_batch
        self.settings = settings

    @abstractmethod
    def nudge(self, run: int, batch: int, nonce: str) -> None:
        """Have the batch worked, now or soon. May be lost: the sweep nudges again."""
