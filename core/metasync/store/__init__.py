"""The central database: `open_store` opens it, `Backend` is what the engine needs of it, one module per area holds the queries.

SQL lives in this package alone.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from metasync.store.backend import Backend
from metasync.store.errors import StoreError


def open_store(url: str, *, create: bool = True, upgrade: bool = False) -> Backend:
    """Open a database: `sqlite:///metasync.db`, or just a path.

    An empty or missing one is made (`create`), an older one refused unless `upgrade`, a newer one always. Raises `StoreError`.
    """
    if "://" not in url:
        return _sqlite(url, create=create, upgrade=upgrade)
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"`{url}` is not the URL of a database; write `sqlite:///PATH`") from error
    if parsed.get_backend_name() == "postgresql":
        raise StoreError("PostgreSQL is not supported yet; write `sqlite:///PATH`")
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(f"databases of type `{parsed.get_backend_name()}` are not supported; write `sqlite:///PATH`")
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError("the database needs a file, so that approvals and audit outlast the process; write `sqlite:///PATH`")
    return _sqlite(parsed.database, create=create, upgrade=upgrade)


def _sqlite(path: str, *, create: bool, upgrade: bool) -> Backend:
    from metasync.store.sqlite import SQLite

    backend = SQLite(Path(path).absolute())
    try:
        backend.open(create=create, upgrade=upgrade)
    except BaseException:
        backend.close()
        raise
    return backend


__all__ = ["Backend", "StoreError", "open_store"]
