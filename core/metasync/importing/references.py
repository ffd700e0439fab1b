"""What references mean: links find the objects that they name, whichever of the two was imported first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from sqlalchemy import Connection

from metasync.contract import ELSEWHERE, Kind, Patch, Reference
from metasync.importing.marks import Marks, Touched
from metasync.store import directories, links, match_keys, objects
from metasync.store.backend import Backend
from metasync.store.links import Link
from metasync.store.rows import LinkRow, State
from metasync.workspace import Workspace

ANCHOR = "anchor"
RANGE = 5000
"""Holders whose references are resolved in one transaction."""


def find(connection: Connection, directory_id: int, references: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """(key, value) -> the object of this directory that it names; what names none, or several, is absent."""
    by_key: dict[str, set[str]] = {}
    for key, value in references:
        if not key.startswith(ELSEWHERE):
            by_key.setdefault(key, set()).add(value)
    found: dict[tuple[str, str], int] = {}
    for key, values in by_key.items():
        if key == ANCHOR:
            ids = objects.ids_by_anchor(connection, directory_id, values)
        else:
            ids = match_keys.bearer_of_each(connection, [directory_id], key, values)
        found.update(((key, value), object_id) for value, object_id in ids.items())
    return found


def reconnect(
    backend: Backend,
    connection: Connection,
    directory_id: int,
    anchors: Mapping[str, int],
    keys: Collection[tuple[str, str]],
    touched: Touched,
) -> None:
    """Let older references find objects that have come (`anchors`), and those whose keys (name, value) changed hands."""
    changed: list[LinkRow] = []
    for row in links.to(connection, directory_id, ANCHOR, anchors):
        if row.target_id != anchors[row.value]:
            changed.append(_meaning(row, anchors[row.value]))
    by_name: dict[str, set[str]] = {}
    for name, value in keys:
        if not name.startswith(ELSEWHERE):
            by_name.setdefault(name, set()).add(value)
    for name, values in by_name.items():
        rows = links.to(connection, directory_id, name, values)
        if not rows:
            continue
        now = match_keys.bearer_of_each(connection, [directory_id], name, values)
        for row in rows:
            if row.target_id != now.get(row.value):
                changed.append(_meaning(row, now.get(row.value)))
                _touch(connection, touched, [row])
    links.set_targets(backend, connection, (Link(row.object_id, row.attribute, row.key, row.value, row.target_id) for row in changed))
    _touch(connection, touched, changed)


def resolve_all(backend: Backend, directory_id: int, *, keys: bool) -> None:
    """Resolve every open reference of a directory: after its first load, or (`keys`) when references are by a new key."""
    with backend.read() as connection:
        holders = links.holders_range(connection, directory_id)
    for start in range(holders.start, holders.stop, RANGE):
        part = range(start, min(start + RANGE, holders.stop))
        with backend.write("import.references") as connection:
            links.resolve(connection, directory_id, part, by_anchor=True)
            if keys:
                links.resolve(connection, directory_id, part, by_anchor=False)


def connect_elsewhere(workspace: Workspace) -> None:
    """Let references to objects of other directories (`ELSEWHERE`) find them, whichever directory was imported last. Those who hold them
    are few: they are gone through at the end of every import."""
    backend = workspace.backend
    with backend.read() as connection:
        every = {row.id for row in directories.of_engagement(connection, workspace.engagement_id).values()}
    left = every - set(workspace.directory_ids.values())
    for directory, directory_id in workspace.directory_ids.items():
        about = directory_id, [one for one in workspace.directory_ids.values() if one != directory_id], left
        with backend.read() as connection:
            if next(_elsewhere(connection, *about), None) is None:
                continue
        with backend.write("import.references") as connection:
            # Looked at once more: another import may have brought somebody since.
            changed = list(_elsewhere(connection, *about))
            links.set_targets(
                backend, connection, (Link(row.object_id, row.attribute, row.key, row.value, row.target_id) for row in changed)
            )
            whole = objects.kinds(connection, {row.object_id for row in changed})
            Marks(workspace, directory, connection).write(connection, Touched(whole=whole))


def _elsewhere(connection: Connection, directory_id: int, others: Collection[int], left: Collection[int]) -> Iterator[LinkRow]:
    """The references of a directory that mean another object of the others than they did. Where none of these has what they are named by,
    one of the directories that the document has `left` still does: nobody is nobody because he is not asked for any more."""
    for key in links.key_names(connection, directory_id):
        if key.startswith(ELSEWHERE):
            rows = links.by_key(connection, directory_id, key)
            values = {row.value for row in rows}
            now = match_keys.bearer_of_each(connection, [*others, *left], key, values) if left else {}
            now.update(match_keys.bearer_of_each(connection, others, key, values))
            yield from (_meaning(row, now.get(row.value)) for row in rows if row.target_id != now.get(row.value))


def _meaning(row: LinkRow, target_id: int | None) -> LinkRow:
    return LinkRow(object_id=row.object_id, attribute=row.attribute, key=row.key, value=row.value, target_id=target_id)


def _touch(connection: Connection, touched: Touched, rows: Collection[LinkRow]) -> None:
    kinds = objects.kinds(connection, {row.object_id for row in rows})
    for row in rows:
        if row.object_id in kinds:
            touched.reference(row.object_id, kinds[row.object_id], row.attribute, row.target_id)


def released(connection: Connection, directory_id: int, gone: Mapping[int, str], kinds: Collection[Kind]) -> list[Patch]:
    """What a delta leaves unsaid (`Gone.unlinked`): whoever referred to these objects (id -> anchor) does so no more."""
    held: dict[int, dict[str, tuple[Reference, ...]]] = {}
    for holder, attribute, target, of_directory, _ in links.holders(connection, gone):
        if of_directory == directory_id:
            lost = held.setdefault(holder, {})
            lost[attribute] = (*lost.get(attribute, ()), Reference(value=gone[target]))
    return [
        Patch(anchor=row.anchor, kind=row.kind, removed=held[row.id])
        for row in objects.get(connection, held).values()
        if row.state != State.GONE and row.kind in kinds
    ]
