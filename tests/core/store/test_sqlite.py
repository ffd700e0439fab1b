"""The embedded database: who may read the file, what is refused, and what survives."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from metasync.store import Backend, errors, open_store
from metasync.store.tables import directory, engagement, wanted


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    opened = open_store(f"sqlite:///{tmp_path / 'metasync.db'}")
    yield opened
    opened.close()


def add_engagement(backend: Backend, name: str) -> None:
    with backend.write() as connection:
        connection.execute(insert(engagement).values(name=name, created=backend.now(connection)))


def names(backend: Backend) -> list[str]:
    with backend.read() as connection:
        return list(connection.execute(select(engagement.c.name).order_by(engagement.c.id)).scalars())


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the rights of the folder")
def test_the_file_and_its_companions_are_readable_by_their_owner_alone(backend: Backend, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        add_engagement(backend, "one")
        files = sorted(tmp_path.iterdir())
    finally:
        os.umask(before)
    assert [file.name for file in files] == ["metasync.db", "metasync.db-shm", "metasync.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_what_was_committed_is_there_when_the_database_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "with space % and ü.db"
    for name in ("one", "two"):
        backend = open_store(str(path))
        add_engagement(backend, name)
        backend.close()
    backend = open_store(f"sqlite:///{path}", create=False)
    assert names(backend) == ["one", "two"]
    assert backend.verify() == []
    backend.close()


def test_the_ledger_commits_with_full_synchronisation_and_imports_do_not(backend: Backend) -> None:
    def level(durable: bool) -> int:
        with backend.write(durable=durable) as connection:
            return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    assert (level(durable=True), level(durable=False)) == (2, 1)


def test_a_missing_database_is_made_only_when_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreMissing, match="metasync load"):
        open_store(str(tmp_path / "none.db"), create=False)
    assert not (tmp_path / "none.db").exists()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "hr.csv"
    file.write_text("employeeNumber,name\n1,Anna\n" * 100)
    with pytest.raises(errors.NotOurs, match=r"hr\.csv"):
        open_store(str(file))
    assert file.read_text() == "employeeNumber,name\n1,Anna\n" * 100
    assert list(tmp_path.iterdir()) == [file]


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmark (url TEXT)")
    other.commit()
    other.close()
    with pytest.raises(errors.NotOurs, match="another program"):
        open_store(str(path))


def test_a_damaged_first_page_is_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "metasync.db"
    open_store(str(path)).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3900)
    with pytest.raises(errors.StoreError, match="restore"):
        open_store(str(path))


def test_a_damaged_page_deeper_in_the_file_is_found_by_verify(tmp_path: Path) -> None:
    path = tmp_path / "metasync.db"
    backend = open_store(str(path))
    for number in range(300):
        add_engagement(backend, f"engagement {number} " + "x" * 50)
    backend.close()
    page = 4096
    with path.open("r+b") as file:
        content = file.read()
        file.seek(content.index(b"engagement 150") // page * page)
        file.write(b"\xff" * page)
    backend = open_store(str(path))
    assert backend.verify()
    backend.close()


def test_verify_finds_a_value_that_is_missing_and_none_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "metasync.db"
    backend = open_store(str(path))
    add_engagement(backend, "one")
    with backend.write() as connection:
        connection.execute(insert(directory).values(id=1, engagement_id=1, name="hr", connector="csv"))
        waits = {"engagement_id": 1, "profile": "staff", "directory_id": 1, "name": "id", "value": "e1001"}
        connection.execute(insert(wanted), [{**waits, "object_id": number} for number in range(300)])
    assert backend.verify() == []
    backend.close()

    promise = "connector VARCHAR(200)"
    _say_of_a_column(path, promise + " NOT NULL", promise)
    with sqlite3.connect(path) as damaged:
        damaged.execute("UPDATE directory SET connector = NULL")
    damaged.close()
    _say_of_a_column(path, promise, promise + " NOT NULL")
    backend = open_store(str(path))
    assert backend.verify() == ["NULL value in directory.connector"]
    backend.close()


def _say_of_a_column(path: Path, before: str, after: str) -> None:
    """Behind SQLite's back."""
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'directory'", (before, after))
    other.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreError, match="cannot create"):
        open_store(str(tmp_path / "no such folder" / "metasync.db"))


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql://db", "names no database"),
        ("postgresql://anna:word@db:x/metasync", "not the URL"),
        ("mysql://db/metasync", "not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("://", "not the URL"),
    ],
)
def test_a_database_that_we_cannot_use_is_refused_in_words(url: str, word: str) -> None:
    with pytest.raises(errors.StoreError, match=word):
        open_store(url)


def test_a_file_calls_nobody(backend: Backend) -> None:
    backend.listen(pytest.fail, threading.Event())
