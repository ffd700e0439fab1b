"""Is a directory still the one that was imported first? Under the name of another one nothing is read and nothing is written (law 1)."""

from __future__ import annotations

from metasync.contract import Connector, MetasyncError
from metasync.store import directories
from metasync.workspace import Workspace


class AnotherDirectory(MetasyncError):
    """The directory is not the one that was imported before; give it another name in the document."""


def check_identity(workspace: Workspace, directory: str, connector: Connector, *, pin: bool = False) -> None:
    """Ask the directory who it is, and refuse another one than before; `pin` keeps the answer of one that was never asked.

    Raises `AnotherDirectory`, and whatever `Connector.check` does.
    """
    identity = connector.check().identity
    number = workspace.directory_ids[directory]
    with workspace.backend.read() as connection:
        pinned = directories.get(connection, number).pinned
    if pinned is None and pin:
        with workspace.backend.write() as connection:
            directories.set_identity(connection, number, identity)
    if pinned not in (None, identity):
        raise AnotherDirectory(
            f"{directory} was {pinned} when it was first imported, and is {identity} now; nothing was read or written. "
            "If another directory is meant, give it another name in the document"
        )
