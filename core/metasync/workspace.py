"""What every step of the pipeline is handed: one engagement at its newest revision, its database, plugins and secrets.

It also makes connectors, with the context that the contract promises them.
"""

from __future__ import annotations

import logging
import secrets as randomness
import string
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasync import connections, garbage, rights
from metasync.blame import blamed
from metasync.contract import Connector, DirectorySettings, MetasyncError, Quota, Schema, SecretReference, Stopped, Turn
from metasync.contract.connector import StopToken
from metasync.pacing import Pacing
from metasync.words import failure

if TYPE_CHECKING:
    from metasync.engagement.model import Directory, Engagement, PasswordPolicy
    from metasync.engagement.secrets import Secrets
    from metasync.host import Host
    from metasync.store.backend import Backend

Report = Callable[[int, int | None, str], None]
"""(done, total or None, what): how far the present step is."""

_log = logging.getLogger(__name__)

CLASSES = (string.ascii_uppercase, string.ascii_lowercase, string.digits, "!#$%&()*+,-./:;<=>?@[]^_{|}~")


def quiet(done: int, total: int | None, what: str) -> None:
    """Report to nobody."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """One engagement, ready to work. Immutable but for the stop event; shared by all threads of a process."""

    backend: Backend
    host: Host
    engagement: Engagement
    engagement_id: int
    directory_ids: Mapping[str, int]
    secrets: Secrets
    author: str
    stop: threading.Event = field(default_factory=threading.Event)
    report: Report = quiet
    dispatch: str = "inline"
    """Which dispatcher has batches worked."""
    queue: Mapping[str, Any] = field(default_factory=dict)
    """What a dispatcher needs to know: `broker`, a URL."""
    pacing: Pacing = field(default_factory=Pacing)
    """What this process takes of quotas that it shares with others."""
    witness: Path | None = None
    """The file beside the document that tells a restored database from the present one: `exporting.home`."""

    former: Mapping[int, str] = field(default_factory=dict)
    """Directories that earlier revisions had and the document has no more: id -> name. What was imported of them stays, unread."""

    @property
    def names(self) -> Mapping[int, str]:
        """Id -> name of every directory that the engagement ever had."""
        return {**self.former, **{number: name for name, number in self.directory_ids.items()}}

    def directory_name(self, directory_id: int) -> str:
        """The name of a directory of the document. Raises `MetasyncError` where it has no such directory any more."""
        name = self.names.get(directory_id, str(directory_id))
        if name not in self.directory_ids:
            raise MetasyncError(f"the document does not have the directory {name!r} any more; load one that has it, or make a new plan")
        return name

    def connector_class(self, name: str) -> type[Connector]:
        """The connector class that a directory uses."""
        return self.host.connectors[self.engagement.directories[name].connector]

    @contextmanager
    def connector(self, name: str) -> Iterator[Connector]:
        """A connector of its own for this thread, closed at the end. Waits where the document allows no further connections now."""
        with blamed(self.engagement.directories[name].connector):
            connector = self.connector_class(name)(self.engagement.directories[name].options, self.context(name))
        with connections.allowed(self, name, connector.connections):
            try:
                yield connector
            finally:
                try:
                    connector.close()
                except (Exception, SystemExit) as error:  # what was done is done, and what ended it is to be told
                    _log.warning("the connector %s failed while it was closed: %s", connector.name, failure(error))

    def context(self, name: str) -> EngineContext:
        """What a connector of this directory is handed."""
        return EngineContext(workspace=self, of=self.engagement.directories[name])

    def schemas(self) -> Mapping[str, Schema]:
        """What each directory said last that it can hold; a directory that was never imported is absent."""
        from metasync.store import directories

        with self.backend.read() as connection:
            return directories.schemas(connection, self.directory_ids)

    def check_stop(self) -> None:
        """Raises `Stopped` once the run was asked to stop."""
        if self.stop.is_set():
            raise Stopped


class EngineContext:
    """The `metasync.contract.Context` of one directory."""

    def __init__(self, *, workspace: Workspace, of: Directory) -> None:
        self._workspace = workspace
        self._policy = of.new_passwords
        self._connector = of.connector
        self.directory = of.name
        self.settings = DirectorySettings(
            mark=of.mark,
            must_change=of.new_passwords.must_change,
            allow_privileged=of.allow_privileged,
            connections=connections.limit_of(of),
            written=rights.written(workspace.engagement, of.name),
            places=rights.places(workspace.engagement, of.name),
        )
        self.logger = logging.getLogger(f"metasync.directory.{of.name}")
        self.stop: StopToken = workspace.stop
        self.deadline: datetime | None = None

    def secret(self, reference: SecretReference) -> str:
        return self._workspace.secrets.get(reference.name)

    def new_password(self, *, avoid: Sequence[str] = ()) -> str:
        return make_password(self._policy, avoid)

    def progress(self, done: int, total: int | None = None, what: str = "") -> None:
        self._workspace.report(done, total, what)

    def wait(self, until: datetime, why: str) -> None:
        self._workspace.report(0, None, f"{self.directory} waits until {until:%H:%M:%S}: {why}")
        with garbage.waiting():
            stopped = self._workspace.stop.wait(max(0.0, (until - datetime.now(UTC)).total_seconds()))
        if stopped:
            raise Stopped

    def reserve(self, quota: Quota, amount: float) -> Turn:
        return self._workspace.pacing.reserve(self._workspace.backend, self._connector, quota, amount)

    def refused(self, quota: Quota, wait: timedelta) -> None:
        self._workspace.pacing.refused(self._workspace.backend, self._connector, quota, wait)


def make_password(policy: PasswordPolicy, avoid: Sequence[str] = ()) -> str:
    """A random password with the policy's length and character classes, holding none of the words (three letters or more) in `avoid`."""
    words = [word.casefold() for word in avoid if len(word) >= 3]
    wanted = CLASSES[: policy.classes]
    while True:
        letters = [randomness.choice(one) for one in wanted]
        letters += [randomness.choice("".join(wanted)) for _ in range(policy.length - len(letters))]
        randomness.SystemRandom().shuffle(letters)
        password = "".join(letters)
        if not any(word in password.casefold() for word in words):
            return password
