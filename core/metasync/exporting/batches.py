"""Export: approved plans go to their directories, one batch per directory. Called again on the same plans it goes on where it ended.

Planning knows exporting (the order, pairs), so what is needed of planning is imported where it is used.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from metasync import notifying
from metasync.contract import Connector, MetasyncError, RunNotice, Stopped, Unavailable, Writes
from metasync.exporting import home
from metasync.exporting.lease import DirectoryBusy, DirectoryLease
from metasync.exporting.order import Stage
from metasync.exporting.pace import Pace
from metasync.exporting.pairs import use_name
from metasync.exporting.targets import ConnectorTarget, ExporterTarget
from metasync.exporting.write import LAST, Later, Worker
from metasync.identity import check_identity
from metasync.lease import TTL, LeaseLost
from metasync.store import audit, ledger, plans, queue
from metasync.store import batches as batch_rows
from metasync.store import problems as problem_rows
from metasync.store import runs as run_rows
from metasync.store.errors import StoreError
from metasync.store.plans import PlanRow
from metasync.store.rows import Problem
from metasync.words import failure
from metasync.workspace import Workspace

if TYPE_CHECKING:
    from metasync.planning.plan import PlanSummary

IN_VAIN = 10
"""So often in a row an export is taken up by whoever comes next where its process ended before anything came of it. A change that ends its
process is found out long before, and given up alone."""
PATIENCE = timedelta(minutes=2)
"""How long one export waits in all for changes that may be tried again later; the others are left for the next one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A batch, and what a dispatcher must say to have it worked."""

    batch_id: int
    directory: str
    nonce: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOutcome:
    """What an export came to."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """Changes of this export by the state in which they stand now."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Directory -> why it could not be written; the changes stay approved, or are read back first next time."""
    exporters: tuple[PlanSummary, ...] = ()
    """Plans of exporters that were made behind the attributes."""
    stopped: bool = False
    later: float | None = None
    """Of a slice: the batch is not done, and goes on after so many seconds."""

    @property
    def written(self) -> int:
        """Changes that reached their directory."""
        return sum(self.counts.get(state, 0) for state in ledger.DONE)

    @property
    def failed(self) -> int:
        """Changes that were refused or sent back."""
        return self.counts.get("rejected", 0) + self.counts.get("stale", 0)

    @property
    def waiting(self) -> int:
        """Changes that are not written and may be, by the next export."""
        return self.counts.get("approved", 0) + self.counts.get("in_flight", 0)

    @property
    def waiting_plans(self) -> tuple[int, ...]:
        """Exporters' plans that wait for a person."""
        return tuple(one.id for one in self.exporters if one.state == "planned")


Told = Callable[[Workspace, Callable[[Workspace], ExportOutcome]], ExportOutcome]
"""Does an export, and records that it is done."""


def export(workspace: Workspace, run_id: int, plan_ids: Collection[int], *, patience: timedelta = PATIENCE) -> ExportOutcome:
    """Write these plans, directory after directory. One that is unavailable or busy does not stop the others.

    Raises `ApprovalRefused` before anything is written if one of the plans may not be."""
    outcomes: list[ExportOutcome] = []
    for ticket in prepare(workspace, run_id, plan_ids):
        outcome = work(workspace, ticket.batch_id, ticket.nonce, patience=patience)
        outcomes.append(outcome)
        if outcome.stopped:
            break
    counts: Counter[str] = Counter()
    for one in outcomes:
        counts.update(one.counts)
    return ExportOutcome(
        counts=dict(counts),
        unavailable={name: text for one in outcomes for name, text in one.unavailable.items()},
        exporters=tuple(plan for one in outcomes for plan in one.exporters),
        stopped=any(one.stopped for one in outcomes),
    )


