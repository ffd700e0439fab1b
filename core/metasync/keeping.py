"""What is kept beside the job: plugins and their lock, plugins of one's own, secrets, the audit log."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasync import roles
from metasync.contract import SecretReference
from metasync.engagement import document
from metasync.engagement.model import Role
from metasync.engagement.secrets import SecretStore, variable
from metasync.host import Host, PluginInfo, verify_all, write_lock
from metasync.opening import NotLoaded, Settings, UsageError, open_workspace, store
from metasync.store import audit, looking, revisions
from metasync.store.audit import Broken
from metasync.workspace import Workspace


def plugins(settings: Settings, *, load: bool = True) -> list[PluginInfo]:
    """The plugins that the document allows, and how each stands; `load=False`: verified only, none is imported."""
    read = document.read(settings.engagement)
    if not load:
        return list(verify_all(read.plugins, settings.lock_file))
    return list(Host.load(read.plugins, settings.lock_file).plugins)


def lock_plugins(settings: Settings) -> tuple[Path, list[PluginInfo], Sequence[PluginInfo]]:
    """Pin the plugins as they are installed now: (file, pinned, left out because they cannot be pinned)."""
    read = document.read(settings.engagement)
    found = list(Host.load(read.plugins, None).plugins)
    left = write_lock(settings.lock_file, found)
    return settings.lock_file, [one for one in found if one not in left], left


def commands(settings: Settings) -> Mapping[str, Any]:
    """The commands that the document's plugins bring along."""
    if not settings.engagement.is_file():
        return {}
    return Host.load(document.read(settings.engagement).plugins, settings.lock_file).commands


def new_plugin(sort: str, name: str, folder: Path | None) -> Path:
    """Write a working plugin of one's own; its folder."""
    from metasync.testing.scaffold import write_plugin

    where = folder or Path(f"metasync-{name}")
    write_plugin(sort, name, where)
    return where


def test_plugin(folder: Path, arguments: Sequence[str] = ()) -> int:
    """Run a plugin's tests with pytest, in a process of its own; pytest's exit code."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; `metasync plugin new connector NAME` writes one")
    if importlib.util.find_spec("pytest") is None:
        raise UsageError("pytest is not installed; install it with `pip install 'metasync[testing]'`")
    command = [sys.executable, "-m", "pytest", str(folder), *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603  the person's own tests, by their own Python


@dataclass(frozen=True, kw_only=True)
class SecretName:
    """A secret's name, who needs it, and where it is; never the secret."""

    name: str
    needed_by: Sequence[str]
    where: str
    """Empty: nowhere."""


def secret_names(settings: Settings) -> list[SecretName]:
    """Every secret that the document refers to, or that the encrypted store holds."""
    with open_workspace(settings) as workspace:
        needed: dict[str, set[str]] = {}
        for one in workspace.engagement.directories.values():
            for reference in _references(one.options):
                needed.setdefault(reference.name, set()).add(one.name)
        for use in workspace.engagement.notifiers:
            for reference in _references(use.options):
                needed.setdefault(reference.name, set()).add(f"notify {use.name}")
        kept = SecretStore(workspace.backend, workspace.engagement_id, settings.who).names()
        return [
            SecretName(name=name, needed_by=sorted(needed.get(name, ())), where=_where(workspace, name))
            for name in sorted({*needed, *kept})
        ]


@contextmanager
def secret_store(settings: Settings) -> Iterator[SecretStore]:
    """The encrypted store of the engagement's secrets."""
    read = document.read(settings.engagement)
    with store(settings, create=False) as backend:
        with backend.read() as connection:
            number = revisions.engagement_id(connection, read.name)
            newest = revisions.newest(connection, number) if number is not None else None
        if number is None or newest is None:
            raise NotLoaded(f"{read.name!r} was never loaded. Load it first: `metasync load {settings.engagement}`")
        roles.need_in(backend, number, newest, settings.who, Role.ENGINEER, "set secrets")
        yield SecretStore(backend, number, settings.who)


def audit_verify(settings: Settings) -> tuple[int, str, list[Broken]]:
    """(number of rows, last hash, what is broken)."""
    with store(settings, create=False) as backend, backend.read() as connection:
        number, last = looking.audit_size(connection)
        return number, last, audit.verify(connection)


def _where(workspace: Workspace, name: str) -> str:
    """Which source has the secret; empty: none."""
    return next((what.format(variable=variable(name)) for what, ask in workspace.secrets.sources if ask(name) is not None), "")


def _references(value: Any) -> Iterator[SecretReference]:
    if isinstance(value, SecretReference):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _references(one)
