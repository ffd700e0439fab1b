"""What the connector says of a file: identity, rights, schema."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metasync.contract import CAPABILITIES, Allow, Equality, Kind, Operation, Role, Type, Unavailable, Unique, capabilities
from metasync_csv.connector import CsvConnector
from metasync_csv.plugin import metasync_register_connectors

from .harness import Changes, connect, put, read, write


def test_the_plugin_registers_the_connector() -> None:
    assert list(metasync_register_connectors()) == [CsvConnector]
    assert CsvConnector.name == "csv" and CsvConnector.commit_size == 100
    assert capabilities(CsvConnector) == ("follows changes", "writes") and set(capabilities(CsvConnector)) <= set(CAPABILITIES)
    assert Operation.CREATE not in CsvConnector.idempotent


def test_the_identity_is_path_anchor_and_header_and_never_the_inode(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,name,mail\n1,a,b\n")
    identity = connect(path).check().identity
    assert str(path.resolve()) in identity
    put(path, "id,mail,name\n1,b,a\n2,c,d\n")
    assert connect(path).check().identity == identity, "another inode, other rows and another order of columns are the same directory"
    assert connect(path, anchor="mail").check().identity != identity
    assert connect(put(tmp_path / "other.csv", "id,name,mail\n")).check().identity != identity
    put(path, "id,name,mail,title\n1,a,b,c\n")
    assert connect(path).check().identity != identity, "another header is another file, unless it is declared open"


def test_a_link_that_is_turned_to_another_file_is_another_directory(tmp_path: Path) -> None:
    put(tmp_path / "one.csv", "id\n1\n")
    put(tmp_path / "two.csv", "id\n1\n")
    link = tmp_path / "people.csv"
    link.symlink_to("one.csv")
    identity = connect(link).check().identity
    link.unlink()
    link.symlink_to("two.csv")
    assert connect(link).check().identity != identity


def test_an_open_header_is_no_part_of_the_identity(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n")
    identity = connect(path, header="open").check().identity
    put(path, "id,name\n1,a\n")
    assert connect(path, header="open").check().identity == identity


def test_what_metasync_adds_itself_does_not_change_the_identity(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,name\n1,a\n")
    connector = connect(path, mark="origin")
    before = connector.check()
    assert "no column 'origin' for the mark" in before.warnings[0]
    write(connector, Changes()(Operation.CREATE, after={"id": "2"}, mark="metasync:1"))
    assert path.read_text() == "id,name,origin\n1,a,\n2,,metasync:1\n"
    after = connector.check()
    assert after.identity == before.identity and after.warnings == ()
    assert connector.discover() == connect(path, mark="origin").discover()


def test_a_target_has_its_identity_before_it_exists(tmp_path: Path) -> None:
    connector = connect(tmp_path / "new.csv", create=["id", "name"])
    before = connector.check()
    assert "does not exist yet" in before.warnings[0]
    write(connector, Changes()(Operation.CREATE, after={"id": "1"}))
    assert connector.check().identity == before.identity


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    for ask in (connect(tmp_path / "people.csv").check, connect(tmp_path / "people.csv").discover):
        with pytest.raises(Unavailable, match="does not exist"):
            ask()
    with pytest.raises(Unavailable, match="a directory"):
        connect(tmp_path).check()


def test_rights_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n")
    check = connect(path).check()
    assert check.granted[0] == f"read {path}" and check.granted[1].startswith(f"write in the folder {tmp_path}")
    assert check.missing == () and check.excessive == ()
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    check = connect(path).check()
    assert check.granted == (f"read {path}",) and check.missing == () and "is not writable" in check.warnings[0]
    assert connect(path, checksum="sha256").check().missing == (), "a source needs no right to write"


def test_the_schema_says_what_each_column_is(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,displayName,active,ou,login,mail,phones,badge,boss,title\n1,,,,,,,,,\n")
    connector = connect(
        path,
        columns={"name": "displayName", "enabled": "active", "path": "ou", "manager": "boss"},
        unique=["mail"],
        sign_in=["login"],
        multi_valued=["phones"],
        types={"badge": "integer"},
        max_lengths={"title": 20},
    )
    schema = connector.discover().kinds[Kind.USER]
    known = schema.attributes
    assert (known["id"].role, known["id"].equality, known["id"].allow) == (
        Role.ANCHOR,
        Equality.IGNORE_SPACE,
        frozenset({Allow.READ, Allow.CREATE}),
    )
    assert (known["displayName"].alias, known["displayName"].role) == ("name", Role.NAME)
    assert (known["active"].alias, known["active"].role, known["active"].type) == ("enabled", Role.ENABLED, Type.BOOLEAN)
    assert (known["ou"].alias, known["ou"].role) == ("path", Role.PATH)
    assert (known["boss"].alias, known["boss"].type) == ("manager", Type.REFERENCE)
    assert known["login"].role is Role.SIGN_IN and known["mail"].unique is Unique.DIRECTORY
    assert known["phones"].multi and known["badge"].type is Type.INTEGER and known["title"].max_length == 20
    assert schema.operations == frozenset(
        {
            Operation.CREATE,
            Operation.UPDATE,
            Operation.CLEAR,
            Operation.DELETE,
            Operation.RENAME,
            Operation.MOVE,
            Operation.ENABLE,
            Operation.DISABLE,
            Operation.SIGN_IN,
        }
    )
    assert not schema.open and connect(path, header="open").discover().kinds[Kind.USER].open


def test_only_groups_have_members_in_a_file_with_several_kinds(tmp_path: Path) -> None:
    path = put(tmp_path / "all.csv", "id,what,members\n1,user,\n")
    kinds = connect(path, kind_column="what", kinds={"user": "user", "group": "group"}).discover().kinds
    assert Operation.MEMBER_ADD in kinds[Kind.GROUP].operations and "members" in kinds[Kind.GROUP].attributes
    assert Operation.MEMBER_ADD not in kinds[Kind.USER].operations and "members" not in kinds[Kind.USER].attributes
    assert kinds[Kind.USER].attributes["what"].allow == frozenset({Allow.READ})


def test_a_file_with_a_checksum_is_a_source_only(tmp_path: Path) -> None:
    kind = connect(put(tmp_path / "people.csv", "id\n1\n"), checksum="sha256").discover().kinds[Kind.USER]
    assert kind.operations == frozenset() and kind.attributes["id"].allow == frozenset({Allow.READ})


def test_two_attributes_never_have_one_standard_name(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,name,displayName\n1,a,b\n")
    connector = connect(path, columns={"name": "displayName"})
    assert set(connector.discover().kinds[Kind.USER].attributes) == {"id", "displayName"}
    assert read(connector, "name") == {"1": {"name": "b"}}
