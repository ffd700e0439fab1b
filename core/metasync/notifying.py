"""Who is told of what: notifications of runs that failed, of plans that wait for a person, and that all is well again.

One event, one notification: a run that fails as the last one of its kind did is not told again, and a plan is told once. A notifier that
fails or hangs holds nothing up for longer than `DEADLINE`; it becomes a problem, and is told again of what still stands, until it works.
"""

from __future__ import annotations

import contextvars
import logging
import re
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from metasync.contract import Event, MetasyncError, Notification, SecretReference
from metasync.engagement.model import NotifierUse
from metasync.engagement.secrets import scrub
from metasync.store import audit, plans, problems
from metasync.store import runs as rows
from metasync.store.backend import Backend
from metasync.store.problems import NOTIFY
from metasync.store.rows import Problem, Severity
from metasync.store.runs import RunRow
from metasync.words import failure
from metasync.workspace import Workspace

DEADLINE = 10.0
"""Seconds that a notification may take."""
NOTIFIED = "notified"
"""Action of the audit log."""
NOT_DELIVERED = "not delivered"
"""Code of the problem of a notifier."""
LONGEST = 2000
"""Characters of a text."""
ENDED = ("done", "failed", "waiting")
"""How a run ended that says whether all is well; one that was stopped does not."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What became of a notification."""

    notifier: str
    error: str | None = None
    """Why it was not delivered."""


class Given:
    """The `metasync.contract.NotifierContext` of one notifier."""

    def __init__(self, workspace: Workspace, notifier: str) -> None:
        self._secrets = workspace.secrets
        self.logger = logging.getLogger(f"metasync.notifier.{notifier}")
        self.deadline = DEADLINE

    def secret(self, reference: SecretReference) -> str:
        return self._secrets.get(reference.name)


def run_ended(workspace: Workspace, run_id: int) -> None:
    """After a run was recorded as ended. Never raises for what a notifier, or the database, does."""
    with _apart(workspace, f"run {run_id}") as backend:
        with backend.read() as connection:
            row = rows.get(connection, workspace.engagement_id, run_id)
            before = rows.before(connection, workspace.engagement_id, row, ENDED) if row is not None else None
            failing = problems.standing(connection, workspace.engagement_id, NOTIFY)
            now = backend.now(connection)
            late = _not_heard(connection, workspace.engagement_id, row, failing) if row is not None else None
        _forget(workspace, backend, failing)
        found = _of_run(workspace, row, before, now) if row is not None else None
        if found is not None:
            notification, again = found
            _deliver(workspace, backend, notification, f"run {run_id}", only=failing if again else None)
        elif late is not None:
            failed, over, names = late
            found = _of_run(workspace, over, failed, now)
            assert found is not None
            _deliver(workspace, backend, found[0], f"run {over.id}", only=names)


def plan_waits(workspace: Workspace, plan_id: int) -> None:
    """A plan waits for a person: whoever was not told of it yet is told. Never raises for what a notifier, or the database, does."""
    with _apart(workspace, f"plan {plan_id}") as backend:
        with backend.read() as connection:
            row = plans.get(connection, workspace.engagement_id, plan_id)
            assert row is not None
            subject = f"plan {row.id} of {row.profile}"
            told = _told_of(connection, workspace.engagement_id, subject)
            now = backend.now(connection)
        notification = Notification(
            event=Event.LIMIT if row.exceeded else Event.APPROVAL,
            engagement=workspace.engagement.name,
            at=now,
            run=row.run_id,
            plan=row.id,
            profiles=(row.profile,),
            text="\n".join(one["words"] for one in row.exceeded),
            counts=tuple(sorted(row.counts.items())),
        )
        _deliver(
            workspace, backend, notification, subject, only=[one.name for one in workspace.engagement.notifiers if one.name not in told]
        )


def trial(workspace: Workspace) -> list[Told]:
    """Have every notifier say that it works; what became of it."""
    with workspace.backend.read() as connection:
        now = workspace.backend.now(connection)
    text = f"Somebody ({workspace.author}) tries whether notifications arrive. They do."
    notification = Notification(event=Event.TRIAL, engagement=workspace.engagement.name, at=now, text=text)
    found = _send(workspace, workspace.engagement.notifiers, _clean(notification))
    _record(workspace, workspace.backend, found, "trial", Event.TRIAL)
    return found


@contextmanager
def _apart(workspace: Workspace, what: str) -> Iterator[Backend]:
    """Apart from the run: its lease may be given back already, and nothing here may end it."""
    try:
        yield workspace.backend.unguarded()
    except Exception as error:
        _log.error("nobody could be notified of %s: %s", what, failure(error))


def _of_run(workspace: Workspace, row: RunRow, before: RunRow | None, now: datetime) -> tuple[Notification, bool] | None:
    """What there is to tell of a run, and whether it was told before."""
    failed_before = before is not None and before.state == "failed"
    if row.state == "failed":
        event, text = Event.FAILED, row.error or ""
    elif row.state in ENDED and before is not None and failed_before:
        event, text = Event.RECOVERED, f"What had been wrong in run {before.id}: {before.error or ''}"
    else:
        return None
    again = event is Event.FAILED and before is not None and failed_before and _alike(before.error) == _alike(row.error)
    notification = Notification(
        event=event,
        engagement=workspace.engagement.name,
        at=now,
        kind=row.kind,
        run=row.id,
        profiles=tuple(name for name in row.what if name in workspace.engagement.profiles),
        text=text,
        counts=tuple(sorted(row.counts.items())),
    )
    return notification, again


