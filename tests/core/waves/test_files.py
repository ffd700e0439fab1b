"""The file of a wave is read whole or not at all; what is wrong with it is said, and nobody is lost by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasync.engagement.model import Wave
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import anchor, person, values
from metasync.waves import files, moving
from metasync.waves.people import NoSuchWave, of_wave

from .conftest import WriteWave, codes, states, text_of


def wave(tmp_path: Path, text: str | bytes) -> Wave:
    path = tmp_path / "wave.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Wave(name="one", file=str(path), key="employeeID")


def test_keys_are_read_from_their_column_whatever_their_case_and_spaces(tmp_path: Path) -> None:
    read = files.read(wave(tmp_path, "\ufeffname, employeeID\nAnn,E1\n\nBob, e2 \n"))
    assert read.shown == {"e1": "E1", "e2": "e2"}
    assert not read.problems


def test_empty_keys_and_keys_that_stand_twice_are_named_with_their_lines(tmp_path: Path) -> None:
    read = files.read(wave(tmp_path, "employeeID,name\nE1,Ann\n,Bob\ne1,Ann\n"))
    assert [(one.code, one.anchor) for one in read.problems] == [("no key", ""), ("key twice", "E1")]
    assert "line 3 of" in read.problems[0].text
    assert "in line 4; it counts once" in read.problems[1].text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mail\na@x.test\n", "needs one column `employeeID`; it has mail"),
        ("", "it is empty"),
        ("employeeID,employeeID\n1,2\n", "needs one column"),
        ("employeeID,name\nE1,Ann\nE2\n", "line 3 has 1 values and the header 2; is the file cut off"),
        ('employeeID,name\nE1,"Ann\n', "cannot be read: unexpected end of data"),
        (b"employeeID\n\xff\xfe\n", "it is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_not_read_at_all(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(files.Unreadable, match="wave one: ") as error:
        files.read(wave(tmp_path, text))
    assert words in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(files.Unreadable, match=r"there is no file .*none\.csv; put it there, or correct `file:`"):
        files.read(Wave(name="one", file=str(tmp_path / "none.csv"), key="employeeID"))


@pytest.mark.parametrize("text", [None, "employeeID\n", "mail\n", "employeeID,name\nE1\n"])
def test_whoever_was_in_a_wave_stays_in_it_while_its_file_cannot_be_read(engine: Engine, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "one.csv"
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    assert engine.plan() == {}, "nobody is planned anew by it"
    assert "2 who stood in it before stay in the wave" in text_of(engine, "unreadable")
    assert moving.move(engine.workspace, "one", reason="a test").done
    assert states(engine) == {"E1": ("one", "moving"), "E2": ("one", "moving")}


def test_a_key_that_nobody_has_is_a_problem_that_says_where_was_looked(engine: Engine, write_wave: WriteWave) -> None:
    write_wave("one", "E1", "E2", "E99")
    engine.plan()
    assert codes(engine) == ["unknown key"]
    assert "nobody in old has employeeID E99" in text_of(engine, "unknown key")


def test_a_key_that_several_people_have_means_nobody(engine: Engine, old: MemoryDirectory, write_wave: WriteWave) -> None:
    person(old, "Twin", employeeID="E2")
    engine.import_()
    engine.plan()
    assert "several people have employeeID E2" in text_of(engine, "several people")
    done = moving.move(engine.workspace, "one", reason="a test")
    assert not done.done
    assert [(one.person.key, list(one.why)) for one in done.refused] == [("E2", ["several people have this key"])]


def test_who_stands_in_two_waves_is_in_none_until_one_lets_go(engine: Engine, write_wave: WriteWave) -> None:
    write_wave("two", "E2", "E3")
    engine.cycle()
    assert codes(engine) == ["two waves", "two waves"]
    assert not moving.move(engine.workspace, "one", reason="a test").done
    write_wave("one", "E1")
    assert moving.move(engine.workspace, "two", reason="a test").done
    assert states(engine) == {"E2": ("two", "moving"), "E3": ("two", "moving")}


def test_who_moves_stays_where_he_is_whatever_the_file_says_since(engine: Engine, write_wave: WriteWave) -> None:
    moving.move(engine.workspace, "one", reason="a test")
    engine.cycle()
    write_wave("one", "E1")
    write_wave("two", "E2", "E3")
    assert engine.plan() == {}
    assert "E2 is moving in one, and stands in the file of two now" in text_of(engine, "not in the file")
    refused = moving.move(engine.workspace, "two", reason="a test").refused
    assert [list(one.why) for one in refused] == [["is moving in one; take him back there first: `metasync wave back one`"]]
    assert moving.back(engine.workspace, "one", to="waiting", objects=["E2"], reason="he moves later").done
    assert moving.move(engine.workspace, "two", reason="a test").done
    assert states(engine) == {"E1": ("one", "moving"), "E2": ("two", "moving"), "E3": ("two", "moving")}


def test_a_wave_that_the_document_has_no_more_can_still_be_taken_back(engine: Engine) -> None:
    moving.move(engine.workspace, "two", reason="a test")
    text = engine.path.read_text(encoding="utf-8")
    engine.load(text.replace("  two: {file: two.csv, key: employeeID}\n", ""))
    engine.cycle()
    assert "the document has no wave two any more" in text_of(engine, "not in the file")
    assert moving.back(engine.workspace, "two", to="waiting", reason="it is over").done
    engine.cycle()
    assert codes(engine) == []
    with engine.backend.read() as connection, pytest.raises(NoSuchWave, match="there is no wave 'three'; the document has: one"):
        of_wave(engine.workspace, connection, "three")


def test_whoever_moves_goes_on_moving_although_the_document_names_no_wave_any_more(engine: Engine, new: MemoryDirectory) -> None:
    moving.move(engine.workspace, "one", reason="a test")
    engine.cycle()
    text = engine.path.read_text(encoding="utf-8")
    engine.load(text.partition("waves:")[0])
    engine.cycle()
    assert values(new, "Person 1")["department"] == "moving"
    assert moving.back(engine.workspace, "one", to="waiting", reason="it is over").done
    engine.cycle()
    assert values(new, "Person 1")["department"] == "waiting"
    assert codes(engine) == []


def test_a_key_that_changes_in_the_directory_leaves_who_moves_where_he_is(engine: Engine, old: MemoryDirectory) -> None:
    moving.move(engine.workspace, "one", reason="a test")
    engine.cycle()
    old.change(anchor(old, "Person 1"), employeeID="E77")
    engine.cycle()
    assert engine.plan() == {}
    assert states(engine)["E1"] == ("one", "moving")
    assert codes(engine) == ["not in the file", "unknown key"]
