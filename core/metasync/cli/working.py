"""Long-running: `worker`."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from metasync import service
from metasync.cli.group import metasync
from metasync.cli.session import Session, verb

DOCUMENTS = click.argument("document", nargs=-1, type=click.Path(dir_okay=False, path_type=Path))
PARENT = "METASYNC_PARENT"
"""The process that started this one and ends it: where it is gone, this one ends, too."""


@verb(
    metasync,
    "worker",
    examples=(
        "metasync worker  # work what `metasync run --dispatch database` puts on the queue, until Ctrl-C",
        "metasync worker contoso.yaml fabrikam.yaml --database postgresql://...  # for several engagements",
    ),
)
@DOCUMENTS
def worker(session: Session, document: tuple[Path, ...]) -> None:
    """Work what is on the queue.

    For each DOCUMENT, or the one of --engagement, until it is asked to end: Ctrl-C or SIGTERM. What it has in hand is finished first, or
    left for another worker.
    """
    stop = until_asked(session)
    session.out.say(f"worker of {', '.join(str(one) for one in document or (session.engagement,))}; Ctrl-C ends it")
    service.serve(settings_of(session, document), stop, parent=int(os.environ[PARENT]) if PARENT in os.environ else None)


def settings_of(session: Session, documents: tuple[Path, ...]) -> list[service.Settings]:
    """One for each engagement; a worker is of no use to `inline`."""
    dispatch = "database" if session.dispatch == "inline" else session.dispatch
    return [replace(session.settings, engagement=one, dispatch=dispatch) for one in documents or (session.engagement,)]


def until_asked(session: Session) -> threading.Event:
    """Set by Ctrl-C and by SIGTERM; the second Ctrl-C ends the process at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if session.stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        session.stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return session.stop
