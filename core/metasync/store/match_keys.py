"""Match keys: the normalised values by which objects are found, as references, match rules and unique values look for them.

They lie with those of the same object, in the order in which objects come. Each directory has an index of its own by name and value: like
that of its anchors it is built after its first load, and what looks for a key names the directory in its text, so that the database sees
that this index holds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, Connection, delete, literal_column, select, text

from metasync.store.backend import Backend
from metasync.store.portions import portions
from metasync.store.rows import State
from metasync.store.tables import match_key, object_

COLUMNS = ("directory_id", "object_id", "name", "value")


def of_directory(directory_id: int) -> ColumnElement[bool]:
    """The keys of this directory."""
    return match_key.c.directory_id == literal_column(str(int(directory_id)))


def any_of(backend: Backend, connection: Connection, directory_id: int) -> bool:
    """Has any object of this directory a key?"""
    # By its name and in its order, so that the index is looked into: a server would read all keys of others until it finds one of these.
    return backend.any(connection, f"SELECT 1 FROM match_key WHERE directory_id = {int(directory_id)} AND name >= '' ORDER BY name")


def of_objects(connection: Connection, object_ids: Collection[int]) -> dict[int, set[tuple[str, str]]]:
    """object id -> its (name, value) match keys."""
    found: dict[int, set[tuple[str, str]]] = {}
    for part in portions(object_ids):
        query = select(match_key.c.object_id, match_key.c.name, match_key.c.value).where(match_key.c.object_id.in_(part))
        for object_id, name, value in connection.execute(query):
            found.setdefault(object_id, set()).add((name, value))
    return found


def bearer_of_each(connection: Connection, directory_ids: Collection[int], name: str, values: Collection[str]) -> dict[str, int]:
    """normalised value -> the one object of these directories that has it; several or none: absent."""
    found: dict[str, int | None] = {}
    for directory_id in directory_ids:
        for part in portions(values):
            query = (
                select(match_key.c.value, match_key.c.object_id)
                .join(object_, object_.c.id == match_key.c.object_id)
                .where(of_directory(directory_id), match_key.c.name == name, match_key.c.value.in_(part), object_.c.state != State.GONE)
            )
            for value, object_id in connection.execute(query):
                found[value] = None if found.get(value, object_id) != object_id else object_id
    return {value: object_id for value, object_id in found.items() if object_id is not None}


def insert(backend: Backend, connection: Connection, rows: Iterable[tuple[int, int, str, str]]) -> None:
    """New ones: (directory id, object id, name, value)."""
    backend.insert(connection, match_key, COLUMNS, rows)


def remove(backend: Backend, connection: Connection, rows: Iterable[tuple[int, str, str]]) -> None:
    """Those that an object has no more: (object id, name, value)."""
    backend.delete(connection, match_key, ("object_id", "name", "value"), rows)


def clear(connection: Connection, directory_id: int, names: Collection[str]) -> None:
    """Forget these match keys of a directory, whatever object has them."""
    connection.execute(delete(match_key).where(of_directory(directory_id), match_key.c.name.in_(sorted(names))))


def build_index(connection: Connection, directory_id: int) -> None:
    """Find the objects of a directory by their keys from now on.

    In a transaction of its own, before that which makes anchors unique: these tell that a directory was loaded. Where one transaction
    locked both tables of a server, it and another one that had looked at them in another order waited for each other: whoever gathers
    statistics comes to the keys first.

    `directory_id` stands in it although it is the same everywhere: SQLite would read each row to see that it is.
    """
    number = int(directory_id)
    columns = "name, value, object_id, directory_id"
    connection.execute(text(f"CREATE INDEX IF NOT EXISTS {_index(number)} ON match_key ({columns}) WHERE directory_id = {number}"))


def drop_index(connection: Connection, directory_id: int) -> None:
    """A first load begins. In a transaction of its own, like `build_index`."""
    connection.execute(text(f"DROP INDEX IF EXISTS {_index(directory_id)}"))


def _index(directory_id: int) -> str:
    return f"ix_match_key_{int(directory_id)}"
