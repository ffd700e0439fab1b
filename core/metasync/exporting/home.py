"""Is this the database that was exported from last? From a copy of it, or an older state of it, nothing is written.

Whoever restores a backup from before an export, or starts a second engine on a copy, holds approved changes that are written already,
and does not know. So each database remembers where it is (`store.home`), and beside the document lies a small file, the witness, with
the last row of the audit log: a database that lacks this row is an older state, or went another way. A full import of all targets shows
what is there, and makes the database the one that is exported from; what was approved before is planned anew.

Not seen are: a copy of the whole machine, and an older state of the whole folder, witness included, restored over its own files.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Connection

from metasync.contract import MetasyncError
from metasync.store import audit, home
from metasync.workspace import Workspace

SUFFIX = ".exported"
"""Of the witness; its name is the document's."""
WITHDRAWN = "the database was copied, moved or restored since; it is planned anew"

_log = logging.getLogger(__name__)


class NotAtHome(MetasyncError):
    """The database is a copy, or was moved or restored; run `metasync import --full` before anything is exported from it."""


def check(workspace: Workspace, connection: Connection) -> None:
    """Before anything is written, in a transaction. Raises `NotAtHome`."""
    where, before = home.place(workspace.backend, connection), home.known(connection, workspace.engagement_id)
    if before is not None and before != where:
        raise _not_at_home("is not the one that was exported from last, but a copy of it or the same in another place")
    if workspace.witness is not None and (text := _read(workspace.witness)) is not None:
        seq, _, hashed = text.partition(" ")
        if not (seq.isdecimal() and home.holds(connection, (int(seq), hashed))):
            raise _not_at_home(f"does not know of the last export (row {seq} of the audit log): an older state of it was restored")


def begin(workspace: Workspace, connection: Connection) -> None:
    """The first export of all makes the database the one that is exported from."""
    if home.known(connection, workspace.engagement_id) is None:
        home.settle(connection, workspace.engagement_id, home.place(workspace.backend, connection))


def remember(workspace: Workspace) -> None:
    """Behind a durable commit: let the witness hold the last row of the audit log."""
    if workspace.witness is None:
        return
    with workspace.backend.read() as connection:
        row = home.last_row(connection)
    if row is not None:
        _write(workspace.witness, f"{row[0]} {row[1]}")


def settle(workspace: Workspace, imported: Collection[str]) -> None:
    """These directories were imported in full: where all targets were, this is the database that is exported from, from now on."""
    if not {profile.target for profile in workspace.engagement.profiles.values()} <= set(imported):
        return
    try:
        with workspace.backend.read() as connection:
            check(workspace, connection)
        return
    except NotAtHome as error:
        reason = str(error)
    with workspace.backend.write(durable=True) as connection:
        home.withdraw(connection, workspace.engagement_id, WITHDRAWN)
        home.settle(connection, workspace.engagement_id, home.place(workspace.backend, connection))
        audit.append(connection, workspace.engagement_id, workspace.author, "exported from here", reason.partition(":")[0])
    remember(workspace)


def forget(witness: Path) -> None:
    """The database beside it was made anew, and never exported."""
    witness.unlink(missing_ok=True)


def _not_at_home(what: str) -> NotAtHome:
    return NotAtHome(
        f"this database {what}: nothing is written from it, since what it holds for approved may be written already. Make sure that "
        "nobody works with the other one; then run `metasync import --full`, which takes back what was approved, and plan again"
    )


def _read(witness: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return witness.read_text(encoding="utf-8", errors="replace").strip()
    return None


def _write(witness: Path, text: str) -> None:
    """Replaced in one step. Where the folder cannot be written, an older state is not told from the last one, which is said."""
    new = witness.with_name(f"{witness.name}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as out:
            out.write(f"{text}\n")
        new.replace(witness)
    except OSError as error:
        _log.warning("%s cannot be written (%s): a restored backup would not be noticed", witness, error.strerror)
