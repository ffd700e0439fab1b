"""A file that is read again by the versions of its rows: what is unchanged is not looked at, and the result is that of looking at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

import metasync_csv.plugin
from metasync.contract import Entry, ImportIncomplete, Item, Kind, Page, ReadRequest, Unavailable, Versioned
from metasync.store.tables import dirty, link, match_key, object_, problem
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync_csv.connector import CsvConnector

from .harness import connect, items, put, request

ATTRIBUTES = ("name", "title", "manager", "phones", "badge")
HEADER = "id,title,manager,phones,badge,name"
LINES = [
    "1,Chief,,1|2,7,Ann",
    "1,Chief,,2|1,7,Ann",
    '2,"Clerk, senior",1,3,8,Ben',
    '2,"Clerk, ""senior""",1,3,8,Ben',
    '"3",Clerk,"1",3,x,"Cem"',
    " 4 ,Clerk,4,,10,Dörte",
    "5,Clerk",
    '5,"two\nlines",1,,1,Eva',
    "6,,,,,",
    "6,,2,,,Fay",
    ",Nobody,,,,",
    "",
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"multi-valued": ["phones"], "separator": "|"},
    {"types": {"badge": "integer"}},
    {"formulas": "escape"},
]
HEADERS = [HEADER, "title,id,manager,phones,badge,name", "id,phones,manager,title,badge,name", "id,title,,phones,badge,name"]


def looked_at(pages: Sequence[Page]) -> list[Item]:
    """The items of each page, with those worked out that nobody looked at, before the next page and in no order that helps."""
    found: list[Item] = []
    for page in pages:
        made = [item.read() if isinstance(item, Versioned) else item for item in reversed(page.items)]
        found += reversed(made)
    return found


def plain(found: Sequence[Item]) -> list[Item]:
    return [replace(item, version=None) if isinstance(item, Entry) else item for item in found]


