"""Which dispatcher brings batches to where they are worked. `inline` is the engine's own; others come from plugins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from metasync.contract import Dispatcher, MetasyncError, Stopped
from metasync.exporting import prepare, work
from metasync.store import batches as batch_rows
from metasync.workspace import Workspace

SWEEP = 3.0
"""Seconds between two nudges of what is not done."""

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


def write_plans(workspace: Workspace, run_id: int, plan_ids: Collection[int]) -> dict[str, str]:
    """Have approved plans written, one batch per directory, and wait for it; directory -> why it could not be written.

    Batches are worked wherever the dispatcher brings them; a nudge may be lost, so that what is not done is nudged again.
    """
    unavailable: dict[str, str] = {}
    worked: set[int] = set()

    def run_batch(run: int, batch: int, nonce: str) -> None:
        outcome = work(workspace, batch, nonce)
        worked.add(batch)
        unavailable.update(outcome.unavailable)
        if outcome.stopped:
            raise Stopped

    dispatcher = dispatcher_class(workspace.dispatch, workspace.host.dispatchers)(run_batch, {})
    tickets = prepare(workspace, run_id, plan_ids)
    while tickets:
        for ticket in tickets:
            dispatcher.nudge(run_id, ticket.batch_id, ticket.nonce)
        tickets = [ticket for ticket in tickets if ticket.batch_id not in worked and not _done(workspace, ticket.batch_id)]
        if tickets and workspace.stop.wait(SWEEP):
            raise Stopped
    return unavailable


def _done(workspace: Workspace, batch_id: int) -> bool:
    with workspace.backend.read() as connection:
        batch = batch_rows.get(connection, batch_id)
    return batch is None or batch.state == "done"
