"""Opening an engagement: what the options say, the database, and the workspace at the newest loaded revision."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection

from metasync import faults
from metasync.contract import MetasyncError
from metasync.engagement import document, revision
from metasync.engagement.secrets import remember, secrets_of
from metasync.exporting import home
from metasync.host import LOCK_NAME, Host, PluginInfo, State
from metasync.runs.dispatch import dispatcher_class
from metasync.store import Backend, audit, directories, looking, open_store, password_of, revisions
from metasync.store.errors import StoreError
from metasync.workspace import Report, Workspace, quiet

DOCUMENT_NAME = "metasync.yaml"
DATABASE_NAME = "metasync.db"
MODIFIED, IN_ORDER = "plugin modified", "plugin in order again"
"""Actions of the audit log."""


class UsageError(MetasyncError):
    """The command cannot be done as it was given."""


class NotLoaded(UsageError):
    """The document was never loaded; load it first: `metasync load FILE`."""


class PluginsNotInUse(document.DocumentError):
    """A plugin of the document is not in use."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the options and the environment say."""

    engagement: Path = Path(DOCUMENT_NAME)
    database: str = ""
    """Empty: metasync.db beside the document."""
    dispatch: str = "inline"
    broker: str = ""
    """Of a dispatcher that needs one: its URL."""
    author: str = ""
    """Who acts; empty: the account that runs this process."""
    report: Report = quiet
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where the database is."""
        return self.database or f"sqlite:///{self.engagement.absolute().parent / DATABASE_NAME}"

    @property
    def lock_file(self) -> Path:
        """metasync.lock lies beside the document."""
        return self.engagement.absolute().parent / LOCK_NAME

    @property
    def witness(self) -> Path:
        """What tells a restored database from the present one lies beside the document."""
        return self.engagement.absolute().with_suffix(home.SUFFIX)

    @property
    def who(self) -> str:
        """Who acts."""
        return self.author or account()


def passwords_of_broker(url: str) -> set[str]:
    """The password in a broker's URL, as it is and as it is written there: no message may hold either."""
    try:
        word = urlsplit(url).password
    except ValueError:
        return set()
    return {unquote(word), word} if word else set()


def account() -> str:
    """The account that runs this process, for the audit log and for `roles`: the operating system's, whatever the environment says."""
    try:
        if sys.platform == "win32":
            return os.getlogin()
        else:
            import pwd

            return pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError, ImportError):
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


@contextmanager
def open_workspace(settings: Settings) -> Iterator[Workspace]:
    """The newest loaded revision, ready to work. Raises `NotLoaded` where the document is newer than that."""
    read = document.read(settings.engagement)
    host = Host.load(read.plugins, settings.lock_file)
    refuse_broken(host, settings, read)
    dispatcher_class(settings.dispatch, host.dispatchers)
    for word in passwords_of_broker(settings.broker):
        remember(word)
    with store(settings, create=False) as backend:
        with backend.read() as connection:
            engagement_id = revisions.engagement_id(connection, read.name)
            known = looking.engagements(connection)
        if engagement_id is None:
            others = f"; it holds: {', '.join(known)}" if known else ""
            raise NotLoaded(
                f"{read.name!r} was never loaded into {backend.url}{others}. Load it first: `metasync load {settings.engagement}`"
            )
        if revision.differs(backend, read):
            raise NotLoaded(
                f"{settings.engagement} differs from the newest loaded revision of {read.name}. "
                f"Load it first: `metasync load {settings.engagement}` (look at it before with `metasync check {settings.engagement}`)"
            )
        engagement = revision.newest(backend, read.name, host)
        with backend.write() as connection:
            note_plugins(connection, engagement_id, settings.who, host.plugins)
            ids = directories.ensure(connection, engagement_id, {name: one.connector for name, one in engagement.directories.items()})
            former = directories.former(connection, engagement_id, ids.values())
        yield Workspace(
            backend=backend.in_lane(engagement_id),
            host=host,
            engagement=engagement,
            engagement_id=engagement_id,
            directory_ids={name: ids[name] for name in engagement.directories},
            former=former,
            secrets=secrets_of(backend, engagement_id, host, settings.engagement.absolute().parent),
            author=settings.who,
            stop=settings.stop,
            report=settings.report,
            dispatch=settings.dispatch,
            queue={"broker": settings.broker, "engagement": read.name},
            witness=settings.witness,
        )


def refuse_broken(host: Host, settings: Settings, read: document.Document) -> None:
    """Nothing is done with a document whose plugins do not all work: the rest would mean something else than what was written.

    A plugin that was modified is audited, where the engagement is loaded.
    """
    broken = [one for one in host.plugins if not one.working]
    if broken:
        if any(one.state is State.MODIFIED for one in broken):
            with suppress(StoreError), store(settings, create=False) as backend, backend.write(durable=True) as connection:
                engagement_id = revisions.engagement_id(connection, read.name)
                if engagement_id is not None:
                    note_plugins(connection, engagement_id, settings.who, host.plugins)
        raise PluginsNotInUse(read.problem(("plugins", one.name), f"is not in use, {one.state}: {one.reason}") for one in broken)


def note_plugins(connection: Connection, engagement_id: int, who: str, plugins: Iterable[PluginInfo]) -> None:
    """Audit once that a plugin's files are not those of its distribution or of metasync.lock, and once that they are again."""
    known = audit.newest_of(connection, engagement_id, (MODIFIED, IN_ORDER))
    for one in plugins:
        last = known.get(one.name)
        before = last.detail if last is not None and last.action == MODIFIED else None
        if one.state is State.MODIFIED:
            detail = {"expected": one.expected, "found": one.digest, "version": one.version, "reason": one.reason}
            if detail != before:
                audit.append(connection, engagement_id, who, MODIFIED, one.name, detail)
        elif one.working and before is not None:
            audit.append(connection, engagement_id, who, IN_ORDER, one.name, {"found": one.digest, "version": one.version})


@contextmanager
def store(settings: Settings, *, create: bool, upgrade: bool = False) -> Iterator[Backend]:
    """The database, closed at the end."""
    faults.arm_from_environment()
    word = password_of(settings.url)
    if word is not None:
        remember(word)
    backend = open_store(settings.url, create=create, upgrade=upgrade)
    try:
        yield backend
    finally:
        backend.close()
