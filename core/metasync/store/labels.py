"""How objects are found by what people call them, in any case of the letters: by an index of each directory's own.

Like the index of its anchors it is built after the directory's first load.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, collate, func, literal_column, text

from metasync.store.tables import object_

BEGINNING = 200
"""Letters of a label that the index holds: PostgreSQL takes entries of 2,704 bytes."""


def any_case(connection: Connection, column: ColumnElement[str]) -> ColumnElement[str]:
    """Text whose case is ignored: as it is stored, PostgreSQL would do so for the letters of ASCII alone."""
    return collate(column, "und-x-icu") if connection.dialect.name == "postgresql" else column


def is_called(connection: Connection, directory_id: int, label: str) -> ColumnElement[bool]:
    """The objects of one directory whose label this is. The numbers are no parameters: the database must see that the index has them."""
    lower = func.lower(any_case(connection, object_.c.label))
    here = object_.c.directory_id == literal_column(str(int(directory_id)))
    return here & (_beginning(connection) == label.lower()[:BEGINNING]) & (lower == label.lower())


def build_index(connection: Connection, directory_id: int) -> None:
    """Find the objects of a directory by their labels from now on."""
    number = int(directory_id)
    beginning = _beginning(connection).compile(dialect=connection.dialect, compile_kwargs={"include_table": False})
    connection.execute(text(f"CREATE INDEX {_name(number)} ON object (({beginning})) WHERE directory_id = {number}"))


def drop_index(connection: Connection, directory_id: int) -> None:
    """A first load begins."""
    connection.execute(text(f"DROP INDEX IF EXISTS {_name(directory_id)}"))


def _beginning(connection: Connection) -> ColumnElement[str]:
    lower = func.lower(any_case(connection, object_.c.label))
    return func.substr(lower, literal_column("1"), literal_column(str(BEGINNING)))


def _name(directory_id: int) -> str:
    return f"ix_object_label_{int(directory_id)}"
