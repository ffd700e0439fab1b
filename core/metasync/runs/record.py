"""What is recorded of a run: its row, its steps, and how it ended. Also hears when somebody asks it to stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from metasync.contract import MetasyncError, RunNotice, Stopped
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


@dataclass(kw_only=True, slots=True)
class ActiveRun:
    """One run while it works."""

    id: int
    workspace: Workspace
    """Reports under the run's steps, and stops when the run is asked to."""
    state: str = "done"
    counts: dict[str, int] = field(default_factory=dict)
    error: str | None = None

    @contextmanager
    def step(self, name: str, of: str) -> Iterator[tuple[Step, Workspace]]:
        """Record what happens inside as a step; an error ends it as failed, a stop as stopped, and goes on upwards."""
        backend, outer = self.workspace.backend, self.workspace.report
        step = Step(name=name, of=of)

        def report(done: int, total: int | None, what: str) -> None:
            step.done, step.total = done, total
            outer(done, total, f"{name} {of}: {what}" if what else f"{name} {of}")

        self.workspace.check_stop()
        with backend.write() as connection:
            step_id = rows.begin_step(connection, self.id, name=name, of=of, at=backend.now(connection))
        outer(0, None, f"{name} {of}")
        try:
            yield step, replace(self.workspace, report=report)
        except (Stopped, KeyboardInterrupt):
            step.state, step.text = "stopped", "asked to stop"
            raise
        except MetasyncError as error:
            step.state, step.text = "failed", str(error)
            raise
        except BaseException as error:
            step.state, step.text = "failed", f"internal error: {type(error).__name__}"
            raise
        finally:
            with backend.write() as connection:
                at = backend.now(connection)
                rows.end_step(connection, step_id, state=step.state, done=step.done, total=step.total, text=step.text, at=at)


@contextmanager
def recorded(workspace: Workspace, kind: str, what: Sequence[str]) -> Iterator[ActiveRun]:
    """Work under the engine's lease, with a row that says what this is, who began it and how it ended.

    Plugins are told of its begin and its end. It stops when `metasync stop` asks for it, or when the lease was lost.
    """
    backend, engagement_id = workspace.backend, workspace.engagement_id
    watched: list[int] = []

    def watch(lease: EngineLease) -> None:
        if lease.lost.is_set():
            workspace.stop.set()
        for run_id in watched:
            with backend.read() as connection:
                if rows.asked_to_stop(connection, run_id):
                    workspace.stop.set()

    workspace.check_stop()
    with EngineLease(backend, workspace.engagement.name, on_beat=watch) as lease:
        with backend.write("run.begin") as connection:
            now = backend.now(connection)
            rows.abandon(connection, engagement_id, text=INTERRUPTED, at=now)
            run_id = rows.begin(connection, engagement_id, kind=kind, what=what, author=workspace.author, at=now)
            audit.append(connection, engagement_id, workspace.author, "run started", f"run {run_id}", {"kind": kind, "what": list(what)})
        watched.append(run_id)
        run = ActiveRun(id=run_id, workspace=workspace)
        _tell(run, "metasync_run_started", what)
        try:
            yield run
        except (Stopped, KeyboardInterrupt):
            run.state = "stopped"
            run.error = "another engine took the lease" if lease.lost.is_set() else "asked to stop"
            raise
        except MetasyncError as error:
            run.state, run.error = "failed", str(error)
            raise
        except BaseException as error:
            run.state, run.error = "failed", f"internal error: {type(error).__name__}"
            raise
        finally:
            watched.clear()
            workspace.stop.clear()  # it was meant for this run, not for the next one on the same workspace
            with backend.write("run.end") as connection:
                rows.end(connection, run_id, state=run.state, counts=run.counts, error=run.error, at=backend.now(connection))
                detail = {"state": run.state, "counts": run.counts}
                audit.append(connection, engagement_id, workspace.author, "run ended", f"run {run_id}", detail)
            _tell(run, "metasync_run_finished", what)


def _tell(run: ActiveRun, hook: str, what: Sequence[str]) -> None:
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
