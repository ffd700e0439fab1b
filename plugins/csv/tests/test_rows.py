"""The fast ways to take rows apart give what the `csv` module gives, whatever stands in the file."""

from __future__ import annotations

import csv
import io
from collections import deque
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metasync.contract import ImportIncomplete, Item
from metasync_csv.layout import Dialect
from metasync_csv.read import _given_up
from metasync_csv.rows import Rows

from .harness import connect, entries, items, put, read, rejects, request

DIALECTS = {
    "usual": Dialect(delimiter=",", quote='"', double_quote=True, escape=None, quote_all=False),
    "other signs": Dialect(delimiter="^", quote="]", double_quote=True, escape=None, quote_all=False),
    "no quotes": Dialect(delimiter=",", quote=None, double_quote=True, escape=None, quote_all=False),
    "escaped": Dialect(delimiter=",", quote='"', double_quote=False, escape="-", quote_all=False),
    "both": Dialect(delimiter=",", quote='"', double_quote=True, escape="-", quote_all=False),
    "escaped without quotes": Dialect(delimiter=",", quote=None, double_quote=True, escape="-", quote_all=False),
}
SIGNS = ["a", "é", "\u2028", "\x0b", " ", "\0", ",", ",", "^", '"', '"', "]", "-", "\n", "\n", "\r\n", "\r"]
USUAL = ["a,b\n", 'a,"b"\n', '"a","b"\n', '"a,b",c\n', '"a""b",c\n', '"a""b"\n', '"","b"\n', '"""",b\n', "a,b\r\n", '"a\nb",c\n']
ODD = ['a,5" b 6",c\n', 'a,"b"c",d\n', 'a,b"c,"d"\n', 'a,b "c"\n', "\n", "a\n", 'a,"b\n']
LINES = [*USUAL, *USUAL, *ODD]


def plainly(text: str, dialect: Dialect) -> list[list[str]] | None:
    """The definition: what Python's own reader makes of it; None where it refuses."""
    try:
        return list(dialect.reader(io.StringIO(text, newline="")))
    except csv.Error:
        return None


def lines_of(text: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode("utf-8")), "utf-8", newline="")


def taken_apart(text: str, dialect: Dialect, width: int) -> list[list[str]] | None:
    """Block by block; and of each block that is certain, its columns alone."""
    rows, lines, found = Rows(dialect, width, 1000), lines_of(text), list[list[str]]()
    try:
        for block in rows.blocks(lines):
            some = rows.rows(block)
            for at in range(width):
                cells = rows.column(block, at)
                assert cells is None or (some is not None and cells == [row[at] for row in some]), "a column that is certain is right"
            found += [row for row, _ in rows.closely(block, lines, "people.csv")] if some is None else some
    except ImportIncomplete:
        return None
    return found


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=400, deadline=None)
@given(
    text=st.one_of(st.lists(st.sampled_from(SIGNS), max_size=40), st.lists(st.sampled_from(LINES), max_size=12)).map("".join),
    width=st.integers(min_value=1, max_value=3),
    size=st.sampled_from([1, 3, 10, 1000]),
)
def test_rows_are_those_of_the_csv_module(name: str, text: str, width: int, size: int) -> None:
    with patch("metasync_csv.rows.BLOCK", size):
        assert taken_apart(text, DIALECTS[name], width) == plainly(text, DIALECTS[name])


