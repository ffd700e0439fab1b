"""Which dispatcher brings batches to where they are worked. `inline` is the engine's own; others come from plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from metasync.contract import Dispatcher, MetasyncError, RunBatch

COMING = frozenset({"database"})
"""Names that the command line knows and that do not act yet."""


class Inline(Dispatcher):
    """Works each batch at once, in this process. Needs no services."""

    name: ClassVar[str] = "inline"
    title: ClassVar[str] = "In this process, at once"

    def nudge(self, run: int, batch: int, nonce: str) -> None:
        self.run_batch(run, batch, nonce)


def dispatcher_class(name: str, offered: Mapping[str, type[Dispatcher]]) -> type[Dispatcher]:
    """The dispatcher that `--dispatch` names."""
    if name == Inline.name:
        return Inline
    if name in offered:
        return offered[name]
    allowed = ", ".join(sorted({Inline.name, *offered}))
    if name in COMING:
        raise MetasyncError(f"dispatch {name!r} does not act yet; use one of: {allowed}")
    raise MetasyncError(f"there is no dispatch {name!r}; allowed here: {allowed}. Others come with plugins that the document allows")


def make_dispatcher(name: str, offered: Mapping[str, type[Dispatcher]], run_batch: RunBatch, settings: Mapping[str, Any]) -> Dispatcher:
    """The dispatcher that `--dispatch` names, ready to be nudged."""
    return dispatcher_class(name, offered)(run_batch, settings)
