"""`runs --follow`: what is under way, whoever works it, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import FrameType

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from metasync import service
from metasync.cli.output import clean, plain, styled
from metasync.cli.session import Session
from metasync.words import counted

LOOK = 1.0
"""Seconds between two looks."""
STYLES = {"done": "good", "failed": "error", "stopped": "warning", "waiting": "warning", "running": "notice", "queued": "dim"}


def follow_runs(session: Session) -> None:
    """On a terminal live bars; else a line, or with --json an object, for each thing that happens."""
    with session.workspace() as workspace, _ended_by_interrupt(session):
        workspace = replace(workspace, backend=workspace.backend.until(session.stop))
        if session.out.as_json or not session.out.results.is_terminal:
            _told(session, workspace)
        else:
            _live(session, workspace)


@contextmanager
def _ended_by_interrupt(session: Session) -> Iterator[None]:
    """Ctrl-C ends it before its next look, the second one at once. An exception alone would be lost where it meets what Python calls by
    itself, such as while an object is thrown away: nothing is raised from there."""

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if session.stop.is_set():
            raise KeyboardInterrupt
        session.stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _looks(session: Session, workspace: service.Workspace) -> Iterator[service.UnderWay]:
    try:
        while True:
            yield service.under_way(workspace)
            if session.stop.wait(LOOK):
                return
    except KeyboardInterrupt:
        return
    except service.StoreError:
        if not session.stop.is_set():  # who is asked to end waits for no server
            raise


def _live(session: Session, workspace: service.Workspace) -> None:
    with Live(console=session.out.results, refresh_per_second=4, transient=False) as live:
        for found in _looks(session, workspace):
            live.update(_picture(found))


def _picture(found: service.UnderWay) -> Group:
    table = Table.grid(padding=(0, 1))
    for _ in range(5):
        table.add_column()
    for shown in found.runs:
        run = shown.run
        table.add_row(Text(f"run {run.id}", style="bold"), styled(run.state, STYLES[run.state]), Text(clean(_what(run))), "", "")
        for step in shown.steps:
            if step.state == "running":
                table.add_row("", Text(clean(step.name)), Text(clean(step.of)), _bar(step), Text(clean(_pace(step))))
    if not found.runs:
        table.add_row(Text("nothing is under way", style="dim"))
    if found.queued:
        table.add_row(Text(f"and {counted(found.queued, 'run')} on the queue", style="dim"))
    if not found.workers:
        table.add_row(styled("no worker lives: start `metasync worker` or `metasync up`", "warning"))
    return Group(table)


def _bar(step: service.StepRow) -> ProgressBar:
    return ProgressBar(total=step.total, completed=step.done, width=20, pulse=step.total is None, animation_time=time.monotonic())


def _told(session: Session, workspace: service.Workspace) -> None:
    """What changed since the last look."""
    known: dict[tuple[str, int], str] = {}

    def tell(shown: service.ShownRun) -> None:
        for step in shown.steps:
            text = f"run {shown.run.id}: {step.name} {step.of}"
            _changed(session, known, ("step", step.id), step.state, text, step.text if step.state != "running" else "")
        _changed(session, known, ("run", shown.run.id), shown.run.state, f"run {shown.run.id}, {_what(shown.run)}", shown.run.error or "")

    since = service.oldest_open_run(workspace)
    session.out.say("following what is under way; Ctrl-C ends it", "dim")
    for found in _looks(session, workspace):
        # Runs may begin and end between two looks. What is open now is told of again at the next look.
        still_open = service.oldest_open_run(workspace)
        for shown in (*(one for one in found.runs if one.run.state == "queued"), *service.runs_since(workspace, since)):
            tell(shown)
        since = still_open


def _changed(session: Session, known: dict[tuple[str, int], str], of: tuple[str, int], state: str, text: str, more: str) -> None:
    if known.get(of) == state:
        return
    known[of] = state
    if session.out.as_json:
        at = plain(datetime.now(UTC))
        session.out.results.file.write(json.dumps({"at": at, of[0]: of[1], "state": state, "text": text, "more": more}) + "\n")
    else:
        session.out.line(f"{text}: {state}" + (f", {more}" if more else ""))
    session.out.results.file.flush()


def _what(run: service.RunRow) -> str:
    return f"{run.kind} of {', '.join(run.what)}"


def _pace(step: service.StepRow) -> str:
    """How far, how fast, until when; and what it waits for."""
    parts = [f"{step.done:,}" + (f" of {step.total:,}" if step.total else "")] if step.done or step.total else []
    seconds = ((step.updated or step.started) - step.started).total_seconds()
    if step.done and seconds > 0:
        rate = step.done / seconds
        parts.append(f"{rate:,.0f}/s")
        if step.total and step.total > step.done:
            parts.append(f"{timedelta(seconds=round((step.total - step.done) / rate))} to go")
    return ", ".join([*parts, *filter(None, [step.text])])
