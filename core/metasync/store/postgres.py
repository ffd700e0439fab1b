"""PostgreSQL 15 or newer, through psycopg 3: for many jobs at a time, and for databases that others keep and back up.

One transaction writes at a time, as on SQLite: each takes an advisory lock first, so that what it has looked up still holds when it
writes. Bulk rows go by binary COPY, or as arrays. Every commit is flushed, of an import too: a server may go down without us.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from struct import pack
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError

from metasync import faults as fault
from metasync.store import errors, migrations
from metasync.store.backend import Backend
from metasync.store.tables import UtcTime, metadata

OLDEST = 150000
"""The oldest version that is supported, as the server counts."""
LOCK = 0x4D657473
"""The advisory lock of whoever writes without a lane, alone; those in lanes share it."""
LANES = 0x4C616E65
"""The first key of the locks of the lanes."""
OURS = "Metasync"
"""Comment on the table of the schema's version, so that we never write into somebody else's database."""
GROWN = """
SELECT counted.relname FROM pg_stat_user_tables AS counted JOIN pg_class AS class ON class.oid = counted.relid
WHERE counted.schemaname = current_schema() AND counted.n_mod_since_analyze > 500 + 0.2 * greatest(class.reltuples, 0)"""
"""Tables of which a fifth changed since the planner last looked at them."""
RETURN_SECONDS = 30
"""How long a server that answered before may be away, such as for a restart, before we give up."""
ARRAY = 5000
"""Rows that one statement takes as arrays."""
CHANNEL: LiteralString = "metasync"
"""What is listened to by those who wait for something to do."""
LISTENING = 1.0
"""Seconds between two looks of a listener at whether it shall end, or before it connects again."""
INT8, INT8_ARRAY = 20, 1016
"""The server's numbers of two types, which are the same everywhere."""
SETTINGS = {
    # Anchors are indexed per directory: only a plan made for the very directory can use its index.
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
    # Joins of three and more tables are written in the order in which they are to be followed, from the few to the many: until a table
    # that was just filled has statistics, the server's own order may take minutes.
    "join_collapse_limit": "1",
    "timezone": "UTC",
    # Also of an import: a server that was killed comes back without what it had not flushed, while we live on, and take it for stored.
    "synchronous_commit": "on",
    "lock_timeout": "10s",
    # A process that was stopped in mid-transaction must not keep everybody else from writing.
    "idle_in_transaction_session_timeout": "60s",
    "client_min_messages": "warning",
}
LIVENESS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""libpq's: a server that is gone is noticed, one that is only slow is waited for."""


