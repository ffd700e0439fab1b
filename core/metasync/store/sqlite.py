"""SQLite, the embedded default: one file, WAL, one writer at a time.

Two engines on the file: imports commit with `synchronous=NORMAL` (a commit may be lost with the power, never torn), the ledger with FULL.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Select, Table, create_engine, event, func, select
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from metasync import faults as fault
from metasync.store import errors, migrations
from metasync.store.backend import Backend

APPLICATION_ID = 0x4D657473
"""In the file's header (PRAGMA application_id), so that we never write into somebody else's database."""

MAGIC = b"SQLite format 3\0"
BUSY_MILLISECONDS = 10_000
CACHE_KIB = 16_384
PAGE_BYTES = 8192
"""Of a new file: an object takes about 1 kB, and with pages of 4 kB everything costs 5 to 10% more."""
CHECKPOINT_PAGES = 2_000
PARAMETERS = 990
"""Of one statement that inserts several rows: they cost a third less than by one each. Every build of SQLite takes 999."""
AMONG = "IN (SELECT value FROM json_each(?))"
"""A list as one parameter: no limit on its length, and nothing to prepare anew."""
ALL, WORST = 2**31 - 1, 100
"""Of what is damaged SQLite looks for all, and so much is told."""
NULL = re.compile(r"NULL value in (\w+)\.(\w+)")
"""Said by SQLite 3.40, which is Debian 12's, of every row of a table without row ids whose key is not its first columns: asked again."""
NOT_A_DATABASE = "is not a database, or its first page is damaged; give `--database` another path, or restore it"


class SQLite(Backend):
    """A database in one file."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self._bulk = _engine(path, synchronous="NORMAL")
        self._ledger = _engine(path, synchronous="FULL")
        self._writing = threading.Lock()
        self._inside = threading.local()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._translated(), self._bulk.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, transaction: str = "", *, durable: bool = False) -> Iterator[Connection]:
        if getattr(self._inside, "write", False):
            raise RuntimeError("a transaction was begun inside another one of the same thread")
        # Waiting here is fair and cheap; waiting in SQLite polls, and ends after `busy_timeout`.
        with self._writing:
            self._inside.write = True
            try:
                engine = self._ledger if durable else self._bulk
                with self._translated(), engine.connect() as connection:
                    connection = connection.execution_options(metasync_write=True)
                    with connection.begin():
                        self.guard(connection)
                        yield connection
                        fault.before_commit(transaction, _disk_full)
            finally:
                self._inside.write = False
        fault.after_commit(transaction)

    def open(self, *, create: bool, upgrade: bool) -> None:
        """Make the file ready, or say why it cannot be used."""
        if not self.path.exists():
            if not create:
                raise errors.StoreMissing(f"there is no database at {self.path}; make one with `metasync load FILE`")
            self._create_file()
        with self.path.open("rb") as file:
            header = file.read(len(MAGIC))
        if header not in (b"", MAGIC):
            raise errors.NotOurs(
                f"{self.path} is not a database, or its first page is damaged; give `--database` another path, or restore it"
            )
        with self.read() as connection:
            schema = _schema(connection)
            ours = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
            tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
        if tables and ours != APPLICATION_ID:
            raise errors.NotOurs(f"{self.path} is a database of another program; give `--database` another path")
        if not tables and not create:
            raise errors.StoreMissing(f"the database {self.path} is empty; fill it with `metasync load FILE`")
        if migrations.needed(str(self.path), schema, upgrade=upgrade):
            self.migrate()

    def migrate(self) -> None:
        with self.write("store.migrate", durable=True) as connection:
            # Another process may have been faster; looked at again now that nobody else can write.
            if _schema(connection) != migrations.HEAD:
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
                migrations.upgrade(connection)

    def verify(self) -> list[str]:
        try:
            with self.read() as connection:
                lines = map(str, connection.exec_driver_sql(f"PRAGMA integrity_check({ALL})").scalars())
                null = cache(partial(_is_null, connection))
                said = (line for line in lines if line != "ok" and ((of := NULL.fullmatch(line)) is None or null(*of.groups())))
                return list(islice(said, WORST))
        except errors.Corrupt as error:
            return [str(error)]

    def close(self) -> None:
        self._bulk.dispose()
        self._ledger.dispose()

    def gather_statistics(self) -> None:
        # Every query of ours was written for SQLite's planner as it is without statistics.
        pass

    def call(self, connection: Connection) -> None:
        """A file tells nobody."""

    def listen(self, heard: Callable[[], None], stop: threading.Event) -> None:
        """A file tells nobody."""

    def reserve_ids(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        first = (connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1
        return range(first, first + count)

    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]], *, ignore: bool = False
    ) -> None:
        names = ", ".join(f'"{name}"' for name in columns)
        marks = f"({', '.join('?' * len(columns))})"
        statement = f'INSERT {"OR IGNORE " if ignore else ""}INTO "{table.name}" ({names}) VALUES '
        together = PARAMETERS // len(columns)
        several = statement + ", ".join([marks] * together)
        left = iter(rows)
        while part := list(islice(left, together)):
            if len(part) == together:
                _many(connection, several, [tuple(chain.from_iterable(part))])
            else:
                _many(connection, statement + marks, part)

    def update(
        self, connection: Connection, table: Table, columns: Sequence[str], keys: Sequence[str], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        values = ", ".join(f'"{name}" = ?' for name in columns)
        _many(connection, f'UPDATE "{table.name}" SET {values} WHERE {_condition(keys)}', rows)

    def delete(self, connection: Connection, table: Table, keys: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        _many(connection, f'DELETE FROM "{table.name}" WHERE {_condition(keys)}', rows)

    def fetch(self, connection: Connection, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        given = [orjson.dumps(value).decode() if isinstance(value, list) else value for value in values]
        cursor = connection.connection.cursor()
        try:
            cursor.execute(statement.replace("IN ?", AMONG), given)
            return cursor.fetchall()  # type: ignore[return-value]  # the driver's rows are tuples
        finally:
            cursor.close()

    def execute(self, connection: Connection, statement: str, *values: Any) -> None:
        self.fetch(connection, statement, *values)

    def upsert(self, table: Table) -> Insert:
        return sqlite_insert(table)

    def claimable(self, query: Select[Any]) -> Select[Any]:
        # BEGIN IMMEDIATE: nobody else is taking anything.
        return query

    def _create_file(self) -> None:
        """Readable by its owner alone; SQLite gives `-wal` and `-shm` the same mode. Windows keeps the folder's rights."""
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise errors.StoreError(f"cannot create the database {self.path}: {error.strerror or error}") from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            plain = _in_words(self.path, error.orig if isinstance(error, DBAPIError) else error)
            if plain is None:
                raise
            raise plain from error


