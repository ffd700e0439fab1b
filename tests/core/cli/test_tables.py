"""Numbers on the command line add up, and say what they count."""

from __future__ import annotations

from metasync.contract import Kind, Reference
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import person

from .conftest import Shell


def with_managers(shell: Shell, hr: MemoryDirectory) -> None:
    """Two people who are made anew with a manager: references are written by themselves."""
    boss = hr.anchors(Kind.USER)[0]
    for name in ("Carl Clerk", "Dora Clerk"):
        anchor = person(hr, name)
        hr.change(anchor, manager=Reference(value=boss))
    shell("import")

    return Reference(value=anchor)


def test_a_plan_counts_changes_and_the_writes_that_they_take(loaded: Shell, hr: MemoryDirectory) -> None:
    with_managers(loaded, hr)
    (plan,) = loaded("plan", "people", "--json").json["plans"]
    assert plan["counts"] == {"create": 6}
    assert plan["writes"] == {"planned": 8}
    assert len(plan["changes"]) == 8
    said = " ".join(loaded("show", "1").out.split())
    assert "changes 6 create " in said
    assert "writes 8 writes, all planned (references are written by themselves, once everybody is there)" in said


def test_after_an_export_every_number_is_one_of_writes(loaded: Shell, hr: MemoryDirectory) -> None:
    with_managers(loaded, hr)
    done = loaded("run", "people", "--approve")
    assert "run 2: 8 writes, all confirmed" in done.out
    shown = " ".join(loaded("show", "run", "2").out.split())
    assert "written by this run: 8 writes, all confirmed" in shown
    assert "6 changes in 1 plan" in shown


def test_where_each_change_is_one_write_nothing_is_explained(loaded: Shell) -> None:
    loaded("import")
    loaded("plan", "people")
    said = loaded("show", "1").out
    assert "4 writes, all planned" in said
    assert "references" not in said


def test_before_any_import_all_directories_that_are_missing_are_named_with_one_command_to_type(loaded: Shell) -> None:
    done = loaded("plan", code=None)
    assert "people and groups were left out: hr and ad were never imported completely; run `metasync import`" in done.err, done.err
    loaded("import", "hr")
    assert "ad was never imported completely; run `metasync import ad`" in loaded("plan", code=None).err


def test_a_run_says_of_each_import_why_everything_was_read(in_step: Shell) -> None:
    assert {one["reason"] for one in in_step("import", "--full", "--json").json["imports"]} == {"it was asked for"}
    first = in_step("show", "run", "1", "--json").json["steps"][0]
    assert first["text"].endswith("; everything was read, because it is the first import")
    delta = in_step("import", "--json").json
    assert {one["reason"] for one in delta["imports"]} == {""}
    assert {one["text"] for one in in_step("show", "run", str(delta["run"]), "--json").json["steps"]} == {"nothing changed"}
