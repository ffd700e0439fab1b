"""A trial: what a synchronisation would make of some people, worked with care in a transaction that is taken back at its end.

References and members wait for a real plan: they depend on everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from sqlalchemy import Connection

from metasync.contract import MetasyncError
from metasync.store import objects
from metasync.store.waves import Book
from metasync.synchronising.names import unknown_names
from metasync.synchronising.setting import Setting, SyncOutcome
from metasync.synchronising.synchronise import ORDER, MainPass, compiled, not_ready
from metasync.workspace import Workspace

T = TypeVar("T")


class _TakeBack(Exception):
    """Ends the transaction of a trial."""


def trial(workspace: Workspace, object_ids: Collection[int], book: Book, look: Callable[[Connection], T]) -> tuple[T, dict[str, str]]:
    """(what `look` sees after these source objects were worked under every profile, with everybody in the waves that the book says;
    profile -> why it could not be tried)."""
    settings, wrong = _settings(workspace)
    seen: list[T] = []
    try:
        with workspace.backend.write() as connection:
            rows = objects.get(connection, object_ids)
            for setting in settings:
                setting.loader.suppose(book)
                own = [one.id for one in rows.values() if one.directory_id in setting.programs]
                MainPass(setting).once(connection, sorted(own, key=lambda number: (rows[number].directory_id, rows[number].anchor)))
            seen.append(look(connection))
            raise _TakeBack
    except _TakeBack:
        return seen[0], wrong


def _settings(workspace: Workspace) -> tuple[list[Setting], dict[str, str]]:
    """Every profile that can be tried, whoever is referred to first."""
    schemas = workspace.schemas()
    settings: list[Setting] = []
    wrong: dict[str, str] = {}
    for profile in sorted(workspace.engagement.profiles.values(), key=lambda one: ORDER.index(one.target_kind)):
        missing = not_ready(workspace, profile, schemas) or "; ".join(unknown_names(workspace.engagement, workspace.host, schemas, profile))
        if not missing:
            try:
                with workspace.backend.read() as connection:
                    settings.append(compiled(connection, workspace, 0, profile, schemas, SyncOutcome(), pin=False))
                continue
            except MetasyncError as error:
                missing = str(error)
        wrong[profile.name] = missing
    for setting in settings:
        setting.unsure = frozenset(wrong) & setting.same_target
    return settings, wrong
