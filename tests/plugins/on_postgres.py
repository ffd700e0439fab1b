"""Runs tests that were written for SQLite on PostgreSQL: `pytest -p on_postgres PATHS`, with tests/ and tests/plugins in PYTHONPATH.

Every database file that a test opens stands for a database of its own on a throw-away server, one server per worker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab.postgres import Cluster, cluster
from sqlalchemy.engine import make_url

import metasync.store as store


@pytest.fixture(scope="session", autouse=True)
def every_file_is_a_database_of_a_server() -> Iterator[None]:
    """By a name that no conftest uses for a fixture of its own, which would stand in for this one."""
    with cluster() as server, pytest.MonkeyPatch.context() as patch:
        store.open_store(server.database("migrated")).close()
        known: set[str] = set()

        def stand_in(path: str, *, create: bool, upgrade: bool) -> store.Backend:
            return _stand_in(server, known, Path(path).absolute(), create=create, upgrade=upgrade)

        patch.setattr(store, "_sqlite", stand_in)
        yield


def _stand_in(server: Cluster, known: set[str], path: Path, **how: bool) -> store.Backend:
    name = f"test_{hashlib.md5(str(path).encode()).hexdigest()}"
    if name not in known:
        server.psql(f"CREATE DATABASE {name} TEMPLATE migrated")
        known.add(name)
    backend: Any = store._postgres(make_url(server.url(name)), **how)
    return backend
