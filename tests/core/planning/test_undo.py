"""Undo takes back what a run wrote, where it still is what the run wrote (law 12)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from metasync.contract import Kind, MetasyncError, Operation, Reference
from metasync.exporting import confirm_import, export
from metasync.planning import approve, freeze, plan_undo, release
from metasync.store import tables as t
from metasync.store.rows import PendingOperation


def exported(bench: Any, plan: int) -> int:
    """The run that wrote the plan."""
    approve(bench.workspace, plan, reason="good")
    run = int(bench.run("export"))
    export(bench.workspace, run, [plan], patience=timedelta(0))
    return run


def done(bench: Any, profile: str = "staff") -> int:
    """What is pending is planned, written, imported and confirmed; the run."""
    [plan] = freeze(bench.workspace, bench.run(), [profile])
    run = exported(bench, plan.id)
    bench.settled()
    bench.imports()
    confirm_import(bench.workspace, "fabrikam", run)
    return run


def undone(bench: Any, run: int) -> tuple[int, int]:
    """(plan, run) of the undo, written."""
    [plan] = plan_undo(bench.workspace, bench.run("undo"), run)
    written = exported(bench, plan.id)
    bench.imports()
    return plan.id, written


def test_an_update_goes_back_and_is_held_until_it_is_released(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "title": "old"})
    bench.pend_update(anna, {"title": "old"}, {"title": "new", "phones": ("1",)})
    run = done(bench)
    plan, _ = undone(bench, run)
    assert [(one.operation, one.before, one.after) for one in bench.changes(plan)] == [
        (Operation.UPDATE, {"title": "new"}, {"title": "old"}),
        (Operation.CLEAR, {"phones": ("1",)}, {"phones": None}),
    ]
    assert bench.fabrikam.objects["t-anna"] == {"name": "anna", "title": "old"}
    assert bench.holds() == {(anna, "title"), (anna, "phones")}
    assert release(bench.workspace, profile="staff") == 2
    assert bench.holds() == set()
    assert [(one.profile, one.object_id) for one in bench.rows(t.dirty)] == [("staff", anna)]


def test_an_undo_goes_through_the_same_gate(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend_update(anna, {}, {"title": "new"})
    run = done(bench)
    [plan] = plan_undo(bench.workspace, bench.run("undo"), run)
    assert (plan.purpose, plan.state, plan.undoes, plan.counts) == ("undo", "planned", run, {Operation.CLEAR: 1})
    assert bench.fabrikam.objects["t-anna"]["title"] == "new"
    assert bench.holds() == set()


def test_what_somebody_changed_since_is_left_alone_and_named(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "title": "old", "mail": "a@x"})
    bench.pend_update(anna, {"title": "old", "mail": "a@x"}, {"title": "new", "mail": "b@x"})
    run = done(bench)
    bench.fabrikam.objects["t-anna"]["title"] = "somebody's"
    bench.imports()
    plan, _ = undone(bench, run)
    assert [one.after for one in bench.changes(plan)] == [{"mail": "a@x"}]
    assert bench.problems("undo") == ["title of anna is left alone: somebody in fabrikam changed it since"]


def test_what_a_later_run_of_ours_changed_is_left_alone_and_that_run_is_named(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "title": "one"})
    bench.pend_update(anna, {"title": "one"}, {"title": "two"})
    first = done(bench)
    bench.pend_update(anna, {"title": "two"}, {"title": "three"})
    second = done(bench)
    [plan] = plan_undo(bench.workspace, bench.run("undo"), first)
    assert plan.state == "empty"
    assert bench.problems("undo") == [f"title of anna is left alone: run {second} changed it since"]


def test_a_written_change_that_no_import_has_shown_yet_can_be_undone(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "title": "old"})
    bench.pend_update(anna, {"title": "old"}, {"title": "new"})
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    run = exported(bench, plan.id)
    undone(bench, run)
    assert bench.fabrikam.objects["t-anna"]["title"] == "old"


def test_a_created_object_that_is_ours_and_unchanged_is_deleted(bench: Any) -> None:
    anna, boss = bench.person("anna"), bench.person("boss", target={"name": "boss"})
    bench.pend_create(anna, manager=Reference(value="t-boss"))
    run = done(bench)
    plan, _ = undone(bench, run)
    assert [(one.operation, one.before) for one in bench.changes(plan)] == [(Operation.DELETE, {"name": "anna"})]
    assert set(bench.fabrikam.objects) == {"t-boss"}
    assert bench.holds() == {(anna, "*")}
    assert boss


def test_a_created_object_that_was_changed_since_is_kept(bench: Any) -> None:
    bench.pend_create(bench.person("anna"), title="x")
    run = done(bench)
    [anchor] = bench.fabrikam.objects
    bench.fabrikam.objects[anchor]["title"] = "y"
    bench.imports()
    [plan] = plan_undo(bench.workspace, bench.run("undo"), run)
    assert plan.state == "empty"
    assert bench.problems("undo") == ["anna is kept: somebody in fabrikam changed title since it was created"]


def test_a_created_object_that_lost_our_mark_is_kept(bench: Any) -> None:
    """An undone create deletes only what carries our mark."""
    bench.pend_create(bench.person("anna"))
    run = done(bench)
    bench.fabrikam.marks.clear()
    bench.imports()
    [plan] = plan_undo(bench.workspace, bench.run("undo"), run)
    assert plan.state == "empty"
    assert "does not carry our mark" in bench.problems("undo")[0]


def test_where_there_are_no_marks_our_record_stands_in(unmarked: Any) -> None:
    unmarked.pend_create(unmarked.person("anna"))
    run = done(unmarked)
    undone(unmarked, run)
    assert unmarked.fabrikam.objects == {}


def test_a_deleted_object_is_restored_where_the_directory_can(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "title": "x"})
    bench.pend(anna, PendingOperation(operation=Operation.DELETE, before={"name": "anna"}))
    run = done(bench)
    assert bench.fabrikam.objects == {}
    undone(bench, run)
    assert bench.fabrikam.objects == {"t-anna": {"name": "anna", "title": "x"}}
    assert bench.holds() == {(anna, "*")}


def test_what_does_not_return_by_itself_is_written_again_and_what_is_lost_is_named(bench: Any) -> None:
    bench.fabrikam.loses = "its memberships and its password cannot return"
    boss = bench.person("boss", target={"name": "boss"})
    anna = bench.person("anna", target={"name": "anna", "title": "x", "phones": ("1", "2"), "manager": Reference(value="t-boss")})
    bench.pend(anna, PendingOperation(operation=Operation.DELETE, before={"name": "anna"}))
    run = done(bench)
    plan, _ = undone(bench, run)
    assert bench.fabrikam.objects["t-anna"] == {"name": "anna", "title": "x", "phones": ("1", "2"), "manager": Reference(value="t-boss")}
    assert [one.operation for one in bench.changes(plan)] == [Operation.RESTORE, Operation.UPDATE]
    [problem] = bench.problems("undo")
    assert "restored, but not whole: its memberships" in problem
    assert bench.holds() == {(anna, "*")} and boss


def test_a_deleted_object_that_cannot_return_is_a_problem_that_says_what_is_lost(bench: Any) -> None:
    bench.fabrikam.restores = False
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend(anna, PendingOperation(operation=Operation.DELETE, before={"name": "anna"}))
    run = done(bench)
    [plan] = plan_undo(bench.workspace, bench.run("undo"), run)
    assert plan.state == "empty"
    [problem] = bench.problems("undo")
    assert "security identifier, memberships and password" in problem


def test_members_and_a_disable_go_back(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP, target={"name": "team"})
    anna = bench.person("anna", target={"name": "anna", "enabled": True})
    bench.pend_members(group, Operation.MEMBER_ADD, "t-anna")
    bench.pend_update(anna, {"enabled": True}, {"enabled": False}, Operation.DISABLE)
    plans = freeze(bench.workspace, bench.run(), ["staff", "groups"])
    for one in plans:
        approve(bench.workspace, one.id, reason="good")
    run = bench.run("export")
    export(bench.workspace, run, [one.id for one in plans], patience=timedelta(0))
    bench.settled()
    bench.imports()
    back = plan_undo(bench.workspace, bench.run("undo"), run)
    for one in back:
        approve(bench.workspace, one.id, reason="back")
    export(bench.workspace, bench.run("export"), [one.id for one in back], patience=timedelta(0))
    assert bench.fabrikam.objects["t-anna"]["enabled"] is True
    assert bench.fabrikam.objects["t-team"]["members"] == ()
    assert bench.holds() == {(group, "members"), (anna, "enabled")}


def test_renames_and_moves_of_one_object_go_back_in_reverse(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "path": "OU=A"})
    bench.pend(
        anna,
        PendingOperation(operation=Operation.RENAME, before={"name": "anna"}, after={"name": "anne"}),
        PendingOperation(operation=Operation.MOVE, before={"path": "OU=A"}, after={"path": "OU=B"}),
    )
    run = done(bench)
    plan, _ = undone(bench, run)
    assert [one.operation for one in sorted(bench.changes(plan), key=lambda one: one.id)] == [Operation.MOVE, Operation.RENAME]
    assert bench.fabrikam.objects["t-anna"] == {"name": "anna", "path": "OU=A"}


def test_an_undo_of_an_undo_works_and_takes_its_holds_back(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "title": "old"})
    bench.pend_update(anna, {"title": "old"}, {"title": "new"})
    run = done(bench)
    _, back = undone(bench, run)
    assert bench.holds() == {(anna, "title")}
    undone(bench, back)
    assert bench.fabrikam.objects["t-anna"]["title"] == "new"
    assert bench.holds() == set()


def test_what_was_taken_back_is_not_taken_back_twice(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "title": "old"})
    bench.pend_update(anna, {"title": "old"}, {"title": "new"})
    run = done(bench)
    plan, _ = undone(bench, run)
    [original] = [row for row in bench.rows(t.change) if row.run_id == run]
    with bench.backend.read() as connection:
        undo = connection.execute(select(t.change.c.id).where(t.change.c.plan_id == plan)).scalar_one()
    assert original.undone_by == undo
    [again] = plan_undo(bench.workspace, bench.run("undo"), run)
    assert again.state == "empty"
    assert bench.problems("undo") == []


def test_an_unknown_run_cannot_be_undone(bench: Any) -> None:
    with pytest.raises(MetasyncError, match="there is no run 99"):
        plan_undo(bench.workspace, bench.run("undo"), 99)
