"""The worker: writes the approved changes of one directory, portion by portion, in the order of export.

One portion: claim (committed before anything is written), read back what may have been written before, write, record. Whatever interrupts
it, the next worker finds in the ledger what is unknown, and reads that back before it writes anything.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from metasync import faults as fault
from metasync.contract import Change, Operation, Outcome, Reference, Result, Unavailable
from metasync.equality import Attributes
from metasync.exporting.gate import Gate
from metasync.exporting.lease import DirectoryLease
from metasync.exporting.order import MEMBERS, PLACES
from metasync.exporting.pace import Pace
from metasync.exporting.readback import Decision, Verdict, decide
from metasync.exporting.record import ATTEMPTS, Recorder, Report, backoff
from metasync.exporting.targets import Item, Target
from metasync.exporting.windows import opens, words
from metasync.lease import LeaseLost
from metasync.store import directories, ledger
from metasync.store.errors import StoreError
from metasync.store.ledger import ChangeRow
from metasync.store.plans import PlanRow
from metasync.store.rows import MARK_PREFIX
from metasync.synchronising.created import Resolver, Unresolved
from metasync.words import failure
from metasync.workspace import Workspace

ALONE = 2
"""Whoever was in flight so often when a process ended is written alone: it may be what ended it, and nobody else shall suffer for that."""
ENDED = "it was not written: the export ended before"
BREAKER = 3
"""So many portions in a row that a connector fails on with an error of its own end the export to its directory."""
LAST = 1_000_000
"""Behind every stage."""

_log = logging.getLogger(__name__)


class Later(Exception):
    """Whoever works in slices has worked for long enough, or waits for what may be tried again: the rest comes after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Worker:
    """Exports the given plans to one directory, as long as its lease holds."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        run_id: int,
        batch_id: int,
        directory: str,
        chosen: Sequence[PlanRow],
        lease: DirectoryLease,
        target: Target,
        pace: Pace,
        until: float | None = None,
    ) -> None:
        """`until`: of a slice, by the process's own clock; whatever was begun by then is finished, and `Later` is raised."""
        self._until = until
        self._pace = pace
        self._workspace = workspace
        self._backend = workspace.backend
        self._run_id = run_id
        self._batch_id = batch_id
        self._directory = directory
        self._directory_id = workspace.directory_ids[directory]
        self._plan_ids = [row.id for row in chosen]
        self._lease = lease
        self._target = target
        self._windows = workspace.engagement.directories[directory].windows
        self._marks = workspace.engagement.directories[directory].mark is not None
        self._resolver = Resolver(workspace.engagement_id, self._directory_id)
        self._recorder = Recorder(
            workspace,
            run_id=run_id,
            directory_id=self._directory_id,
            plans={row.id: row for row in chosen},
            fence=lease.fence,
            target=target,
        )
        self._gate = Gate()
        self._failures = 0
        self._seen = 0
        self.done = 0
        with self._backend.read() as connection:
            self._attributes = Attributes(directories.schema_of(connection, self._directory_id))
            self.total = sum(ledger.unfinished(connection, self._plan_ids).values())

    def work(self, *, above: int = 0, below: int = LAST, patience: timedelta) -> None:
        """Write everything from stage `above` on and below `below` that can be written now, and what becomes so within `patience`.

        Raises `Unavailable` when the directory cannot be used, `LeaseLost`, or `Stopped` or `Later` between two portions."""
        rest = patience.total_seconds()
        while True:
            if self._pass(above, below):
                continue
            with self._backend.read() as connection:
                due, now = ledger.next_due(connection, self._plan_ids, below), self._backend.now(connection)
            pause = (due - now).total_seconds() if due is not None else rest + 1
            if pause > rest or pause < 0:
                return
            if self._until is not None:
                raise Later(max(0.05, pause))
            self._workspace.report(self.done, self.total, f"{self._directory}: waiting until {due:%H:%M:%S} to try again")
            self._workspace.stop.wait(max(0.05, pause))
            self._workspace.check_stop()
            rest -= max(0.05, pause)

    def settle(self) -> None:
        """Read back what is in flight, and write nothing: what was not written is approved as before. Raises as `work` does."""
        with self._backend.read() as connection:
            now = self._backend.now(connection)
        for portion in self._portions(self._unknown(0, LAST, now)):
            self._give_back(self._read_back(self._adopted(portion)))

    def _pass(self, above: int, below: int) -> int:
        """Once through everything that may be worked now; how many changes were attempted."""
        self._seen = 0
        with self._backend.read() as connection:
            now = self._backend.now(connection)
            self._gate = Gate(ledger.obstacles(connection, self._plan_ids, now))
        for portion in self._portions(self._unknown(above, below, now)):
            for part in _apart(portion):
                self._adopt(part)
        with self._backend.read() as connection:
            self._gate = Gate(ledger.obstacles(connection, self._plan_ids, now))
        for portion in self._portions(self._approved(above, below, now)):
            for part in _apart(portion):
                self._begin(part)
        return self._seen

    # --- what comes next ---------------------------------------------------------------------------------------------------------------

    def _approved(self, above: int, below: int, now: datetime) -> Iterator[ChangeRow]:
        def of_plan(plan_id: int) -> Iterator[ChangeRow]:
            after = (above, 0)
            while True:
                with self._backend.read() as connection:
                    rows = ledger.approved(connection, plan_id, after=after, below=below, now=now)
                yield from rows
                if not rows:
                    return
                after = (rows[-1].stage, rows[-1].id)

        return heapq.merge(*(of_plan(plan_id) for plan_id in self._plan_ids), key=lambda row: (row.stage, row.id))

    def _unknown(self, above: int, below: int, now: datetime) -> Iterator[ChangeRow]:
        after = (above, 0)
        while True:
            with self._backend.read() as connection:
                rows = ledger.in_flight(connection, self._plan_ids, after=after, now=now, below=below)
            yield from rows
            if not rows:
                return
            after = (rows[-1].stage, rows[-1].id)

    def _portions(self, stream: Iterable[ChangeRow]) -> Iterator[list[ChangeRow]]:
        """Portions of at most `commit_size` changes of one stage, never two of one object (but its members, and a rename with its
        move)."""
        room = self._target.commit_size * 3
        waiting: list[ChangeRow] = []
        for row in stream:
            while waiting and (waiting[0].stage != row.stage or len(waiting) >= room):
                yield self._take(waiting)
            waiting.append(row)
        while waiting:
            yield self._take(waiting)

    def _take(self, waiting: list[ChangeRow]) -> list[ChangeRow]:
        taken: list[ChangeRow] = []
        left: list[ChangeRow] = []
        seen: dict[tuple[int, int], set[Operation]] = {}
        for row in waiting:
            others = seen.setdefault((row.plan_id, row.object_id), set())
            together = row.operation in MEMBERS or (row.operation in PLACES and others <= PLACES - {row.operation})
            if len(taken) < self._target.commit_size and (together or not others):
                taken.append(row)
            else:
                left.append(row)
            others.add(row.operation)
        waiting[:] = left
        self._workspace.check_stop()
        self._check_window()
        if self._until is not None and self._seen and time.monotonic() >= self._until:
            raise Later(0)
        return taken

    def _check_window(self) -> None:
        """A window that closes under way ends the export. Raises `Unavailable`."""
        if self._windows:
            with self._backend.read() as connection:
                at = opens(self._windows, self._backend.now(connection))
            if at is not None:
                raise Unavailable(f"its window closed: {words(self._windows, at)}")

    # --- one portion -------------------------------------------------------------------------------------------------------------------

    def _begin(self, rows: list[ChangeRow]) -> None:
        """Take approved changes into flight, and write them."""
        with self._backend.read() as connection:
            ready, held = self._sift(connection, rows)
        with self._backend.write("export.claim", durable=True) as connection:
            self._lease.check(connection)
            for row, state, error in held:
                if state != "approved":
                    self._recorder.refuse(connection, row, state, error)
                elif row.error != error:
                    ledger.hold_back(connection, [row.id], state=state, error=error)
            claimed = self._claim(connection, ready) if ready else []
        for row, state, error in held:
            self._gate.shut(row, state, error)
        if claimed:
            self._seen += len(claimed)
            again = [item for item in claimed if item[0].attempts > 1]
            fresh = [item for item in claimed if item[0].attempts <= 1]
            self._write(fresh + self._read_back(again))

    def _adopted(self, rows: list[ChangeRow]) -> list[Item]:
        """Take over changes whose outcome nobody knows."""
        with self._backend.write("export.adopt", durable=True) as connection:
            self._lease.check(connection)
            ours = ledger.adopt(connection, [row.id for row in rows], run_id=self._run_id, batch_id=self._batch_id, fence=self._lease.fence)
        with self._backend.read() as connection:
            items = self._items(connection, ours, adopted=True)
        known = {row.id for row, _ in items}
        text = "what it refers to is not joined any more, so nobody can tell whether it was written; join that again, or look there"
        lost = [(row, Result(id=str(row.id), outcome=Outcome.UNKNOWN, detail=text)) for row in ours if row.id not in known]
        self._record(lost, read_back=True)
        return items

    def _adopt(self, rows: list[ChangeRow]) -> None:
        """Changes whose outcome nobody knows: read them back; write those that were not written."""
        items = self._adopted(rows)
        self._seen += len(items)
        unwritten = self._read_back(items)
        if any(row.error is None and row.attempts > ATTEMPTS for row, _ in unwritten):
            self._give_back(unwritten)  # alone by now, and it rests
        elif unwritten:
            with self._backend.write("export.claim_again", durable=True) as connection:
                self._lease.check(connection)
                due_at = self._not_before(connection)
                ids = [row.id for row, _ in unwritten]
                taken = {
                    row.id: row
                    for row in ledger.claim(
                        connection,
                        ids,
                        run_id=self._run_id,
                        batch_id=self._batch_id,
                        fence=self._lease.fence,
                        due_at=due_at,
                        state="in_flight",
                    )
                }
            self._write([(taken[row.id], change) for row, change in unwritten if row.id in taken])

    def _give_back(self, unwritten: list[Item]) -> None:
        """Whose process ended before it was written is approved as before."""
        again = [Result(id=change.id, outcome=Outcome.RETRY, retry_after=timedelta(0), detail=ENDED) for _, change in unwritten]
        self._record([(row, result) for (row, _), result in zip(unwritten, again, strict=True)], read_back=True)

    def _sift(self, connection: Connection, rows: Sequence[ChangeRow]) -> tuple[dict[int, str | None], list[tuple[ChangeRow, str, str]]]:
        """(id -> the anchor that became known, of those that can be written; the others with state and reason)."""
        self._resolver.learn(connection, [image for row in rows for image in (row.before, row.after)])
        identities = {row.identity_id for row in rows if row.identity_id is not None and row.anchor is None}
        places = ledger.places_of(connection, identities, self._directory_id)
        making = ledger.creating(connection, identities, self._directory_id)
        ready: dict[int, str | None] = {}
        held: list[tuple[ChangeRow, str, str]] = []
        for row in rows:
            obstacle = self._gate.held(row)
            place = places.get((row.identity_id or 0, row.kind.value)) if row.anchor is None else None
            if obstacle is not None:
                held.append((row, obstacle.state, obstacle.error))
            elif row.operation is Operation.CREATE and place is not None:
                held.append(
                    (
                        row,
                        "stale",
                        f"it exists already in {self._directory}: another profile or an import brought it since the plan was made",
                    )
                )
            elif row.operation is Operation.CREATE and (row.identity_id, row.kind.value) in making:
                held.append((row, "approved", "waits for the create of the same object by another profile"))
            elif row.operation is not Operation.CREATE and row.anchor is None and place is None:
                held.append((row, "approved", f"waits for {row.source} to be created"))
            else:
                try:
                    self._resolver.image(row.before)
                    self._resolver.image(row.after)
                except Unresolved as error:
                    held.append((row, "approved", f"waits for {error} to be created"))
                else:
                    ready[row.id] = place
                    if row.operation is Operation.CREATE:
                        making.add((row.identity_id, row.kind.value))
        return ready, held

    def _claim(self, connection: Connection, ready: Mapping[int, str | None]) -> list[Item]:
        due_at = self._not_before(connection)
        ledger.set_anchors(self._backend, connection, [(anchor, number) for number, anchor in ready.items() if anchor is not None])
        rows = ledger.claim(connection, list(ready), run_id=self._run_id, batch_id=self._batch_id, fence=self._lease.fence, due_at=due_at)
        return self._items(connection, rows)

    def _not_before(self, connection: Connection) -> datetime | None:
        """Before then a read may not show what we write, so that what it does not show means nothing."""
        return self._backend.now(connection) + self._target.lag if self._target.lag else None

    def _items(self, connection: Connection, rows: Sequence[ChangeRow], *, adopted: bool = False) -> list[Item]:
        self._resolver.learn(connection, [image for row in rows for image in (row.before, row.after)])
        items: list[Item] = []
        for row in rows:
            try:
                items.append((row, self._change(row, retried=adopted or row.attempts > 1)))
            except Unresolved as error:
                # It was resolved when it was written; whoever took the join back since must say what became of it.
                _log.warning("%s of %s stays in flight: it refers to %s, which is not joined any more", row.operation, row.label, error)
        return items

    def _change(self, row: ChangeRow, *, retried: bool) -> Change:
        before, after = self._resolver.image(row.before), self._resolver.image(row.after)
        member: Reference | None = None
        if row.operation in MEMBERS:
            member = next(one for values in (*after.values(), *before.values()) for one in values)
            before, after = {}, {}
        return Change(
            id=str(row.id),
            operation=row.operation,
            kind=row.kind,
            anchor=None if row.operation is Operation.CREATE else row.anchor,
            label=row.label,
            before=before,
            after=after,
            member=member,
            tag=row.tag,
            mark=MARK_PREFIX + row.tag if row.operation is Operation.CREATE and self._marks else None,
            retried=retried,
        )

    def _read_back(self, items: list[Item]) -> list[Item]:
        """Settle what the directory shows; what is left must be written."""
        unwritten: list[Item] = []
        for start in range(0, len(items), self._target.commit_size):
            unwritten += self._read_back_portion(items[start : start + self._target.commit_size])
        return unwritten

    def _read_back_portion(self, items: list[Item]) -> list[Item]:
        self._lease.ensure()
        fault.point("export.before_find")
        answers = self._target.find(items)
        if answers is None:
            return items
        by_id = {change.id: (row, change) for row, change in items}
        reports: list[Report] = []
        unwritten: list[Item] = []
        for found in answers:
            item = by_id.pop(found.id, None)
            if item is None:
                self._recorder.connector_bug(f"{self._target.name} answered find() for a change that it was not asked about: {found.id}")
                continue
            row, change = item
            decision = decide(change, found, self._attributes.of(row.kind), absence_counts=True)
            if decision.verdict is Verdict.WRITE:
                unwritten.append((row, replace(decision.change, retried=True)))
            else:
                reports.append((row, as_result(decision)))
        fault.point("export.after_find")
        for row, change in by_id.values():
            self._recorder.connector_bug(f"{self._target.name} gave no answer to find() for {row.label}")
            reports.append(
                (row, Result(id=change.id, outcome=Outcome.UNKNOWN, detail=f"{self._target.name} did not say whether it was written"))
            )
        self._record(reports, read_back=True)
        return unwritten

    def _write(self, items: list[Item]) -> None:
        """Write what is claimed; record every result, and what has none as unknown."""
        if not items:
            return
        if self._pace.wait(len(items), self._workspace.stop):
            self._workspace.report(self.done, self.total, f"{self._directory}: no faster than the document allows")
        self._lease.ensure()
        by_id = {change.id: row for row, change in items}
        reports: list[Report] = []
        ended: BaseException | None = None
        try:
            fault.point("export.before_target_write")
            for result in self._while_ours(self._target.write(items)):
                row = by_id.pop(result.id, None)
                if row is None:
                    self._recorder.connector_bug(
                        f"{self._target.name} gave a result for a change that it was not given, or two for one: {result.id}"
                    )
                else:
                    reports.append((row, result))
            fault.point("export.after_target_write")
            self._failures = 0
            why = f"{self._target.name} gave no result for it"
            if by_id:
                self._recorder.connector_bug(f"{why}: {', '.join(row.label for row in list(by_id.values())[:5])}")
        except (LeaseLost, StoreError):
            raise
        except Unavailable as error:
            ended, why = error, str(error)
        except (Exception, SystemExit) as error:
            # A plugin's own mistake, or its wish to end the program: these changes are unknown, and the others go on.
            self._failures += 1
            why = f"{self._target.name} failed: {failure(error)}"
            _log.error("%s", why)
            self._recorder.connector_bug(why)
            ended = Unavailable(f"{self._directory} is left alone for now: {why}") if self._failures >= BREAKER else None
        reports += [(row, Result(id=str(row.id), outcome=Outcome.UNKNOWN, detail=why)) for row in by_id.values()]
        self._record(reports)
        if ended is not None:
            raise ended

    def _while_ours(self, results: Iterable[Result]) -> Iterator[Result]:
        """Look at the lease before each result is asked for: a connector that writes one change after another writes no more of them for a
        process that stood still for so long that somebody else has taken over, and may have written them. Raises `LeaseLost`."""
        written = iter(results)
        while True:
            self._lease.ensure()
            try:
                result = next(written)
            except StopIteration:
                return
            yield result

    def _record(self, reports: Sequence[Report], *, read_back: bool = False) -> None:
        if not reports:
            return
        with self._backend.write("export.record", durable=True) as connection:
            self._lease.check(connection)
            told = {row.id for row, _ in reports if self._gate.failed(row)}
            for row, state, error in self._recorder.record(connection, reports, read_back=read_back, told=told):
                if state == "written":
                    self.done += 1
                else:
                    self._gate.shut(row, state, error)
        self._workspace.report(self.done, self.total, f"writing to {self._directory}")


def _apart(portion: list[ChangeRow]) -> Iterator[list[ChangeRow]]:
    """Those of a portion that were in flight when processes ended come last, and each alone."""
    others: list[ChangeRow] = []
    met: list[ChangeRow] = []
    for row in portion:
        (met if row.attempts >= ALONE and row.error in (None, ENDED) else others).append(row)
    if others:
        yield others
    for row in sorted(met, key=lambda one: one.attempts):
        yield [row]


def as_result(decision: Decision) -> Result:
    """What a read-back found, as if it were the result of the write."""
    match decision.verdict:
        case Verdict.WRITTEN:
            return Result(id=decision.change.id, outcome=Outcome.APPLIED, anchor=decision.anchor, already=True)
        case Verdict.OUTDATED:
            return Result(id=decision.change.id, outcome=Outcome.CONFLICT, detail=decision.detail)
        case _:
            return Result(id=decision.change.id, outcome=Outcome.UNKNOWN, detail=decision.detail)


__all__ = ["LAST", "Later", "Worker", "backoff"]
