"""Queries of directories and their cursors: what is known of a directory as a whole, and where its next import starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from metasync.contract import Schema
from metasync.store import codec
from metasync.store.rows import DirectoryRow
from metasync.store.tables import cursor, directory

SCOPE = ""
"""Where `directory.requested` keeps the digest of the scope, among kinds; no kind has an empty name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CursorRow:
    """How far one stream of a directory was read."""

    stream: str
    cursor: str | None
    """Where the next delta starts, once the import is complete."""
    resume: str | None = None
    """Of an interrupted full import: where it goes on."""
    generation: int | None = None
    """Of an interrupted full import; None: the last import of the directory was complete."""
    taken: datetime | None = None
    """When this stream was read to its end; None: it was not, in this generation."""


def ensure(connection: Connection, engagement_id: int, connectors: Mapping[str, str]) -> dict[str, int]:
    """The ids of these directories (name -> connector), made where they are new; a changed connector is noted."""
    known = {row.name: row for row in connection.execute(select(directory).where(directory.c.engagement_id == engagement_id))}
    ids = {}
    for name, connector in connectors.items():
        row = known.get(name)
        if row is None:
            values = {"engagement_id": engagement_id, "name": name, "connector": connector, "generation": 0}
            ids[name] = int(connection.execute(insert(directory).values(**values).returning(directory.c.id)).scalar_one())
            continue
        ids[name] = row.id
        if row.connector != connector:
            connection.execute(update(directory).where(directory.c.id == row.id).values(connector=connector))
    return ids


def former(connection: Connection, engagement_id: int, present: Collection[int]) -> dict[int, str]:
    """Id -> name of the directories that the engagement named earlier, but for those that are `present`."""
    query = select(directory.c.id, directory.c.name).where(directory.c.engagement_id == engagement_id)
    return {number: name for number, name in connection.execute(query) if number not in present}


def get(connection: Connection, directory_id: int) -> DirectoryRow:
    """One directory."""
    return _directory(connection.execute(select(directory).where(directory.c.id == directory_id)).one())


def of_engagement(connection: Connection, engagement_id: int) -> dict[str, DirectoryRow]:
    """name -> directory, of all that the engagement ever named."""
    query = select(directory).where(directory.c.engagement_id == engagement_id).order_by(directory.c.name)
    return {row.name: _directory(row) for row in connection.execute(query)}


def schemas(connection: Connection, directory_ids: Mapping[str, int]) -> dict[str, Schema]:
    """name -> what the directory said last that it can hold; absent: it was never asked."""
    names = {directory_id: name for name, directory_id in directory_ids.items()}
    query = select(directory.c.id, directory.c.schema).where(directory.c.id.in_(list(names)), directory.c.schema.is_not(None))
    return {names[row.id]: codec.decode_schema(row.schema) for row in connection.execute(query)}


def schema_of(connection: Connection, directory_id: int) -> Schema | None:
    """What the directory said last that it can hold."""
    blob = connection.execute(select(directory.c.schema).where(directory.c.id == directory_id)).scalar()
    return codec.decode_schema(blob) if blob else None


def set_identity(connection: Connection, directory_id: int, pinned: str) -> None:
    """Pin the directory to what it is."""
    connection.execute(update(directory).where(directory.c.id == directory_id).values(pinned=pinned))


def set_schema(connection: Connection, directory_id: int, schema: Schema) -> None:
    """Keep what the directory said that it can hold."""
    connection.execute(update(directory).where(directory.c.id == directory_id).values(schema=codec.encode_schema(schema)))


def set_generation(connection: Connection, directory_id: int, generation: int) -> None:
    """A full import begins."""
    connection.execute(update(directory).where(directory.c.id == directory_id).values(generation=generation))


def set_keys(connection: Connection, directory_id: int, keys: Mapping[str, Collection[str] | None]) -> None:
    """What the match keys hold from now on."""
    plain = {name: None if kinds is None else sorted(kinds) for name, kinds in sorted(keys.items())}
    connection.execute(update(directory).where(directory.c.id == directory_id).values(keys=plain))


def not_complete(connection: Connection, directory_id: int) -> None:
    """A first load begins: until it is complete, nothing that is stored is whole."""
    connection.execute(update(directory).where(directory.c.id == directory_id).values(completed=None))


def complete(
    connection: Connection, directory_id: int, *, at: datetime, requested: Mapping[str, Collection[str]] | None = None, scope: str = ""
) -> None:
    """An import is complete; `requested` of a full one."""
    values: dict[str, Any] = {"completed": at}
    if requested is not None:
        values["requested"] = {**{kind: sorted(names) for kind, names in sorted(requested.items())}, SCOPE: [scope]}
    connection.execute(update(directory).where(directory.c.id == directory_id).values(**values))


def cursors(connection: Connection, directory_id: int) -> dict[str, CursorRow]:
    """stream -> how far it was read."""
    return {
        row.stream: CursorRow(stream=row.stream, cursor=row.cursor, resume=row.resume, generation=row.resume_generation, taken=row.taken)
        for row in connection.execute(select(cursor).where(cursor.c.directory_id == directory_id))
    }


def put_cursors(connection: Connection, engagement_id: int, directory_id: int, rows: Collection[CursorRow]) -> None:
    """Replace all cursors of a directory."""
    connection.execute(delete(cursor).where(cursor.c.directory_id == directory_id))
    for row in rows:
        connection.execute(
            insert(cursor).values(
                engagement_id=engagement_id,
                directory_id=directory_id,
                stream=row.stream,
                cursor=row.cursor,
                resume=row.resume,
                resume_generation=row.generation,
                taken=row.taken,
            )
        )


def put_cursor(connection: Connection, directory_id: int, row: CursorRow) -> None:
    """Note how far one stream was read."""
    connection.execute(
        update(cursor)
        .where(cursor.c.directory_id == directory_id, cursor.c.stream == row.stream)
        .values(cursor=row.cursor, resume=row.resume, resume_generation=row.generation, taken=row.taken)
    )


def _directory(row: Row[Any]) -> DirectoryRow:
    requested = None
    scope = None
    if row.requested is not None:
        requested = {kind: frozenset(names) for kind, names in row.requested.items() if kind != SCOPE}
        scope = "".join(row.requested.get(SCOPE, ()))
    return DirectoryRow(
        id=row.id,
        name=row.name,
        connector=row.connector,
        pinned=row.pinned,
        requested=requested,
        scope=scope,
        keys=None if row.keys is None else {name: None if kinds is None else frozenset(kinds) for name, kinds in row.keys.items()},
        completed=row.completed,
        generation=row.generation,
    )
