"""The least that storing can cost: rows that are ready, handed to the database by the shortest way.

SQLite: executemany of tuples. PostgreSQL: COPY in text form, of lines that were made before. Both in transactions as large as a page of an
import, into tables with the same indexes as ours; that of anchors is built at the end, as ours is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Connection, Table, select

from metasync.importing.read import PAGE
from metasync.store import Backend, match_keys, objects
from metasync.store.tables import change, identity, join, link, match_key, object_, pending, plan, reserved, sync_state, wanted

TABLES = (object_, match_key, link)
"""Of an import."""
CREATES = (*TABLES, identity, join, sync_state, wanted, reserved, pending, change)
"""Of an import, a first synchronisation and its frozen plan: all that is left of creates, without what was written and taken away again."""

Batches = list[list[Any]]
"""Of each transaction, the rows of each table: tuples, or for COPY one piece of text."""


def rows_of(backend: Backend, table: Table, directory_id: int) -> list[tuple[Any, ...]]:
    """What an import stored."""
    return _rows(backend, table, f"WHERE directory_id = {directory_id}")


def _rows(backend: Backend, table: Table, where: str) -> list[tuple[Any, ...]]:
    # JSON as its text, as it is stored again.
    names = ", ".join(f'CAST("{one.name}" AS TEXT)' if isinstance(one.type, JSON) else f'"{one.name}"' for one in table.columns)
    order = "id" if "id" in table.columns else "object_id"
    with backend.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(f'SELECT {names} FROM "{table.name}" {where} ORDER BY {order}')]


def ready(backend: Backend, tables: Sequence[Table], directory_id: int) -> Batches:
    """Rows that an import stored, page by page."""
    return _paged(backend, tables, {table.name: rows_of(backend, table, directory_id) for table in tables})


def ready_creates(backend: Backend) -> Batches:
    """All rows of `CREATES`, in as many pages as an import stored the objects in. Nothing but these creates is in the database."""
    return _paged(backend, CREATES, {table.name: _rows(backend, table, "") for table in CREATES})


def _paged(backend: Backend, tables: Sequence[Table], every: dict[str, list[tuple[Any, ...]]]) -> Batches:
    return [[_form(backend, rows) for rows in page] for page in _pages(every, tables)]


def store(backend: Backend, directory_id: int, tables: Sequence[Table], batches: Batches) -> None:
    """Store them, with nothing of ours in between but the transaction."""
    with backend.write() as connection:
        match_keys.drop_index(connection, directory_id)
        objects.drop_indexes(connection, directory_id)
    for page in batches:
        with backend.write() as connection:
            for table, rows in zip(tables, page, strict=True):
                _insert(backend, connection, table, rows)


def copy_parents(source: Backend, target: Backend) -> None:
    """The rows that ours refer to: engagement, directory, run and plan."""
    from metasync.store.tables import directory, engagement, run

    with source.read() as reading, target.write() as writing:
        for table in (engagement, directory, run, plan):
            found = [dict(row) for row in reading.execute(select(table)).mappings()]
            if found:
                writing.execute(table.insert(), found)


def _pages(every: dict[str, list[tuple[Any, ...]]], tables: Sequence[Table]) -> Iterator[list[list[tuple[Any, ...]]]]:
    first, *others = tables
    waiting = {table.name: iter(every[table.name]) for table in tables}
    count = -(-len(every[first.name]) // PAGE)
    shares = {table.name: -(-len(every[table.name]) // max(1, count)) for table in others}
    for _ in range(count):
        yield [list(islice(waiting[table.name], shares.get(table.name, PAGE))) for table in tables]


def _form(backend: Backend, rows: list[tuple[Any, ...]]) -> Any:
    if backend.dialect == "sqlite":
        return rows
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows).encode()


def _cell(value: Any) -> str:
    match value:
        case None:
            return "\\N"
        case bool():
            return "t" if value else "f"
        case bytes():
            return "\\\\x" + value.hex()
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _insert(backend: Backend, connection: Connection, table: Table, rows: Any) -> None:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    cursor: Any = connection.connection.cursor()
    if backend.dialect == "sqlite":
        marks = ", ".join("?" * len(table.columns))
        cursor.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', rows)
    else:
        with cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
            copy.write(rows)
    cursor.close()
