"""Delta by digest: the same bytes are no change, other bytes are read whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metasync.contract import CursorExpired, Kind, Operation, Page, SourceEmpty
from metasync_csv.connector import CsvConnector

from .harness import Changes, connect, entries, items, put, request, write


def cursor_of(connector: CsvConnector, *attributes: str) -> str:
    cursor = list(connector.read(request(*attributes)))[-1].cursor
    assert cursor
    return cursor


def test_the_same_bytes_are_one_empty_complete_page(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,Chief\n")
    cursor = cursor_of(connect(path), "title")
    os.utime(path, (1, 1))
    put(path, "id,title\n1,Chief\n")
    assert list(connect(path).follow(request("title"), cursor)) == [Page(complete=True, cursor=cursor)]


def test_other_bytes_list_everything(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,Chief\n2,Clerk\n")
    connector = connect(path)
    cursor = cursor_of(connector, "title")
    put(path, "id,title\n2,Boss\n")
    pages = list(connector.follow(request("title"), cursor))
    assert pages[-1].complete and pages[-1].everything and pages[-1].cursor not in (None, cursor)
    assert entries(items(pages)) == {"2": {"title": "Boss"}}


def test_another_request_or_other_options_are_no_same_state(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title,mail\n1,Chief,a\n")
    cursor = cursor_of(connect(path), "title")
    assert list(connect(path).follow(request("title", "mail"), cursor))[-1].everything
    assert list(connect(path, multi_valued=["title"]).follow(request("title"), cursor))[-1].everything
    assert list(connect(path, kind="contact").follow(request("title", kinds=[Kind.CONTACT]), cursor))[-1].everything


@pytest.mark.parametrize("cursor", ["", "0", "uSN:17", "csv0:abc"])
def test_a_foreign_cursor_has_expired(tmp_path: Path, cursor: str) -> None:
    connector = connect(put(tmp_path / "people.csv", "id\n1\n"))
    with pytest.raises(CursorExpired):
        list(connector.follow(request(), cursor))


def test_a_file_that_vanished_or_was_emptied_is_held(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n")
    connector = connect(path)
    cursor = cursor_of(connector)
    put(path, "id\n")
    with pytest.raises(SourceEmpty):
        list(connector.follow(request(), cursor))
    path.unlink()
    with pytest.raises(SourceEmpty):
        list(connector.follow(request(), cursor))


def test_a_target_that_does_not_exist_yet_has_a_cursor_too(tmp_path: Path) -> None:
    connector = connect(tmp_path / "new.csv", create=["id", "title"])
    cursor = cursor_of(connector, "title")
    assert len(list(connector.follow(request("title"), cursor))) == 1
    write(connector, Changes()(Operation.CREATE, after={"id": "1", "title": "Chief"}))
    assert entries(items(connector.follow(request("title"), cursor))) == {"1": {"title": "Chief"}}


def test_a_target_that_was_there_and_vanished_is_held_although_it_may_be_created(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n")
    connector = connect(path, create=["id"])
    cursor = cursor_of(connector)
    path.unlink()
    with pytest.raises(SourceEmpty, match="was there at the last import"):
        list(connector.follow(request(), cursor))
