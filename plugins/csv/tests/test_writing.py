"""What changes do to a file: exactly what was approved, and nothing to the rest of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metasync.contract import Kind, Operation, Outcome, Presence, Reference, Values

from .harness import Changes, connect, put, read, rows, write

PEOPLE = "id,name,enabled,mail,manager,phones\n1,Anna,true,anna@a.test,,a|b\n2,Bert,true,bert@a.test,1,\n"
OPTIONS = {"multi_valued": ["phones"], "unique": ["mail"], "sign_in": ["mail"]}


@pytest.fixture
def change() -> Changes:
    return Changes()


# -- what is written ---------------------------------------------------------------------------------------------------


def test_rows_that_are_not_touched_keep_every_byte(tmp_path: Path, change: Changes) -> None:
    before = 'id,"name",title\r\n\r\n1,"Anna",x\n2,Bert,"y"\r3,ragged\r\n4,"a\nb",\0\r\n5,E\'e,z'
    path = put(tmp_path / "people.csv", before)
    result, created = write(
        connect(path),
        change(Operation.UPDATE, "2", {"title": "new, quoted"}, {"title": "y"}),
        change(Operation.CREATE, after={"id": "6", "title": "t"}),
    )
    assert (result.outcome, created.outcome) == (Outcome.APPLIED, Outcome.APPLIED)
    expected = 'id,"name",title\r\n\r\n1,"Anna",x\n2,Bert,"new, quoted"\r\n3,ragged\r\n4,"a\nb",\0\r\n5,E\'e,z\r\n6,,t\r\n'
    assert path.read_bytes() == expected.encode()


@pytest.mark.parametrize(
    ("newline", "before", "after"),
    [
        ("keep", "id,t\n1,a\n", "id,t\n1,a\n2,b\n"),
        ("keep", "id,t\r\n1,a\r\n", "id,t\r\n1,a\r\n2,b\r\n"),
        ("keep", "id,t\r1,a\r", "id,t\r1,a\r2,b\r"),
        ("lf", "id,t\r\n1,a\r\n", "id,t\r\n1,a\r\n2,b\n"),
        ("crlf", "id,t\n1,a", "id,t\n1,a\r\n2,b\r\n"),
    ],
)
def test_new_rows_end_as_the_option_says(tmp_path: Path, change: Changes, newline: str, before: str, after: str) -> None:
    path = put(tmp_path / "people.csv", before)
    write(connect(path, newline=newline), change(Operation.CREATE, after={"id": "2", "t": "b"}))
    assert path.read_bytes() == after.encode()


def test_each_operation_does_what_its_name_says(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,name,ou,enabled,mail,title\n1,Anna,Sales,true,a@a.test,Chief\n2,Bert,,false,,\n3,Cora,,,,\n")
    connector = connect(path, columns={"path": "ou"}, sign_in=["mail"])
    results = write(
        connector,
        change(Operation.RENAME, "1", {"name": "Anne"}, {"name": "Anna"}),
        change(Operation.MOVE, "1", {"path": "IT"}, {"path": "Sales"}),
        change(Operation.DISABLE, "1", {"enabled": False}, {"enabled": True}),
        change(Operation.ENABLE, "2", before={"enabled": False}),
        change(Operation.SIGN_IN, "1", {"mail": "anne@a.test"}, {"mail": "a@a.test"}),
        change(Operation.CLEAR, "1", {"title": None}, {"title": "Chief"}),
        change(Operation.UPDATE, "2", {"title": "Clerk", "name": "Bert"}, {"name": "Bert"}),
        change(Operation.DELETE, "3", before={"name": "Cora"}),
        change(Operation.CREATE, after={"anchor": "4", "name": "Dora", "path": "HR", "enabled": True, "title": "x"}),
    )
    assert [(result.outcome, result.already) for result in results] == [(Outcome.APPLIED, False)] * 9, results
    assert results[-1].anchor == "4"
    assert rows(path)[1:] == [
        ["1", "Anne", "IT", "false", "anne@a.test", ""],
        ["2", "Bert", "", "true", "", "Clerk"],
        ["4", "Dora", "HR", "true", "", "x"],
    ]


def test_everything_that_is_done_already_is_applied_and_the_file_is_not_replaced(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    inode = path.stat().st_ino
    results = write(
        connect(path, **OPTIONS),
        change(Operation.UPDATE, "1", {"name": "Anna", "phones": ("b", "a")}, {"name": "Other"}),
        change(Operation.ENABLE, "1", {"enabled": True}, {"enabled": False}),
        change(Operation.DELETE, "7"),
        change(Operation.CLEAR, "2", {"phones": None}, {"phones": ("x",)}),
        change(Operation.CREATE, after={"id": "2", "name": "Bert", "mail": "bert@a.test"}),
        change(Operation.UPDATE, "2", {"manager": Reference(value="1")}),
    )
    assert [(result.outcome, result.already) for result in results] == [(Outcome.APPLIED, True)] * 6, results
    assert path.stat().st_ino == inode


def test_an_unexpected_value_is_a_conflict_and_nothing_of_the_change_is_written(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    results = write(
        connect(path, **OPTIONS),
        change(Operation.UPDATE, "1", {"name": "New", "phones": ("c",)}, {"name": "Other", "phones": ("a", "b")}),
        change(Operation.UPDATE, "1", {"manager": Reference(value="2")}, {"manager": Reference(value="7")}),
        change(Operation.DELETE, "2", before={"name": "Somebody"}),
        change(Operation.UPDATE, "7", {"name": "x"}),
    )
    assert [result.outcome for result in results] == [Outcome.CONFLICT] * 4
    assert "column 'name' holds 'Anna', not 'Other': somebody changed it after the plan" in results[0].detail
    assert "has no row with the anchor '7' any more" in results[3].detail
    assert path.read_text() == PEOPLE


def test_a_create_over_another_row_is_a_conflict_in_any_spelling(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,name\nA1,Anna\n")
    results = write(connect(path), *(change(Operation.CREATE, after={"id": anchor, "name": "New"}) for anchor in ("A1", "a1", " A1 ")))
    assert {result.outcome for result in results} == {Outcome.CONFLICT} and "and it is not ours" in results[0].detail


def test_a_create_needs_an_anchor(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    (result,) = write(connect(path), change(Operation.CREATE, after={"name": "New"}))
    assert result.outcome is Outcome.REJECTED and "anchor column 'id'; add it to the profile's `map`" in result.detail


def test_the_mark_is_written_at_creation_and_makes_a_second_attempt_harmless(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,name,origin\n1,Anna,\n")
    connector = connect(path, mark="origin")
    create = change(Operation.CREATE, after={"id": "2", "name": "Bert"}, mark="metasync:abc")
    assert write(connector, create)[0].already is False
    put(path, path.read_text().replace("Bert", "Robert"))
    (again,) = write(connect(path, mark="origin"), create)
    assert (again.outcome, again.already, again.anchor) == (Outcome.APPLIED, True, "2"), "ours, and changed by somebody since"
    assert rows(path)[1:] == [["1", "Anna", ""], ["2", "Robert", "metasync:abc"]]
    other = change(Operation.CREATE, after={"id": "2", "name": "Robert"}, mark="metasync:def")
    assert write(connector, other)[0].outcome is Outcome.CONFLICT, "equal values, but another's mark"


def test_the_same_create_twice_in_one_call_makes_one_row(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,name,origin\n1,Anna,\n")
    create = change(Operation.CREATE, after={"id": "2", "name": "Bert"}, mark="metasync:abc")
    again = change(Operation.CREATE, after={"id": "2", "name": "Bert"}, mark="metasync:abc")
    assert [result.already for result in write(connect(path, mark="origin"), create, again)] == [False, True]
    assert len(rows(path)) == 3


def test_kinds_are_written_with_their_word(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "all.csv", "what,id,members\nperson,1,\n")
    connector = connect(path, kind_column="what", kinds={"person": "user", "human": "user", "team": "group"})
    results = write(
        connector,
        change(Operation.CREATE, after={"id": "2"}),
        change(Operation.CREATE, after={"id": "9", "members": (Reference(value="1"), Reference(value="2"))}, kind=Kind.GROUP),
        change(Operation.DELETE, "1", kind=Kind.GROUP),
        change(Operation.CREATE, after={"id": "3"}, kind=Kind.CONTACT),
        change(Operation.UPDATE, "1", {"what": "team"}, {"what": "person"}),
    )
    assert [result.outcome.value for result in results] == ["applied", "applied", "conflict", "rejected", "rejected"], results
    assert rows(path)[1:] == [["person", "1", ""], ["person", "2", ""], ["team", "9", "1|2"]]


def test_each_kind_goes_to_its_file_and_each_file_is_replaced_once(
    tmp_path: Path, change: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, groups = put(tmp_path / "people.csv", "id\n1\n"), put(tmp_path / "groups.csv", "id,members\n9,\n")
    replaced: list[str] = []
    from metasync_csv import connector as module

    real = module.put
    monkeypatch.setattr(module, "put", lambda staged, path: (replaced.append(Path(path).name), real(staged, path))[1])
    connector = connect(files={"user": str(people), "group": str(groups)})
    results = write(
        connector,
        change(Operation.CREATE, after={"id": "2"}),
        change(Operation.MEMBER_ADD, "9", kind=Kind.GROUP, member="2"),
        change(Operation.CREATE, after={"id": "1"}, kind=Kind.GROUP),
    )
    assert [result.outcome.value for result in results] == ["applied", "applied", "conflict"], "anchors are unique across files"
    assert sorted(replaced) == ["groups.csv", "people.csv"]
    assert rows(people)[1:] == [["1"], ["2"]] and rows(groups)[1:] == [["9", "2"]]


# -- references and members --------------------------------------------------------------------------------------------


def test_a_reference_by_another_attribute_is_written_as_that(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,mail,manager\n1,Anna@a.test,\n2,bert@a.test,\n3,,\n")
    connector = connect(path, references={"manager": "mail"})
    results = write(
        connector,
        change(Operation.UPDATE, "2", {"manager": Reference(value="1")}),
        change(Operation.UPDATE, "1", {"manager": Reference(value="bert@a.test", key="mail")}),
        change(Operation.UPDATE, "3", {"manager": Reference(value="3")}),
    )
    assert [result.outcome.value for result in results] == ["applied", "applied", "conflict"]
    assert "which has no 'mail' to be named by" in results[2].detail
    assert rows(path)[1:3] == [["1", "Anna@a.test", "bert@a.test"], ["2", "bert@a.test", "Anna@a.test"]]
    again = change(Operation.UPDATE, "2", {"manager": None}, {"manager": Reference(value="anna@A.test", key="mail")})
    assert write(connector, again)[0].outcome is Outcome.APPLIED, "whose address it is does not depend on case"


def test_a_reference_to_nobody_waits_for_another_plan(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    results = write(
        connect(path, **OPTIONS),
        change(Operation.UPDATE, "1", {"manager": Reference(value="7")}),
        change(Operation.UPDATE, "1", {"manager": Reference(key="created for", value="hr/7")}),
    )
    assert [result.outcome for result in results] == [Outcome.CONFLICT] * 2


def test_a_new_row_may_refer_to_itself_and_to_one_made_before_it(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    results = write(
        connect(path, **OPTIONS),
        change(Operation.CREATE, after={"id": "3", "manager": Reference(value="3")}),
        change(Operation.CREATE, after={"id": "4", "manager": Reference(value="3")}),
    )
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 2


def test_members_that_nobody_knows_stay_when_others_come_and_go(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "all.csv", "id,kind,members\n1,user,\n2,user,\n9,group,gone|1\n")
    connector = connect(path, kind_column="kind")
    results = write(
        connector,
        change(Operation.MEMBER_ADD, "9", kind=Kind.GROUP, member="2"),
        change(Operation.MEMBER_REMOVE, "9", kind=Kind.GROUP, member="1"),
        change(Operation.MEMBER_ADD, "9", kind=Kind.GROUP, member="2"),
        change(Operation.MEMBER_REMOVE, "9", kind=Kind.GROUP, member="1"),
        change(Operation.MEMBER_ADD, "9", kind=Kind.GROUP, member="unknown"),
    )
    assert [(result.outcome.value, result.already) for result in results] == [
        ("applied", False),
        ("applied", False),
        ("applied", True),
        ("applied", True),
        ("conflict", False),
    ]
    assert rows(path)[3] == ["9", "group", "gone|2"]


# -- what a file never takes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"name": "a\0b"}, "NUL"),
        ({"name": "a\ud800"}, "U+D800"),
        ({"name": "x" * 11}, "at most 10 characters"),
        ({"name": ("a", "b")}, "holds one value, not several"),
        ({"name": 17}, "holds strings, not int"),
        ({"name": True}, "holds strings, not bool"),
        ({"name": Reference(value="1")}, "holds strings, not Reference"),
        ({"manager": "1"}, "holds references, not str"),
        ({"enabled": "true"}, "holds booleans, not str"),
        ({"id": "7"}, "never changes"),
        ({"nickname": "x"}, "no column 'nickname'; add it to the header, or set `header: open`"),
    ],
)
def test_a_value_that_the_file_cannot_hold_is_rejected_alone(tmp_path: Path, change: Changes, after: dict[str, Values], words: str) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    connector = connect(path, max_lengths={"name": 10}, **OPTIONS)
    name: dict[str, Values] = {"name": "Anna", "id": "1", "enabled": True}
    bad, good = write(
        connector,
        change(Operation.UPDATE, "1", after, name),
        change(Operation.UPDATE, "2", {"name": "Robert"}, {"name": "Bert"}),
    )
    assert bad.outcome is Outcome.REJECTED and words in bad.detail and bad.detail.startswith("1: ")
    assert good.outcome is Outcome.APPLIED
    assert rows(path)[1] == ["1", "Anna", "true", "anna@a.test", "", "a|b"]


def test_what_the_dialect_cannot_write_is_rejected(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id;title\n1;a\n")
    connector = connect(path, delimiter=";", quote=None)
    first, second = write(
        connector,
        change(Operation.UPDATE, "1", {"title": "b;c"}, {"title": "a"}),
        change(Operation.UPDATE, "1", {"title": 'b "c"'}, {"title": "a"}),
    )
    assert first.outcome is Outcome.REJECTED and "`quote` and `escape` leave no way" in first.detail
    assert second.outcome is Outcome.APPLIED and path.read_text() == 'id;title\n1;b "c"\n'


def test_a_separator_without_escape_is_rejected(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    (result,) = write(
        connect(path, separator_escape=None, **OPTIONS), change(Operation.UPDATE, "1", {"phones": ("x|y",)}, {"phones": ("a", "b")})
    )
    assert result.outcome is Outcome.REJECTED and "holds the separator '|'" in result.detail


def test_a_time_that_the_format_cuts_short_is_rejected(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,hired\n1,\n")
    connector = connect(path, types={"hired": "time"}, time_format="%d.%m.%Y")
    first, second = write(
        connector,
        change(Operation.UPDATE, "1", {"hired": datetime(2024, 2, 29, 12, tzinfo=UTC)}),
        change(Operation.UPDATE, "1", {"hired": datetime(2024, 2, 29, tzinfo=UTC)}),
    )
    assert (first.outcome, second.outcome) == (Outcome.REJECTED, Outcome.APPLIED)
    assert rows(path)[1] == ["1", "29.02.2024"]


@pytest.mark.parametrize("operation", [Operation.PASSWORD, Operation.SID, Operation.RESTORE])
def test_what_no_file_can_do_is_rejected(tmp_path: Path, change: Changes, operation: Operation) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    assert write(connect(path), change(operation, "1"))[0].outcome is Outcome.REJECTED


def test_a_source_with_a_checksum_is_never_written(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    assert write(connect(path, checksum="sha256"), change(Operation.DELETE, "1"))[0].outcome is Outcome.REJECTED
    assert path.read_text() == PEOPLE


def test_a_unique_value_is_refused_whatever_its_case_and_free_again_once_its_owner_let_go(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", PEOPLE)
    taken, freed, moved = write(
        connect(path, **OPTIONS),
        change(Operation.SIGN_IN, "2", {"mail": "ANNA@a.test"}, {"mail": "bert@a.test"}),
        change(Operation.SIGN_IN, "1", {"mail": "new@a.test"}, {"mail": "anna@a.test"}),
        change(Operation.SIGN_IN, "2", {"mail": "ANNA@a.test"}, {"mail": "bert@a.test"}),
    )
    assert taken.outcome is Outcome.CONFLICT and "is taken in the unique column 'mail', by 1" in taken.detail
    assert (freed.outcome, moved.outcome) == (Outcome.APPLIED, Outcome.APPLIED)


@pytest.mark.parametrize("content", ["id,title\n1,a\n1,b\n", "id,title\n1,a\n 1 ,b\n", "id,title\n1\n", "id,title\n1,a,b\n"])
def test_duplicate_and_torn_rows_are_never_written_to(tmp_path: Path, change: Changes, content: str) -> None:
    path = put(tmp_path / "people.csv", content)
    results = write(
        connect(path),
        change(Operation.UPDATE, "1", {"title": "x"}, {"title": "a"}),
        change(Operation.DELETE, "1"),
        change(Operation.CREATE, after={"id": "1", "title": "a"}),
    )
    assert [result.outcome for result in results] == [Outcome.CONFLICT] * 3
    assert path.read_text() == content


# -- columns that are not there ----------------------------------------------------------------------------------------


def test_an_open_header_grows_with_the_first_value(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n2\n3,torn\n")
    connector = connect(path, header="open")
    cleared, updated = write(
        connector, change(Operation.CLEAR, "1", {"fax": None}), change(Operation.UPDATE, "2", {"title": "a, b"}, kind=Kind.USER)
    )
    assert cleared.already and updated.outcome is Outcome.APPLIED
    assert path.read_text() == 'id,title\n1,\n2,"a, b"\n3,torn\n'


def test_a_trailer_is_kept_up_to_date(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,a\nEND,1\n")
    connector = connect(path, trailer="END")
    write(connector, change(Operation.CREATE, after={"id": "2"}), change(Operation.CREATE, after={"id": "3"}))
    assert path.read_text() == "id,title\n1,a\n2,\n3,\nEND,3\n"
    assert set(read(connector)) == {"1", "2", "3"}


# -- reading back ------------------------------------------------------------------------------------------------------


def test_an_object_is_found_by_anchor_by_mark_and_by_planned_anchor(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,name,origin\n1,Anna,\n2,Bert,metasync:abc\n")
    connector = connect(path, mark="origin")
    found = list(
        connector.find(
            [
                change(Operation.UPDATE, "1", {"name": "x"}, {"name": "y"}),
                change(Operation.CREATE, after={"id": "7", "name": "x"}, mark="metasync:abc"),
                change(Operation.CREATE, after={"id": "1", "name": "x"}, mark="metasync:def"),
                change(Operation.DELETE, "3"),
                change(Operation.CREATE, after={"id": "3"}, mark="metasync:ghi"),
            ]
        )
    )
    assert [(one.presence, one.anchor, one.by_mark) for one in found] == [
        (Presence.PRESENT, "1", False),
        (Presence.PRESENT, "2", True),
        (Presence.PRESENT, "1", False),
        (Presence.ABSENT, None, False),
        (Presence.ABSENT, None, False),
    ]
    assert found[0].attributes == {"name": "Anna"} and found[1].attributes == {"id": "2", "name": "Bert"}


def test_what_cannot_be_told_is_unknown(tmp_path: Path, change: Changes) -> None:
    path = put(tmp_path / "people.csv", "id,enabled\n1,true\n1,true\n2\n3,perhaps\n")
    found = list(connect(path).find([change(Operation.UPDATE, anchor, {"enabled": True}) for anchor in "123"]))
    assert [one.presence for one in found] == [Presence.UNKNOWN] * 3 and all(one.detail for one in found)


# -- round trip --------------------------------------------------------------------------------------------------------

TEXTS = st.text(min_size=1, max_size=20)
ROW = st.fixed_dictionaries(
    {},
    optional={
        "title": TEXTS,
        "phones": st.lists(TEXTS, min_size=1, max_size=4, unique=True).map(tuple),
        "badge": st.integers(),
        "hired": st.datetimes(timezones=st.just(UTC)),
        "photo": st.binary(min_size=1, max_size=20),
        "remote": st.booleans(),
    },
)
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "tab", "|"]),
        "quote": st.sampled_from(['"', "'", None]),
        "escape": st.sampled_from([None, "\\"]),
        "quote_all": st.booleans(),
        "newline": st.sampled_from(["crlf", "lf"]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
        "separator": st.sampled_from(["|", ";", ","]),
        "separator_escape": st.sampled_from(["\\", "^", None]),
        "formulas": st.sampled_from(["refuse", "escape", "raw"]),
    }
)


@settings(max_examples=300, deadline=None)
@given(given_rows=st.lists(ROW, min_size=1, max_size=5), dialect=DIALECTS)
def test_whatever_is_written_is_read_back_equal_or_was_rejected(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[dict[str, Values]], dialect: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("trip") / "people.csv"
    columns = ["title", "phones", "id", "badge", "hired", "photo", "remote"]
    types = {"badge": "integer", "hired": "time", "photo": "bytes", "remote": "boolean"}
    connector = connect(path, create=columns, multi_valued=["phones"], types=types, may_be_empty=True, **dialect)
    change = Changes()
    creates = [change(Operation.CREATE, after={"id": f"n{number}", **row}) for number, row in enumerate(given_rows)]
    results = write(connector, *creates)
    written = {
        f"n{number}": row for number, (row, result) in enumerate(zip(given_rows, results, strict=True)) if result.outcome is Outcome.APPLIED
    }
    assert all(result.outcome is Outcome.REJECTED and result.detail for result in results if result.outcome is not Outcome.APPLIED)
    if dialect["formulas"] != "refuse" and dialect["encoding"] != "cp1252" and dialect["quote"] and dialect["separator_escape"]:
        assert all("NUL" in result.detail or "U+D" in result.detail for result in results if result.detail), "nothing else is in the way"
    before = path.read_bytes() if path.exists() else b""
    assert read(connector, *columns[:2], *columns[3:]) == {anchor: {**row} for anchor, row in written.items()}
    again = write(connector, *creates)
    assert [result.already for result in again] == [result.outcome is Outcome.APPLIED for result in results]
    assert (path.read_bytes() if path.exists() else b"") == before, "what is there already is not written again"
