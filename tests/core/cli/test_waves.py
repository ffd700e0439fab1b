"""Waves on the command line: tables for people, JSON for programs, refusals that say who, why, and what to do."""

from __future__ import annotations

import pytest

from metasync.contract import Kind
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import DOCUMENT, STAFF, values

from .conftest import Shell

WAVES = "\nwaves: {leeds: {file: leeds.csv, key: mail}}\n"
PEOPLE = STAFF.replace(
    "title: source.title", "title: {from: source.title, when: 'wave.state != \"cut over\"'}\n      department: wave.state"
)


def mails(*numbers: int) -> str:
    return "".join(f"person.{number}@x.test\n" for number in numbers)


@pytest.fixture
def leeds(shell: Shell) -> Shell:
    """In step; the wave leeds has Person 1 and Person 2."""
    (shell.folder / "leeds.csv").write_text(f"mail\n{mails(1, 2)}", encoding="utf-8")
    shell.write(DOCUMENT.format(profiles=PEOPLE) + WAVES)
    shell("load")
    shell("run", "--approve", "--reason", "the first day")
    return shell


def test_list_counts_the_people_of_each_wave(leeds: Shell) -> None:
    leeds("wave", "move", "leeds", "--object", "person.1@x.test", "--reason", "a pilot")
    (found,) = leeds("wave", "list", "--json").json
    assert {name: found[name] for name in ("wave", "keys", "meant", "waiting", "moving", "cut_over", "problems")} == {
        "wave": "leeds",
        "keys": 2,
        "meant": 2,
        "waiting": 1,
        "moving": 1,
        "cut_over": 0,
        "problems": 0,
    }
    assert "leeds" in leeds("wave", "list").out


def test_a_document_without_waves_says_how_to_write_one(in_step: Shell) -> None:
    assert "the document has no waves; write `waves:" in in_step("wave", "list").out


