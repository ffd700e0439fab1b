"""How a file must not quietly become deletions: torn, growing, empty, ambiguous files (fault plan, rows 17 to 20)."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metasync.contract import ImportIncomplete, Kind, SourceEmpty, Unavailable
from metasync_csv.values import folded

from .harness import connect, entries, items, put, read, rejects, request

# -- empty sources -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\n\n", "id,mail\n", "id,mail", "\ufeff", "\ufeffid,mail\r\n\r\n"])
def test_a_file_without_rows_is_held(tmp_path: Path, content: str) -> None:
    with pytest.raises(SourceEmpty, match="nothing was deleted"):
        list(connect(put(tmp_path / "people.csv", content)).read(request("mail")))


@pytest.mark.parametrize(
    ("content", "words"), [("", "is empty (0 bytes)"), ("\n\n", "has no header: its 2 bytes hold no row"), (None, "does not exist")]
)
def test_a_file_without_a_header_says_why(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "people.csv"
    if content is not None:
        put(path, content)
    with pytest.raises(Unavailable) as raised:
        connect(path).check()
    assert f"{path} {words}" in str(raised.value)
    with pytest.raises(SourceEmpty) as empty:
        list(connect(path).read(request()))
    assert f"{path} {words}" in str(empty.value)


def test_a_missing_file_and_a_directory_are_held(tmp_path: Path) -> None:
    with pytest.raises(SourceEmpty, match="does not exist"):
        list(connect(tmp_path / "people.csv").read(request()))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceEmpty, match="a directory"):
        list(connect(tmp_path / "folder.csv").read(request()))


def test_an_empty_file_is_accepted_where_the_document_says_so(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,mail\n")
    assert read(connect(path, may_be_empty=True), "mail") == {}
    with pytest.raises(SourceEmpty, match="no header"):
        list(connect(put(path, ""), may_be_empty=True).read(request()))


def test_one_missing_file_of_several_is_held(tmp_path: Path) -> None:
    put(tmp_path / "people.csv", "id\n1\n")
    connector = connect(files={"user": str(tmp_path / "people.csv"), "group": str(tmp_path / "groups.csv")})
    with pytest.raises(SourceEmpty, match=r"groups\.csv does not exist"):
        list(connector.read(request(kinds=[Kind.USER, Kind.GROUP])))


# -- torn files --------------------------------------------------------------------------------------------------------


def test_a_ragged_row_is_rejected_and_never_a_clear(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,mail,title\n1,a@a.test\n2,b@a.test,Clerk\n3,c@a.test,Chief,extra\n")
    found = items(connect(path).read(request("mail", "title")))
    assert entries(found) == {"2": {"mail": "b@a.test", "title": "Clerk"}}
    assert [(reject.where, reject.anchor) for reject in rejects(found)] == [("people.csv row 2", "1"), ("people.csv row 4", "3")]
    assert "2 cells instead of 3" in rejects(found)[0].reason


def test_a_ragged_row_names_no_anchor_that_may_have_shifted(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "name,id,title\nDoe, John,1,Chief\nAnna,2,Clerk\n")
    found = items(connect(path).read(request("title")))
    assert entries(found) == {"2": {"title": "Clerk"}}
    assert [reject.anchor for reject in rejects(found)] == [None]


@pytest.mark.parametrize("content", ["id,mail,title\n1,a,b\n2,b@a.t", "id,mail,title\n1,a,b\n2", 'id,mail,title\n1,a,b\n2,"b@a.t'])
def test_a_file_that_ends_in_the_middle_of_a_row_delivers_nothing(tmp_path: Path, content: str) -> None:
    connector = connect(put(tmp_path / "people.csv", content))
    with pytest.raises(ImportIncomplete):
        next(connector.read(request("mail", page_size=1)))


@pytest.mark.parametrize(
    "content",
    ['id,title\n1,"a\n2,b\n3,c\n', 'id,title\n"1,a\n2,b\n', 'id,title\n1,a\n2,"b"x\n', 'id,title\n1,5" and 6",x"\n2,"b\n3,c\n'],
)
def test_an_unclosed_quote_swallows_no_rows(tmp_path: Path, content: str) -> None:
    with pytest.raises(ImportIncomplete, match="quote"):
        list(connect(put(tmp_path / "people.csv", content)).read(request("title", page_size=1)))


def test_an_endless_quoted_cell_is_given_up_early(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", 'id,title\n1,"' + "x,y\n" * 5_000)
    with pytest.raises(ImportIncomplete, match="never ends"):
        list(connect(path, field_size=100).read(request("title")))


def test_a_quote_inside_an_unquoted_cell_is_a_sign_like_any_other(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", 'id,title,room\n1,5" pipe,a\n2,6" by 7",b\n3,"8"" x",c\n4,x"y,"z\n,"\n')
    assert read(connect(path), "title", "room") == {
        "1": {"title": '5" pipe', "room": "a"},
        "2": {"title": '6" by 7"', "room": "b"},
        "3": {"title": '8" x', "room": "c"},
        "4": {"title": 'x"y', "room": "z\n,"},
    }


def test_nul_rejects_its_row(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,a\0b\n2,c\n\x003,d\n")
    found = items(connect(path).read(request("title")))
    assert entries(found) == {"2": {"title": "c"}}
    assert [(reject.anchor, "NUL" in reject.reason) for reject in rejects(found)] == [("1", True), (None, True)]


def test_a_row_without_an_anchor_is_rejected(tmp_path: Path) -> None:
    found = items(connect(put(tmp_path / "people.csv", "id,title\n ,a\n2,c\n")).read(request("title")))
    assert entries(found) == {"2": {"title": "c"}}
    assert "anchor column 'id' is empty" in rejects(found)[0].reason


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"id\n1\n2\n")[:-6], b"id\n1\n", gzip.compress(b"id\n1\n")[:12] + b"x" * 20],
    ids=["cut", "plain text", "damaged"],
)
def test_a_damaged_gzip_file_is_held(tmp_path: Path, data: bytes) -> None:
    with pytest.raises((ImportIncomplete, Unavailable)):
        list(connect(put(tmp_path / "people.csv.gz", data)).read(request()))


def test_a_missing_final_newline_is_held_only_where_it_was_promised(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,Chief")
    assert read(connect(path), "title") == {"1": {"title": "Chief"}}
    with pytest.raises(ImportIncomplete, match="line break"):
        list(connect(path, final_newline=True).read(request("title")))


# -- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,mail,mail\n1,a,b\n", "'mail' more than once"),
        ("ID,mail\n1,a\n", "did you mean 'ID'"),
        ("number,mail\n1,a\n", "it has 'number', 'mail'; check `anchor`, `delimiter` and `encoding`"),
        ("id;mail\n1;a\n", "check `anchor`, `delimiter`"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(tmp_path: Path, content: str, words: str) -> None:
    connector = connect(put(tmp_path / "people.csv", content))
    with pytest.raises(ImportIncomplete, match=words):
        list(connector.read(request("mail")))
    with pytest.raises(Unavailable, match=words):
        connector.discover()


def test_a_column_that_the_document_reads_and_the_file_has_no_more_is_no_clear(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,Chief\n")
    with pytest.raises(ImportIncomplete, match="no column 'mail', which the document reads"):
        list(connect(path).read(request("mail")))
    with pytest.raises(ImportIncomplete, match="no column 'boss'"):
        list(connect(path, columns={"manager": "boss"}).read(request("manager")))
    assert read(connect(path, header="open"), "mail") == {"1": {}}
    assert read(connect(path), "enabled", "members") == {"1": {}}, "a standard name that no option mentions has simply no column"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sign_in": ["mial"]}, "no column 'mial' (named under `sign-in`; did you mean 'mail'?)"),
        ({"unique": ["Mail"]}, "no column 'Mail' (named under `unique`; did you mean 'mail'?)"),
        ({"columns": {"enabled": "activ"}}, "no column 'activ' (named under `columns`; did you mean 'active'?)"),
        ({"max_lengths": {"zzz": 5}}, "no column 'zzz' (named under `max lengths`)"),
        ({"multi_valued": ["phone"]}, "no column 'phone' (named under `multi-valued`; did you mean 'phones'?)"),
        ({"types": {"Badge": "integer"}}, "no column 'Badge' (named under `types`)"),
        ({"references": {"bos": "anchor"}}, "no column 'bos' (named under `references`; did you mean 'boss'?)"),
        ({"references": {"boss": "mial"}}, "no column 'mial' (named under `references`; did you mean 'mail'?)"),
        ({"unique": ["enabled"]}, "no column 'enabled' (named under `unique`"),
        ({"unique": ["xx", "yy"], "sign_in": ["xx"]}, "no column 'xx' (named under `unique` and `sign-in`) and no column 'yy'"),
        ({"unique": ["nickname"], "mark": "origin"}, "no column 'nickname'"),
    ],
)
def test_a_column_that_an_option_names_must_be_there(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """Otherwise a misspelt name would leave the column without what the option was to give it: no limit, no check, no reference."""
    path = put(tmp_path / "people.csv", "id,mail,active,phones,boss\n1,,,,\n")
    connector = connect(path, **options)
    with pytest.raises(ImportIncomplete) as raised:
        list(connector.read(request("mail")))
    assert words in str(raised.value) and "its columns are 'id', 'mail', 'active', 'phones', 'boss'" in str(raised.value)
    for ask in (connector.check, connector.discover):
        with pytest.raises(Unavailable) as unavailable:
            ask()
        assert str(unavailable.value) == str(raised.value)
    assert read(connect(path, header="open", **options), "mail") == {"1": {}}


def test_an_option_may_name_a_standard_attribute_the_anchor_and_the_mark(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,mail,active,boss\n1,,,\n")
    options = {
        "columns": {"enabled": "active", "manager": "boss", "path": None},
        "unique": ["anchor", "mail"],
        "references": {"manager": "anchor", "boss": "id"},
        "max_lengths": {"enabled": 5, "origin": 40},
    }
    assert read(connect(path, mark="origin", **options), "mail") == {"1": {}}


def test_with_one_file_for_each_kind_a_column_must_stand_in_one_of_them(tmp_path: Path) -> None:
    files = {"user": put(tmp_path / "people.csv", "id,mail\n1,a\n"), "group": put(tmp_path / "groups.csv", "id,purpose\n9,x\n")}
    given = {kind: str(path) for kind, path in files.items()}
    assert read(connect(files=given, unique=["mail"], sign_in=["purpose"]), "mail") == {"1": {"mail": "a"}}
    with pytest.raises(
        ImportIncomplete, match=r"groups\.csv and .*people\.csv have no column 'x'.* their columns are 'id', 'purpose', 'mail'"
    ):
        list(connect(files=given, unique=["x"]).read(request("mail")))


def test_the_header_of_a_new_target_has_every_column_that_an_option_names(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no column 'mail'"):
        connect(tmp_path / "new.csv", create=["id", "name"], unique=["mail"]).check()
    assert connect(tmp_path / "new.csv", create=["id", "mail"], unique=["mail"]).check().warnings


# -- still being written -----------------------------------------------------------------------------------------------


def test_a_file_that_grows_while_it_is_read_is_held(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n" + "".join(f"{number}\n" for number in range(10)))
    pages = connect(path).read(request(page_size=5))
    next(pages)
    with path.open("a") as stream:
        stream.write("10\n")
    with pytest.raises(ImportIncomplete, match="still being written"):
        list(pages)


def test_a_file_that_is_changed_in_place_is_held_whatever_its_time_says(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title\n" + "".join(f"{number:05},aaaa\n" for number in range(100_000)))
    before = path.stat()
    pages = connect(path).read(request("title", page_size=5))
    next(pages)
    with path.open("r+") as stream:
        stream.seek(before.st_size - 5)
        stream.write("bbbb")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ImportIncomplete, match="still being written"):
        list(pages)


def test_a_file_that_is_replaced_while_it_is_read_is_read_whole_as_it_was(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n2\n3\n")
    connector = connect(path)
    pages = connector.read(request(page_size=1))
    first = next(pages)
    put(path, "id\n7\n8\n")
    rest = list(pages)
    found = [item for page in (first, *rest) for item in page.items]
    assert list(entries(found)) == ["1", "2", "3"]
    cursor = rest[-1].cursor
    assert cursor is not None
    assert list(entries(items(connector.follow(request(page_size=1), cursor)))) == ["7", "8"], "the next delta shows the new file"


def test_a_pause_may_be_demanded(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n")
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    with pytest.raises(ImportIncomplete, match="less than 60 s ago"):
        list(connect(path, quiet_for=60).read(request()))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert read(connect(path, quiet_for=60)) == {"1": {}}


@pytest.mark.parametrize(
    ("content", "held"),
    [
        ("id,title\n1,a\n2,b\nEND,2\n", False),
        ("id,title\n1,a\n2,b\nEND\n", False),
        ("id,title\n1,a\n2,b\nEND,", False),
        ("id,title\n1,a\n2,b\n", True),
        ("id,title\n1,a\nEND,2\n", True),
        ("id,title\n1,a\nEND,1\n2,b\n", True),
        ("id,title\n", True),
        ("id,title\nEND,0\n", True),
    ],
)
def test_a_trailer_proves_that_the_file_is_whole(tmp_path: Path, content: str, held: bool) -> None:
    connector = connect(put(tmp_path / "people.csv", content), trailer="END")
    if held:
        with pytest.raises(ImportIncomplete):
            list(connector.read(request("title")))
    else:
        assert read(connector, "title") == {"1": {"title": "a"}, "2": {"title": "b"}}


def test_a_checksum_proves_that_the_file_is_whole(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id\n1\n")
    connector = connect(path, checksum="sha256")
    with pytest.raises(ImportIncomplete, match="cannot be read"):
        list(connector.read(request()))
    beside = put(tmp_path / "people.csv.sha256", "0" * 64 + "  people.csv\n")
    with pytest.raises(ImportIncomplete, match="does not have the checksum"):
        list(connector.read(request()))
    put(beside, hashlib.sha256(path.read_bytes()).hexdigest().upper() + "  people.csv\n")
    assert read(connector) == {"1": {}}


def cut_file(folder: Path, cut: int, quoted: bool) -> tuple[Path, dict[str, str]]:
    """A file cut after so many signs, and the titles that it held."""
    titles = {str(number): f"some, title {number}" if quoted else f"title {number}" for number in range(8)}
    sign = '"' if quoted else ""
    whole = "id,title\n" + "".join(f"{anchor},{sign}{title}{sign}\n" for anchor, title in titles.items())
    return put(folder / "people.csv", whole[:cut]), titles


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(min_value=0, max_value=200), quoted=st.booleans())
def test_a_file_that_is_cut_anywhere_clears_nothing(tmp_path_factory: pytest.TempPathFactory, cut: int, quoted: bool) -> None:
    path, titles = cut_file(tmp_path_factory.mktemp("cut"), cut, quoted)
    try:
        found = entries(items(connect(path).read(request("title"))))
    except ImportIncomplete:
        return
    for anchor, attributes in found.items():
        title = attributes.get("title")
        assert isinstance(title, str) and titles[anchor].startswith(title)
        assert title == titles[anchor] or anchor == list(found)[-1], (
            "only the very last value can be shorter, where no line end was promised"
        )


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(min_value=0, max_value=200), quoted=st.booleans())
def test_with_a_trailer_no_cut_file_is_taken(tmp_path_factory: pytest.TempPathFactory, cut: int, quoted: bool) -> None:
    path, titles = cut_file(tmp_path_factory.mktemp("cut"), 1000, quoted)
    whole = path.read_text() + "END,8\n"
    put(path, whole[:cut])
    connector = connect(path, trailer="END", final_newline=True)
    if cut < len(whole):
        with pytest.raises(ImportIncomplete):
            list(connector.read(request("title")))
    else:
        assert set(read(connector, "title")) == set(titles)


def test_a_last_row_that_may_go_on_is_rejected(tmp_path: Path) -> None:
    found = items(connect(put(tmp_path / "people.csv", "id,title\n1,Chief\n2,")).read(request("title")))
    assert entries(found) == {"1": {"title": "Chief"}}
    (reject,) = rejects(found)
    assert reject.anchor == "2" and "end the file with a line break" in reject.reason


# -- duplicate anchors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7", "7"),
        ("A7", "a7"),
        ("7", " 7 "),
        ("a  7", "A 7"),
        ("Zo\u00eb", "Zoe\u0308"),
        ("STRASSE", "stra\u00dfe"),
        ('"7"', "7"),
        ('"a,7"', '"A,7"'),
        ('"q""7"', '"Q""7"'),
    ],
)
def test_both_rows_of_a_duplicate_anchor_are_rejected_and_listed(tmp_path: Path, one: str, other: str) -> None:
    path = put(tmp_path / "people.csv", f"id,title\n{one},first\n8,eight\n{other},second\n9,nine\n")
    found = items(connect(path).read(request("title", page_size=1)))
    assert entries(found) == {"8": {"title": "eight"}, "9": {"title": "nine"}}
    first, second = rejects(found)
    assert (first.where, second.where) == ("people.csv row 2", "people.csv row 4")
    assert all(reject.reason.startswith("rows 2 and 4 both have the anchor ") for reject in (first, second)), "one line says it all"
    assert all("; neither was taken. Remove one (" in reject.reason for reject in (first, second))
    assert first.anchor and second.anchor, "what is known of them stays as it was"


@pytest.mark.parametrize(
    "content", ["id\n12\n7\n12", "id\n12\n7\n12\n", "id\r\n12\r\n7\r\n12\r\n", "t,id\na,12\nb,7\nc,12", "t,id\n,12\n,7\n,12\r\n"]
)
def test_a_duplicate_is_seen_wherever_the_anchor_and_the_end_of_the_file_are(tmp_path: Path, content: str) -> None:
    found = items(connect(put(tmp_path / "people.csv", content)).read(request()))
    assert list(entries(found)) == ["7"] and [reject.anchor for reject in rejects(found)] == ["12", "12"]


@settings(max_examples=200, deadline=None)
@given(
    anchors=st.lists(
        st.sampled_from(["1", "a", "A", " a", "a b", "a  B", "é", "e\u0301", 'q"', "x,y", "n\nl", "ß", "ss"]), min_size=1, max_size=8
    ),
    before=st.integers(min_value=0, max_value=2),
    quote_all=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_duplicates_are_those_whose_folded_anchors_are_equal(
    tmp_path_factory: pytest.TempPathFactory, anchors: list[str], before: int, quote_all: bool, end: str
) -> None:
    """The fast first pass, against the slow definition."""
    columns = [*(f"c{at}" for at in range(before)), "id", "last"]
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL, lineterminator=end)
    writer.writerow(columns)
    writer.writerows([*(["x"] * before), anchor, "y"] for anchor in anchors)
    found = items(connect(put(tmp_path_factory.mktemp("twice") / "people.csv", text.getvalue())).read(request()))
    keys = [folded(anchor) for anchor in anchors]
    assert len(entries(found)) == sum(keys.count(key) == 1 for key in keys)
    assert len(rejects(found)) == sum(keys.count(key) > 1 for key in keys)


def test_anchors_are_unique_across_files(tmp_path: Path) -> None:
    put(tmp_path / "people.csv", "id\n1\n2\n")
    put(tmp_path / "groups.csv", "id\n2\n3\n")
    connector = connect(files={"user": str(tmp_path / "people.csv"), "group": str(tmp_path / "groups.csv")})
    found = items(connector.read(request(kinds=[Kind.USER, Kind.GROUP])))
    assert set(entries(found)) == {"1", "3"}
    assert {reject.where for reject in rejects(found)} == {"people.csv row 3", "groups.csv row 2"}
    assert "groups.csv row 2 and people.csv row 3 both have the anchor '2'" in rejects(found)[0].reason


@pytest.mark.parametrize(
    ("count", "words"),
    [(3, "rows 2, 3 and 4 all have"), (12, "rows 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more all have")],
)
def test_an_anchor_that_stands_in_many_rows_names_some_of_them(tmp_path: Path, count: int, words: str) -> None:
    found = items(connect(put(tmp_path / "people.csv", "id\n" + "7\n" * count + "8\n")).read(request()))
    assert len(rejects(found)) == count and list(entries(found)) == ["8"]
    assert rejects(found)[0].reason.startswith(f"{words} the anchor '7'; none was taken. Remove all but one (")


def test_an_anchor_is_the_same_whatever_spaces_and_unicode_form_it_has(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,manager\n Zoe\u0308 ,  Zo\u00eb\n")
    ((anchor, attributes),) = read(connect(path), "manager").items()
    assert anchor == "Zo\u00eb"
    assert getattr(attributes["manager"], "value", None) == anchor, "a reference finds it"


def test_many_duplicates_are_found_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metasync_csv.scan.PARTS", 10)
    path = put(tmp_path / "people.csv", "id\n" + "".join(f"{number % 90}\n" for number in range(100)))
    found = items(connect(path).read(request()))
    assert set(entries(found)) == {str(number) for number in range(10, 90)} and len(rejects(found)) == 20
