"""What may be endless is read page by page while it is shown: the first page is there at once, and nothing is kept."""

from __future__ import annotations

import io
import json
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metasync import overview
from metasync.cli.main import run
from metasync.cli.output import pieces, plain
from metasync.contract import Kind, Reference
from metasync.store import ledger, looking
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import person

from .conftest import Shell

CROWD = 40


class Screen(io.TextIOBase):
    """Standard output that remembers nothing but what it is told to look for. It can end: whoever read had enough."""

    def __init__(self, *, ends_after: int | None = None, at: str = "", then: Callable[[], None] = lambda: None) -> None:
        self._file = os.open(os.devnull, os.O_WRONLY)
        self.letters, self._ends_after, self._at, self._then = 0, ends_after, at, then

    def write(self, text: str) -> int:
        self.letters += len(text)
        # The console and whoever writes past it must both be told, and told for ever.
        if self._ends_after is not None and self.letters > self._ends_after:
            raise BrokenPipeError
        if self._at and self._at in text:
            self._at = ""
            self._then()
        return len(text)

    def fileno(self) -> int:
        return self._file


@pytest.fixture
def crowd(loaded: Shell, hr: MemoryDirectory, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Plan 1 creates 44 people, and pages have five rows."""
    for number in range(CROWD):
        person(hr, f"Crowd {number:02}")
    loaded("import")
    loaded("plan", "people")
    monkeypatch.setattr(overview, "FIRST_PAGE", 5)
    monkeypatch.setattr(overview, "PAGE", 5)
    return loaded


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each page of changes, problems or objects had that was read."""
    pages: list[int] = []

    def counted(module: Any, name: str) -> None:
        real = getattr(module, name)

        def counts(*given: Any, **named: Any) -> Any:
            found = real(*given, **named)
            pages.append(len(found))
            return found

        monkeypatch.setattr(module, name, counts)

    counted(ledger, "changes")
    counted(looking, "problems")
    counted(looking, "objects")
    return pages


def typed(monkeypatch: pytest.MonkeyPatch, screen: Screen, *arguments: str) -> int:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        return run(arguments)


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_the_first_change_is_on_the_screen_before_the_second_page_is_read(
    crowd: Shell, read: list[int], monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    rows_then: list[int] = []
    screen = Screen(at="Crowd" if how else "create user", then=lambda: rows_then.append(sum(read)))
    assert typed(monkeypatch, screen, "show", "1", "--all", *how) == 0
    assert rows_then == [5]
    assert sum(read) == CROWD + 4


def test_without_all_no_more_is_read_than_is_shown(
    crowd: Shell, read: list[int], monkeypatch: pytest.MonkeyPatch, hr: MemoryDirectory
) -> None:
    for number in range(20):
        person(hr, f"More {number}")
    crowd("import")
    crowd("plan", "people")
    read.clear()
    said = crowd("show", "2").out
    assert said.count("create user") == sum(read) == 50
    assert "14 writes more: `metasync show plan 2 --all`" in said
    read.clear()
    assert "7 writes more" not in crowd("show", "2", "--object", "more 1").out
    assert sum(read) == 11, "what does not fit is not even fetched"


def test_a_plan_as_json_is_one_valid_document_with_every_change_once(crowd: Shell) -> None:
    found = crowd("show", "1", "--json").json
    labels = [one["label"] for one in found["changes"]]
    assert len(labels) == len(set(labels)) == CROWD + 4
    assert found["counts"] == {"create": CROWD + 4}
    assert crowd("plan", "people", "--json").json["plans"][0]["changes"] == found["changes"]


def test_the_memory_for_showing_all_of_a_plan_does_not_grow_with_it(
    crowd: Shell, hr: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(400):
        person(hr, f"Many {number}", title="Clerk")
    crowd("import")
    crowd("plan", "people")

    def peak(plan: str) -> int:
        assert typed(monkeypatch, Screen(), "show", plan, "--json") == 0  # so that nothing is loaded for the first time below
        tracemalloc.start()
        try:
            assert typed(monkeypatch, Screen(), "show", plan, "--json") == 0
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak("1"), peak("2")
    assert large - small < 400 * 500, "each of the 400 changes more has a row and a value in JSON: several times that"


@pytest.mark.parametrize("how", [(), ("--json",)])
@pytest.mark.parametrize("what", [("show", "1", "--all"), ("objects", "--all"), ("objects", "--directory", "hr")])
def test_a_reader_who_had_enough_ends_the_command_without_a_word(
    crowd: Shell,
    read: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    what: tuple[str, ...],
    how: tuple[str, ...],
) -> None:
    capsys.readouterr()
    assert typed(monkeypatch, Screen(ends_after=900), *what, *how) == 0
    assert capsys.readouterr().err == ""
    assert sum(read) < CROWD + 10 or what[0] == "objects"


def test_objects_go_on_behind_the_one_that_was_shown_last(crowd: Shell) -> None:
    every = [one["object"] for one in crowd("objects", "--all", "--json").json]
    assert len(every) == len(set(every)) > CROWD
    some: list[str] = []
    while page := crowd("objects", "--limit", "7", "--json", *(("--after", some[-1]) if some else ())).json:
        some += [one["object"] for one in page]
    assert some == every
    told = crowd("objects", "--directory", "hr", "--limit", "3")
    assert f"go on with --after {told.out.splitlines()[-1].split()[0]}, show them with --all" in told.err


def test_an_object_to_go_on_behind_must_have_a_directory(crowd: Shell) -> None:
    assert "DIRECTORY/ANCHOR" in crowd("objects", "--after", "nobody", code=2).err
    assert "nowhere" in crowd("objects", "--after", "nowhere/1", code=2).err


def test_problems_are_listed_to_the_end_with_all_and_counted_without(
    loaded: Shell, hr: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        person(hr, f"Twin {number}", f"twin{number // 2}@x.test")
    loaded("import")
    loaded("plan", code=None)
    monkeypatch.setattr(overview, "PAGE", 5)
    every = loaded("problems", "--all", "--json").json
    assert len({one["id"] for one in every}) == len(every) == 12
    told = loaded("problems", "--limit", "5")
    assert told.out.count("error:") == 5
    assert "7 more" in told.err


def test_json_comes_bit_by_bit_as_it_would_at_once() -> None:
    def endless() -> Iterator[Any]:
        yield {"a": Reference(value="x"), "nested": iter([1, iter([]), {"b": iter(["ä", (1, 2)])}])}
        yield Kind.USER

    value = {"none": iter([]), "many": endless(), "list": [{"in": iter([1])}, 2], "plain": {"x": [], "y": {}}}
    wanted = {
        "none": [],
        "many": [{"a": plain(Reference(value="x")), "nested": [1, [], {"b": ["ä", [1, 2]]}]}, "user"],
        "list": [{"in": [1]}, 2],
        "plain": {"x": [], "y": {}},
    }
    assert "".join(pieces(value)) == json.dumps(wanted, indent=1, ensure_ascii=False)


def test_a_result_that_breaks_off_is_followed_by_no_second_document(crowd: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ledger.changes

    def breaks(*given: Any, **named: Any) -> Any:
        if named.get("after_id"):
            raise overview.UsageError("the second page cannot be read")
        return real(*given, **named)

    monkeypatch.setattr(ledger, "changes", breaks)
    done = crowd("show", "1", "--json", code=2)
    assert "error" not in done.out.split('"changes"')[1].replace('"error": null', "")
    assert "the second page cannot be read" in done.err
