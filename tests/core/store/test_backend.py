"""What every store does for the engine, on both of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from metasync.store import Backend, directories, errors, looking, migrations, objects, open_store
from metasync.store.tables import directory, dirty, engagement, object_


@pytest.fixture
def backend(database: str) -> Iterator[Backend]:
    opened = open_store(database)
    yield opened
    opened.close()


def add_engagement(backend: Backend, name: str) -> None:
    with backend.write() as connection:
        connection.execute(insert(engagement).values(name=name, created=backend.now(connection)))


def names(backend: Backend) -> list[str]:
    with backend.read() as connection:
        return list(connection.execute(select(engagement.c.name).order_by(engagement.c.id)).scalars())


def add_objects(backend: Backend, *labels: str) -> None:
    """One engagement with one directory, and these objects in it; the anchor is the label."""
    add_engagement(backend, "one")
    with backend.write() as connection:
        (directory_id,) = directories.ensure(connection, 1, {"hr": "memory"}).values()
        ids = backend.reserve_ids(connection, object_, len(labels))
        rows = [(n, 1, directory_id, "user", one, one, "live", b"", b"", 1, None, False, None) for n, one in zip(ids, labels, strict=True)]
        backend.insert(connection, object_, objects.COLUMNS, rows)


def test_text_is_ordered_by_code_points_whatever_the_server_would_do(backend: Backend) -> None:
    labels = ["a", "B", "Z", "ä", "é", "z", "_", "10", "9", "ﬀ", "😀"]
    add_objects(backend, *labels)
    with backend.read() as connection:
        assert list(connection.execute(select(object_.c.anchor).order_by(object_.c.anchor)).scalars()) == sorted(labels)
        assert list(connection.execute(select(object_.c.anchor).where(object_.c.anchor > "a").order_by(object_.c.anchor)).scalars()) == [
            one for one in sorted(labels) if one > "a"
        ]


def test_people_are_found_in_any_case_of_any_script(backend: Backend) -> None:
    add_objects(backend, "ÆRØ Özlem", "Anna")
    with backend.read() as connection:
        assert [one.label for one in looking.by_label(connection, 1, "ærø özlem")] == ["ÆRØ Özlem"]
        assert [one.label for one in looking.objects(connection, 1, text="RØ ö")] == ["ÆRØ Özlem"]
        assert [one.label for one in looking.objects(connection, 1, text="%")] == []


def test_words_with_a_nul_are_kept_readable(backend: Backend) -> None:
    add_engagement(backend, "a\0b")
    assert names(backend)[0] in ("a\0b", "a\\x00b")


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


def test_rows_of_an_engagement_that_is_not_there_are_refused(backend: Backend) -> None:
    with pytest.raises(IntegrityError), backend.write() as connection:
        connection.execute(insert(directory).values(engagement_id=77, name="hr", connector="csv"))


def test_the_hot_path_inserts_updates_deletes_and_leaves_out_what_is_there(backend: Backend) -> None:
    add_engagement(backend, "one")
    columns = ("engagement_id", "profile", "object_id", "member_id")
    with backend.write() as connection:
        backend.insert(connection, dirty, columns, ((1, "p", n, 0) for n in range(5)))
        backend.insert(connection, dirty, columns, [(1, "p", 0, 0), (1, "p", 9, 0)], ignore=True)
        backend.update(connection, dirty, ("member_id",), ("object_id", "profile"), [(7, 1, "p"), (7, 2, "q")])
        backend.delete(connection, dirty, ("object_id",), [(3,)])
        backend.insert(connection, dirty, columns, ())
    with backend.read() as connection:
        rows = connection.execute(select(dirty.c.object_id, dirty.c.member_id).order_by(dirty.c.object_id)).all()
    assert [tuple(row) for row in rows] == [(0, 0), (1, 7), (2, 0), (4, 0), (9, 0)]


def test_the_hot_path_takes_every_value_that_an_object_has(backend: Backend) -> None:
    add_engagement(backend, "one")
    with backend.write() as connection:
        (directory_id,) = directories.ensure(connection, 1, {"hr": "memory"}).values()
        number, *_ = backend.reserve_ids(connection, object_, 1)
        row = (number, 1, directory_id, "user", "a\\b\t\n'\"ß😀", "", "live", b"\0\xff" * 8, b"\\x00\0", 1, None, True, None)
        backend.insert(connection, object_, objects.COLUMNS, [row])
    with backend.read() as connection:
        assert tuple(connection.execute(select(*(object_.c[name] for name in objects.COLUMNS))).one()) == row
    with pytest.raises(IntegrityError), backend.write() as connection:
        backend.insert(connection, object_, objects.COLUMNS, [row])


def test_more_rows_than_one_statement_takes(backend: Backend) -> None:
    add_engagement(backend, "one")
    columns = ("engagement_id", "profile", "object_id", "member_id")
    many = 12_345
    with backend.write() as connection:
        backend.insert(connection, dirty, columns, ((1, "p", n, 0) for n in range(many)), ignore=True)
        backend.update(connection, dirty, ("member_id",), ("object_id",), ((n, n) for n in range(many)))
        backend.delete(connection, dirty, ("object_id",), ((n,) for n in range(many - 1)))
        assert [tuple(row) for row in connection.execute(select(dirty.c.object_id, dirty.c.member_id))] == [(many - 1, many - 1)]


def test_one_row_among_many_that_is_there_already(backend: Backend) -> None:
    add_engagement(backend, "one")
    columns = ("engagement_id", "profile", "object_id", "member_id")
    rows = [(1, "p", 250 if n == 600 else n, 0) for n in range(900)]
    with pytest.raises(IntegrityError), backend.write() as connection:
        backend.insert(connection, dirty, columns, rows)
    with backend.write() as connection:
        assert connection.execute(select(dirty)).all() == [], "of what failed nothing stays"
        backend.insert(connection, dirty, columns, rows, ignore=True)
        assert set(connection.execute(select(dirty.c.object_id)).scalars()) == {*range(900)} - {600}


@pytest.mark.parametrize("asked", [[], [7], [-5, 7, 2**31, 2**62], [*range(3000), 2**40]])
def test_a_list_of_any_whole_numbers_finds_just_these(backend: Backend, asked: list[int]) -> None:
    add_engagement(backend, "one")
    there = [-5, 0, 7, 8, 2**31, 2**40, 2**62]
    with backend.write() as connection:
        columns = ("engagement_id", "profile", "object_id", "member_id")
        backend.insert(connection, dirty, columns, [(1, "people", one, 0) for one in there])
    with backend.read() as connection:
        query = "SELECT object_id FROM dirty WHERE profile = ? AND object_id IN ? ORDER BY object_id"
        found = backend.fetch(connection, query, "people", asked)
    assert [row[0] for row in found] == [one for one in there if one in asked]


def test_reserved_ids_are_taken_by_nobody_else(backend: Backend) -> None:
    add_engagement(backend, "one")
    with backend.write() as connection:
        (directory_id,) = directories.ensure(connection, 1, {"hr": "memory"}).values()
        ids: list[int] = []
        for round_ in range(3):
            new = backend.reserve_ids(connection, object_, 2)
            rows = [(n, 1, directory_id, "user", f"{round_}-{n}", "", "live", b"", b"", 1, None, False, None) for n in new]
            backend.insert(connection, object_, objects.COLUMNS, rows)
            ids += new
    assert len(ids) == len(set(ids)) == 6 and ids == sorted(ids)


def test_the_clock_is_utc(backend: Backend) -> None:
    with backend.read() as connection:
        offset = backend.now(connection).utcoffset()
    assert offset is not None and not offset


def test_a_database_of_a_newer_version_is_refused_with_advice(backend: Backend, database: str) -> None:
    with backend.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    backend.close()
    with pytest.raises(errors.NewerSchema, match="newer version"):
        open_store(database, upgrade=True)


def test_an_older_database_is_migrated_only_when_that_was_asked_for(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(database).close()
    monkeypatch.setattr(migrations, "REVISIONS", (*migrations.REVISIONS, "0099"))
    monkeypatch.setattr(migrations, "HEAD", "0099")
    asked: list[object] = []
    monkeypatch.setattr(migrations, "upgrade", asked.append)
    with pytest.raises(errors.OlderSchema, match="metasync migrate"):
        open_store(database)
    assert not asked
    open_store(database, upgrade=True).close()
    assert len(asked) == 1


def test_an_empty_database_is_filled_only_when_that_was_asked_for(database: str) -> None:
    with pytest.raises(errors.StoreMissing, match="metasync load"):
        open_store(database, create=False)
    open_store(database).close()
    open_store(database, create=False).close()