def prepare(workspace: Workspace, run_id: int, plan_ids: Collection[int]) -> list[Ticket]:
    """Check every plan's approval, and make one batch per directory. Commits before it returns, so that a dispatcher may be nudged."""
    from metasync.planning.approval import check_approved

    with workspace.backend.write("export.prepare", durable=True) as connection:
        home.check(workspace, connection)
        home.begin(workspace, connection)
        rows = plans.of_ids(connection, workspace.engagement_id, plan_ids)
        missing = sorted(set(plan_ids) - {row.id for row in rows})
        if missing:
            raise MetasyncError(f"there is no plan {missing[0]}; see `metasync runs`")
        for row in rows:
            check_approved(workspace, connection, row)
        tickets = []
        for directory_id, chosen in sorted(ledger.directories_of(connection, plan_ids).items()):
            if not ledger.unfinished(connection, chosen):
                ledger.close_plans(connection, chosen)
                continue
            name = workspace.directory_name(directory_id)
            nonce = secrets.token_hex(16)
            now = workspace.backend.now(connection)
            batch_id = batch_rows.add(
                connection,
                workspace.engagement_id,
                run_id=run_id,
                of=name,
                directory_id=directory_id,
                nonce=nonce,
                at=now,
            )
            batch_rows.assign(connection, batch_id, run_id=run_id, directory_id=directory_id, plan_ids=chosen)
            tickets.append(Ticket(batch_id=batch_id, directory=name, nonce=nonce))
    home.remember(workspace)
    return tickets


def work(workspace: Workspace, batch_id: int, nonce: str, *, patience: timedelta = PATIENCE) -> ExportOutcome:
    """Work one batch to its end. Safe to call twice, late, or with a nonce that was forged: it takes only what the ledger allows."""
    try:
        return _work(workspace, batch_id, nonce, patience, None, lambda inside, export: export(inside))
    except (DirectoryBusy, LeaseLost) as error:
        with workspace.backend.read() as connection:
            batch = batch_rows.get(connection, batch_id)
        assert batch is not None
        return ExportOutcome(unavailable={batch.of: str(error)})


def work_slice(workspace: Workspace, batch_id: int, nonce: str, seconds: float, told: Told) -> ExportOutcome:
    """Work one batch, and give it back after so long, committed and ready for whoever comes next; also where it waits for what may be tried
    again. `told` is handed the work once the directory is ours, to do it and to record that. Raises `DirectoryBusy` and `LeaseLost`."""
    return _work(workspace, batch_id, nonce, PATIENCE, seconds, told)


def _work(workspace: Workspace, batch_id: int, nonce: str, patience: timedelta, slice_seconds: float | None, told: Told) -> ExportOutcome:
    with workspace.backend.read() as connection:
        batch = batch_rows.get(connection, batch_id)
        if batch is None or batch.nonce != nonce or batch.state == "done":
            return ExportOutcome()
        chosen = plans.of_ids(connection, workspace.engagement_id, batch_rows.plans_of(connection, batch_id))
    assert batch.directory_id is not None
    directory = workspace.directory_name(batch.directory_id)
    with DirectoryLease(workspace.backend, workspace.engagement.name, directory) as lease:
        workspace.backend.gather_statistics()
        until = time.monotonic() + slice_seconds if slice_seconds is not None else None
        return told(workspace, lambda inside: _Batch(inside, batch, directory, chosen, lease, patience, until).work())


def settle(workspace: Workspace, directory: str, run_id: int) -> None:
    """Read back what a broken export left in flight, whichever plan it is of: nobody may ever export that plan again, and until its outcome
    is known the object is left alone. Nothing is written. Raises `Unavailable`."""
    directory_id = workspace.directory_ids[directory]
    with workspace.backend.read() as connection:
        if not ledger.left_in_flight(connection, directory_id, workspace.backend.now(connection)):
            return
    try:
        with DirectoryLease(workspace.backend, workspace.engagement.name, directory) as lease:
            with workspace.backend.write("export.settle", durable=True) as connection:
                now = workspace.backend.now(connection)
                left = ledger.left_in_flight(connection, directory_id, now)
                chosen = plans.of_ids(connection, workspace.engagement_id, left)
                nonce = secrets.token_hex(16)
                number = batch_rows.add(
                    connection,
                    workspace.engagement_id,
                    run_id=run_id,
                    of=directory,
                    directory_id=directory_id,
                    nonce=nonce,
                    at=now,
                )
                batch = batch_rows.get(connection, number)
            assert batch is not None
            _Batch(workspace, batch, directory, chosen, lease, timedelta(0)).settle()
    except (DirectoryBusy, LeaseLost):
        return  # whoever exports there at present reads back himself


