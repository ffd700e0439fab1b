"""What was created and went before any import could show it: its join is taken back, so that it is planned anew, and shown.

Absence from an import alone is no proof (its base or its filter may leave the object out), so the directory is asked for it by its anchor.
What is there, and no import shows, stays joined; the synchroniser leaves it alone and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from metasync.blame import answers
from metasync.contract import Change, Kind, Operation, Presence, Writes
from metasync.store import dirty, joins
from metasync.store.joins import JoinRow
from metasync.workspace import Workspace


def let_go_of_lost(workspace: Workspace, directory: str) -> int:
    """Take back the joins of what is not there any more; how many. Raises `Unavailable` where the directory cannot be asked."""
    directory_id = workspace.directory_ids[directory]
    with workspace.backend.read() as connection:
        unseen = joins.unseen(connection, directory_id)
    if not unseen:
        return 0
    lost = _absent(workspace, directory, unseen)
    with workspace.backend.write() as connection:
        still = {row.id for row in joins.unseen(connection, directory_id)}
        lost = [row for row in lost if row.id in still]
        joins.remove(connection, [row.id for row in lost])
        _look_again(workspace, connection, directory, lost)
    return len(lost)


def _absent(workspace: Workspace, directory: str, rows: Sequence[JoinRow]) -> list[JoinRow]:
    absent: list[JoinRow] = []
    with workspace.connector(directory) as connector:
        if not isinstance(connector, Writes):
            return []
        size = max(1, connector.commit_size)
        for start in range(0, len(rows), size):
            asked = {str(row.id): row for row in rows[start : start + size]}
            found = answers(connector.name, partial(connector.find, [_question(number, row) for number, row in asked.items()]))
            absent += [asked[one.id] for one in found if one.id in asked and one.presence is Presence.ABSENT]
    return absent


def _question(number: str, row: JoinRow) -> Change:
    """Read by its anchor; nothing is compared, and nothing written."""
    return Change(id=number, operation=Operation.UPDATE, kind=Kind(row.kind), anchor=row.anchor, label=row.anchor)


def _look_again(workspace: Workspace, connection: Connection, directory: str, lost: Sequence[JoinRow]) -> None:
    by_identity = joins.of_identities(connection, {row.identity_id for row in lost})
    rows = [
        (profile.name, one.object_id, dirty.WHOLE)
        for profile in workspace.engagement.profiles.values()
        if profile.target == directory
        for family in by_identity.values()
        for one in family
        if one.object_id is not None and one.kind == profile.source_kind.value and workspace.names.get(one.directory_id) in profile.sources
    ]
    dirty.mark(workspace.backend, connection, workspace.engagement_id, rows)