@pytest.mark.parametrize(
    "text",
    ['a,"b,c"\n' * 9, '"a","b"\n' * 9, '"a""x","b"\n' * 9, '"","b"\n' * 9, '"a",\r\n' * 9, "a,b\r\n" * 9],
    ids=["a delimiter", "all quoted", "doubled", "empty", "with \\r", "no quote"],
)
def test_usual_rows_are_taken_the_fast_way(text: str) -> None:
    rows = Rows(DIALECTS["usual"], 2, 1000)
    (block,) = rows.blocks(lines_of(text))
    assert rows.rows(block) == plainly(text, DIALECTS["usual"])
    assert rows.column(block, 0) is not None and rows.column(block, 1) is not None


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.lists(st.sampled_from(SIGNS), max_size=4).map("".join), max_size=10),
    trailer=st.sampled_from([None, "END"]),
    page_size=st.integers(min_value=1, max_value=4),
)
def test_a_file_that_is_kept_reads_as_one_that_is_read_twice(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], trailer: str | None, page_size: int
) -> None:
    lines = [f"{number},{row}" if number % 3 else row for number, row in enumerate(rows, start=1)]
    text = "id,title\n" + "".join(f"{line}\n" for line in lines) + (f"END,{len(lines)}" if trailer else "")
    connector = connect(put(tmp_path_factory.mktemp("kept") / "people.csv", text), trailer=trailer, may_be_empty=True)

    def outcome() -> list[Item] | str:
        try:
            return items(connector.read(request("title", page_size=page_size)))
        except ImportIncomplete as error:
            return str(error)

    with patch("metasync_csv.rows.BLOCK", 7):
        kept = outcome()
        with patch("metasync_csv.connector.KEPT", 0):
            assert outcome() == kept
        with patch("metasync_csv.connector.KEPT", 400):
            assert outcome() == kept


def test_one_row_that_is_not_usual_costs_no_other(tmp_path: Path) -> None:
    """Around a NUL, a ragged row and a cell that is not of its type."""
    text = "id,badge,title\n" + "".join(f"{number},{number},t\n" for number in range(50))
    text += "a,1,x\0\nb,1\nc,one,t\n" + "".join(f"{number},{number},t\n" for number in range(50, 100))
    found = items(connect(put(tmp_path / "people.csv", text), types={"badge": "integer"}).read(request("badge", "title")))
    assert entries(found) == {str(number): {"badge": number, "title": "t"} for number in range(100)}
    assert [(reject.where, reject.anchor) for reject in rejects(found)] == [
        ("people.csv row 52", "a"),
        ("people.csv row 53", "b"),
        ("people.csv row 54", "c"),
    ]


@pytest.mark.parametrize("kept", [0, 48 << 20])
def test_a_file_that_changes_in_place_is_held_whether_it_was_kept_or_not(tmp_path: Path, kept: int) -> None:
    path = put(tmp_path / "people.csv", "id,title\n" + "".join(f"{number:05},aaaa\n" for number in range(30_000)))
    with patch("metasync_csv.connector.KEPT", kept):
        pages = connect(path).read(request("title", page_size=5))
        next(pages)
        with path.open("r+") as stream:
            stream.seek(path.stat().st_size - 5)
            stream.write("bbbb")
        with pytest.raises(ImportIncomplete, match="still being written"):
            list(pages)


def test_what_was_kept_is_given_up_as_it_is_read(tmp_path: Path) -> None:
    rows = Rows(DIALECTS["usual"], 1, 1000)
    kept = deque([rows.block("a\n"), rows.block("b\n")])
    given_up = _given_up(kept)
    next(given_up)
    assert len(kept) == 1


@pytest.mark.parametrize("count", [1, 29, 30, 31, 60])
def test_attributes_may_have_any_name_and_there_may_be_any_number(tmp_path: Path, count: int) -> None:
    """Plain words become attributes of an object, others must not."""
    odd = ["class", "__dict__", "__class__", "_x", "a b", "ﬁ", "ﬀ", "None", "made", "attributes", "row", "Ångström", "x.y"]
    names = [*odd, *(f"c{number}" for number in range(count))][:count]
    path = put(tmp_path / "people.csv", f"id,{','.join(names)}\n1,{','.join(names)}\n2{',' * count}\n")
    assert read(connect(path), *names) == {"1": {name: name for name in names}, "2": {}}
    ((_, first), *_) = read(connect(path), *names).items()
    assert type(first) is dict and first | {"more": "x"} == {**{name: name for name in names}, "more": "x"}
