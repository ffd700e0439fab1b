"""The job on the command line: what is printed where, what JSON holds, and how each command ends."""

from __future__ import annotations

import re
import signal
import threading
from typing import Any

import pytest

from metasync.contract import Kind, Unavailable
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import DOCUMENT, STAFF, person

from .conftest import Shell


def test_a_run_waits_for_approval_and_says_what_to_type_next(loaded: Shell) -> None:
    done = loaded("run", code=3)
    assert "4 create" in done.out
    assert "Next: metasync show 1, then metasync approve 1 --reason TEXT" in done.err


def test_approved_plans_are_exported_and_confirmed_and_the_next_run_is_empty(loaded: Shell, ad: MemoryDirectory) -> None:
    loaded("run", code=3)
    numbers = [str(number) for number in loaded.plans()]
    for number in numbers:
        loaded("approve", number, "--reason", "looked at")
    done = loaded("export", *numbers)
    assert "confirmed" in done.out
    assert len(ad.anchors(Kind.USER)) == 4
    assert all(one["state"] == "empty" for one in loaded("run", "--json").json["plans"])


def test_a_plan_that_is_exported_again_had_nothing_left_to_write(loaded: Shell) -> None:
    loaded("run", code=3)
    loaded("approve", "1", "--reason", "looked at")
    first = loaded("export", "1", "--json").json["run"]
    again = loaded("export", "1")
    assert f"plan 1 was exported by run {first} already, and nothing was left to write" in again.out
    assert "confirmed" not in again.out


def test_run_approve_does_all_of_it_at_once(loaded: Shell, ad: MemoryDirectory) -> None:
    done = loaded("run", "--approve", "--reason", "nightly", "--json").json
    assert done["state"] == "done"
    assert set(done["written"]) == {"confirmed"}
    assert len(ad.anchors(Kind.USER)) == 4


def test_results_are_on_stdout_and_messages_on_stderr(loaded: Shell) -> None:
    done = loaded("run", "--json", code=3)
    assert done.json["state"] == "waiting"
    assert "import hr ..." in done.err


def test_options_are_taken_before_and_after_the_verb(loaded: Shell) -> None:
    assert loaded("--json", "runs").json == loaded("runs", "--json").json
    assert loaded("runs", "--engagement", "elsewhere.yaml", code=2).err


