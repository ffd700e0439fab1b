"""What a file becomes: entries, kinds, typed values, pages."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metasync.contract import Entry, Kind, Reference, Unavailable

from .harness import connect, entries, items, put, read, rejects, request


def test_a_row_is_an_entry_with_its_anchor(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,mail,title\n1,anna@a.test,Chief\n")
    assert read(connect(path), "mail", "title") == {"1": {"mail": "anna@a.test", "title": "Chief"}}


def test_an_empty_cell_is_an_absent_attribute(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", 'id,mail,title\n1,,""\n2,b@a.test, \n')
    assert read(connect(path), "mail", "title") == {"1": {}, "2": {"mail": "b@a.test", "title": " "}}


def test_only_what_is_requested_is_delivered(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,mail,title\n1,a@a.test,Chief\n")
    assert read(connect(path), "title") == {"1": {"title": "Chief"}}
    assert read(connect(path)) == {"1": {}}


def test_the_anchor_column_can_be_requested_by_its_name_and_as_anchor(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,mail\n 1 ,a@a.test\n")
    assert read(connect(path), "id", "anchor") == {"1": {"id": "1", "anchor": "1"}}


def test_standard_attributes_are_read_under_their_names(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,displayName,active,ou,boss\n1,Anna,yes,Sales,\n2,Bert,NO,,1\n")
    connector = connect(path, columns={"name": "displayName", "enabled": "active", "path": "ou", "manager": "boss"})
    assert read(connector, "name", "enabled", "path", "manager", "displayName") == {
        "1": {"name": "Anna", "displayName": "Anna", "enabled": True, "path": "Sales"},
        "2": {"name": "Bert", "displayName": "Bert", "enabled": False, "manager": Reference(value="1")},
    }


def test_a_column_with_a_standard_name_has_its_meaning_until_that_is_taken_away(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,manager\n1,2\n")
    assert read(connect(path), "manager") == {"1": {"manager": Reference(value="2")}}
    assert read(connect(path, columns={"manager": None}), "manager") == {"1": {"manager": "2"}}


def test_a_reference_may_be_by_another_attribute(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,mail,manager\n1,anna@a.test,\n2,,anna@a.test\n")
    reference = Reference(value="anna@a.test", key="mail")
    assert read(connect(path, references={"manager": "mail"}), "manager")["2"] == {"manager": reference}


def test_typed_columns_are_read_by_their_type(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,badge,hired,remote,photo\n1,007,2024-02-29T12:00:00+02:00,Y,aGk=\n2,-5,2024-02-29,0,\n")
    connector = connect(path, types={"badge": "integer", "hired": "time", "remote": "boolean", "photo": "bytes"})
    assert read(connector, "badge", "hired", "remote", "photo") == {
        "1": {"badge": 7, "hired": datetime(2024, 2, 29, 10, tzinfo=UTC), "remote": True, "photo": b"hi"},
        "2": {"badge": -5, "hired": datetime(2024, 2, 29, tzinfo=UTC), "remote": False},
    }


def test_a_time_format_is_obeyed(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,hired\n1,29.02.2024\n")
    connector = connect(path, types={"hired": "time"}, time_format="%d.%m.%Y")
    assert read(connector, "hired") == {"1": {"hired": datetime(2024, 2, 29, tzinfo=UTC)}}


@pytest.mark.parametrize(
    ("column", "kind", "cell"),
    [
        ("badge", "integer", "1_000"),
        ("badge", "integer", "١٢"),
        ("badge", "integer", "twelve"),
        ("hired", "time", "2024-02-30"),
        ("remote", "boolean", "perhaps"),
        ("photo", "bytes", "no base64!"),
    ],
)
def test_a_cell_that_is_not_of_its_type_rejects_its_row_alone(tmp_path: Path, column: str, kind: str, cell: str) -> None:
    path = put(tmp_path / "people.csv", f"id,{column},title\n1,{cell},Chief\n2,,Clerk\n")
    found = items(connect(path, types={column: kind}).read(request(column, "title")))
    assert entries(found) == {"2": {"title": "Clerk"}}
    (reject,) = rejects(found)
    assert reject.anchor == "1" and reject.where == "people.csv row 2" and repr(column) in reject.reason


def test_multi_valued_cells_are_split_without_losing_escaped_separators(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,phones\n1,a|b||a\n2,a\\|b|c\\\\|d\\x\n3,|\n")
    assert read(connect(path, multi_valued=["phones"]), "phones") == {
        "1": {"phones": ("a", "b")},
        "2": {"phones": ("a|b", "c\\", "d\\x")},
        "3": {},
    }


def test_members_are_references(tmp_path: Path) -> None:
    path = put(tmp_path / "groups.csv", "id,members\n9,1; 2\n")
    found = read(connect(path, kind="group", separator=";"), "members", kinds=[Kind.GROUP])
    assert found == {"9": {"members": (Reference(value="1"), Reference(value="2"))}}


def test_a_kind_column_tells_the_kinds_apart(tmp_path: Path) -> None:
    path = put(tmp_path / "all.csv", "id,what,title\n1,Person,Chief\n2,team,\n3,robot,\n4,alien,\n")
    connector = connect(path, kind_column="what", kinds={"person": "user", "team": "group", "robot": "ignore"})
    found = items(connector.read(request("title", kinds=[Kind.USER, Kind.GROUP])))
    assert [(item.anchor, item.kind) for item in found if isinstance(item, Entry)] == [("1", Kind.USER), ("2", Kind.GROUP)]
    (reject,) = rejects(found)
    assert reject.anchor == "4" and "'alien' is no kind; known are person, team, robot" in reject.reason
    only = items(connector.read(request("title", kinds=[Kind.GROUP])))
    assert [item.anchor for item in only] == ["2", "4"], "a row of an unknown kind may be of the requested one"


def test_each_kind_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    put(tmp_path / "people.csv", "id,title\n1,Chief\n")
    put(tmp_path / "groups.csv", "id,members\n9,1\n")
    connector = connect(files={"user": str(tmp_path / "people.csv"), "group": str(tmp_path / "groups.csv")})
    kinds = [Kind.USER, Kind.GROUP]
    assert read(connector, "members", kinds=[Kind.GROUP]) == {"9": {"members": (Reference(value="1"),)}}
    assert read(connector, kinds=kinds) == {"1": {}, "9": {}}
    assert set(connector.discover().kinds) == set(kinds)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"delimiter": ";"}, "1;'Doe, John'"),
        ({"delimiter": "tab"}, "1\t'Doe, John'"),
        ({"quote": '"'}, "1,\"'Doe, John'\""),
        ({"quote": "%"}, "1,%'Doe, John'%"),
        ({"quote": None, "escape": "\\"}, "1,'Doe\\, John'"),
        ({"quote": '"', "escape": "^"}, "1,'Doe^, John'"),
    ],
)
def test_the_dialect_is_as_the_options_say(tmp_path: Path, options: dict[str, str], line: str) -> None:
    delimiter = {"tab": "\t"}.get(options.get("delimiter", ","), options.get("delimiter", ","))
    path = put(tmp_path / "people.csv", f"id{delimiter}title\n{line}\n")
    assert read(connect(path, **options), "title") == {"1": {"title": "'Doe, John'"}}


def test_line_ends_may_be_mixed_and_stand_inside_cells(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", 'id,title\r\n1,a\n2,"b\r\nc\rd"\r3,e\r\n\r\n\n')
    assert read(connect(path), "title") == {"1": {"title": "a"}, "2": {"title": "b\r\nc\rd"}, "3": {"title": "e"}}


def test_gzip_is_known_by_its_name_or_by_option(tmp_path: Path) -> None:
    data = gzip.compress(b"id,title\n1,Chief\n")
    assert read(connect(put(tmp_path / "people.csv.gz", data)), "title") == {"1": {"title": "Chief"}}
    assert read(connect(put(tmp_path / "people.dat", data), gzip=True), "title") == {"1": {"title": "Chief"}}


def test_a_very_long_cell_is_taken_up_to_the_field_size(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", f"id,title\n1,{'x' * 200_000}\n2,short\n")
    assert len(str(read(connect(path), "title")["1"]["title"])) == 200_000
    found = items(connect(path, field_size=100_000).read(request("title")))
    assert entries(found) == {"2": {"title": "short"}}
    assert "200000 characters, more than the 100000 of `field size`" in rejects(found)[0].reason


def test_pages_hold_at_most_their_size_and_the_last_one_says_complete(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n" + "".join(f"{number}\n" for number in range(7)))
    pages = list(connect(path).read(request(page_size=3)))
    assert [len(page.items) for page in pages] == [3, 3, 1, 0]
    assert [page.complete for page in pages] == [False, False, False, True]


def test_a_stopped_read_ends_without_saying_complete(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n" + "".join(f"{number}\n" for number in range(7)))
    connector = connect(path)
    pages = connector.read(request(page_size=2))
    next(pages)
    connector.context.ask_to_stop()  # type: ignore[attr-defined]
    assert list(pages) == []


def test_a_read_beyond_its_deadline_is_given_up(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n")
    connector = connect(path)
    connector.context.deadline = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(Unavailable, match="took longer than it may"):
        list(connector.read(request()))


def test_two_hundred_columns_with_hostile_names_are_read(tmp_path: Path) -> None:
    """Names enter the compiled row builder as constants: none can become code."""
    names = ['a"b', "it's", "x]=1;raise", "{cell}", "new\nline", "\\", "ü", *(f"c{number}" for number in range(200))]
    quoted = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    path = put(tmp_path / "people.csv", f"id,{quoted}\n1,{','.join(str(at) for at in range(len(names)))}\n")
    assert read(connect(path), *names) == {"1": {name: str(at) for at, name in enumerate(names)}}
