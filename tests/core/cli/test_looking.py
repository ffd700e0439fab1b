"""Looking and deciding on the command line: names of objects, explanations, problems, decisions by hand."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from metasync.contract import Kind
from metasync.testing.memory import MemoryConnector, MemoryDirectory, WriteFault
from metasync.testing.staff import person

from .conftest import Shell


def test_an_object_is_named_by_anchor_by_attribute_or_by_its_label(in_step: Shell, hr: MemoryDirectory) -> None:
    anchor = hr.anchors(Kind.USER)[1]
    wanted = in_step("explain", f"hr/{anchor}", "--json").json
    assert wanted[0]["object"] == f"hr/{anchor}"
    assert in_step("explain", "hr:mail=PERSON.0@x.test", "--json").json == wanted, "an attribute in the index"
    assert in_step("explain", "hr:title=head", "--json").json[0]["label"] == "Berta Boss", "an attribute that no index holds"


def test_an_anchor_alone_names_the_object_where_one_directory_has_it(in_step: Shell, hr: MemoryDirectory) -> None:
    anchor = hr.anchors(Kind.USER)[1]
    assert in_step("explain", anchor, "--json").json == in_step("explain", f"hr/{anchor}", "--json").json


def test_an_anchor_that_several_directories_have_is_refused_with_what_to_type(
    loaded: Shell, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in (hr, ad):
        monkeypatch.setattr(directory, "_random", random.Random(4711))
    mine = person(hr, "Twin")
    assert mine == person(ad, "Twin", "other@x.test")
    loaded("import")
    said = loaded("explain", mine, code=2).err
    assert f"  hr/{mine}  (user, Twin)" in said
    assert f"  ad/{mine}  (user, Twin)" in said


def test_a_name_that_several_objects_have_is_refused_with_all_of_them(in_step: Shell) -> None:
    done = in_step("explain", "Person 1", code=2)
    assert "hr/" in done.err
    assert "ad/" in done.err
    assert "DIRECTORY/ANCHOR" in done.err


def test_an_unknown_name_says_how_objects_are_named(in_step: Shell) -> None:
    done = in_step("explain", "Nobody At All", code=2)
    assert "DIRECTORY:attribute=value" in done.err
    assert 'metasync objects --text "Nobody At All"' in done.err


def test_a_value_is_explained_by_the_mapping_that_made_it(in_step: Shell) -> None:
    assert "source.title" in in_step("explain", "hr:mail=person.1@x.test", "title").out


def status(shell: Shell, name: str) -> tuple[str, set[str]]:
    """(status, topics of the lines)."""
    (found,) = shell("explain", name, "--json").json
    return found["status"], {line["topic"] for line in found["lines"]}


def test_what_was_written_and_confirmed_is_in_step_before_the_next_plan_looks_again(in_step: Shell) -> None:
    said, topics = status(in_step, "hr:mail=person.1@x.test")
    assert said == "in step: written by run 1, and an import shows it"
    assert "pending" not in topics
    in_step("plan")
    assert status(in_step, "hr:mail=person.1@x.test")[0].startswith("in step: in scope")


def test_what_no_import_has_shown_yet_is_to_be_confirmed(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded("import")
    loaded("plan", "people")
    assert status(loaded, "hr:mail=person.1@x.test")[0].startswith("pending")
    loaded("approve", "1", "--reason", "the first day")
    monkeypatch.setattr(MemoryConnector, "lag", timedelta(hours=1))
    loaded("export", "1", code=None)
    said, topics = status(loaded, "hr:mail=person.1@x.test")
    assert said == "written by run 3, to be confirmed by the next import"
    assert "pending" not in topics


def test_what_could_not_be_written_is_still_pending(loaded: Shell, ad: MemoryDirectory) -> None:
    loaded("import")
    loaded("plan", "people")
    loaded("approve", "1", "--reason", "the first day")
    for number in range(1, 5):
        ad.faults.on_write(number, WriteFault.REFUSED)
    loaded("export", "1", code=None)
    said, topics = status(loaded, "hr:mail=person.1@x.test")
    assert said.startswith("pending: run 3 did not write all of it")
    assert "pending" in topics


def test_what_an_undo_took_back_is_held(in_step: Shell, hr: MemoryDirectory) -> None:
    hr.change(hr.anchors(Kind.USER)[1], title="Retired")
    number = in_step("run", "--approve", "--json").json["run"]
    (plan,) = [str(one["plan"]) for one in in_step("undo", str(number), "--json").json["plans"] if one["counts"]]
    in_step("approve", plan, "--reason", "a mistake")
    written = in_step("export", plan, "--json").json["run"]
    assert f"held: run {written} took back what was written, and an import shows it" in status(in_step, "hr:mail=person.0@x.test")[0]


def test_an_attribute_that_the_target_does_not_have_is_told_from_one_that_nobody_maps(in_step: Shell) -> None:
    assert "ad has no attribute titel of a user; did you mean `title`?" in in_step("explain", "hr:mail=person.1@x.test", "titel").out


@pytest.mark.parametrize(
    ("typed", "allowed"),
    [
        (("objects", "--kind", "users"), "'user'"),
        (("objects", "--state", "dead"), "'gone'"),
        (("problems", "--severity", "bad"), "'warning'"),
        (("problems", "--area", "sync"), "'synchronise'"),
    ],
)
def test_a_misspelt_filter_is_refused_with_what_is_allowed(in_step: Shell, typed: tuple[str, ...], allowed: str) -> None:
    assert allowed in in_step(*typed, code=2).err


def test_where_a_filter_leaves_nothing_a_sentence_says_so(in_step: Shell) -> None:
    assert in_step("objects", "--text", "nobody").out == "no objects of that sort; `metasync objects` counts all\n"
    assert in_step("problems", "--of", "nowhere").out == "no problems of that sort; `metasync problems` lists all\n"


def test_objects_are_counted_and_listed_and_searched(in_step: Shell) -> None:
    assert "Directory" in in_step("objects").out
    found = in_step("objects", "--directory", "hr", "--text", "person 1", "--json").json
    assert [one["label"] for one in found] == ["Person 1"]
    assert found[0]["joined"] is True
    assert in_step("objects", "--unjoined", "--kind", "user", "--json").json == []


def test_a_long_list_says_that_there_is_more(in_step: Shell) -> None:
    assert "more than 2" in in_step("objects", "--directory", "hr", "--limit", "2").err


def test_two_objects_are_joined_by_hand_whatever_the_rules_say(loaded: Shell, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    mine = hr.anchors(Kind.USER)[1]
    theirs = ad.add(Kind.USER, name="Somebody else", path="OU=People,DC=memory,DC=test", mail="else@x.test")
    loaded("import")
    loaded("join", f"hr/{mine}", f"ad/{theirs}", "--reason", "married")
    loaded("run", "--approve")
    assert (ad.get(theirs) or {})["mail"] == "person.0@x.test"


def test_two_objects_are_taken_apart_and_stay_apart(in_step: Shell, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    mine = hr.anchors(Kind.USER)[1]
    done = in_step("unjoin", f"hr/{mine}", "--reason", "two people of one name")
    assert "left the identity" in done.out
    in_step("run", code=None)
    assert in_step("objects", "--directory", "ad", "--kind", "user", "--unjoined", "--json").json != []


def test_an_object_that_is_ignored_is_left_alone_until_that_is_taken_back(in_step: Shell, hr: MemoryDirectory) -> None:
    mine = hr.anchors(Kind.USER)[1]
    in_step("ignore", f"hr/{mine}", "--reason", "a test account")
    hr.change(mine, title="Retired")
    assert all(not one["counts"] for one in in_step("run", "--json").json["plans"])
    in_step("ignore", f"hr/{mine}", "--take-back", "--reason", "real after all")
    assert any(one["counts"] for one in in_step("run", "--json", code=3).json["plans"])
    assert in_step("ignore", f"hr/{mine}", "--take-back", "--reason", "again", code=1).out.startswith("took back 0")


def test_a_decision_needs_a_reason_and_two_different_objects(in_step: Shell, hr: MemoryDirectory) -> None:
    one, other = (f"hr/{anchor}" for anchor in hr.anchors(Kind.USER)[:2])
    assert "--reason" in in_step("join", one, other, code=2).err
    assert "both users of hr" in in_step("join", one, other, "--reason", "so", code=2).err
    assert "a decision needs a reason" in in_step("ignore", one, "--reason", " ", code=2).err


def test_a_failed_import_is_listed_among_the_problems_and_its_run_says_why(in_step: Shell, hr: MemoryDirectory) -> None:
    kept, hr.identity = hr.identity, "another"
    in_step("run", code=4)
    (found,) = in_step("problems", "--json").json
    assert (found["area"], found["of"], found["code"], found["severity"]) == ("import", "hr", "not imported", "error")
    assert f"hr was {kept} when" in " ".join(in_step("runs").out.split())
    hr.identity = kept
    in_step("import")
    assert in_step("problems", "--json").json == []


def test_problems_name_the_object_and_can_be_narrowed(in_step: Shell, hr: MemoryDirectory) -> None:
    assert "no problems" in in_step("problems").out
    person(hr, "Person 1", mail="person.1@x.test")
    in_step("run", code=None)
    found = in_step("problems", "--json").json
    assert found, "two people of one mail address are a problem"
    assert {one["of"] for one in found} == {"people"}
    assert in_step("problems", "--of", "groups", "--json").json == []
    assert found[0]["text"].split()[0] in in_step("problems", "--severity", found[0]["severity"]).out


def test_a_run_is_shown_with_its_steps(in_step: Shell) -> None:
    steps = in_step("show", "run", "1", "--json").json["steps"]
    assert [one["name"] for one in steps] == ["import", "import", "synchronise", "plan", "export", "confirm"]
    assert {one["state"] for one in steps} == {"done"}


def test_show_says_how_to_name_a_run_or_a_plan(in_step: Shell) -> None:
    assert "show run NUMBER" in in_step("show", "everything", code=2).err
    assert "there is no plan 99" in in_step("show", "99", code=2).err
    assert "there is no run 99" in in_step("show", "run", "99", code=2).err


def test_names_from_directories_cannot_rewrite_the_screen(in_step: Shell, hr: MemoryDirectory) -> None:
    hr.change(hr.anchors(Kind.USER)[1], displayName="Eve\x1b[2J\u202egnp.exe")
    in_step("import")
    out = in_step("objects", "--directory", "hr", "--kind", "user").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[2J" in out