def test_the_environment_names_document_and_database(loaded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (loaded.folder / "metasync.yaml").rename(loaded.folder / "other.yaml")
    monkeypatch.setenv("METASYNC_ENGAGEMENT", "other.yaml")
    assert loaded("runs").code == 0
    monkeypatch.setenv("METASYNC_DATABASE", f"sqlite:///{loaded.folder / 'none.db'}")
    assert "metasync" in loaded("runs", code=2).err


def test_plan_json_has_what_the_design_promises(loaded: Shell) -> None:
    loaded("import")
    (plan, _) = loaded("plan", "--json").json["plans"]
    assert {"plan", "hash", "revision", "counts", "problems", "changes"} <= set(plan)
    assert plan["revision"] == 1
    assert plan["counts"] == {"create": 4}
    first = next(one for one in plan["changes"] if one["label"] == "Berta Boss")
    assert {"before", "after", "rule"} <= set(first)
    assert first["after"]["title"] == "Head"
    assert "source.title" in first["rule"]["title"]


def test_a_pilot_plans_only_the_objects_that_were_named(loaded: Shell, hr: MemoryDirectory) -> None:
    loaded("import")
    plans = loaded("plan", "people", "--object", "Person 1", "--json").json["plans"]
    assert [one["label"] for one in plans[0]["changes"]] == ["Person 1"]


def test_show_plan_prints_before_after_and_rule_and_can_be_narrowed(in_step: Shell, hr: MemoryDirectory) -> None:
    for anchor in hr.anchors(Kind.USER):
        hr.change(anchor, title="Retired")
    in_step("run", code=3)
    (number,) = in_step.plans()
    everything = in_step("show", str(number)).out
    assert re.search(r"Clerk → Retired\s+source\.title", everything)
    assert "4 update" in everything
    narrowed = in_step("show", "plan", str(number), "--object", "person 2").out
    assert "Person 2" in narrowed
    assert "Person 1" not in narrowed
    assert "Person" not in in_step("show", str(number), "--operation", "delete").out


def test_a_big_plan_is_summed_up_and_its_first_50_changes_shown(loaded: Shell, hr: MemoryDirectory) -> None:
    for number in range(60):
        person(hr, f"Crowd {number:02}")
    loaded("import")
    loaded("plan", "people")
    short = loaded("show", "1").out
    assert "64 create" in short
    assert "14 writes more" in short
    assert loaded("show", "1", "--all").out.count("create user") == 64


def test_a_limit_stops_a_run_and_only_beyond_lifts_it(loaded: Shell) -> None:
    loaded.write(DOCUMENT.format(profiles=STAFF.replace("create: {count: 5000}", "create: {count: 2}")))
    loaded("load")
    done = loaded("run", "people", "--approve", code=3)
    assert "passes a limit" in done.out
    refused = loaded("approve", "1", "--reason", "please", code=3)
    assert "--beyond 'create'" in refused.err or "--beyond create" in refused.err
    loaded("approve", "1", "--reason", "please", "--beyond", "create")
    loaded("export", "1")


def test_an_approval_needs_a_reason(loaded: Shell) -> None:
    loaded("run", code=3)
    assert "--reason" in loaded("approve", "1", code=2).err


def test_a_plan_that_is_not_approved_is_not_exported(loaded: Shell, ad: MemoryDirectory) -> None:
    loaded("run", code=3)
    done = loaded("export", "1", code=2)
    assert "metasync approve 1" in done.err
    assert ad.anchors(Kind.USER) == []


def test_an_unavailable_directory_ends_with_4_and_stops_only_what_depends_on_it(loaded: Shell, hr: MemoryDirectory) -> None:
    hr.faults.unavailable = "the plug is out"
    done = loaded("run", code=4)
    assert "the plug is out" in " ".join(done.out.split())
    assert "people and groups were left out: the import of hr is not complete" in done.err
    assert loaded("show", "run", "1").out.count("failed") >= 1


def test_what_is_paused_is_left_out_until_it_is_resumed(loaded: Shell) -> None:
    loaded("pause", "groups")
    done = loaded("run", "--json", code=3).json
    assert done["left out"] == {"groups": "paused"}
    assert loaded("runs", "--json").json["paused"] == ["groups"]
    assert "paused: groups; left out by `run` and by schedules until `metasync resume groups`" in loaded("runs").out
    loaded("resume", "groups")
    assert "paused" not in loaded("runs").out
    assert loaded("run", "--json", code=3).json["left out"] == {}


def test_undo_plans_the_way_back_and_what_it_restored_is_held_until_release(
    in_step: Shell, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    hr.change(hr.anchors(Kind.USER)[1], title="Retired")
    number = in_step("run", "--approve", "--json").json["run"]
    undo = in_step("undo", str(number), "--json").json
    assert undo["plans"][0]["undoes"] == number
    plans = [str(one["plan"]) for one in undo["plans"] if one["counts"]]
    for plan in plans:
        in_step("approve", plan, "--reason", "a mistake")
    in_step("export", *plans)
    titles = {(ad.get(anchor) or {}).get("title") for anchor in ad.anchors(Kind.USER)}
    assert titles == {"Head", "Clerk"}
    assert all(not one["counts"] for one in in_step("run", "--json").json["plans"]), "held"
    assert "released 1 hold" in in_step("release", "--all").out
    assert any(one["counts"] for one in in_step("run", "--json", code=3).json["plans"])


@pytest.mark.parametrize("which", ["the run that was undone", "the run that planned the undo", "the run that wrote it"])
def test_release_knows_an_undo_by_any_of_its_runs(in_step: Shell, hr: MemoryDirectory, which: str) -> None:
    hr.change(hr.anchors(Kind.USER)[1], title="Retired")
    number = in_step("run", "--approve", "--json").json["run"]
    undo = in_step("undo", str(number), "--json").json
    plans = [str(one["plan"]) for one in undo["plans"] if one["counts"]]
    for plan in plans:
        in_step("approve", plan, "--reason", "a mistake")
    written = in_step("export", *plans, "--json").json["run"]
    other = in_step("release", "--run", "1", code=1)
    assert f"1 hold of the undo that run {written} wrote: `metasync release --run {written}`" in other.out
    runs = {"the run that was undone": number, "the run that planned the undo": undo["run"], "the run that wrote it": written}
    assert len(set(runs.values())) == 3
    assert "released 1 hold" in in_step("release", "--run", str(runs[which])).out
    assert "nothing is held" in in_step("release", "--all").out


def test_release_wants_to_know_what(in_step: Shell) -> None:
    assert "--all" in in_step("release", code=2).err


def test_undo_of_a_run_that_wrote_nothing_says_so(in_step: Shell) -> None:
    number = in_step("import", "--json").json["run"]
    assert f"nothing that run {number} wrote is still there to be taken back" in in_step("undo", str(number)).out


def test_a_reason_without_approval_is_refused(loaded: Shell) -> None:
    assert "--reason says why --approve approves" in loaded("run", "--reason", "so", code=2).err


def test_a_misspelt_target_attribute_stops_its_profile_alone_and_is_seen_by_check(loaded: Shell) -> None:
    loaded("import")
    text = (loaded.folder / "metasync.yaml").read_text(encoding="utf-8")
    loaded.write(text.replace("title: source.title", "titel: source.title", 1))
    words = "profiles.people.map.titel: ad has no attribute titel of a user; did you mean `title`?"
    assert re.search(rf"warning: metasync\.yaml:\d+: {re.escape(words)}", loaded("check").out)
    loaded("load")
    done = loaded("plan", code=1)
    assert f"people was left out: {words}" in done.err
    assert "groups" in done.out


def test_a_new_error_of_an_object_ends_the_run_with_exit_code_1_and_one_that_stood_before_does_not(
    in_step: Shell, hr: MemoryDirectory
) -> None:
    hr.change(hr.anchors(Kind.USER)[1], displayName=None)
    done = in_step("run", code=1)
    assert "1 new error of single objects; see `metasync problems --severity error`" in done.err
    assert "new error" not in in_step("run").err
    hr.change(hr.anchors(Kind.USER)[2], displayName=None)
    in_step("import")
    in_step("plan", code=1)


def test_undo_of_an_unknown_run_says_so(in_step: Shell) -> None:
    assert "there is no run 99" in in_step("undo", "99", code=2).err


def test_a_number_that_is_not_there_is_said_at_once_and_leaves_no_failed_run_and_nothing_on_the_queue(in_step: Shell) -> None:
    before = in_step("runs", "--json").json["runs"]
    for words in (("undo", "99"), ("release", "--run", "99"), ("stop", "99")):
        assert "there is no run 99; see `metasync runs`" in in_step(*words, code=2).err
        assert "there is no run 99; see `metasync runs`" in in_step(*words, "--dispatch", "database", code=2).err
    for how in ("inline", "database"):
        assert "there is no plan 99; see `metasync runs`" in in_step("export", "99", "--dispatch", how, code=2).err
    assert in_step("runs", "--json").json["runs"] == before


def test_an_undo_is_of_a_run_or_of_a_wave_and_a_pilot_of_a_wave_or_of_objects(in_step: Shell) -> None:
    assert "or a wave, with --wave" in in_step("undo", code=2).err
    assert "or a wave, with --wave" in in_step("undo", "1", "--wave", "leeds", code=2).err
    assert "the document has no waves" in in_step("undo", "--wave", "leeds", code=2).err
    assert "give --wave or --object" in in_step("plan", "--wave", "leeds", "--object", "Person 1", code=2).err
    assert "there is no wave 'leeds'" in in_step("plan", "--wave", "leeds", code=2).err


def test_a_run_that_is_not_running_cannot_be_stopped(in_step: Shell) -> None:
    assert "not running" in in_step("stop", "1", code=2).err


def test_the_first_interrupt_stops_a_run_safely_and_it_can_go_on_later(
    loaded: Shell, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metasync.testing.memory import MemoryConnector

    whole = MemoryConnector.write

    def interrupted(self: Any, changes: Any) -> Any:
        assert threading.current_thread() is threading.main_thread()
        signal.raise_signal(signal.SIGINT)
        yield from whole(self, changes)

    monkeypatch.setattr(MemoryConnector, "write", interrupted)
    done = loaded("run", "--approve", code=130)
    assert "press Ctrl-C again" in done.err
    assert loaded("show", "run", "1", "--json").json["run"]["state"] == "stopped"
    monkeypatch.setattr(MemoryConnector, "write", whole)
    loaded("run", "--approve")
    assert len(ad.anchors(Kind.USER)) == 4, "nothing is lost, and nothing is there twice"


def test_an_unknown_directory_or_profile_names_those_that_there_are(loaded: Shell) -> None:
    assert "the document has: hr, ad" in loaded("import", "nowhere", code=2).err
    assert "the document has: people, groups" in loaded("run", "nobody", code=2).err


def test_unknown_dispatch_names_what_is_allowed(loaded: Shell) -> None:
    assert "allowed here: database, inline" in loaded("run", "--dispatch", "pigeons", code=2).err


def test_unavailable_is_told_apart_from_other_errors() -> None:
    from metasync import service

    assert service.trouble(Unavailable("no")) is service.Trouble.UNAVAILABLE


def test_tables_hold_no_codes_and_fit_into_80_columns_where_nobody_looks(in_step: Shell) -> None:
    for command in (("runs",), ("objects",), ("show", "1"), ("show", "run", "1"), ("plugin", "list"), ("test",)):
        done = in_step(*command, code=None)
        assert "\x1b" not in done.out + done.err
        assert all(len(line) <= 80 for line in done.out.splitlines()), command
        assert all(line == line.rstrip() for line in done.out.splitlines()), command


def test_json_can_be_read_by_the_next_program(in_step: Shell) -> None:
    for command in (("runs",), ("objects",), ("problems",), ("show", "1"), ("test",), ("plugin", "list"), ("doctor",), ("check",)):
        assert in_step(*command, "--json", code=None).json is not None
