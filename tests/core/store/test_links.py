"""Links are found by what they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from metasync.store import Backend, codec, directories, links, objects, open_store
from metasync.store.tables import engagement, object_


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    opened = open_store(str(tmp_path / "metasync.db"))
    with opened.write() as connection:
        connection.execute(insert(engagement).values(name="contoso", created=opened.now(connection)))
        directories.ensure(connection, 1, {"one": "csv", "two": "csv"})
        plain, blob, digest, _ = codec.pack({})
        assert not plain
        row = (1, 1, 1, "user", "a", "a", "live", digest, blob, 1, None, False, None)
        opened.insert(connection, object_, objects.COLUMNS, [row])
    yield opened
    opened.close()


def test_the_names_by_which_references_are_made_are_found_one_by_one(backend: Backend) -> None:
    with backend.write() as connection:
        rows = [links.Link(1, "manager", key, str(number)) for key in ("anchor", "mail", "Staff") for number in range(50)]
        links.add(backend, connection, [(1, *row) for row in rows])
        assert links.key_names(connection, 1) == {"mail", "Staff"}
        assert links.key_names(connection, 2) == set()