def _not_heard(
    connection: Connection, engagement_id: int, row: RunRow, failing: Collection[str]
) -> tuple[RunRow, RunRow, Collection[str]] | None:
    """After a run that ended well: the last one of its kind that failed, the first that did not any more, and who was not told of that."""
    if row.state not in ("done", "waiting") or not failing:
        return None
    failed = rows.before(connection, engagement_id, row, ("failed",))
    over = rows.behind(connection, engagement_id, failed, ENDED) if failed is not None else None
    if failed is None or over is None or over.id >= row.id:
        return None
    return failed, over, set(failing) - _told_of(connection, engagement_id, f"run {over.id}")


def _told_of(connection: Connection, engagement_id: int, subject: str) -> set[str]:
    """Which notifiers told of something."""
    return {name for one in audit.about(connection, engagement_id, NOTIFIED, subject) for name in one.detail.get("to", ())}


def _alike(error: str | None) -> str:
    """An error without the number of its run."""
    return re.sub(r"\brun \d+", "run", error or "")


def _deliver(
    workspace: Workspace, backend: Backend, notification: Notification, subject: str, *, only: Collection[str] | None = None
) -> None:
    """To everybody who wants to hear of it; with `only`, to these alone."""
    chosen = [one for one in workspace.engagement.notifiers if notification.event in one.on and (only is None or one.name in only)]
    if chosen:
        _record(workspace, backend, _send(workspace, chosen, _clean(notification)), subject, notification.event)


def _clean(notification: Notification) -> Notification:
    """No secret that this process knows, nothing that a mail or a page would take for more than text, and not without end."""
    text = scrub(notification.text)
    text = "".join(one for one in text if one.isprintable() or one == "\n")
    return replace(notification, text=text if len(text) <= LONGEST else f"{text[:LONGEST]} …")


def _send(workspace: Workspace, uses: Iterable[NotifierUse], notification: Notification) -> list[Told]:
    """All at once, and none for longer than the deadline."""
    ends = time.monotonic() + DEADLINE
    calls = [_Call(workspace, one, notification) for one in uses]
    for call in calls:
        call.thread.start()
    for call in calls:
        call.thread.join(max(0.0, ends - time.monotonic()))
    return [call.told for call in calls]


class _Call:
    """One notifier at work, in a thread that may be left behind."""

    def __init__(self, workspace: Workspace, use: NotifierUse, notification: Notification) -> None:
        self._workspace, self._use, self._notification = workspace, use, notification
        self.told = Told(notifier=use.name, error=f"it did not come to its end within {DEADLINE:g} s; what it waits for may be unreachable")
        about = contextvars.copy_context()
        self.thread = threading.Thread(target=about.run, args=(self._work,), name=f"notify {use.name}", daemon=True)

    def _work(self) -> None:
        use = self._use
        try:
            notifier = self._workspace.host.notifiers[use.notifier]
            notifier(use.options, Given(self._workspace, use.notifier)).notify(self._notification)
        except MetasyncError as error:
            self.told = Told(notifier=use.name, error=scrub(str(error)))
        except (Exception, SystemExit) as error:
            self.told = Told(notifier=use.name, error=f"the notifier {use.notifier} failed: {failure(error)}; tell its author")
        else:
            self.told = Told(notifier=use.name)


def _record(workspace: Workspace, backend: Backend, found: Sequence[Told], subject: str, event: Event) -> None:
    """Who was told stands in the audit log; who could not be is a problem until he can."""
    with backend.write() as connection:
        engagement_id = workspace.engagement_id
        for one in found:
            since = problems.known(connection, engagement_id, NOTIFY, one.notifier)
            problems.replace(connection, engagement_id, NOTIFY, one.notifier, [])
            if one.error is not None:
                _log.warning("%s could not be notified of %s (%s): %s", one.notifier, subject, event, one.error)
                text = f"it could not tell of {subject} ({event}): {one.error}. Try it with `metasync test --notify`"
                wrong = Problem(code=NOT_DELIVERED, text=text, severity=Severity.WARNING)
                problems.add(connection, engagement_id, NOTIFY, one.notifier, None, [wrong], since)
        told: Mapping[str, object] = {"event": event.value, "to": [one.notifier for one in found if one.error is None]}
        if told["to"]:
            audit.append(connection, engagement_id, workspace.author, NOTIFIED, subject, told)


def _forget(workspace: Workspace, backend: Backend, failing: Iterable[str]) -> None:
    """What the document does not name any more is no problem any more."""
    gone = sorted(set(failing) - {one.name for one in workspace.engagement.notifiers})
    if gone:
        with backend.write() as connection:
            for name in gone:
                problems.replace(connection, workspace.engagement_id, NOTIFY, name, [])
