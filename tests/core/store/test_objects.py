"""Objects are found by their anchor in their own directory, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from metasync.store import Backend, codec, directories, match_keys, objects, open_store
from metasync.store.rows import State
from metasync.store.tables import engagement, object_


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    opened = open_store(str(tmp_path / "metasync.db"))
    with opened.write() as connection:
        connection.execute(insert(engagement).values(name="contoso", created=opened.now(connection)))
        directories.ensure(connection, 1, {"one": "csv", "two": "csv", "three": "csv"})
        for directory_id in (1, 2, 3):
            add(opened, connection, directory_id, f"a{directory_id}", f"b{directory_id}", "shared")
    yield opened
    opened.close()


def add(backend: Backend, connection: object, directory_id: int, *anchors: str) -> None:
    ids = backend.reserve_ids(connection, object_, len(anchors))  # type: ignore[arg-type]
    plain, blob, digest, _ = codec.pack({})
    assert not plain
    rows = [
        (one, 1, directory_id, "user", anchor, anchor, "live", digest, blob, 1, None, False, None)
        for one, anchor in zip(ids, anchors, strict=True)
    ]
    backend.insert(connection, object_, objects.COLUMNS, rows)  # type: ignore[arg-type]


def seen_by_all_queries(backend: Backend, directory_id: int) -> list[set[str]]:
    wanted = ["a1", "a2", "a3", "b1", "b2", "b3", "shared"]
    with backend.read() as connection:
        return [
            set(objects.known(backend, connection, directory_id, wanted)),
            set(objects.ids_by_anchor(connection, directory_id, wanted)),
            {row[2] for row in objects.images(connection, directory_id)},
            {row.anchor for row in objects.get(connection, list(objects.ids(connection, directory_id))).values()},
        ]


def test_a_directorys_own_objects_are_found_before_and_after_each_index_is_built(backend: Backend) -> None:
    """SQLite would read another directory's index if none had been there when the statements were prepared."""
    for built in (None, 1, 2, 3):
        if built:
            with backend.write() as connection:
                objects.build_indexes(connection, built)
        for directory_id in (1, 2, 3, 2, 1):
            expected = {f"a{directory_id}", f"b{directory_id}", "shared"}
            assert seen_by_all_queries(backend, directory_id) == [expected] * 4
            with backend.read() as connection:
                assert objects.any_objects(connection, directory_id)
                assert objects.count(connection, directory_id) == {State.LIVE: 3}


def test_anchors_are_unique_once_the_index_is_built(backend: Backend) -> None:
    with backend.write() as connection:
        assert not objects.has_anchor_index(connection, 2)
        objects.build_indexes(connection, 2)
        assert objects.has_anchor_index(connection, 2) and not objects.has_anchor_index(connection, 1)
    with pytest.raises(IntegrityError), backend.write() as connection:
        add(backend, connection, 2, "a2")
    with backend.write() as connection:
        add(backend, connection, 1, "a1")
        assert [len(found) for found in objects.repeated_anchors(connection, 1).values()] == [2]
    with pytest.raises(IntegrityError), backend.write() as connection:
        objects.build_indexes(connection, 1)


def test_an_identity_is_named_by_a_key_only_where_it_is_the_only_one(backend: Backend) -> None:
    with backend.write() as connection:
        keys = [(1, 1, "mail", "a"), (1, 1, "mail", "b"), (1, 2, "mail", "b"), (2, 4, "mail", "c")]
        match_keys.insert(backend, connection, keys)
        assert match_keys.bearer_of_each(connection, [1], "mail", ["a", "b", "c"]) == {"a": 1}
        objects.set_state(backend, connection, [2], State.GONE, None)
        assert match_keys.bearer_of_each(connection, [1], "mail", ["a", "b", "c"]) == {"a": 1, "b": 1}