class Postgres(Backend):
    """A database on a server."""

    dialect = "postgresql"

    def __init__(self, url: URL) -> None:
        self.url = url._replace(password=None).render_as_string()
        # Two pools: a connection that read under its own terms would be given back with the server's defaults overridden.
        self._reading = _engine(url).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writing = _engine(url)
        self._inside = threading.local()
        self._answered = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._translated(), self._connect(self._reading) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, transaction: str = "", *, durable: bool = False) -> Iterator[Connection]:
        if getattr(self._inside, "write", False):
            raise RuntimeError("a transaction was begun inside another one of the same thread")
        self._inside.write = True
        try:
            with self._translated(), self._connect(self._writing) as connection, connection.begin():
                if self.lane is None:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
                else:
                    lane = f"pg_advisory_xact_lock{'_shared' if self.beside else ''}({LANES}, {int(self.lane)})"
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({LOCK}), {lane}")
                self.guard(connection)
                yield connection
                fault.before_commit(transaction, _disk_full)
        finally:
            self._inside.write = False
        fault.after_commit(transaction)

    def open(self, *, create: bool, upgrade: bool) -> None:
        """Make the database ready, or say why it cannot be used."""
        with self.read() as connection:
            version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if version < OLDEST:
                raise errors.StoreError(f"{self.url} is PostgreSQL {version // 10000}; Metasync needs 15 or newer")
            if encoding != "UTF8":
                raise errors.StoreError(f"{self.url} is encoded as {encoding}; give one that was made with `ENCODING 'UTF8'`")
            schema, tables = _schema(connection), _tables(connection)
            if tables and (schema is None or _comment(connection) != OURS):
                raise errors.NotOurs(f"{self.url} is a database of another program; give `--database` another one")
        self._answered = True
        if schema is None and not create:
            raise errors.StoreMissing(f"the database {self.url} is empty; fill it with `metasync load FILE`")
        if migrations.needed(self.url, schema, upgrade=upgrade):
            self.migrate()

    def migrate(self) -> None:
        with self.write("store.migrate", durable=True) as connection:
            # Another process may have been faster; looked at again now that nobody else can write.
            if _schema(connection) != migrations.HEAD:
                migrations.upgrade(connection)
                connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{OURS}'")

    def verify(self) -> list[str]:
        """Has the server read every row, large values included; it looks at each page's checksum where the cluster has them."""
        found: list[str] = []
        with self.read() as connection:
            tables = _tables(connection)
        for table in tables:
            statement = sql.SQL("COPY {} TO STDOUT (FORMAT BINARY)").format(sql.Identifier(table))
            try:
                with self.read() as connection, _driver(connection).cursor() as cursor, cursor.copy(statement) as rows:
                    for _ in rows:
                        pass
            except errors.Corrupt as error:
                found.append(str(error))
        return found

    def close(self) -> None:
        self._reading.dispose()
        self._writing.dispose()

    def gather_statistics(self) -> None:
        # Autovacuum may come a minute later; until then the planner takes the tables for empty. Not in the one writer's turn: nobody waits.
        with self._translated(), self._connect(self._writing) as connection, connection.begin():
            # In one order, whoever does it: each table stays locked against the others until all are done.
            for name in sorted(metadata.tables.keys() & connection.exec_driver_sql(GROWN).scalars().all()):
                # The whole table: where columns are named, the server does not take note that it looked.
                connection.exec_driver_sql(f'ANALYZE "{name}"')

    def call(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_notify('{CHANNEL}', '{self.lane}')")

    def listen(self, heard: Callable[[], None], stop: threading.Event) -> None:
        while not stop.is_set():
            with suppress(DBAPIError, psycopg.Error), self._writing.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                driver = _driver(connection)
                # Not given back: the pool's next user would go on listening.
                connection.detach()
                driver.execute(f"LISTEN {CHANNEL}")
                heard()
                try:
                    while not stop.is_set():
                        for one in driver.notifies(timeout=LISTENING, stop_after=1):
                            if one.payload == str(self.lane):
                                heard()
                except psycopg.Error:
                    # The server went away, as it may. Nothing is there to be rolled back, which the pool would log as an error.
                    connection.invalidate()
                    raise
            stop.wait(LISTENING)

    def reserve_ids(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        series = func.generate_series(1, count).table_valued("number")
        following = func.nextval(func.pg_get_serial_sequence(f'"{table.name}"', "id"))
        return connection.execute(select(following).select_from(series)).scalars().all()

    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]], *, ignore: bool = False
    ) -> None:
        into = sql.SQL("{} ({})").format(sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns)))
        if ignore:
            statement = sql.SQL("INSERT INTO {into} SELECT * FROM {rows} ON CONFLICT DO NOTHING")
            _arrays(connection, table, columns, rows, statement, into=into)
            return
        copying = sql.SQL("COPY {into} FROM STDIN (FORMAT BINARY)").format(into=into)
        with _integrity(table), _driver(connection).cursor() as cursor, cursor.copy(copying) as copy:
            copy.set_types([_type(table, name) for name in columns])
            for row in rows:
                copy.write_row(row)

    def update(
        self, connection: Connection, table: Table, columns: Sequence[str], keys: Sequence[str], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        values = [sql.SQL("{} = new.{}").format(sql.Identifier(name), _place(at)) for at, name in enumerate(columns)]
        condition = _condition(table, keys, start=len(columns))
        statement = sql.SQL("UPDATE {table} SET {values} FROM {rows} WHERE {condition}")
        _arrays(connection, table, (*columns, *keys), rows, statement, values=sql.SQL(", ").join(values), condition=condition)

    def delete(self, connection: Connection, table: Table, keys: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        statement = sql.SQL("DELETE FROM {table} USING {rows} WHERE {condition}")
        _arrays(connection, table, keys, rows, statement, condition=_condition(table, keys, start=0))

    def fetch(self, connection: Connection, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with _driver(connection).cursor(binary=True) as cursor:
            return cursor.execute(_marked(statement), _given(values)).fetchall()

    def execute(self, connection: Connection, statement: str, *values: Any) -> None:
        with _driver(connection).cursor() as cursor:
            cursor.execute(_marked(statement), _given(values))

    def upsert(self, table: Table) -> Insert:
        return postgres_insert(table)

    def claimable(self, query: Select[Any]) -> Select[Any]:
        return query.with_for_update(skip_locked=True)

    @contextmanager
    def _connect(self, engine: Engine) -> Iterator[Connection]:
        """A connection; nothing was done with it yet, so that a server which comes back may be waited for."""
        until = time.monotonic() + RETURN_SECONDS
        while True:
            try:
                connection = engine.connect()
                break
            except DBAPIError as error:
                starting = getattr(error.orig, "sqlstate", None) == "57P03" or "is starting up" in str(error.orig)
                if not (self._answered or starting) or time.monotonic() > until or not _away(error.orig):
                    raise
                if self.leaving is not None and self.leaving.is_set():
                    raise
            if self.leaving is not None:
                self.leaving.wait(0.2)
            else:
                time.sleep(0.2)  # a server that is being restarted tells nobody when it is back
        with connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, psycopg.Error) as error:
            plain = _in_words(self.url, error.orig if isinstance(error, DBAPIError) else error)
            if plain is None:
                raise
            raise plain from error


def _engine(url: URL) -> Engine:
    given = url.query.get("options", "")
    options = [given if isinstance(given, str) else " ".join(given), *(f"-c {name}={value}" for name, value in SETTINGS.items())]
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=4,
        max_overflow=-1,
        pool_pre_ping=True,
        # Whatever pools connections in between may not know of prepared statements.
        connect_args={**LIVENESS, "application_name": "metasync", "options": " ".join(options), "prepare_threshold": None},
    )

    @event.listens_for(engine, "connect")
    def _(connection: psycopg.Connection[Any], _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.adapters.register_dumper(_Numbers, _NumbersDumper)

    return engine


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _arrays(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    statement: sql.SQL,
    **parts: sql.Composable,
) -> None:
    """Run a statement on rows that come as one array per column, `{rows}` in it."""
    arrays = [sql.SQL("%b::{}[]").format(sql.SQL(_type(table, name))) for name in columns]
    new = sql.SQL("unnest({}) AS new ({})").format(sql.SQL(", ").join(arrays), sql.SQL(", ").join(_place(at) for at in range(len(columns))))
    composed = statement.format(table=sql.Identifier(table.name), rows=new, **parts)
    with _integrity(table), _driver(connection).cursor() as cursor:
        rest = iter(rows)
        while part := list(islice(rest, ARRAY)):
            cursor.execute(composed, [list(column) for column in zip(*part, strict=True)])


def _marked(statement: str) -> Any:
    """A statement of ours with the driver's own marks."""
    return statement.replace("IN ?", "= ANY(%b)").replace("?", "%b")


class _Numbers(bytes):
    """Whole numbers as the server's own array."""


class _NumbersDumper(Dumper):
    """Hands them over as they are."""

    format = Format.BINARY
    oid = INT8_ARRAY

    def dump(self, obj: _Numbers) -> bytes:
        return obj


def _given(values: Sequence[Any]) -> list[Any]:
    """Values for the driver: ids, which come in thousands, in the server's form already. The driver takes six times as long for it."""
    return [_numbers(value) if value.__class__ is list and value and value[0].__class__ is int else value for value in values]


def _numbers(values: list[int]) -> _Numbers:
    each = [8] * (2 * len(values))
    each[1::2] = values
    return _Numbers(pack(f">iiIii{'iq' * len(values)}", 1, 0, INT8, len(values), 1, *each))


def _condition(table: Table, keys: Sequence[str], *, start: int) -> sql.Composable:
    equal = [
        sql.SQL("{}.{} = new.{}").format(sql.Identifier(table.name), sql.Identifier(name), _place(at))
        for at, name in enumerate(keys, start)
    ]
    return sql.SQL(" AND ").join(equal)


def _place(at: int) -> sql.Identifier:
    return sql.Identifier(f"value{at}")


def _type(table: Table, column: str) -> LiteralString:
    """PostgreSQL's name of a column's type; those of hot paths alone."""
    match table.c[column].type:
        case Boolean():
            return "bool"
        case BigInteger():
            return "int8"
        case Integer():
            return "int4"
        case LargeBinary():
            return "bytea"
        case String():
            return "text"
        case JSON():
            return "json"
        case UtcTime():
            return "timestamptz"
    raise TypeError(f"{table.name}.{column} is of a type that bulk rows do not hold")


@contextmanager
def _integrity(table: Table) -> Iterator[None]:
    try:
        yield
    except psycopg.IntegrityError as error:
        raise IntegrityError(f"writing {table.name}", None, error) from error


def _schema(connection: Connection) -> str | None:
    """The revision of the schema; None: there is none."""
    if connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar() is None:
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _comment(connection: Connection) -> str | None:
    return connection.exec_driver_sql("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')").scalar()


def _tables(connection: Connection) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
    return [str(name) for name in connection.exec_driver_sql(query).scalars()]


def _away(error: BaseException | None) -> bool:
    """The server cannot be reached, or ends, or starts: the connection is gone, and another one may be had later."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state.startswith("08") or state in ("57P01", "57P02", "57P03", "25P03")


def _disk_full() -> psycopg.Error:
    """What the driver raises where the server's disk is full."""
    return psycopg.errors.DiskFull("could not extend file: No space left on device")


def _in_words(url: str, error: BaseException | None) -> errors.StoreError | None:
    state = getattr(error, "sqlstate", None) or ""
    said = str(error).strip().partition("\n")[0]
    match state:
        case "55P03" | "40P01" | "40001":
            return errors.Busy(f"another process has been writing to {url} for more than 10 s; wait for it to end, then run again")
        case "3D000":
            return errors.StoreMissing(f"there is no database {url}; make it with `createdb`, or correct `--database`")
        case "28P01" | "28000":
            return errors.StoreError(f"the server refused the login to {url}; check user and password (PGPASSWORD or a .pgpass file)")
        case "42501":
            return errors.StoreError(f"the user of {url} may not do this ({said}); it must own the database or its schema")
        case "25006":
            return errors.StoreError(f"{url} can only be read: it is a standby, or was set to read-only; give the server that takes writes")
        case "53100":
            return errors.DiskFailed(f"the disk of {url} is full; what was not committed is undone. Make room, then run again")
        case "53300":
            return errors.Unreachable(f"{url} has no connection left ({said}); raise max_connections, or run fewer workers")
        case "XX001" | "XX002" | "58P01" | "58030":
            return errors.Corrupt(f"{url} is damaged ({said}); restore it from a backup, then run a full import")
    if "password authentication failed" in said or "no password supplied" in said:
        return errors.StoreError(f"the server refused the login to {url}; check user and password (PGPASSWORD or a .pgpass file)")
    if said.endswith("does not exist") and not state and "database" in said:
        return errors.StoreMissing(f"there is no database {url}; make it with `createdb`, or correct `--database`")
    if _away(error):
        return errors.Unreachable(f"{url} cannot be reached ({said}); what was not committed is undone. Run again once the server answers")
    return None
