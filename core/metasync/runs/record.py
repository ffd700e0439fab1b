"""What is recorded of a run: its row, its steps, how far they are, and how it ended. Also hears when somebody asks it to stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from metasync import notifying, tracing
from metasync.contract import MetasyncError, RunNotice, Stopped
from metasync.lease import Lease, LeaseLost
from metasync.runs.doing import NotYet
from metasync.runs.lease import EngineLease
from metasync.store import audit
from metasync.store import runs as rows
from metasync.workspace import Workspace

INTERRUPTED = "the process that worked on it ended before it did; what was imported and written stands, and the next run goes on from there"


@dataclass(kw_only=True, slots=True)
class Step:
    """One step while it works. `done`, `total` and `text` are kept when it ends."""

    name: str
    of: str
    state: str = "done"
    done: int = 0
    total: int | None = None
    text: str = ""
    now: str = ""
    """What it does at present, or waits for."""


@dataclass(kw_only=True, slots=True)
class ActiveRun:
    """One run while it works."""

    id: int
    workspace: Workspace
    """Reports under the run's steps, and stops when the run is asked to."""
    state: str = "done"
    counts: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    at_work: dict[int, Step] = field(default_factory=dict)
    """The steps that work now, by the numbers of their rows."""

    @contextmanager
    def step(self, name: str, of: str, *, batch_id: int | None = None) -> Iterator[tuple[Step, Workspace]]:
        """Record what happens inside as a step; an error ends it as failed, a stop as stopped, and goes on upwards."""
        # A step's row is its own: steps of one run begin, go on and end without waiting for what others of them write.
        backend, outer = self.workspace.backend.beside_others(), self.workspace.report
        step = Step(name=name, of=of)

        def report(done: int, total: int | None, what: str) -> None:
            step.done, step.total, step.now = done, total, what
            outer(done, total, f"{name} {of}: {what}" if what else f"{name} {of}")

        self.workspace.check_stop()
        with backend.write() as connection:
            step_id = rows.begin_step(connection, self.id, name=name, of=of, at=backend.now(connection), batch_id=batch_id)
        outer(0, None, f"{name} {of}")
        self.at_work[step_id] = step
        with tracing.step(self.workspace.engagement.name, self.id, kind=name, of=of, batch_id=batch_id) as traced:
            try:
                yield step, replace(self.workspace, report=report)
            except BaseException as error:
                step.state, step.text = end_by(error)
                raise
            finally:
                traced(step.state)
                self.at_work.pop(step_id, None)
                with backend.write() as connection:
                    at = backend.now(connection)
                    rows.end_step(connection, step_id, state=step.state, done=step.done, total=step.total, text=step.text, at=at)

    def look(self) -> None:
        """Every few seconds, from the lease's thread: tell how far the steps are, and hear whether the run shall stop."""
        backend = self.workspace.backend.beside_others()
        at_work = [(number, step, (step.done, step.total, step.now)) for number, step in list(self.at_work.items())]
        if at_work:
            with backend.write() as connection:
                at = backend.now(connection)
                for number, _, (done, total, now) in at_work:
                    rows.step_goes_on(connection, number, done=done, total=total, text=now, at=at)
        with backend.read() as connection:
            if rows.asked_to_stop(connection, self.id):
                self.workspace.stop.set()


@contextmanager
def recorded(workspace: Workspace, kind: str, what: Sequence[str]) -> Iterator[ActiveRun]:
    """Work under the engine's lease, with a row that says what this is, who began it and how it ended. Once the lease is lost, nothing is
    recorded any more.

    Plugins are told of its begin and its end. It stops when `metasync stop` asks for it, or when the lease was lost.
    """
    backend, engagement_id = workspace.backend, workspace.engagement_id
    watched: list[ActiveRun] = []

    def watch(lease: Lease) -> None:
        if lease.lost.is_set():
            workspace.stop.set()
        else:
            for run in watched:
                run.look()

    workspace.check_stop()
    with EngineLease(backend, workspace.engagement.name, on_beat=watch) as lease:
        with backend.write("run.begin") as connection:
            now = backend.now(connection)
            left = rows.abandon(connection, engagement_id, text=INTERRUPTED, at=now)
            run_id = rows.begin(connection, engagement_id, kind=kind, what=what, author=workspace.author, at=now)
            note_begin(connection, workspace, run_id, kind, what)
        run = ActiveRun(id=run_id, workspace=replace(workspace, backend=backend.guarded(lease.check)))
        watched.append(run)
        tell(run, "metasync_run_started", what)
        try:
            with ended(run):
                for number in left:
                    is_over(workspace, number)
                yield run
        finally:
            if lease.lost.is_set():
                run.state, run.error = "stopped", "another engine took the lease"
            watched.clear()
            workspace.stop.clear()  # it was meant for this run, not for the next one on the same workspace
            with backend.write("run.end") as connection:
                note_end(connection, run)
            tell(run, "metasync_run_finished", what)


@contextmanager
def ended(run: ActiveRun) -> Iterator[None]:
    """However the run ends, it knows how; what ended it goes on upwards."""
    try:
        yield
    except NotYet:
        raise
    except LeaseLost:
        run.state, run.error = "stopped", "another engine took the lease"
        raise
    except BaseException as error:
        run.state, run.error = end_by(error)
        raise


def end_by(error: BaseException) -> tuple[str, str]:
    """How what an error ended stands, and why. Of an error that nobody foresaw only its sort is told: its words may hold anything."""
    if isinstance(error, (Stopped, KeyboardInterrupt)):
        return "stopped", "asked to stop"
    if isinstance(error, MetasyncError):
        return "failed", str(error)
    return "failed", f"internal error: {type(error).__name__}"


def note_begin(connection: Connection, workspace: Workspace, run_id: int, kind: str, what: Sequence[str]) -> None:
    """In the transaction that begins a run."""
    audit.append(connection, workspace.engagement_id, workspace.author, "run started", f"run {run_id}", {"kind": kind, "what": list(what)})


def note_end(connection: Connection, run: ActiveRun) -> None:
    """In the transaction that ends a run."""
    workspace = run.workspace
    rows.end(connection, run.id, state=run.state, counts=run.counts, error=run.error, at=workspace.backend.now(connection))
    detail: dict[str, Any] = {"state": run.state, "counts": run.counts}
    audit.append(connection, workspace.engagement_id, workspace.author, "run ended", f"run {run.id}", detail)


def is_over(workspace: Workspace, run_id: int) -> None:
    """After a run was recorded as ended, well or not: it is traced, and people are notified where they should know."""
    tracing.run_ended(workspace, run_id)
    notifying.run_ended(workspace, run_id)


def tell(run: ActiveRun, hook: str, what: Sequence[str]) -> None:
    """Let plugins know that a run begins, or how it ended."""
    workspace = run.workspace
    known = tuple(name for name in what if name in workspace.engagement.profiles)
    notice = RunNotice(
        engagement=workspace.engagement.name,
        run=run.id,
        profiles=known,
        state="running" if hook == "metasync_run_started" else run.state,
        counts=tuple(sorted(run.counts.items())),
        text=run.error or "",
    )
    workspace.host.tell(hook, notice=notice)
    if hook == "metasync_run_finished":
        is_over(workspace, run.id)
