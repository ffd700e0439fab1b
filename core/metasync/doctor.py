"""`metasync doctor`: is everything in order here, and what to do about what is not.

Each look is by itself, so that one failure hides no other.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from metasync import __version__, rights
from metasync.blame import blamed
from metasync.contract import MetasyncError
from metasync.engagement import document
from metasync.host import Host
from metasync.opening import PluginsNotInUse, Settings, open_workspace, store
from metasync.store import audit, looking
from metasync.words import counted

LOW_SPACE = 500 * 1024 * 1024
OPEN_TO_OTHERS = 0o077


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: str
    """good, notice, warning or error."""
    what: str
    text: str


def doctor(settings: Settings) -> list[Finding]:
    """Look at everything; changes nothing."""
    looks: list[tuple[str, Callable[[Settings], Iterator[Finding]]]] = [
        ("machine", _machine),
        ("plugins", _plugins),
        ("database", _database),
        ("audit log", _audit),
        ("document", _document),
        ("directories", _directories),
    ]
    found: list[Finding] = []
    for number, (what, look) in enumerate(looks):
        settings.report(number, len(looks), f"doctor: {what}")
        try:
            found += look(settings)
        except PluginsNotInUse:
            # Each plugin's own line says why already.
            found.append(Finding(level="error", what=what, text="not looked at before all plugins are in use"))
        except MetasyncError as error:
            found.append(Finding(level="error", what=what, text=str(error)))
    return found


def _machine(settings: Settings) -> Iterator[Finding]:
    yield Finding(level="good", what="Metasync", text=f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    for name in ("sqlalchemy", "common-expression-language", "google-re2", "cryptography"):
        yield Finding(level="good", what=name, text=importlib.metadata.version(name))
    folder = settings.engagement.absolute().parent
    if not folder.is_dir():
        yield Finding(level="error", what="folder", text=f"{folder} does not exist; name the document with --engagement FILE")
        return
    free = shutil.disk_usage(folder).free
    low = free < LOW_SPACE
    text = f"{free // 1024 // 1024} MiB free in {folder}" + ("; make room, since a full disk stops every run" if low else "")
    yield Finding(level="warning" if low else "good", what="disk", text=text)


def _plugins(settings: Settings) -> Iterator[Finding]:
    read = document.read(settings.engagement)
    for one in Host.load(read.plugins, settings.lock_file).plugins:
        text = f"{one.version} {one.state}" + (f": {one.reason}" if one.reason else "")
        yield Finding(level="good" if one.working else "error", what=f"plugin {one.name}", text=text)
    if not settings.lock_file.exists():
        text = f"there is no {settings.lock_file.name}: any version that the document allows is used; pin with `metasync plugin lock`"
        yield Finding(level="notice", what="lock", text=text)


def _database(settings: Settings) -> Iterator[Finding]:
    with store(settings, create=False) as backend:
        damaged = backend.verify()
        for text in damaged:
            yield Finding(level="error", what="database", text=text)
        if not damaged:
            yield Finding(level="good", what="database", text=f"{backend.url} is whole")
        with backend.read() as connection:
            names = looking.engagements(connection)
        yield Finding(level="good", what="engagements", text=", ".join(names) or "none is loaded yet")
    path = settings.url.partition(":///")[2]
    if sys.platform != "win32" and path and Path(path).stat().st_mode & OPEN_TO_OTHERS:
        yield Finding(level="error", what="database", text=f"{path} can be read by others; it holds personal data: chmod 600 {path}")


def _audit(settings: Settings) -> Iterator[Finding]:
    with store(settings, create=False) as backend, backend.read() as connection:
        number, last = looking.audit_size(connection)
        broken = audit.verify(connection)
    for one in broken[:5]:
        yield Finding(level="error", what="audit log", text=one.text)
    if not broken:
        yield Finding(
            level="good",
            what="audit log",
            text=f"{counted(number, 'row')} {'holds' if number == 1 else 'hold'}, last hash {last[:16] or 'none'}",
        )


def _document(settings: Settings) -> Iterator[Finding]:
    with open_workspace(settings) as workspace:
        engagement = workspace.engagement
        yield Finding(level="good", what="document", text=f"{settings.engagement} is revision {engagement.revision} of {engagement.name}")
        for one in engagement.notices:
            yield Finding(level="notice", what=f"line {one.line}", text=f"{one.key}: {one.text}")


def _directories(settings: Settings) -> Iterator[Finding]:
    with open_workspace(settings) as workspace:
        with workspace.backend.read() as connection:
            known = {row["name"]: row["completed"] for row in looking.directories(connection, workspace.engagement_id)}
        for name in workspace.engagement.directories:
            try:
                with workspace.connector(name) as connector, blamed(connector.name):
                    check = rights.judged(connector.check(), rights.purposes(workspace.engagement, name))
            except MetasyncError as error:
                yield Finding(level="error", what=f"directory {name}", text=str(error))
                continue
            completed = known.get(name)
            when = f"last complete import {completed:%Y-%m-%d %H:%M}Z" if completed else "never imported"
            yield Finding(level="good", what=f"directory {name}", text=f"{check.software or check.identity}; {when}")
            for right in check.missing:
                yield Finding(level="warning", what=f"directory {name}", text=f"this right is missing: {right}")
            for warning in (*check.warnings, *(f"this right is more than is needed: {right}" for right in check.excessive)):
                yield Finding(level="notice", what=f"directory {name}", text=warning)
