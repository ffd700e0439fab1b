"""The embedded database: who may read the file, what is refused, and what survives."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from metasync.store import Backend, errors, migrations, open_store
from metasync.store.tables import engagement, identity, lease


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


def test_letters_of_any_script_have_a_small_form(backend: Backend) -> None:
    add_engagement(backend, "ÆRØ Özlem")
    with backend.read() as connection:
        assert connection.execute(select(func.lower(engagement.c.name))).scalar_one() == "ærø özlem"
        assert connection.execute(select(engagement.c.name).where(engagement.c.name.icontains("ærØ"))).scalar_one() == "ÆRØ Özlem"
        assert connection.execute(select(func.lower(None))).scalar_one() is None


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


def test_an_exception_rolls_the_transaction_back(backend: Backend) -> None:
    with pytest.raises(ZeroDivisionError), backend.write(durable=True) as connection:
        connection.execute(insert(engagement).values(name="never", created=backend.now(connection)))
        raise ZeroDivisionError
    assert names(backend) == []
    add_engagement(backend, "afterwards")
    assert names(backend) == ["afterwards"]


def test_a_reader_keeps_its_view_while_another_thread_writes(backend: Backend) -> None:
    add_engagement(backend, "one")
    with backend.read() as connection:
        assert len(connection.execute(select(engagement)).all()) == 1
        writer = threading.Thread(target=add_engagement, args=(backend, "two"))
        writer.start()
        writer.join()
        assert len(connection.execute(select(engagement)).all()) == 1
    assert names(backend) == ["one", "two"]


def test_many_threads_write_one_after_the_other_and_lose_nothing(backend: Backend) -> None:
    def add_ten(part: int) -> None:
        for number in range(10):
            add_engagement(backend, f"{part}-{number}")

    threads = [threading.Thread(target=add_ten, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(backend)) == 80


def test_a_transaction_inside_another_one_is_refused_instead_of_waiting_for_itself(backend: Backend) -> None:
    with backend.write(), pytest.raises(RuntimeError, match="inside another"), backend.write():
        raise AssertionError("not reached")


def test_the_ledger_commits_with_full_synchronisation_and_imports_do_not(backend: Backend) -> None:
    def level(durable: bool) -> int:
        with backend.write(durable=durable) as connection:
            return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    assert (level(durable=True), level(durable=False)) == (2, 1)


def test_rows_of_an_engagement_that_is_not_there_are_refused(backend: Backend) -> None:
    with pytest.raises(IntegrityError), backend.write() as connection:
        connection.execute(insert(identity).values(engagement_id=77, kind="user"))


def test_the_hot_path_inserts_updates_deletes_and_leaves_out_what_is_there(backend: Backend) -> None:
    columns = ("name", "owner", "fence", "until")
    until = "2026-01-01T00:00:00.000000Z"
    with backend.write() as connection:
        backend.insert(connection, lease, columns, ((f"lease-{n}", "me", n, until) for n in range(5)))
        backend.insert(connection, lease, columns, [("lease-0", "you", 99, until), ("lease-9", "you", 9, until)], ignore=True)
        backend.update(connection, lease, ("owner",), ("name", "fence"), [("him", "lease-1", 1), ("him", "lease-2", 77)])
        backend.delete(connection, lease, ("name",), [("lease-3",)])
    with backend.read() as connection:
        rows = connection.execute(select(lease.c.name, lease.c.owner).order_by(lease.c.name)).all()
    assert [tuple(row) for row in rows] == [
        ("lease-0", "me"),
        ("lease-1", "him"),
        ("lease-2", "me"),
        ("lease-4", "me"),
        ("lease-9", "you"),
    ]


def test_reserved_ids_begin_behind_the_last_row(backend: Backend) -> None:
    add_engagement(backend, "one")
    with backend.write() as connection:
        assert backend.reserve_ids(connection, engagement, 3) == range(2, 5)


def test_the_clock_is_utc(backend: Backend) -> None:
    with backend.read() as connection:
        offset = backend.now(connection).utcoffset()
    assert offset is not None and not offset


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


def test_a_database_of_a_newer_version_is_refused_with_advice(backend: Backend) -> None:
    with backend.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    backend.close()
    with pytest.raises(errors.NewerSchema, match="newer version"):
        open_store(backend.url, upgrade=True)


def test_an_older_database_is_migrated_only_when_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "metasync.db")
    open_store(path).close()
    monkeypatch.setattr(migrations, "REVISIONS", ("0001", "0002"))
    monkeypatch.setattr(migrations, "HEAD", "0002")
    asked: list[object] = []
    monkeypatch.setattr(migrations, "upgrade", asked.append)
    with pytest.raises(errors.OlderSchema, match="metasync migrate"):
        open_store(path)
    assert not asked
    open_store(path, upgrade=True).close()
    assert len(asked) == 1


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


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreError, match="cannot create"):
        open_store(str(tmp_path / "no such folder" / "metasync.db"))


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql+psycopg://metasync@db/metasync", "not supported yet"),
        ("mysql://db/metasync", "not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("://", "not the URL"),
    ],
)
def test_a_database_that_we_cannot_use_is_refused_in_words(url: str, word: str) -> None:
    with pytest.raises(errors.StoreError, match=word):
        open_store(url)