def test_a_wave_moves_is_cut_over_and_comes_back(leeds: Shell, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    done = leeds("wave", "move", "leeds", "--reason", "CHG-1")
    assert "2 people of leeds are moving now" in done.out
    assert "Next: metasync plan" in done.err
    leeds("run", "--approve")
    assert values(ad, "Person 1")["department"] == "moving"
    done = leeds("wave", "cut-over", "leeds", "--reason", "CHG-2", "--json").json
    assert (done["done"], done["state"], [one["key"] for one in done["people"]]) == (
        True,
        "cut over",
        ["person.1@x.test", "person.2@x.test"],
    )
    assert "2 people of leeds are moving now" in leeds("wave", "back", "leeds", "--reason", "no mail").out
    assert "nobody of leeds was to be moved on; 2 people are moving" in leeds("wave", "move", "leeds", "--reason", "again").out
    assert "2 people of leeds are waiting now" in leeds("wave", "back", "leeds", "--to", "waiting", "--reason", "later").out


def test_a_cut_over_that_is_refused_says_who_why_and_what_to_do(leeds: Shell, hr: MemoryDirectory) -> None:
    leeds("wave", "move", "leeds", "--reason", "CHG-1")
    leeds("run", "--approve")
    hr.change(hr.anchors(Kind.USER)[2], title="Boss")
    leeds("import")
    done = leeds("wave", "cut-over", "leeds", "--reason", "CHG-2", code=1)
    assert "Person 1 (person.1@x.test): people: pending: update; plan, approve and export first" in done.out
    assert "nobody of leeds was moved on, because 1 person cannot; 1 person could go" in done.out
    assert "--except" in done.err and "--ready" in done.err
    refused = leeds("wave", "cut-over", "leeds", "--reason", "CHG-2", "--json", code=1).json
    assert (refused["done"], refused["people"], [one["key"] for one in refused["refused"]]) == (False, [], ["person.1@x.test"])
    assert "1 person of leeds is cut over now" in leeds("wave", "cut-over", "leeds", "--ready", "--reason", "CHG-2").out


def test_a_report_rehearses_a_wave_in_a_table_and_in_json(leeds: Shell, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    (leeds.folder / "leeds.csv").write_text(f"mail\n{mails(1, 2, 99)}", encoding="utf-8")
    done = leeds("wave", "report", "leeds")
    text = " ".join(done.out.split())
    assert "3 found" not in text
    assert "in hr 2 found, 1 missing" in text
    assert "people 2 update" in text
    assert "ready 2 of 3 for the cut-over" in text
    assert "nobody in hr has mail person.99@x.test" in text
    found = leeds("wave", "report", "leeds", "--json").json
    one = found["people"][0]
    assert (one["key"], one["state"], one["joined"], one["missing"]) == ("person.1@x.test", "waiting", True, [])
    assert [(outcome["profile"], outcome["what"], outcome["words"]) for outcome in one["outcomes"]] == [("people", "update", "department")]
    assert [where["directory"] for where in one["found"]] == ["hr", "ad"]
    assert all(not one["counts"] for one in leeds("plan", "--json").json["plans"]), "a rehearsal leaves nothing behind"
    assert values(ad, "Person 1")["department"] == "waiting"


def test_a_pilot_of_a_wave_plans_its_people_alone(leeds: Shell, hr: MemoryDirectory) -> None:
    for anchor in hr.anchors(Kind.USER):
        hr.change(anchor, title="Retired")
    leeds("import")
    (people, _) = leeds("plan", "--wave", "leeds", "--json").json["plans"]
    assert sorted(one["label"] for one in people["changes"]) == ["Person 1", "Person 2"]


def test_undo_of_a_wave_restores_its_people(leeds: Shell, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    before = {name: values(ad, name) for name in ("Person 1", "Person 2")}
    leeds("wave", "move", "leeds", "--reason", "CHG-1")
    leeds("run", "--approve")
    for anchor in hr.anchors(Kind.USER):
        hr.change(anchor, title="Retired")
    leeds("run", "--approve")
    done = leeds("undo", "--wave", "leeds")
    assert "undo of the wave leeds" in " ".join(done.out.split())
    plans = [str(number) for number in leeds.plans()]
    for number in plans:
        leeds("approve", number, "--reason", "a mistake")
    leeds("export", *plans)
    assert {name: values(ad, name) for name in before} == before
    assert values(ad, "Person 0")["title"] == "Retired"
    assert all(not one["counts"] for one in leeds("run", "--json").json["plans"]), "held"
    done = leeds("undo", "--wave", "leeds")
    assert "nothing that was written for the people of leeds since they began to move is still there" in " ".join(done.out.split())
    assert "undo wave leeds" in done.err


def test_a_wave_that_is_misspelt_is_named_with_those_there_are(leeds: Shell) -> None:
    for verb in (["report", "leed"], ["move", "leed", "--reason", "CHG-1"], ["cut-over", "leed", "--reason", "CHG-1"]):
        done = leeds("wave", *verb, code=2)
        assert "there is no wave 'leed'; the document has: leeds" in done.err
        assert "synchronise" not in done.err, "nothing is begun for it"


def test_check_says_what_is_wrong_with_a_file_before_anything_is_loaded(shell: Shell) -> None:
    shell.write(DOCUMENT.format(profiles=PEOPLE) + WAVES)
    assert "wave leeds: there is no file" in shell("check").out


def test_problems_of_waves_can_be_listed(leeds: Shell) -> None:
    (leeds.folder / "leeds.csv").unlink()
    leeds("plan", code=None)
    assert "2 who stood in it before stay in the wave" in leeds("problems", "--area", "wave").out


def test_check_names_a_key_that_nobody_can_have(leeds: Shell) -> None:
    assert "waves.leeds.key" not in leeds("check").out
    leeds.write(DOCUMENT.format(profiles=PEOPLE) + WAVES.replace("key: mail", "key: email"))
    told = " ".join(leeds("check").out.split())
    assert "waves.leeds.key: hr has no attribute email; did you mean" in told
