"""The central database: `open_store` opens it, `Backend` is what the engine needs of it, one module per area holds the queries.

SQL lives in this package alone.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from metasync.store.backend import Backend
from metasync.store.errors import StoreError

SHAPES = "write `sqlite:///PATH` or `postgresql://USER@HOST/DATABASE`"


def open_store(url: str, *, create: bool = True, upgrade: bool = False) -> Backend:
    """Open a database: `sqlite:///metasync.db`, just a path, or `postgresql://user@host/database`.

    An empty or missing one is made (`create`; on a server it must be there), an older one refused unless `upgrade`, a newer one always.
    Raises `StoreError`.
    """
    if "://" not in url:
        return _sqlite(url, create=create, upgrade=upgrade)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"`{url.partition('://')[0]}://...` is not the URL of a database; {SHAPES}") from error
    match parsed.get_backend_name():
        case "postgresql":
            return _postgres(parsed, create=create, upgrade=upgrade)
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise StoreError("the database needs a file, so that approvals and audit outlast the process; write `sqlite:///PATH`")
            return _sqlite(parsed.database, create=create, upgrade=upgrade)
        case other:
            raise StoreError(f"databases of type `{other}` are not supported; {SHAPES}")


def password_of(url: str) -> str | None:
    """The password that stands in the URL of a database."""
    try:
        return make_url(url).password
    except (ArgumentError, ValueError):
        return None


def _sqlite(path: str, *, create: bool, upgrade: bool) -> Backend:
    from metasync.store.sqlite import SQLite

    backend = SQLite(Path(path).absolute())
    try:
        backend.open(create=create, upgrade=upgrade)
    except BaseException:
        backend.close()
        raise
    return backend


def _postgres(url: URL, *, create: bool, upgrade: bool) -> Backend:
    try:
        from metasync.store.postgres import Postgres
    except ImportError as error:
        raise StoreError(f"PostgreSQL needs psycopg ({error}); install it with `pip install 'metasync[postgresql]'`") from error
    if not url.database:
        raise StoreError("the URL names no database; write `postgresql://USER@HOST/DATABASE`")
    backend = Postgres(url)
    try:
        backend.open(create=create, upgrade=upgrade)
    except BaseException:
        backend.close()
        raise
    return backend


__all__ = ["Backend", "StoreError", "open_store", "password_of"]