def end_left(workspace: Workspace, connection: Connection, run_id: int, why: str) -> None:
    """In the transaction that ends a run: what it wrote is audited, also of exports that nobody will go on with (I6)."""
    for left in batch_rows.of_run(connection, run_id):
        if left.kind == queue.EXPORT and left.state != "done" and left.what.get("begun"):
            _audit(workspace, connection, left, left.of, why)


class _Batch:
    """One batch under its lease."""

    def __init__(
        self,
        workspace: Workspace,
        batch: batch_rows.BatchRow,
        directory: str,
        chosen: Sequence[PlanRow],
        lease: DirectoryLease,
        patience: timedelta,
        until: float | None = None,
    ) -> None:
        self._until = until
        self._pace = Pace(workspace.engagement.directories[directory].rate.get("operations"))
        self._workspace = workspace
        self._batch = batch
        self._directory = directory
        self._directory_id = workspace.directory_ids[directory]
        self._chosen = [row for row in chosen if row.purpose != "exporter"]
        self._carried = [row for row in chosen if row.purpose == "exporter"]
        self._lease = lease
        self._patience = patience - timedelta(seconds=batch.what.get("waited", 0))
        self._made: list[PlanSummary] = []
        self._in_vain = 0

    def work(self) -> ExportOutcome:
        unavailable: dict[str, str] = {}
        stopped = False
        try:
            self._open(writes=True)
        except home.NotAtHome as error:
            # Its run was half exported when the backup was made.
            why = str(error)
            return ExportOutcome(counts=self._close(why, then=""), unavailable={self._directory: why})
        try:
            self._write()
        except Unavailable as error:
            unavailable[self._directory] = str(error)
        except Stopped:
            if self._until is not None and not self._asked_to_stop():
                self._lay_aside(0)  # this worker leaves; somebody else goes on
                return ExportOutcome(later=0)
            stopped = True
        except Later as later:
            self._lay_aside(later.seconds)
            return ExportOutcome(later=later.seconds)
        except (LeaseLost, StoreError):
            # Without the database nothing is to be said of the directory: whoever takes over reads back, as behind a process that died.
            raise
        except Exception as error:
            self._close(failure(error))
            raise
        counts = self._close(unavailable.get(self._directory))
        home.remember(self._workspace)
        notice = RunNotice(
            engagement=self._workspace.engagement.name,
            run=self._batch.run_id,
            profiles=tuple(sorted({row.profile for row in (*self._chosen, *self._carried)})),
            state="stopped" if stopped else "unavailable" if unavailable else "done",
            counts=tuple(sorted(counts.items())),
            text=self._directory,
        )
        self._workspace.host.tell("metasync_written", notice=notice)
        return ExportOutcome(counts=counts, unavailable=unavailable, exporters=tuple(self._made), stopped=stopped)

    def settle(self) -> None:
        """Read back, and write nothing."""
        self._open()
        try:
            with self._workspace.connector(self._directory) as connector:
                if isinstance(connector, Writes):
                    self._check_identity(connector)
                    self._worker(self._chosen, ConnectorTarget(self._directory, connector)).settle()
        finally:
            self._close(None)

    def _open(self, *, writes: bool = False) -> None:
        """Lease the batch. Batches that a killed process left open are closed first, so that what they wrote is audited (I6)."""
        with self._workspace.backend.write("export.open", durable=True) as connection:
            self._lease.check(connection)
            present = batch_rows.get(connection, self._batch.id)
            if present is None or present.state == "done":
                raise LeaseLost(f"the export to {self._directory} is over: its run ended")
            if writes:
                home.check(self._workspace, connection)
                # What the connector did wrong in an earlier export; if it does so again, that is told again.
                problem_rows.clear(connection, self._workspace.engagement_id, "export", self._directory, [0], codes=["connector"])
            now = self._workspace.backend.now(connection)
            for left in batch_rows.not_done(connection, self._workspace.engagement_id, self._directory_id):
                if left.id != self._batch.id and left.state == "leased":
                    _audit(self._workspace, connection, left, self._directory, "its process ended before it did")
                    batch_rows.change_batch(connection, left.id, state="done")
                    queue.wake(connection, left.run_id)
            batch_rows.change_batch(
                connection, self._batch.id, state="leased", owner=self._lease.owner, fence=self._lease.fence, lease_until=now + TTL
            )
            self._lease.batch_id = self._batch.id
            counts = batch_rows.count(connection, self._batch.id)
            settled = sum(counts.values()) - counts.get("approved", 0) - counts.get("in_flight", 0)
            self._in_vain = present.what.get("in vain", 0) + 1 if present.what.get("settled") == settled else 0
            what = {**present.what, "begun": True, "settled": settled, "in vain": self._in_vain}
            batch_rows.change_batch(connection, self._batch.id, what=what)
            if present.what.get("begun"):
                return  # a further slice of it
            detail = {"plans": [row.id for row in (*self._chosen, *self._carried)], "fence": self._lease.fence}
            audit.append(
                connection,
                self._workspace.engagement_id,
                self._workspace.author,
                "export begins",
                f"batch {self._batch.id} to {self._directory}",
                detail,
            )

    def _asked_to_stop(self) -> bool:
        with self._workspace.backend.read() as connection:
            return run_rows.asked_to_stop(connection, self._batch.run_id)

    def _lay_aside(self, seconds: float) -> None:
        """The end of a slice: everything that was written is recorded, and the rest goes on after so many seconds."""
        with self._workspace.backend.write("queue.slice", durable=True) as connection:
            self._lease.check(connection)
            due = self._workspace.backend.now(connection) + timedelta(seconds=seconds)
            what = {**self._batch.what, "begun": True, "waited": self._batch.what.get("waited", 0) + seconds}
            queue.lay_aside(connection, self._batch.id, due_at=due, what=what)
        self._lease.batch_id = None

    def _write(self) -> None:
        """Everything up to the members; then exporters; then moves out and deletes (law 10)."""
        from metasync.planning.exporters import exporter_of, make_exporter

        workspace = self._workspace
        if self._in_vain > IN_VAIN:
            raise Unavailable(f"the export was begun {IN_VAIN} times in a row, and its process ended each time; see the log")
        with workspace.connector(self._directory) as connector:
            worker = None
            self._check_identity(connector)
            if self._chosen:
                worker = self._worker(self._chosen, ConnectorTarget(self._directory, connector))
                worker.work(below=Stage.EXPORTER, patience=self._patience)
            for row in self._exporter_plans():
                use = exporter_of(workspace, row.profile)
                if use is None:
                    continue
                with self._alone(row.profile, "exporter write"), ExitStack() as stack:
                    source = stack.enter_context(workspace.connector(use.source))
                    carrier = ExporterTarget(make_exporter(workspace, use), source, connector)
                    self._worker([row], carrier).work(patience=self._patience)
                    self._advance(row)
            if worker is not None:
                worker.work(above=Stage.EXPORTER, below=LAST, patience=self._patience)

    @contextmanager
    def _alone(self, name: str, code: str) -> Iterator[None]:
        """An exporter that fails, fails alone: leavers do not wait for it."""
        text = ""
        try:
            yield
        except (Stopped, Later, LeaseLost):
            raise
        except (Exception, SystemExit) as error:
            text = f"the exporter {name} failed: {failure(error)}; what it did not carry is planned again by the next export"
        with self._workspace.backend.write() as connection:
            problem_rows.clear(connection, self._workspace.engagement_id, problem_rows.EXPORT, name, [0], codes=[code])
            failed = [Problem(code=code, text=text)] if text else []
            problem_rows.add(connection, self._workspace.engagement_id, problem_rows.EXPORT, name, self._batch.run_id, failed)

    def _check_identity(self, connector: Connector) -> None:
        """What another directory holds under this name is neither written nor taken for the answer to what was written."""
        try:
            check_identity(self._workspace, self._directory, connector)
        except Unavailable:
            raise
        except MetasyncError as error:
            raise Unavailable(str(error)) from error

    def _worker(self, chosen: Sequence[PlanRow], target: ConnectorTarget | ExporterTarget) -> Worker:
        return Worker(
            self._workspace,
            run_id=self._batch.run_id,
            batch_id=self._batch.id,
            directory=self._directory,
            chosen=chosen,
            lease=self._lease,
            target=target,
            until=self._until,
            pace=self._pace,
        )

    def _exporter_plans(self) -> list[PlanRow]:
        """What exporters want to carry now that the attributes are written, as far as a person or a standing approval allows it."""
        from metasync.planning.approval import auto_approve, check_approved
        from metasync.planning.exporters import freeze_exporter

        workspace = self._workspace
        for use in workspace.engagement.exporters:
            if use.target != self._directory:
                continue
            frozen: list[PlanSummary] = []
            with self._alone(use_name(use), "exporter plan"):
                frozen.append(freeze_exporter(workspace, self._batch.run_id, use))
            if not frozen:
                continue
            made = frozen[0]
            if made.state == "planned":
                if auto_approve(workspace, made.id):
                    with workspace.backend.read() as connection:
                        row = plans.get(connection, workspace.engagement_id, made.id)
                    assert row is not None
                    self._carried.append(row)
                else:
                    notifying.plan_waits(workspace, made.id)
            elif made.state == "approved" and made.id not in {row.id for row in self._carried}:
                with workspace.backend.read() as connection:
                    self._carried += plans.of_ids(connection, workspace.engagement_id, [made.id])
            self._made.append(made)
        with workspace.backend.write(durable=True) as connection:
            live = plans.of_ids(connection, workspace.engagement_id, [row.id for row in self._carried])
            live = [row for row in live if row.state == "approved"]
            for row in live:
                check_approved(workspace, connection, row)
            batch_rows.assign(
                connection,
                self._batch.id,
                run_id=self._batch.run_id,
                directory_id=self._directory_id,
                plan_ids=[row.id for row in live],
            )
        self._carried = live
        return live

    def _advance(self, row: PlanRow) -> None:
        from metasync.planning.exporters import advance_cursor

        with self._workspace.backend.write(durable=True) as connection:
            counts = ledger.count(connection, [row.id])
            if set(counts) <= set(ledger.DONE):
                advance_cursor(self._workspace, connection, row.profile, row.id)

    def _close(self, why: str | None, *, then: str = "; what was not written stays approved, so export the plan again") -> dict[str, int]:
        with self._workspace.backend.write("export.close", durable=True) as connection:
            self._lease.check(connection)
            _audit(self._workspace, connection, self._batch, self._directory, why or "")
            # Where a run waits for it, that it goes on is told by the queue.
            batch_rows.change_batch(connection, self._batch.id, state="done", lease_until=None, result={"error": why} if why else {})
            queue.wake(connection, self._batch.run_id)
            ledger.close_plans(connection, [row.id for row in (*self._chosen, *self._carried)])
            now = self._workspace.backend.now(connection)
            problem_rows.clear(connection, self._workspace.engagement_id, "export", self._directory, [0], codes=["unavailable"])
            if why:
                problem = {
                    "engagement_id": self._workspace.engagement_id,
                    "area": "export",
                    "of": self._directory,
                    "object_id": 0,
                    "anchor": "",
                    "attribute": "",
                    "code": "unavailable",
                    "text": f"{why}{then}",
                    "severity": "error",
                    "run_id": self._batch.run_id,
                    "since": now,
                }
                problem_rows.add_rows(connection, [problem])
            return batch_rows.count(connection, self._batch.id)


def _audit(workspace: Workspace, connection: Connection, batch: batch_rows.BatchRow, directory: str, why: str) -> None:
    """One row for a finished batch, with the hash of its changes and their states."""
    content = hashlib.sha256()
    counts: Counter[str] = Counter()
    for number, tag, state, error in batch_rows.changes_of(connection, batch.id):
        content.update(f"{number}\0{tag}\0{state}\0{error}\n".encode("utf-8", "surrogatepass"))
        counts[state] += 1
    detail = {"counts": dict(counts), "changes": content.hexdigest(), "run": batch.run_id, "note": why}
    audit.append(connection, workspace.engagement_id, workspace.author, "export", f"batch {batch.id} to {directory}", detail)
