"""What every verb shares: the common options, accepted before and after the verb; the workspace; the exit codes; a safe Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

from metasync import service
from metasync.cli.output import Output, Reporter
from metasync.contract import MetasyncError

T = TypeVar("T")


class Exit(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    FAILED = 1
    """Some objects failed."""
    USAGE = 2
    """Bad usage, or a document that cannot be used."""
    WAITING = 3
    """A run that waits for approval, or was stopped by a limit."""
    UNAVAILABLE = 4
    """A directory, or the database, cannot be used now."""
    INTERNAL = 5
    INTERRUPTED = 130


@dataclass
class Session:
    """One call of the command line."""

    engagement: Path = Path(service.DOCUMENT_NAME)
    database: str = ""
    dispatch: str = "inline"
    broker: str = ""
    as_json: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    code: Exit = Exit.DONE

    def __post_init__(self) -> None:
        self._out: Output | None = None

    @property
    def out(self) -> Output:
        """Where to print."""
        if self._out is None or self._out.as_json != self.as_json:
            self._out = Output(as_json=self.as_json)
        return self._out

    @property
    def settings(self) -> service.Settings:
        """For the service."""
        return service.Settings(
            engagement=self.engagement, database=self.database, dispatch=self.dispatch, broker=self.broker, stop=self.stop
        )

    @contextmanager
    def workspace(self) -> Iterator[service.Workspace]:
        """The newest loaded revision, with progress shown meanwhile."""
        with Reporter(self.out) as report, service.open_workspace(replace(self.settings, report=report)) as workspace:
            yield workspace

    def work(self, verb: Callable[[service.Workspace], T], then: Callable[[service.Workspace, T], None] | None = None) -> T:
        """Do something that may take long: the first Ctrl-C stops it safely, the second at once, or leaves a run on the queue to those who
        work it. `then` shows what came of it, from the
        same workspace; there is nothing to be stopped safely any more."""
        with self.workspace() as workspace:
            with self._interruptible():
                done = verb(workspace)
            if then is not None:
                then(workspace, done)
            return done

    def ask(self, verb: Callable[[service.Workspace], T]) -> T:
        """Do something that is quick."""
        with self.workspace() as workspace:
            return verb(workspace)

    def worse(self, code: Exit) -> None:
        """Let the command end with this code, unless a graver one is set."""
        order = [Exit.DONE, Exit.FAILED, Exit.WAITING, Exit.UNAVAILABLE, Exit.USAGE, Exit.INTERNAL, Exit.INTERRUPTED]
        self.code = max(self.code, code, key=order.index)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        pressed = 0

        def on_interrupt(number: int, frame: FrameType | None) -> None:
            nonlocal pressed
            pressed += 1
            inline = self.dispatch == "inline"
            if pressed > (1 if inline else 2):
                raise KeyboardInterrupt
            if pressed == 1:
                again = "stop at once" if inline else "leave the run to its workers"
                self.out.say(f"stopping after what has begun; press Ctrl-C again to {again}", "warning")
            self.stop.set()

        before = signal.signal(signal.SIGINT, on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def common_options() -> list[click.Option]:
    """Accepted before and after the verb."""
    return [
        click.Option(
            ["--engagement", "-e"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help=f"The engagement document (METASYNC_ENGAGEMENT; default {service.DOCUMENT_NAME} here).",
        ),
        click.Option(
            ["--database"], metavar="URL", help="The central database (METASYNC_DATABASE; default metasync.db beside the document)."
        ),
        click.Option(
            ["--dispatch"],
            metavar="HOW",
            help="Who works: inline, this process, or a worker: database, celery (METASYNC_DISPATCH; default inline).",
        ),
        click.Option(["--broker"], metavar="URL", help="Of the queue, where a dispatcher needs one (METASYNC_BROKER)."),
        click.Option(["--json", "as_json"], is_flag=True, default=None, help="Results as JSON."),
    ]


COMMON = ("engagement", "database", "dispatch", "broker", "as_json")
ENVIRONMENT = {name: f"METASYNC_{name.upper()}" for name in ("engagement", "database", "dispatch", "broker")}


def take_common(context: click.Context) -> Session:
    """Move the common options out of the parameters into the session."""
    session = context.ensure_object(Session)
    for name in COMMON:
        value = context.params.pop(name, None)
        if value is not None:
            setattr(session, name, value)
    return session


class Verb(click.Command):
    """A command with the common options and with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.extend(common_options())

    def invoke(self, ctx: click.Context) -> Any:
        take_common(ctx)
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    command, _, says = example.partition("  # ")
                    formatter.write_text(f"$ {command}")
                    if says:
                        with formatter.indentation():
                            formatter.write_text(says)
        super().format_epilog(ctx, formatter)


def verb(group: click.Group, name: str, *, examples: Sequence[str]) -> Callable[[Callable[..., Any]], click.Command]:
    """Register a function as a verb; its docstring is the help. It is handed the session first."""

    def register(function: Callable[..., Any]) -> click.Command:
        return group.command(name, cls=Verb, examples=examples)(click.pass_obj(function))

    return register


reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")

pass_session = click.pass_obj


def code_of(error: MetasyncError) -> Exit:
    """The exit code of an error that has words for the person."""
    return {
        service.Trouble.USAGE: Exit.USAGE,
        service.Trouble.LIMIT: Exit.WAITING,
        service.Trouble.UNAVAILABLE: Exit.UNAVAILABLE,
        service.Trouble.STOPPED: Exit.INTERRUPTED,
        service.Trouble.DAMAGED: Exit.INTERNAL,
    }[service.trouble(error)]
