"""The steps of a run done at once, in this process: no services are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from metasync.exporting import export
from metasync.runs.doing import NOTHING, Each
from metasync.runs.record import ActiveRun
from metasync.runs.steps import WORK
from metasync.store import ledger
from metasync.words import writes

PARALLEL = 4
"""Steps that are done at once: most of an import is waiting for its directory."""


class Inline:
    """A `Doing` that never waits for anybody."""

    shared = False

    def __init__(self, run: ActiveRun) -> None:
        self._run = run
        self._done: dict[tuple[str, str], Any] = {}

    def begin(self, name: str, of: Sequence[str], what: Mapping[str, Any], each: Each = NOTHING) -> None:
        """Do them all, in threads where there are several."""
        left = [one for one in of if (name, one) not in self._done]

        def work(one: str) -> Any:
            # The name of the step in people's words: both ways back are an `undo`.
            with self._run.step(name, one) as (step, inside):
                return WORK[name](self._run, step, inside, one, {**what, **each.get(one, {})})

        self._done.update(zip([(name, one) for one in left], self._parallel(work, left), strict=True))

    def all(self, name: str, of: Sequence[str], what: Mapping[str, Any], each: Each = NOTHING) -> list[Any]:
        """What they came to."""
        self.begin(name, of, what, each)
        return [self._done[name, one] for one in of]

    def once(self, name: str, decide: Callable[[], Any]) -> Any:
        """Decide, as the run goes through here once."""
        return decide()

    def export(self, plan_ids: Sequence[int]) -> Mapping[str, str]:
        """One batch per directory, one after another."""
        with self._run.step("export", ", ".join(f"plan {number}" for number in plan_ids)) as (step, inside):
            outcome = export(inside, self._run.id, plan_ids)
            if outcome.stopped:
                step.state = "stopped"
                inside.check_stop()
            if outcome.unavailable:
                step.state = "failed"
            with inside.backend.read() as connection:
                step.text = "; ".join(outcome.unavailable.values()) or writes(ledger.count(connection, plan_ids))
        return outcome.unavailable

    def _parallel(self, work: Callable[[str], Any], names: Sequence[str]) -> list[Any]:
        if len(names) < 2:
            return [work(name) for name in names]
        with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="step") as pool:
            begun = [pool.submit(work, name) for name in names]
            try:
                return [one.result() for one in begun]
            except BaseException:
                self._run.workspace.stop.set()
                for one in begun:
                    one.cancel()
                raise
