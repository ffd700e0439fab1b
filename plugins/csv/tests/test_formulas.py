"""Values that a spreadsheet would take for formulas reach a target only as the option says (fault plan, row 21)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metasync.contract import Operation, Outcome, Reference

from .harness import Changes, connect, put, read, rows, write

DANGEROUS = ["=cmd|' /C calc'!A0", "+SUM(A1)", "-2+3+cmd|x", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1+1", "+", "-"]  # noqa: RUF001
PLAIN = ["+49 123", "+49 (0)30 / 12-34", "-17.5", "-1,000", "+1", "plain", "a=b", "1-2", "'quoted'", "'"]


@pytest.mark.parametrize("value", DANGEROUS)
def test_a_formula_is_refused_and_the_reason_names_the_option(tmp_path: Path, value: str) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,a\n")
    (result,) = write(connect(path), Changes()(Operation.UPDATE, "1", {"title": value}, {"title": "a"}))
    assert result.outcome is Outcome.REJECTED and "`formulas`" in result.detail
    assert rows(path)[1] == ["1", "a"]


@pytest.mark.parametrize("value", PLAIN)
def test_numbers_telephones_and_text_are_written_as_they_are(tmp_path: Path, value: str) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,a\n")
    write(connect(path), Changes()(Operation.UPDATE, "1", {"title": value}, {"title": "a"}))
    assert rows(path)[1] == ["1", value]


@pytest.mark.parametrize("value", DANGEROUS)
def test_raw_is_an_explicit_choice(tmp_path: Path, value: str) -> None:
    path = put(tmp_path / "people.csv", "id,title\n1,a\n")
    connector = connect(path, formulas="raw")
    write(connector, Changes()(Operation.UPDATE, "1", {"title": value}, {"title": "a"}))
    assert rows(path)[1] == ["1", value]
    assert read(connector, "title") == {"1": {"title": value}}


@settings(max_examples=200, deadline=None)
@given(value=st.text(alphabet="'=+-@\t\r\n1a", min_size=1, max_size=8))
def test_escape_hides_formulas_and_every_value_comes_back(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = put(tmp_path_factory.mktemp("formulas") / "people.csv", "id,title\n1,\n")
    connector = connect(path, formulas="escape")
    assert write(connector, Changes()(Operation.UPDATE, "1", {"title": value}))[0].outcome is Outcome.APPLIED
    written = rows(path)[1][1]
    assert written[0] not in "=@\t\r\n" and (written[0] not in "+-" or written[1:2].isdigit())
    assert read(connector, "title") == {"1": {"title": value}}


def test_anchors_members_and_marks_are_watched_too(tmp_path: Path) -> None:
    path = put(tmp_path / "people.csv", "id,title,manager\n1,a,\n=2,b,\n")
    changes = Changes()
    created, referring = write(
        connect(path),
        changes(Operation.CREATE, after={"id": "=3"}),
        changes(Operation.UPDATE, "1", {"manager": Reference(value="=2")}),
    )
    assert (created.outcome, referring.outcome) == (Outcome.REJECTED, Outcome.REJECTED)
