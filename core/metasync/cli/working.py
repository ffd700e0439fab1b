"""Long-running: `worker`, `scheduler`, `up`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from metasync import service
from metasync.cli.group import metasync
from metasync.cli.session import Session, verb

DOCUMENTS = click.argument("document", nargs=-1, type=click.Path(dir_okay=False, path_type=Path))
PROCESSES = click.option(
    "--processes", type=click.IntRange(1, 64), metavar="N", help="How many work at once (default: on SQLite 1, else one per processor)."
)

METRICS = click.option(
    "--metrics", default="", envvar="METASYNC_METRICS", metavar="[HOST:]PORT", help="Answer Prometheus there (METASYNC_METRICS)."
)
LOG = click.option(
    "--log",
    type=click.Choice(service.LOG_FORMATS),
    default="text",
    envvar="METASYNC_LOG",
    help="How events are written to stderr (METASYNC_LOG; default text).",
)


@verb(
    metasync,
    "worker",
    examples=(
        "metasync worker  # work what `metasync run --dispatch database` and the scheduler put on the queue, until Ctrl-C",
        "metasync worker contoso.yaml hr.yaml --database postgresql://... --processes 4  # for two engagements, four at once",
    ),
)
@DOCUMENTS
@PROCESSES
@LOG
@click.option("--part", type=click.Choice(["listen", "sweep", "work"]), hidden=True, help="Of a worker's processes, which one this is.")
def worker(session: Session, document: tuple[Path, ...], processes: int | None, log: str, part: str | None) -> None:
    """Work what is on the queue.

    For each DOCUMENT, or the one of --engagement, until it is asked to end by Ctrl-C or SIGTERM: what it has in hand is finished
    first, or left whole for another worker.
    """
    stop, settings = until_asked(session), settings_of(session, document)
    number = processes or service.default_processes(settings)
    service.configure_logs(log)
    if part == "listen":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the dispatcher has its own way to end
        if not stop.is_set():  # it was asked to while the documents were opened
            service.listen(settings, number, parent=parent())
    elif part == "sweep":
        service.sweep(settings, stop, parent=parent())
    elif part == "work":
        service.work_queue(settings, stop, parent=parent())
    else:
        session.out.say(f"working for {_names(session, document)} by {session.dispatch}, {number} at once; Ctrl-C ends it")
        service.supervise(_workers(session, document, settings, number, log), stop)


@verb(
    metasync,
    "scheduler",
    examples=(
        "metasync scheduler  # put profiles on the queue when their `schedule` says so, until Ctrl-C",
        "metasync scheduler contoso.yaml hr.yaml  # for two engagements",
    ),
)
@DOCUMENTS
@METRICS
@LOG
def scheduler(session: Session, document: tuple[Path, ...], metrics: str, log: str) -> None:
    """Put profiles on the queue when they are due.

    As each profile's `schedule` says, for each DOCUMENT, or the one of --engagement. Several may be started: one is active, and
    another takes over when it ends.
    """
    stop, settings = until_asked(session), settings_of(session, document)
    session.out.say(f"scheduling for {_names(session, document)}; Ctrl-C ends it")
    service.configure_logs(log)
    service.schedule_runs(settings, stop, parent=parent(), metrics=metrics)


@verb(
    metasync,
    "up",
    examples=(
        "metasync up  # the scheduler and the workers of one machine, kept alive, until Ctrl-C or SIGTERM",
        "metasync up contoso.yaml hr.yaml --processes 2  # for two engagements",
    ),
)
@DOCUMENTS
@PROCESSES
@METRICS
@LOG
def up(session: Session, document: tuple[Path, ...], processes: int | None, metrics: str, log: str) -> None:
    """Start all that one machine needs.

    The scheduler and the workers, for each DOCUMENT, or the one of --engagement, as one tree of processes: whichever ends is
    started again. With --broker they take their work from there, else from the database.
    """
    stop, settings = until_asked(session), settings_of(session, document)
    number = processes or service.default_processes(settings)
    if metrics:
        service.try_metrics(metrics)  # said now, and not by a scheduler that is started again and again
    service.configure_logs(log)
    arguments = ["scheduler", *_common(session, log), *map(str, document), *(["--metrics", metrics] if metrics else [])]
    schedule = service.Child(name="scheduler", arguments=arguments)
    session.out.say(f"up for {_names(session, document)}: scheduler, {number} worker{'s' if number > 1 else ''}; Ctrl-C ends them all")
    service.supervise([schedule, *_workers(session, document, settings, number, log)], stop)
    session.out.say("everything has ended; what was in hand is finished")


def settings_of(session: Session, documents: Sequence[Path]) -> list[service.Settings]:
    """One for each engagement; where nothing else is said, the database is the queue. Raises `MetasyncError` for what cannot be opened, now
    and not in some log."""
    dispatch = session.dispatch if session.dispatch != "inline" else "celery" if session.broker else "database"
    session.dispatch = dispatch
    settings = [replace(session.settings, engagement=one) for one in documents or (session.engagement,)]
    if parent() is None:  # else one document that was changed meanwhile would keep a process from all engagements that is started again
        service.listens(settings)
    return settings


def until_asked(session: Session) -> threading.Event:
    """Set by Ctrl-C and by SIGTERM; the second Ctrl-C ends the process at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if session.stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        session.stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return session.stop


def parent() -> int | None:
    """The process that looks after this one."""
    given = os.environ.get(service.PARENT, "")
    return int(given) if given.isdecimal() else None


def _workers(
    session: Session, documents: Sequence[Path], settings: Sequence[service.Settings], number: int, log: str
) -> list[service.Child]:
    arguments = ["worker", *_common(session, log), *map(str, documents)]
    if service.listens(settings):
        return [
            service.Child(name=f"{session.dispatch} workers", arguments=[*arguments, "--part", "listen", "--processes", str(number)]),
            service.Child(name="sweep", arguments=[*arguments, "--part", "sweep"]),
        ]
    return [service.Child(name=f"worker {one + 1}", arguments=[*arguments, "--part", "work"]) for one in range(number)]


def _common(session: Session, log: str) -> list[str]:
    # The database may hold a password: it goes by the environment, which not everybody reads.
    os.environ["METASYNC_DATABASE"], os.environ["METASYNC_BROKER"] = session.database, session.broker
    return ["--engagement", str(session.engagement), "--dispatch", session.dispatch, "--log", log]


def _names(session: Session, documents: Sequence[Path]) -> str:
    return ", ".join(str(one) for one in documents or (session.engagement,))
