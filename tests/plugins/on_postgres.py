"""Runs tests that were written for SQLite on PostgreSQL: `pytest -p on_postgres PATHS`, with tests/ and tests/plugins in PYTHONPATH.

Every database file that a test opens stands for a database of its own on a throw-away server, one server per worker; it goes when the
test ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab.postgres import Cluster, cluster
from sqlalchemy.engine import make_url

import metasync.store as store

TEMPLATE = "migrated"


class Databases:
    """Those that stand for files, on one server."""

    def __init__(self, server: Cluster) -> None:
        self.names: set[str] = set()
        self._server = server

    def open(self, path: str, *, create: bool, upgrade: bool) -> store.Backend:
        """As `store._sqlite`."""
        name = f"test_{hashlib.md5(str(Path(path).absolute()).encode()).hexdigest()}"
        if name not in self.names:
            self._server.psql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            self.names.add(name)
        backend: Any = store._postgres(make_url(self._server.url(name)), create=create, upgrade=upgrade)
        return backend

    def drop(self, names: Collection[str]) -> None:
        """Forget these, whoever still has them open."""
        for name in names:
            self._server.psql(f"DROP DATABASE {name} WITH (FORCE)")
        self.names -= set(names)


# The names of these fixtures are used by no conftest: one of the same name would stand in for ours.


@pytest.fixture(scope="session")
def databases_that_stand_for_files() -> Iterator[Databases]:
    """On one server; from here on, whoever opens a file gets one of these."""
    with cluster() as server, pytest.MonkeyPatch.context() as patch:
        store.open_store(server.database(TEMPLATE)).close()
        made = Databases(server)
        patch.setattr(store, "_sqlite", made.open)
        yield made


@pytest.fixture(autouse=True)
def every_file_is_a_database_of_a_server(databases_that_stand_for_files: Databases) -> Iterator[None]:
    """Until the test ends: a file of several tests was opened before this."""
    before = set(databases_that_stand_for_files.names)
    yield
    databases_that_stand_for_files.drop(databases_that_stand_for_files.names - before)
