"""Queries that a synchronisation asks for every reference find their rows by an index: a scan makes its cost grow with the square."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import event

from metasync.store import open_store, references


def test_what_is_pending_for_a_member_is_found_by_an_index(tmp_path: Path) -> None:
    backend = open_store(f"sqlite:///{tmp_path / 'metasync.db'}")
    asked: list[tuple[str, Any]] = []
    with backend.read() as connection:

        def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", remember)
        references.followed(connection, [1, 2, 3], "manager", 2)
        event.remove(connection, "before_cursor_execute", remember)
        ((statement, parameters),) = asked
        steps = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    backend.close()
    assert [step for step in steps if step.startswith("SCAN")] == []
    assert any(step.startswith("SEARCH pending USING") for step in steps), steps