def reads(asked: ReadRequest, path: Path, options: Mapping[str, Any]) -> tuple[list[Item], list[Item]] | None:
    """(all items as they are, the same by versions); None where the file is refused, by both ways."""
    connector = connect(path, **{name.replace("-", "_"): value for name, value in options.items()}, header="open")
    try:
        usual = items(connector.read(asked))
    except ImportIncomplete:
        with pytest.raises(ImportIncomplete):
            list(connector.read(replace(asked, versions=True, compares=True)))
        return None
    return usual, looked_at(list(connector.read(replace(asked, versions=True, compares=True))))


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=12),
    header=st.sampled_from(HEADERS),
    end=st.sampled_from(["\n", "\r\n"]),
    options=st.sampled_from(OPTIONS),
    size=st.sampled_from([1, 2, 1000]),
    block=st.sampled_from([10, 60, 1 << 16]),
    kept=st.sampled_from([0, 48 << 20]),
)
def test_what_is_worked_out_later_is_what_is_read_at_once(
    lines: list[str], header: str, end: str, options: dict[str, Any], size: int, block: int, kept: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, patch("metasync_csv.rows.BLOCK", block), patch("metasync_csv.connector.KEPT", kept):
        path = put(Path(folder) / "people.csv", end.join([header, *lines, ""]))
        found = reads(request(*ATTRIBUTES, page_size=size), path, options)
        if found is not None:
            usual, later = found
            assert plain(later) == usual


@dataclass(frozen=True, kw_only=True)
class Edition:
    """A file, and how it is read."""

    lines: tuple[str, ...]
    header: str
    options: int
    encoding: str
    attributes: tuple[str, ...]


EDITIONS = st.builds(
    Edition,
    lines=st.lists(st.sampled_from([line for line in LINES if line]), min_size=1, max_size=6).map(tuple),
    header=st.sampled_from(HEADERS),
    options=st.integers(min_value=0, max_value=len(OPTIONS) - 1),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
    attributes=st.lists(st.sampled_from(ATTRIBUTES), unique=True, min_size=1).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(one=EDITIONS, other=EDITIONS)
def test_what_has_one_version_has_the_same_values(one: Edition, other: Edition) -> None:
    known: dict[tuple[str, bytes], Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for edition in (one, other):
            path = put(Path(folder) / "people.csv", "\n".join([edition.header, *edition.lines, ""]), edition.encoding)
            options = {**OPTIONS[edition.options], "encoding": edition.encoding}
            found = reads(replace(request(*edition.attributes), versions=True), path, options)
            for item in (*found[0], *found[1]) if found else ():
                if isinstance(item, Entry) and item.version is not None:
                    assert known.setdefault((item.anchor, item.version), item.attributes) == item.attributes


DOCUMENT = """
engagement: versions
plugins: {{standard: ">=0"}}
directories:
  hr: {{connector: csv, options: {options}}}
  ad: {{connector: memory, options: {{store: ad}}}}
profiles:
  people:
    kind: user
    source: hr
    target: ad
    match: [{{source: {first}, target: employeeID}}]
    place: '"OU=Staff,DC=contoso,DC=test"'
    map: {{{mapped}}}
"""
TARGETS = {"name": "name", "title": "title", "manager": "manager", "phones": "otherTelephone", "badge": "description"}


def document(path: Path, edition: Edition) -> str:
    options = {**OPTIONS[edition.options], "path": str(path), "anchor": "id", "encoding": edition.encoding, "header": "open"}
    mapped = ", ".join(f"{TARGETS[name]}: source.{name}" for name in edition.attributes)
    return DOCUMENT.format(options=json.dumps(options), first=edition.attributes[0], mapped=mapped)


class Side:
    """One engine over the file."""

    def __init__(self, folder: Path, edition: Edition, path: Path, code: bytes | None) -> None:
        self.code = code
        folder.mkdir()
        with self.as_it_is():
            self.engine = Engine(folder, document(path, edition), {"ad": MemoryDirectory()}, plugins=[metasync_csv.plugin])

    def as_it_is(self) -> Any:
        return patch("metasync.importing.read.code_of", lambda connector: self.code)

    def import_(self, *, full: bool, cut: int | None) -> Any:
        """Import; what was counted and what stands, told apart by nothing that differs from one database to the other."""
        with self.as_it_is(), patch("metasync.importing.read.PAGE", 2), patch.object(CsvConnector, "_pages", cut_after(cut)):
            outcome = self.engine.import_("hr", full=full)
        return outcome.state, outcome.errors, [str(one) for one in outcome.imports], self.stored()

    def images(self) -> list[tuple[str, bytes]]:
        """Of each object, by its anchor."""
        with self.engine.backend.read() as connection:
            query = select(object_.c.anchor, object_.c.digest).where(object_.c.state == "live")
            return sorted((row.anchor, row.digest) for row in connection.execute(query))

    def stored(self) -> Any:
        with self.engine.backend.read() as connection:
            rows = connection.execute(select(object_)).mappings().all()
            anchors = {row["id"]: row["anchor"] for row in rows}
            left_out = ("id", "version")
            return (
                sorted(str({name: value for name, value in row.items() if name not in left_out}) for row in rows),
                sorted((anchors[row.object_id], row.name, row.value) for row in connection.execute(select(match_key))),
                sorted(
                    (anchors[row.object_id], row.attribute, row.key, row.value, anchors.get(row.target_id, ""))
                    for row in connection.execute(select(link))
                ),
                sorted((anchors[row.object_id], row.profile) for row in connection.execute(select(dirty))),
                sorted((row.code, row.text, row.anchor, anchors.get(row.object_id, "")) for row in connection.execute(select(problem))),
            )


REAL = CsvConnector._pages


def cut_after(pages: int | None) -> Any:
    """Breaks off behind so many pages."""

    def read(self: CsvConnector, asked: ReadRequest, *, everything: bool) -> Iterator[Page]:
        for number, page in enumerate(REAL(self, asked, everything=everything)):
            if number == pages:
                raise Unavailable("the disk is gone")
            yield page

    return read


STEPS = st.tuples(EDITIONS, st.booleans(), st.sampled_from([None, None, None, 0, 1, 2]), st.booleans())


BEFORE = Edition(
    lines=("1,Chief,,1|2,7,Ann", "2,'=Clerk,1,3,8,Dörte"),
    header=HEADER,
    options=0,
    encoding="utf-8",
    attributes=("name", "title", "phones", "badge"),
)
AFTER = {
    "columns that changed places": replace(BEFORE, header="id,phones,manager,title,badge,name"),
    "a column that lost its name": replace(BEFORE, header="id,title,manager,,badge,name"),
    "a column for several values": replace(BEFORE, options=1),
    "a column of numbers": replace(BEFORE, options=2),
    "cells that hide formulas": replace(BEFORE, options=3),
    "another encoding": replace(BEFORE, encoding="latin-1"),
    "more attributes": replace(BEFORE, attributes=(*BEFORE.attributes, "manager")),
    "fewer attributes": replace(BEFORE, attributes=("name", "badge")),
}


@pytest.mark.parametrize("full", [True, False], ids=["in full", "by delta"])
@pytest.mark.parametrize("case", AFTER)
def test_rows_that_mean_something_else_are_looked_at_again(tmp_path: Path, case: str, full: bool) -> None:
    path = tmp_path / "people.csv"
    sides = [Side(tmp_path / name, BEFORE, path, code) for name, code in (("with", b"a release"), ("without", None))]
    images = []
    for edition in (BEFORE, AFTER[case], BEFORE):
        write(path, replace(edition, encoding="utf-8"))
        for side in sides:
            side.engine.load(document(path, edition))
        found = [side.import_(full=full, cut=None) for side in sides]
        assert found[0] == found[1]
        images.append(sides[0].images())
    assert images[0] != images[1] and images[0] == images[2], "the case is one"
    for side in sides:
        side.engine.close()


KEEPS = st.sampled_from(["rows", "rows", "rows but one", "nothing"])


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # to shrink whole engines takes minutes
@given(first=EDITIONS, steps=st.lists(STEPS, min_size=2, max_size=4), keeps=st.lists(KEEPS, min_size=4, max_size=4))
def test_an_import_by_versions_stores_what_one_without_them_stores(first: Edition, steps: list[Any], keeps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, code, edition = Path(name), b"a release", first
        path = folder / "people.csv"
        write(path, edition)
        with_versions, without = Side(folder / "with", edition, path, code), Side(folder / "without", edition, path, None)
        sides, planned = (with_versions, without), list[Any]()
        for (other, full, cut, released), kept in zip(steps, keeps, strict=False):
            if kept == "nothing":
                edition = other
            elif kept == "rows":  # the rows stay; what is read of them, and how, is another
                edition = replace(other, lines=edition.lines)
            else:
                edition = replace(edition, lines=(*edition.lines[1:], other.lines[0]))
            write(path, edition)
            for side in sides:
                side.engine.load(document(path, edition))
            if released:
                with_versions.code = bytes([len(with_versions.code or b"")]) * 9
            found = [side.import_(full=full, cut=cut) for side in sides]
            assert found[0] == found[1]
            # From the first one on, there is somebody to be told of what changes.
            if not planned:
                planned = [side.engine.plan("people") for side in sides]
                assert planned[0] == planned[1]
        for side in sides:
            side.engine.close()


def write(path: Path, edition: Edition) -> None:
    put(path, "\n".join([edition.header, *edition.lines, ""]), edition.encoding)


def test_of_a_file_of_which_one_row_changed_one_row_is_worked_out(tmp_path: Path) -> None:
    rows = [f"{number},Clerk {number},1,3,8,Person {number}" for number in range(1000)]
    path = tmp_path / "people.csv"
    edition = Edition(lines=tuple(rows), header=HEADER, options=0, encoding="utf-8", attributes=("name", "title"))
    write(path, edition)
    engine = Engine(tmp_path, document(path, edition), {"ad": MemoryDirectory()}, plugins=[metasync_csv.plugin])
    engine.import_("hr")
    rows[500] = rows[500].replace("Clerk", "Chief")
    write(path, replace(edition, lines=tuple(rows)))
    worked_out = []
    real = metasync_csv.read._Items._read

    def counting(self: Any, kind: Kind, line: str, number: int, version: bytes) -> Any:
        worked_out.append(line)
        return real(self, kind, line, number, version)

    with patch.object(metasync_csv.read._Items, "_read", counting):
        engine.import_("hr", full=True)
    assert worked_out == [rows[500]]
    engine.close()