def _engine(path: Path, *, synchronous: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=-1,
        connect_args={"timeout": BUSY_MILLISECONDS / 1000, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own transactions begin late and deferred; ours are begun below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {BUSY_MILLISECONDS}",
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            f"synchronous = {synchronous}",
            "foreign_keys = ON",
            f"cache_size = -{CACHE_KIB}",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        # SQLite's own lower() knows the letters of ASCII alone: nobody would find Ærø or Özlem.
        connection.create_function("lower", 1, _lower, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that begins to write late fails at once when another writer was faster.
        writes = connection.get_execution_options().get("metasync_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _many(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.executemany(statement, rows)  # type: ignore[arg-type]  # the driver takes any iterable, and streams it
    except sqlite3.IntegrityError as error:
        raise IntegrityError(statement, None, error) from error
    finally:
        cursor.close()


def _condition(keys: Sequence[str]) -> str:
    return " AND ".join(f'"{name}" = ?' for name in keys)


def _is_null(connection: Connection, table: str, column: str) -> bool:
    """Is there a row without it? By `typeof`: `IS NULL` would be answered by what the column promises."""
    return connection.exec_driver_sql(f"SELECT 1 FROM {table} WHERE typeof({column}) = 'null' LIMIT 1").first() is not None


def _schema(connection: Connection) -> str | None:
    """The revision of the schema; None: an empty database."""
    there = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema WHERE name = 'alembic_version'").scalar_one()
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if there else None


def _disk_full() -> sqlite3.OperationalError:
    """What the driver raises where the disk is full."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def _in_words(path: Path, error: BaseException | None) -> errors.StoreError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return errors.Busy(f"another process has been writing to {path} for more than 10 s; wait for it to end, then run again")
        case sqlite3.SQLITE_CORRUPT:
            return errors.Corrupt(f"{path} is damaged ({error}); restore it from a backup, then run a full import")
        case sqlite3.SQLITE_NOTADB:
            return errors.NotOurs(f"{path} {NOT_A_DATABASE}")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return errors.StoreError(f"{path} cannot be written; check the rights on the file and on its folder")
        case sqlite3.SQLITE_FULL:
            return errors.DiskFailed(f"the disk that holds {path} is full; what was not committed is undone. Make room, then run again")
        case sqlite3.SQLITE_CANTOPEN:
            return errors.StoreError(f"{path} cannot be opened; check the path, and the rights on the file and on its folder")
        case sqlite3.SQLITE_IOERR:
            return errors.DiskFailed(f"the disk that holds {path} failed ({error}); check the disk, then run again")
    return None
