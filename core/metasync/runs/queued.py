"""The steps of a run on the queue: each is a batch, worked by whoever takes it; what it came to is kept with it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metasync.contract import MetasyncError
from metasync.exporting import prepare
from metasync.runs.doing import NOTHING, Each, NotYet
from metasync.runs.record import ActiveRun
from metasync.store import batches as rows
from metasync.store.batches import BatchRow
from metasync.store.queue import ONCE


class StepFailed(MetasyncError):
    """A step of the run failed, in the words of whoever worked it."""


class Queued:
    """A `Doing` that never does anything but to say what shall be done, and to read what it came to."""

    shared = True

    def __init__(self, run: ActiveRun, known: Sequence[BatchRow]) -> None:
        self._run = run
        self.known = known
        """The batches of the run as they were when it was told."""
        self._known = {(one.kind, one.of): one for one in known}
        self._by_id = {one.id: one for one in known}
        self.waits_for: list[set[int]] = []
        """Groups of batches: with all of any group the run can go on."""

    def begin(self, name: str, of: Sequence[str], what: Mapping[str, Any], each: Each = NOTHING) -> None:
        """Make a batch of each that has none."""
        left = [one for one in of if (name, one) not in self._known]
        if not left:
            return
        workspace = self._run.workspace
        workspace.check_stop()
        with workspace.backend.write("queue.divide", durable=True) as connection:
            at = workspace.backend.now(connection)
            for one in left:
                nonce = secrets.token_hex(16)
                number = rows.add(
                    connection,
                    workspace.engagement_id,
                    run_id=self._run.id,
                    kind=name,
                    of=one,
                    nonce=nonce,
                    at=at,
                    what={**what, **each.get(one, {})},
                )
                made = rows.get(connection, number)
                assert made is not None
                self._known[name, one] = self._by_id[number] = made
            workspace.backend.call(connection)

    def all(self, name: str, of: Sequence[str], what: Mapping[str, Any], each: Each = NOTHING) -> list[Any]:
        """What they came to."""
        self.begin(name, of, what, each)
        return [result.get("value") for result in self._results([self._known[name, one].id for one in of])]

    def once(self, name: str, decide: Callable[[], Any]) -> Any:
        """Decide, and remember it."""
        known = self._known.get((ONCE, name))
        if known is not None:
            return known.result["value"]
        value = decide()
        workspace = self._run.workspace
        with workspace.backend.write("queue.divide", durable=True) as connection:
            rows.add(
                connection,
                workspace.engagement_id,
                run_id=self._run.id,
                kind=ONCE,
                of=name,
                nonce="",
                at=workspace.backend.now(connection),
                state="done",
                result={"value": value},
            )
            # What was decided may have made something to do, such as exports.
            workspace.backend.call(connection)
        return value

    def export(self, plan_ids: Sequence[int]) -> Mapping[str, str]:
        """One batch per directory, all at once."""
        of = ", ".join(f"plan {number}" for number in plan_ids)
        made = self.once(f"export {of}", lambda: self._prepare(plan_ids))
        results = self._results([number for number, _ in made])
        return {directory: result["error"] for (_, directory), result in zip(made, results, strict=True) if "error" in result}

    def _prepare(self, plan_ids: Sequence[int]) -> list[tuple[int, str]]:
        workspace = self._run.workspace
        tickets = prepare(workspace, self._run.id, plan_ids)
        with workspace.backend.read() as connection:
            for one in tickets:
                made = rows.get(connection, one.batch_id)
                assert made is not None
                self._by_id[made.id] = made
        return [(one.batch_id, one.directory) for one in tickets]

    def _results(self, batch_ids: Sequence[int]) -> list[Mapping[str, Any]]:
        found = [self._by_id[number] for number in batch_ids]
        left = {one.id for one in found if one.state != "done"}
        if left:
            self.waits_for.append(left)
            raise NotYet
        for one in found:
            if one.kind != "export" and one.result and "error" in one.result:
                raise StepFailed(one.result["error"])
        return [one.result or {} for one in found]
