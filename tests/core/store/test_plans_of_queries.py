"""Queries that a synchronisation asks for every reference find their rows by an index: a scan makes its cost grow with the square."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from metasync.store import holders, match_keys, matching, newcomers, objects, open_store, pairs, references, reservations, waits, waves
from metasync.store.backend import Backend


class Steps:
    """A store that notes how the database goes about each query."""

    def __init__(self, backend: Backend, connection: Connection) -> None:
        self.backend, self.connection, self.found = backend, connection, list[str]()

    def any(self, connection: Connection, statement: str, *values: Any) -> bool:
        self.fetch(connection, statement, *values)
        return True

    def fetch(self, connection: Connection, statement: str, *values: Any) -> list[Any]:
        rows = self.backend.fetch(connection, f"EXPLAIN QUERY PLAN {statement}", *values)
        self.found += [str(row[3]) for row in rows if "json_each" not in row[3]]
        return []


def test_every_query_of_a_synchronisation_finds_its_rows_by_an_index(tmp_path: Path) -> None:
    backend = open_store(f"sqlite:///{tmp_path / 'metasync.db'}")
    with backend.write() as connection:
        match_keys.build_index(connection, 2)  # as after its first load
        objects.build_indexes(connection, 2)
    with backend.read() as connection:
        steps: Any = Steps(backend, connection)
        list(references.followed(steps, connection, [1, 2, 3], "manager", 2))
        assert any(step.startswith("SEARCH pending USING") for step in steps.found), steps.found
        references.present(steps, connection, [1, 2, 3], "manager", [2])
        holders.kept(steps, connection, "people", [1, 2, 3], 2, "user")
        holders.under_way(steps, connection, 1, "people", 2)
        newcomers.without_history(steps, connection, "people", [1], [1, 2, 3])
        newcomers.rows(steps, connection, [1, 2, 3])
        matching.held(steps, connection, 2, [("mail", "a@x.test")])
        newcomers.candidates(steps, connection, 2, {"mail": ["a@x.test"]})
        pairs.bearers(steps, connection, 2, {"mail": ["a@x.test"]})
        waves.holders(steps, connection, [2], "mail", ["a@x.test"], ["user"])
        waits.wanted_by(steps, connection, "people", 2, [("mail", "a@x.test")])
        waits.creating_by_reservation(steps, connection, [(2, "mail", "a@x.test"), (2, "name@path", "a")])
        reservations.held(steps, connection, 2, {"mail": ["a@x.test"]})
    backend.close()
    assert len(steps.found) > 20
    assert [step for step in steps.found if step.startswith("SCAN")] == []
