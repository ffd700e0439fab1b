"""Opening an engagement: what the options say, the database, and the workspace at the newest loaded revision."""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from metasync.contract import MetasyncError
from metasync.engagement import document, revision
from metasync.engagement.secrets import secrets_of
from metasync.host import LOCK_NAME, Host
from metasync.runs.dispatch import dispatcher_class
from metasync.store import Backend, directories, looking, open_store, revisions
from metasync.workspace import Report, Workspace, quiet

DOCUMENT_NAME = "metasync.yaml"
DATABASE_NAME = "metasync.db"


class UsageError(MetasyncError):
    """The command cannot be done as it was given."""


class NotLoaded(UsageError):
    """The document was never loaded; load it first: `metasync load FILE`."""


class PluginsNotInUse(UsageError):
    """A plugin of the document is not in use."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the options and the environment say."""

    engagement: Path = Path(DOCUMENT_NAME)
    database: str = ""
    """Empty: metasync.db beside the document."""
    dispatch: str = "inline"
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
    def who(self) -> str:
        """Who acts."""
        return self.author or account()


def account() -> str:
    """The account that runs this process, for the audit log."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


@contextmanager
def open_workspace(settings: Settings) -> Iterator[Workspace]:
    """The newest loaded revision, ready to work. Raises `NotLoaded` where the document is newer than that."""
    read = document.read(settings.engagement)
    host = Host.load(read.plugins, settings.lock_file)
    refuse_broken(host)
    dispatcher_class(settings.dispatch, host.dispatchers)
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
            ids = directories.ensure(connection, engagement_id, {name: one.connector for name, one in engagement.directories.items()})
        yield Workspace(
            backend=backend,
            host=host,
            engagement=engagement,
            engagement_id=engagement_id,
            directory_ids={name: ids[name] for name in engagement.directories},
            secrets=secrets_of(backend, engagement_id, host, settings.engagement.absolute().parent),
            author=settings.who,
            stop=settings.stop,
            report=settings.report,
            dispatch=settings.dispatch,
        )


def refuse_broken(host: Host) -> None:
    """Nothing is done with a document whose plugins do not all work: the rest would mean something else than what was written."""
    broken = [one for one in host.plugins if not one.working]
    if broken:
        listed = "\n".join(f"  {one.name}: {one.state}: {one.reason}" for one in broken)
        raise PluginsNotInUse(f"these plugins of the document are not in use; correct that, or take them out of `plugins:`\n{listed}")


@contextmanager
def store(settings: Settings, *, create: bool, upgrade: bool = False) -> Iterator[Backend]:
    """The database, closed at the end."""
    backend = open_store(settings.url, create=create, upgrade=upgrade)
    try:
        yield backend
    finally:
        backend.close()
