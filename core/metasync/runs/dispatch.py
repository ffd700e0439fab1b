"""Which dispatcher brings batches to where they are worked. `inline` and `database` are the engine's own; others come from plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from metasync.contract import Dispatcher, MetasyncError

INLINE = "inline"
NO_WORKER = (
    "`--dispatch inline` works each run where it was asked for, and needs no worker; "
    "give `--dispatch database`, or `celery` with its plugin"
)


class Database(Dispatcher):
    """Workers look for themselves. Needs nothing but the database: also where there is no Redis, or on Windows."""

    name: ClassVar[str] = "database"
    title: ClassVar[str] = "Workers that ask the database"

    def nudge(self, run: int, batch: int, nonce: str) -> None:
        """Nobody needs to be told."""


def is_inline(name: str) -> bool:
    """Is a run done by whoever asks for it?"""
    return name == INLINE


def dispatcher_class(name: str, offered: Mapping[str, type[Dispatcher]]) -> type[Dispatcher] | None:
    """The dispatcher that `--dispatch` names; None: `inline` needs none."""
    if name == INLINE:
        return None
    if name == Database.name:
        return Database
    if name in offered:
        return offered[name]
    allowed = ", ".join(sorted({INLINE, Database.name, *offered}))
    raise MetasyncError(f"there is no dispatch {name!r}; allowed here: {allowed}. Others come with plugins that the document allows")


def make_dispatcher(name: str, offered: Mapping[str, type[Dispatcher]], run_batch: Any, settings: Mapping[str, Any]) -> Dispatcher:
    """A dispatcher for those who nudge, and for those who work. Raises `MetasyncError` for `inline`, which needs no worker."""
    found = dispatcher_class(name, offered)
    if found is None:
        raise MetasyncError(NO_WORKER)
    return found(run_batch, settings)
