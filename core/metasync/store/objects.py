"""Queries of objects: what an import compares with and writes. Their references are in `links`, their keys in `match_keys`.

The hot paths go through `Backend.insert`, `update` and `delete`. A directory's anchors are unique by a partial index of its own, built
after its first load: a live one makes loads grow faster than their size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, delete, func, select, text

from metasync.contract import Kind
from metasync.store import labels
from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.rows import ObjectRow, State
from metasync.store.tables import dirty, join, link, match_key, object_, seen

COLUMNS = (
    "id",
    "engagement_id",
    "directory_id",
    "kind",
    "anchor",
    "label",
    "state",
    "digest",
    "blob",
    "generation",
    "mark",
    "privileged",
    "run_id",
)
VERSIONED = (*COLUMNS, "version")
CHANGED = ("kind", "label", "state", "digest", "blob", "generation", "mark", "privileged", "run_id", "version")
PORTION = 5000
KINDS = {one.value: one for one in Kind}
WORDS = {one: one.value for one in Kind}
"""As they are stored; asking each member for its value costs several times as much."""
STATES = {one.value: one for one in State}


class Known(NamedTuple):
    """What an import must know of an object that is there already, to see whether it changed."""

    id: int
    anchor: str
    kind: str
    state: str
    digest: bytes
    version: bytes | None


# --- reading ---------------------------------------------------------------------------------------------------------------------------


def known(backend: Backend, connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, Known]:
    """anchor -> what is known, of those that are there (tombstones too)."""
    # The directory stands in the text: only so a partial index is known to hold all of its anchors.
    query = f"SELECT id, anchor, kind, state, digest, version FROM object WHERE directory_id = {int(directory_id)} AND anchor IN ?"
    # In the order of the index.
    return {row[1]: Known._make(row) for row in backend.fetch(connection, query, sorted(anchors))}


def ids_by_anchor(connection: Connection, directory_id: int, anchors: Collection[str]) -> dict[str, int]:
    """anchor -> id, of objects that are not gone."""
    found: dict[str, int] = {}
    for part in portions(anchors):
        query = select(object_.c.anchor, object_.c.id).where(
            object_.c.directory_id == directory_id, object_.c.anchor.in_(part), object_.c.state != State.GONE
        )
        found.update((anchor, object_id) for anchor, object_id in connection.execute(query))
    return found


def get(connection: Connection, object_ids: Collection[int]) -> dict[int, ObjectRow]:
    """id -> object."""
    columns = [object_.c[name] for name in ObjectRow._fields]
    found: dict[int, ObjectRow] = {}
    for part in portions(object_ids):
        rows = cast(Iterable[Any], connection.execute(select(*columns).where(object_.c.id.in_(part))))
        for number, directory_id, kind, anchor, label, state, digest, blob, mark, privileged, run_id in rows:
            found[number] = ObjectRow(
                number, directory_id, KINDS[kind], anchor, label, STATES[state], digest, blob, mark, bool(privileged), run_id
            )
    return found


def containers(connection: Connection, directory_id: int) -> list[ObjectRow]:
    """Every container of a directory."""
    query = select(object_.c.id).where(object_.c.directory_id == directory_id, object_.c.kind == Kind.CONTAINER.value)
    return list(get(connection, list(connection.execute(query).scalars())).values())


def images(connection: Connection, directory_id: int, *, after: int = 0) -> list[tuple[int, Kind, str, bytes]]:
    """(id, kind, anchor, blob) of the next objects of a directory; empty: that was all."""
    query = (
        select(object_.c.id, object_.c.kind, object_.c.anchor, object_.c.blob)
        .where(object_.c.directory_id == directory_id, object_.c.id > after)
        .order_by(object_.c.id)
        .limit(PORTION)
    )
    return [(row[0], Kind(row[1]), row[2], row[3]) for row in connection.execute(query)]


def kinds(connection: Connection, object_ids: Collection[int]) -> dict[int, Kind]:
    """id -> kind."""
    found: dict[int, Kind] = {}
    for part in portions(object_ids):
        query = select(object_.c.id, object_.c.kind).where(object_.c.id.in_(part))
        found.update((row[0], Kind(row[1])) for row in connection.execute(query))
    return found


def of_other_kinds(connection: Connection, directory_id: int, kinds: Collection[str]) -> dict[int, Kind]:
    """id -> kind of live objects that are of none of these kinds."""
    query = select(object_.c.id, object_.c.kind).where(
        object_.c.directory_id == directory_id, object_.c.state == State.LIVE, object_.c.kind.not_in(sorted(kinds))
    )
    return {row[0]: Kind(row[1]) for row in connection.execute(query)}


def any_objects(connection: Connection, directory_id: int) -> bool:
    """Does the directory hold any object, tombstones included?"""
    return connection.execute(select(object_.c.id).where(object_.c.directory_id == directory_id).limit(1)).first() is not None


def ids(connection: Connection, directory_id: int) -> Iterator[int]:
    """Every object of a directory, tombstones too."""
    yield from connection.execute(select(object_.c.id).where(object_.c.directory_id == directory_id)).scalars()


def count(connection: Connection, directory_id: int) -> dict[str, int]:
    """state -> number of objects."""
    query = select(object_.c.state, func.count()).where(object_.c.directory_id == directory_id).group_by(object_.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def total(connection: Connection, directory_id: int) -> int:
    """Number of objects, tombstones too; reads the index alone."""
    return int(connection.execute(select(func.count()).where(object_.c.directory_id == directory_id)).scalar_one())


# --- writing ---------------------------------------------------------------------------------------------------------------------------


def set_state(backend: Backend, connection: Connection, object_ids: Iterable[int], state: State, run_id: int | None) -> None:
    """A new state, everything else as last known."""
    backend.update(connection, object_, ("state", "run_id"), ("id",), ((state.value, run_id, object_id) for object_id in object_ids))


def set_versions(backend: Backend, connection: Connection, rows: Iterable[tuple[bytes, int]]) -> None:
    """What is unchanged under another version: (version, id)."""
    backend.update(connection, object_, ("version",), ("id",), rows)


def set_facts(backend: Backend, connection: Connection, rows: Iterable[tuple[str, str | None, bool, int]]) -> None:
    """What the engine reads off an object: (label, mark, privileged, id)."""
    backend.update(connection, object_, ("label", "mark", "privileged"), ("id",), rows)


def remove(connection: Connection, object_ids: Collection[int]) -> None:
    """Delete objects altogether; only what an import itself has just inserted may go this way."""
    for part in portions(object_ids):
        connection.execute(delete(match_key).where(match_key.c.object_id.in_(part)))
        connection.execute(delete(link).where(link.c.object_id.in_(part)))
        # Their numbers may be given to others: nothing may remember them.
        connection.execute(delete(dirty).where(dirty.c.object_id.in_(part) | dirty.c.member_id.in_(part)))
        connection.execute(delete(object_).where(object_.c.id.in_(part)))


# --- anchors ---------------------------------------------------------------------------------------------------------------------------


def has_anchor_index(connection: Connection, directory_id: int) -> bool:
    """Was the directory loaded once?"""
    of_server = "pg_indexes WHERE schemaname = current_schema() AND indexname"
    of_file = "sqlite_schema WHERE type = 'index' AND name"
    known = text(f"SELECT 1 FROM {of_server if connection.dialect.name == 'postgresql' else of_file} = :name")
    return connection.execute(known, {"name": _anchor_index(directory_id)}).first() is not None


def build_indexes(connection: Connection, directory_id: int) -> None:
    """Make anchors unique from now on, and find objects by them and by labels. Raises `IntegrityError` where they are not unique.

    In a transaction of its own, behind that of the index of keys: see `match_keys.build_index`.

    `directory_id` stands in it although it is the same everywhere: SQLite would read each row to see that it is.
    """
    name, number = _anchor_index(directory_id), int(directory_id)
    connection.execute(text(f"CREATE UNIQUE INDEX {name} ON object (anchor, directory_id) WHERE directory_id = {number}"))
    labels.build_index(connection, directory_id)


def drop_indexes(connection: Connection, directory_id: int) -> None:
    """A first load begins. Those of keys are dropped in a transaction of their own."""
    connection.execute(text(f"DROP INDEX IF EXISTS {_anchor_index(directory_id)}"))
    labels.drop_index(connection, directory_id)


def repeated_anchors(connection: Connection, directory_id: int) -> dict[str, list[tuple[int, bytes]]]:
    """anchor -> (id, digest) of each object that carries it, where there are several; oldest first."""
    repeated = select(object_.c.anchor).where(object_.c.directory_id == directory_id).group_by(object_.c.anchor).having(func.count() > 1)
    query = (
        select(object_.c.anchor, object_.c.id, object_.c.digest)
        .where(object_.c.directory_id == directory_id, object_.c.anchor.in_(repeated))
        .order_by(object_.c.id)
    )
    found: dict[str, list[tuple[int, bytes]]] = {}
    for anchor, object_id, digest in connection.execute(query):
        found.setdefault(anchor, []).append((object_id, digest))
    return found


def _anchor_index(directory_id: int) -> str:
    return f"uq_object_anchor_{int(directory_id)}"


# --- what a resumable import has seen --------------------------------------------------------------------------------------------------


def forget_seen(connection: Connection, directory_id: int) -> None:
    """A full import begins or is complete."""
    connection.execute(delete(seen).where(seen.c.directory_id == directory_id))


def add_seen(backend: Backend, connection: Connection, directory_id: int, object_ids: Sequence[int]) -> None:
    """An import that may have to be resumed has seen these."""
    backend.insert(connection, seen, ("directory_id", "object_id"), ((directory_id, one) for one in object_ids), ignore=True)


def get_seen(connection: Connection, directory_id: int, generation: int) -> Iterator[int]:
    """What the interrupted import of this generation has seen: what it kept, and what it wrote."""
    yield from connection.execute(select(seen.c.object_id).where(seen.c.directory_id == directory_id)).scalars()
    written = select(object_.c.id).where(object_.c.directory_id == directory_id, object_.c.generation == generation)
    yield from connection.execute(written).scalars()


def adopt(backend: Backend, connection: Connection, directory_id: int, ids_by_anchor: Mapping[str, int]) -> None:
    """Give provisional joins the objects that came."""
    provisional = 'FROM "join" WHERE directory_id = ? AND object_id IS NULL'
    if not ids_by_anchor or not backend.any(connection, f"SELECT 1 {provisional}", directory_id):
        return
    found = backend.fetch(connection, f"SELECT id, anchor {provisional} AND anchor IN ?", directory_id, list(ids_by_anchor))
    backend.update(connection, join, ("object_id",), ("id",), [(ids_by_anchor[anchor], join_id) for join_id, anchor in found])
