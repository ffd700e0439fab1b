"""The audit chain: every edit, deletion and exchange of rows is found (I6)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, text, update
from sqlalchemy.exc import IntegrityError

from metasync.store import Backend, audit, open_store
from metasync.store.tables import audit as audit_table
from metasync.store.tables import engagement


@pytest.fixture
def backend(database: str) -> Iterator[Backend]:
    opened = open_store(database)
    with opened.write() as connection:
        connection.execute(insert(engagement).values(name="contoso", created=opened.now(connection)))
        for number in range(20):
            audit.append(connection, 1, "anna", "approve", f"plan {number}", {"changes": number, "ü": [1, {"b": None, "a": True}]})
    yield opened
    opened.close()


def without_guard(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP TRIGGER IF EXISTS audit_only_grows ON audit"))
        connection.execute(text("ALTER TABLE audit DROP CONSTRAINT IF EXISTS fk_audit_engagement_id_engagement"))
        return
    connection.execute(text("PRAGMA defer_foreign_keys = ON"))
    for verb in ("update", "delete"):
        connection.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{verb}"))


def test_an_untouched_chain_verifies(backend: Backend) -> None:
    with backend.read() as connection:
        assert audit.verify(connection) == []
        assert [row.subject for row in audit.rows(connection, 1, after=18)] == ["plan 18", "plan 19"]
        assert list(audit.rows(connection, 2)) == []


@pytest.mark.parametrize("statement", [update(audit_table).values(actor="nobody"), delete(audit_table)])
def test_the_database_refuses_to_change_or_delete_rows(backend: Backend, statement: object) -> None:
    with pytest.raises(IntegrityError, match="only be added"), backend.write() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


@given(st.integers(1, 20), st.sampled_from(["actor", "action", "subject", "detail", "at", "previous", "hash", "engagement_id"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_whatever_is_edited_is_found_at_its_row(backend: Backend, seq: int, column: str) -> None:
    value = {"at": "2001-01-01T00:00:00.000000Z", "detail": '{"changes": 99}', "engagement_id": 2}.get(column, "f" * 64)
    with pytest.raises(ZeroDivisionError), backend.write() as connection:
        without_guard(connection)
        connection.execute(text(f"UPDATE audit SET {column} = :value WHERE seq = :seq"), {"value": value, "seq": seq})
        assert seq in {broken.seq for broken in audit.verify(connection)}
        raise ZeroDivisionError


def test_a_deleted_row_is_found(backend: Backend) -> None:
    with backend.write() as connection:
        without_guard(connection)
        connection.execute(delete(audit_table).where(audit_table.c.seq == 7))
        assert [(broken.seq, broken.text) for broken in audit.verify(connection)] == [(8, "row 7 is missing")]


def test_two_rows_that_changed_places_are_found(backend: Backend) -> None:
    with backend.write() as connection:
        without_guard(connection)
        for old, new in ((7, 1007), (8, 7), (1007, 8)):
            connection.execute(update(audit_table).where(audit_table.c.seq == old).values(seq=new))
        assert {7, 8} <= {broken.seq for broken in audit.verify(connection)}


def test_a_row_is_written_in_the_transaction_of_what_it_records(backend: Backend) -> None:
    with pytest.raises(ZeroDivisionError), backend.write() as connection:
        audit.append(connection, 1, "anna", "approve", "plan 21")
        raise ZeroDivisionError
    with backend.read() as connection:
        assert len(list(audit.rows(connection))) == 20
