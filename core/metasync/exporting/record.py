"""Records results in the ledger, with everything that belongs into the same transaction: the join of a new object, the steps of leaving
that were taken, the holds of an undo, the state of an exporter, problems.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from metasync.contract import Operation, Outcome, Result
from metasync.exporting.gathered import STEPS, Gathered, clear_problems
from metasync.exporting.order import EXPORTED
from metasync.exporting.pairs import pair_id
from metasync.exporting.targets import Target
from metasync.store import dirty, ledger
from metasync.store import exporters as exporter_rows
from metasync.store.holds import HoldRow
from metasync.store.ledger import ChangeRow
from metasync.store.plans import PlanRow
from metasync.store.rows import LEAVING, RETURNING
from metasync.workspace import Workspace

Report = tuple[ChangeRow, Result]
ATTEMPTS = 3
"""After so many attempts a change rests, with a problem that says so."""
REST = timedelta(minutes=15)
BACKOFF = (timedelta(seconds=2), timedelta(seconds=10), REST)
WHOLE = "*"


def backoff(attempts: int) -> timedelta:
    """How long a change waits after so many attempts."""
    return BACKOFF[min(max(attempts, 1), len(BACKOFF)) - 1]


def disabled_at_birth(run_id: int) -> dict[str, object]:
    """Whom we create disabled, because the source says so, we enable once it no longer does: that disable is our own."""
    return {"action": "disable", "before": True, "run": run_id}


class Recorder:
    """Records for one worker."""

    def __init__(
        self, workspace: Workspace, *, run_id: int, directory_id: int, plans: Mapping[int, PlanRow], fence: int, target: Target
    ) -> None:
        self._workspace = workspace
        self._run_id = run_id
        self._directory_id = directory_id
        self._directory = workspace.directory_name(directory_id)
        self._plans = plans
        self._fence = fence
        self._target = target
        self._bugs: dict[str, None] = {}
        self.refused = 0

    def connector_bug(self, text: str) -> None:
        """The connector broke its promise: a problem of the directory, recorded with the next results."""
        self._bugs[text] = None

    def record(
        self, connection: Connection, reports: Sequence[Report], *, read_back: bool, told: Collection[int]
    ) -> list[tuple[ChangeRow, str, str]]:
        """(change, state, error) of everything that was ours to record. `told`: changes to objects of which another change of the same plan
        was refused, and is told of as long as that is so."""
        now = self._workspace.backend.now(connection)
        clear_problems(self._workspace, connection, [row for row, _ in reports if row.id not in told])
        found = [(row, result.anchor or row.anchor) for row, result in reports]
        undo = {number for number, row in self._plans.items() if row.purpose == "undo"}
        into = Gathered.of(connection, self._directory_id, found, fence=self._fence, undo=undo)
        recorded = []
        for row, result in reports:
            state, error = self._one(connection, into, row, result, now, read_back)
            if state:
                recorded.append((row, state, error))
        self._note_bugs(into, now)
        into.store(self._workspace, connection, fence=self._fence)
        return recorded

    def refuse(self, connection: Connection, row: ChangeRow, state: str, error: str) -> None:
        """An approved change that must not even be begun."""
        ledger.hold_back(connection, [row.id], state=state, error=error)
        into = Gathered()
        self._problem(into, row, "not begun", error, self._workspace.backend.now(connection))
        self._look_again(into, row)
        into.store(self._workspace, connection, fence=self._fence)
        self.refused += 1

    def _one(
        self, connection: Connection, into: Gathered, row: ChangeRow, result: Result, now: datetime, read_back: bool
    ) -> tuple[str, str]:
        outcome = result.outcome
        if outcome is Outcome.APPLIED and row.operation is Operation.CREATE and not result.anchor:
            self.connector_bug(f"{self._target.name} created {row.label} and did not give its anchor")
            outcome = Outcome.UNKNOWN
        detail = result.detail or f"{self._target.name} gave no reason"
        match outcome:
            case Outcome.APPLIED:
                if read_back or row.attempts > 1 or row.operation not in ledger.MEMBER_OPERATIONS:
                    # A pass may have found it in flight meanwhile, and an import may have shown it already; and whoever plans before any
                    # import shows it must not plan it again. Members, of whom there may be many, are told by the import alone.
                    self._look_again(into, row)
                return self._applied(connection, into, row, result, now)
            case Outcome.CONFLICT:
                return self._final(into, row, "stale", "conflict", f"{detail}; it is planned again after the next import", now)
            case Outcome.REJECTED:
                return self._final(into, row, "rejected", "rejected", detail, now)
            case Outcome.RETRY:
                if read_back:
                    self._look_again(into, row)
                due_at = now + (result.retry_after if result.retry_after is not None else backoff(row.attempts))
                return self._later(into, row, "approved", detail, due_at, row.attempts, now)
            case _:
                attempts = row.attempts + 1 if read_back else row.attempts
                wait = backoff(attempts) if read_back or attempts >= ATTEMPTS else self._target.lag
                return self._later(into, row, "in_flight", detail, now + wait if wait else None, attempts, now)

    def _applied(self, connection: Connection, into: Gathered, row: ChangeRow, result: Result, now: datetime) -> tuple[str, str]:
        anchor = result.anchor or row.anchor
        # What an exporter carried cannot be seen by an import: there is nothing left to confirm.
        state = "confirmed" if row.operation in EXPORTED else "written"
        if not into.end(row, state, anchor=anchor, written_at=now, due_at=None, error=None):
            return "", ""
        if row.operation is Operation.CREATE and anchor is not None:
            self._join(into, row, anchor, now)
        elif row.operation in STEPS:
            self._remember_step(into, row)
        plan = self._plans[row.plan_id]
        if plan.purpose == "undo":
            self._hold(into, row)
        if plan.purpose == "exporter" and row.identity_id is not None:
            from metasync.planning.exporters import KEPT

            if KEPT in row.rules:
                kept = row.rules[KEPT]
                exporter_rows.keep_exporter_state(
                    connection, self._workspace.engagement_id, row.profile, pair_id(row.identity_id, row.kind), kept
                )
        return "written", ""

    def _final(self, into: Gathered, row: ChangeRow, state: str, code: str, text: str, now: datetime) -> tuple[str, str]:
        if not into.end(row, state, error=text, due_at=None):
            return "", ""
        self._problem(into, row, code, text, now)
        self._look_again(into, row)
        self.refused += 1
        return state, text

    def _look_again(self, into: Gathered, row: ChangeRow) -> None:
        """What was not written, or is written and was not shown by an import yet, is worked out anew."""
        if row.object_id and row.profile in self._workspace.engagement.profiles:
            into.dirty.add((row.profile, row.object_id, dirty.WHOLE))

    def _later(
        self, into: Gathered, row: ChangeRow, state: str, text: str, due_at: datetime | None, attempts: int, now: datetime
    ) -> tuple[str, str]:
        rests = attempts >= ATTEMPTS and (due_at is None or due_at < now + REST)
        if not into.end(row, state, error=text, due_at=now + REST if rests else due_at, attempts=attempts):
            return "", ""
        if attempts >= ATTEMPTS:
            self._problem(into, row, "unknown" if state == "in_flight" else "retried", f"{attempts} attempts: {text}", now)
            self.refused += 1
        return state, text

    def _join(self, into: Gathered, row: ChangeRow, anchor: str, now: datetime) -> None:
        """The new object stands for its identity until the import brings it."""
        known, place = into.joined.get(anchor), (row.identity_id or 0, row.kind.value)
        identity_id = known.identity_id if known else into.joins[anchor]["identity_id"] if anchor in into.joins else row.identity_id
        if identity_id != row.identity_id or into.places.get(place, anchor) != anchor:
            text = f"{row.label} was created as {anchor}, and one of them is joined otherwise; look at both, then `metasync unjoin` one"
            self._problem(into, row, "joined", text, now)
            return
        if known is not None:
            into.created.append(known.id)
            return
        into.places[place] = anchor
        into.joins[anchor] = {
            "engagement_id": self._workspace.engagement_id,
            "identity_id": row.identity_id,
            "directory_id": self._directory_id,
            "kind": row.kind.value,
            "anchor": anchor,
            "object_id": None,
            "profile": row.profile,
            "rule": f"created by {row.profile}",
            "revision": row.revision,
            "run_id": self._run_id,
            "author": self._workspace.author,
            "created": True,
            "done": [disabled_at_birth(self._run_id)] if row.after.get("enabled") is False else None,
        }

    def _remember_step(self, into: Gathered, row: ChangeRow) -> None:
        """A disable of ours, or a move out, may be reversed when somebody comes back; a reversed one may not be reversed again."""
        words = " ".join(row.rules.values())
        out, back = words.startswith(LEAVING), words.startswith(RETURNING)
        undo = self._plans[row.plan_id].purpose == "undo"
        if row.operation is Operation.MOVE and not (out or back or undo):
            return
        if row.anchor is None or (join := into.joined.get(row.anchor)) is None:
            return
        action = "move" if row.operation is Operation.MOVE else "disable"
        before = into.done.get(join.id, join.done)
        done = [one for one in before if one["action"] != action]
        if row.operation is Operation.DISABLE:
            done.append({"action": "disable", "before": row.before.get("enabled", True), "run": self._run_id})
        elif row.operation is Operation.MOVE and out:
            done.append({"action": "move", "before": row.before.get("path"), "run": self._run_id})
        if done != list(before):
            into.done[join.id] = done

    def _hold(self, into: Gathered, row: ChangeRow) -> None:
        """What an undo restored is left alone until it is released; an undo of an undo takes its holds back instead."""
        whole = row.operation in (Operation.DELETE, Operation.RESTORE)
        for original in into.undone.get(row.id, ()):
            names = {WHOLE} if whole else set(original.before) | set(original.after)
            for name in sorted(names):
                if original.plan_id in into.undoing:
                    into.released.setdefault((row.profile, name, original.run_id), []).append(row.object_id)
                else:
                    reason = f"run {self._run_id} took back what run {original.run_id} wrote"
                    into.holds[row.profile, row.object_id, name] = HoldRow(
                        profile=row.profile, object_id=row.object_id, attribute=name, run_id=self._run_id, reason=reason
                    )

    def _problem(self, into: Gathered, row: ChangeRow, code: str, text: str, now: datetime) -> None:
        attributes = sorted(set(row.after) | set(row.before))
        problem: dict[str, Any] = {
            "engagement_id": self._workspace.engagement_id,
            "area": "export",
            "of": row.profile,
            "object_id": row.object_id,
            "anchor": row.source.partition("/")[2] or row.anchor or "",
            "attribute": attributes[0] if len(attributes) == 1 else "",
            "code": code,
            "text": f"{row.operation} of {row.label} in {self._directory}: {text}",
            "severity": "error",
            "run_id": self._run_id,
            "since": now,
        }
        into.problems.append(problem)

    def _note_bugs(self, into: Gathered, now: datetime) -> None:
        into.problems += [
            {
                "engagement_id": self._workspace.engagement_id,
                "area": "export",
                "of": self._directory,
                "object_id": 0,
                "anchor": "",
                "attribute": "",
                "code": "connector",
                "text": f"{text}; this is a mistake in the plugin, tell its author",
                "severity": "error",
                "run_id": self._run_id,
                "since": now,
            }
            for text in self._bugs
        ]
        self._bugs = {}
