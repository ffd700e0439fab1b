"""An export writes what was approved, in order, once, and says of everything else why not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from metasync.contract import Kind, Operation, Outcome, Reference, Result, Unavailable
from metasync.exporting import export, prepare, work
from metasync.planning import ApprovalRefused, approve, freeze
from metasync.store import audit
from metasync.store import tables as t
from metasync.store.rows import PendingOperation

NOW = timedelta(0)


def planned(bench: Any, profile: str = "staff") -> int:
    [plan] = freeze(bench.workspace, bench.run(), [profile])
    approve(bench.workspace, plan.id, reason="good")
    return int(plan.id)


def exported(bench: Any, *plan_ids: int) -> Any:
    return export(bench.workspace, bench.run("export"), plan_ids, patience=NOW)


def test_a_create_reaches_the_directory_with_its_mark_and_stands_for_its_identity(bench: Any) -> None:
    bench.pend_create(bench.person("anna"), mail="anna@x")
    plan = planned(bench)
    outcome = exported(bench, plan)
    assert (outcome.counts, outcome.written, outcome.failed) == ({"written": 1}, 1, 0)
    [[change]] = bench.fabrikam.calls
    assert change.mark == "metasync:" + change.tag
    assert not change.retried
    [row] = bench.changes(plan)
    assert (row.state, row.anchor, row.attempts) == ("written", "id-anna-1", 1)
    join = next(one for one in bench.rows(t.join) if one.directory_id == bench.directory_ids["fabrikam"])
    assert (join.anchor, join.object_id, join.created, join.profile) == ("id-anna-1", None, True, "staff")
    assert bench.plan(plan).state == "exported"


def test_i3_nothing_is_written_that_was_not_approved(bench: Any) -> None:
    """I3: no write that was not approved, in exactly the approved form."""
    bench.pend_create(bench.person("anna"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    with pytest.raises(ApprovalRefused, match="is not approved"):
        exported(bench, plan.id)
    approve(bench.workspace, plan.id, reason="good")
    with bench.backend.write() as connection:
        connection.execute(update(t.change).values(after=b'\x01{"name":"eve"}'))
    with pytest.raises(ApprovalRefused, match="somebody edited the database"):
        exported(bench, plan.id)
    assert bench.fabrikam.calls == []


def test_i3_a_changed_configuration_makes_an_approval_void(bench: Any) -> None:
    bench.pend_create(bench.person("anna"))
    plan = planned(bench)
    bench.profile(configuration="two")
    with pytest.raises(ApprovalRefused, match="configuration of staff changed"):
        exported(bench, plan)
    assert bench.fabrikam.calls == []


def test_references_are_written_once_what_they_mean_exists(bench: Any) -> None:
    anna, boss = bench.person("anna"), bench.person("boss")
    bench.pend_create(anna, manager=Reference(key="created for", value="hr/boss"))
    bench.pend_create(boss)
    exported(bench, planned(bench))
    written = {entry["name"]: entry for entry in bench.fabrikam.objects.values()}
    assert written["anna"]["manager"] == Reference(value="id-boss-2")


def test_a_reference_to_what_was_not_created_waits_and_says_for_whom(bench: Any) -> None:
    """I5: every object is in exactly one state, and the state is explained in words."""
    anna, boss = bench.person("anna"), bench.person("boss")
    bench.pend_create(anna, manager=Reference(key="created for", value="hr/boss"))
    bench.pend_create(boss)
    bench.fabrikam.script["boss"] = [Outcome.REJECTED]
    plan = planned(bench)
    outcome = exported(bench, plan)
    assert outcome.counts == {"written": 1, "rejected": 1, "approved": 1}
    [waiting] = [row for row in bench.changes(plan) if row.state == "approved"]
    assert waiting.error == "waits for hr/boss to be created"
    assert bench.plan(plan).state == "approved"


def test_members_are_added_by_anchor_also_to_a_group_that_was_just_created(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP)
    bench.pend_create(group, profile="groups")
    bench.pend_create(bench.person("anna"))
    bench.pend_members(group, Operation.MEMBER_ADD, "hr/anna", created=True)
    exported(bench, planned(bench, "groups"), planned(bench))
    team = next(entry for entry in bench.fabrikam.objects.values() if entry["name"] == "team")
    assert team["members"] == (Reference(value="id-anna-2"),)
    assert [label for _, label in bench.fabrikam.order] == ["team", "anna", "team"]


def test_members_of_a_group_that_was_refused_are_refused_with_that_reason(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP)
    bench.person("anna", target={"name": "anna"})
    bench.pend_create(group, profile="groups")
    bench.pend_members(group, Operation.MEMBER_ADD, "t-anna")
    bench.fabrikam.script["team"] = [Outcome.REJECTED]
    plan = planned(bench, "groups")
    exported(bench, plan)
    _, member = bench.changes(plan)
    assert member.state == "rejected"
    assert member.error == "not begun, because the create before it was not done: the directory says rejected"


def test_an_objects_later_change_waits_for_its_earlier_one(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "enabled": True})
    bench.pend(
        anna,
        PendingOperation(operation=Operation.UPDATE, after={"title": "x"}),
        PendingOperation(operation=Operation.DISABLE, before={"enabled": True}, after={"enabled": False}),
    )
    bench.fabrikam.script["anna"] = [Result(id="", outcome=Outcome.RETRY, detail="busy", retry_after=timedelta(hours=1))]
    plan = planned(bench)
    exported(bench, plan)
    assert bench.fabrikam.order == [("update", "anna")]
    assert [(row.state, row.error) for row in bench.changes(plan)] == [("approved", "busy"), ("approved", "waits for the update before it")]
    bench.set_due()
    exported(bench, plan)
    assert [operation for operation, _ in bench.fabrikam.order] == ["update", "update", "disable"]
    assert bench.states(plan) == {"written": 2}


def test_two_changes_of_one_object_are_never_in_one_call(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend(
        anna,
        PendingOperation(operation=Operation.UPDATE, after={"title": "x"}),
        PendingOperation(operation=Operation.RENAME, after={"phones": ("1",)}),
    )
    exported(bench, planned(bench))
    assert [len(call) for call in bench.fabrikam.calls] == [1, 1]


def test_portions_have_the_connectors_size(bench: Any) -> None:
    for number in range(7):
        bench.pend_create(bench.person(f"p{number}"))
    exported(bench, planned(bench))
    assert [len(call) for call in bench.fabrikam.calls] == [3, 3, 1]


def test_a_conflict_sends_that_one_change_back_and_not_the_plan(bench: Any) -> None:
    """Law 9: drift of one object sends back that change alone."""
    anna, bob = bench.person("anna", target={"name": "anna"}), bench.person("bob", target={"name": "bob"})
    bench.pend_update(anna, {}, {"title": "x"})
    bench.pend_update(bob, {}, {"title": "x"})
    plan = planned(bench)
    bench.fabrikam.objects["t-anna"]["title"] = "drifted"
    outcome = exported(bench, plan)
    assert outcome.counts == {"stale": 1, "written": 1}
    assert bench.fabrikam.objects["t-anna"]["title"] == "drifted"
    assert bench.problems("export") == ["update of anna in fabrikam: title is 'drifted'; it is planned again after the next import"]


def test_what_is_refused_again_and_again_is_one_problem(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP, target={"name": "team"})
    for name in ("anna", "bob"):
        bench.person(name, target={"name": name})
    for _ in range(3):
        bench.pend_members(group, Operation.MEMBER_ADD, "t-anna", "t-bob")
        bench.fabrikam.script["team"] = [Outcome.REJECTED, Outcome.REJECTED]
        assert exported(bench, planned(bench, "groups")).counts == {"rejected": 2}
        assert bench.problems("export") == ["member add of team in fabrikam: the directory says rejected"]


def test_i2_a_create_that_was_written_and_answered_unknown_is_found_by_its_mark(bench: Any) -> None:
    """I2: no change is applied twice."""
    bench.pend_create(bench.person("anna"))
    bench.fabrikam.script["anna"] = ["written"]
    plan = planned(bench)
    assert exported(bench, plan).counts == {"written": 1}
    assert bench.fabrikam.creates == 1
    [[asked]] = bench.fabrikam.finds
    assert asked.retried


def test_i1_a_create_that_was_not_written_and_answered_unknown_is_written(bench: Any) -> None:
    """I1: no change is lost."""
    bench.pend_create(bench.person("anna"))
    bench.fabrikam.script["anna"] = [Outcome.UNKNOWN]
    plan = planned(bench)
    assert exported(bench, plan).counts == {"written": 1}
    assert bench.fabrikam.creates == 1
    assert bench.fabrikam.calls[-1][0].retried


def test_a_change_that_nobody_can_tell_stays_in_flight_with_a_named_problem(bench: Any) -> None:
    bench.pend_create(bench.person("anna"))
    bench.fabrikam.script["anna"] = [Outcome.UNKNOWN]
    bench.fabrikam.cannot_tell.add("anna")
    plan = planned(bench)
    for _ in range(3):
        exported(bench, plan)
        bench.set_due()
    assert bench.states(plan) == {"in_flight": 1}
    assert bench.fabrikam.creates == 0
    assert bench.problems("export")[-1] == "create of anna in fabrikam: 4 attempts: no answer"
    bench.fabrikam.cannot_tell.clear()
    exported(bench, plan)
    assert bench.states(plan) == {"written": 1}
    assert bench.problems("export") == []


def test_a_change_in_flight_whose_reference_lost_its_join_is_a_named_problem(bench: Any) -> None:
    bench.person("boss", target={"name": "boss"})
    bench.pend_update(bench.person("anna", target={"name": "anna"}), {}, {"manager": Reference(key="created for", value="hr/boss")})
    bench.fabrikam.script["anna"] = [Outcome.UNKNOWN]
    bench.fabrikam.cannot_tell.add("anna")
    plan = planned(bench)
    exported(bench, plan)
    with bench.backend.write() as connection:
        connection.execute(delete(t.join).where(t.join.c.anchor == "t-boss"))
    for _ in range(4):
        bench.set_due()
        exported(bench, plan)
    assert bench.states(plan) == {"in_flight": 1}
    assert "what it refers to is not joined any more" in bench.problems("export")[-1]


def test_without_marks_an_object_with_the_same_name_and_values_is_ours(unmarked: Any) -> None:
    unmarked.pend_create(unmarked.person("anna"), mail="a@x")
    unmarked.fabrikam.script["anna"] = ["written"]
    plan = planned(unmarked)
    assert exported(unmarked, plan).counts == {"written": 1}
    assert unmarked.fabrikam.creates == 1


def test_without_marks_an_object_with_the_same_name_and_other_values_is_a_conflict(unmarked: Any) -> None:
    unmarked.pend_create(unmarked.person("anna"), mail="a@x")
    unmarked.fabrikam.script["anna"] = [Outcome.UNKNOWN]
    unmarked.fabrikam.objects["stranger"] = {"name": "anna", "mail": "other@x"}
    plan = planned(unmarked)
    assert exported(unmarked, plan).counts == {"stale": 1}
    assert unmarked.fabrikam.creates == 0


def test_a_retry_keeps_its_time_and_rests_after_three_attempts(bench: Any) -> None:
    bench.pend_create(bench.person("anna"))
    busy = Result(id="", outcome=Outcome.RETRY, detail="busy", retry_after=NOW)
    bench.fabrikam.script["anna"] = [busy, busy, busy]
    plan = planned(bench)
    exported(bench, plan)
    [row] = bench.changes(plan)
    assert (row.state, row.attempts) == ("approved", 3)
    assert bench.problems("export") == ["create of anna in fabrikam: 3 attempts: busy"]
    exported(bench, plan)
    assert len(bench.fabrikam.calls) == 3
    bench.set_due()
    exported(bench, plan)
    assert bench.states(plan) == {"written": 1}


def test_an_unavailable_directory_ends_its_batch_and_loses_nothing(bench: Any) -> None:
    for name in ("anna", "bob", "carl", "dora"):
        bench.pend_create(bench.person(name))
    bench.fabrikam.script["bob"] = [Unavailable("the line is down")]
    plan = planned(bench)
    outcome = exported(bench, plan)
    assert outcome.unavailable == {"fabrikam": "the line is down"}
    assert outcome.counts == {"written": 1, "in_flight": 2, "approved": 1}
    assert any(text.startswith("the line is down") for text in bench.problems("export"))
    assert exported(bench, plan).counts == {"written": 3}
    assert bench.fabrikam.creates == 4
    assert bench.problems("export") == []


def test_a_missing_result_is_unknown_and_names_the_connector(bench: Any) -> None:
    bench.pend_create(bench.person("anna"))
    bench.fabrikam.script["anna"] = ["silent"]
    plan = planned(bench)
    assert exported(bench, plan).counts == {"written": 1}
    [problem] = bench.problems("export")
    assert problem == "the connector fake gave no result for it: anna; this is a mistake in the plugin, tell its author"


def test_a_result_for_an_unknown_change_is_ignored_and_named(bench: Any) -> None:
    bench.pend_create(bench.person("anna"))
    bench.fabrikam.script["anna"] = [Result(id="999", outcome=Outcome.APPLIED, anchor="x")]
    plan = planned(bench)
    assert exported(bench, plan).counts == {"written": 1}
    assert any("a change that it was not given" in text for text in bench.problems("export"))


def test_a_create_without_anchor_is_read_back(bench: Any) -> None:
    bench.pend_create(bench.person("anna"))
    bench.fabrikam.script["anna"] = [Result(id="", outcome=Outcome.APPLIED)]
    plan = planned(bench)
    exported(bench, plan)
    assert bench.states(plan) == {"written": 1}
    assert any("did not give its anchor" in text for text in bench.problems("export"))


def test_a_connector_that_raises_something_else_harms_only_that_portion(bench: Any) -> None:
    for number in range(5):
        bench.pend_create(bench.person(f"p{number}"))
    bench.fabrikam.script["p0"] = [KeyError("oops")]
    plan = planned(bench)
    exported(bench, plan)
    assert bench.states(plan) == {"written": 5}
    assert bench.fabrikam.creates == 5
    assert any("KeyError" in text for text in bench.problems("export"))


def test_what_a_connector_did_wrong_stands_until_the_next_export_to_its_directory(bench: Any) -> None:
    bench.pend_create(bench.person("anna"))
    bench.fabrikam.script["anna"] = [KeyError("oops")]
    exported(bench, planned(bench))
    assert any("KeyError" in text for text in bench.problems("export"))
    bench.settled()
    bench.pend_create(bench.person("bob"))
    exported(bench, planned(bench))
    assert bench.problems("export") == []


def test_a_create_whose_identity_got_an_object_meanwhile_is_sent_back(bench: Any) -> None:
    anna = bench.person("anna")
    bench.pend_create(anna)
    bench.pend_create(anna, profile="others")
    first, second = planned(bench), planned(bench, "others")
    outcome = exported(bench, first, second)
    assert outcome.counts == {"written": 1, "stale": 1}
    assert bench.fabrikam.creates == 1


def test_stages_are_ordered_across_all_plans_of_one_directory(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP, target={"name": "team"})
    bench.person("old", target={"name": "old"})
    bench.pend_members(group, Operation.MEMBER_ADD, "t-old")
    bench.pend_create(bench.person("anna"))
    exported(bench, planned(bench, "groups"), planned(bench))
    assert bench.fabrikam.order == [("create", "anna"), ("member add", "team")]


def test_an_export_that_is_stopped_goes_on_where_it_ended(bench: Any) -> None:
    for number in range(7):
        bench.pend_create(bench.person(f"p{number}"))
    plan = planned(bench)
    workspace = bench.workspace
    bench.fabrikam.on_write = lambda change: workspace.stop.set()
    outcome = export(workspace, bench.run("export"), [plan], patience=NOW)
    assert outcome.stopped
    assert outcome.counts == {"written": 3, "approved": 4}
    bench.fabrikam.on_write = None
    assert exported(bench, plan).counts == {"written": 4}
    assert bench.fabrikam.creates == 7


def test_a_disable_is_recorded_as_ours_and_an_enable_forgets_it(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna", "enabled": True})
    bench.pend_update(anna, {"enabled": True}, {"enabled": False}, Operation.DISABLE)
    exported(bench, planned(bench))
    join = next(one for one in bench.rows(t.join) if one.anchor == "t-anna")
    assert [(one["action"], one["before"]) for one in join.done] == [("disable", True)]
    bench.pend_update(anna, {"enabled": False}, {"enabled": True}, Operation.ENABLE)
    exported(bench, planned(bench))
    join = next(one for one in bench.rows(t.join) if one.anchor == "t-anna")
    assert not join.done


def test_a_batch_is_worked_once_and_only_with_its_nonce(bench: Any) -> None:
    """A forged or repeated nudge can at most ask for what the ledger allows anyway."""
    bench.pend_create(bench.person("anna"))
    [ticket] = prepare(bench.workspace, bench.run(), [planned(bench)])
    assert work(bench.workspace, ticket.batch_id, "forged").counts == {}
    assert work(bench.workspace, ticket.batch_id, ticket.nonce, patience=NOW).counts == {"written": 1}
    assert work(bench.workspace, ticket.batch_id, ticket.nonce, patience=NOW).counts == {}
    assert bench.fabrikam.creates == 1


def test_of_the_same_nudge_five_times_at_once_and_nudges_out_of_order_each_change_is_written_once(bench: Any) -> None:
    for name in ("anna", "bob", "carl"):
        bench.pend_create(bench.person(name))
    first = planned(bench)
    tickets = [*prepare(bench.workspace, bench.run(), [first]), *prepare(bench.workspace, bench.run(), [first])]
    late_first = [one for one in reversed(tickets) for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda one: work(bench.workspace, one.batch_id, one.nonce, patience=NOW), late_first))
    assert bench.states(first) == {"written": 3}
    assert bench.fabrikam.creates == 3


def test_i6_what_cannot_be_audited_is_not_written(bench: Any, monkeypatch: Any) -> None:
    """I6: the audit chain verifies; a change that cannot be audited does not happen."""
    bench.pend_create(bench.person("anna"))
    plan = planned(bench)

    def broken(*arguments: Any) -> str:
        raise RuntimeError("no audit")

    with monkeypatch.context() as patch:
        patch.setattr(audit, "append", broken)
        with pytest.raises(RuntimeError, match="no audit"):
            exported(bench, plan)
    assert bench.fabrikam.calls == []
    exported(bench, plan)
    with bench.backend.read() as connection:
        assert audit.verify(connection) == []
        actions = [row.action for row in audit.rows(connection)]
    assert actions == ["approve", "export begins", "export"]


def test_exporters_follow_the_members_once_a_person_approved_them(bench: Any) -> None:
    """Law 11: what exporters write is planned, limited and approved like everything else."""
    bench.carry()
    bench.pend_create(bench.person("anna", changed="monday"))
    outcome = exported(bench, planned(bench))
    [waiting] = outcome.waiting_plans
    assert bench.plan(waiting).profile == "passwords: hr -> fabrikam"
    assert bench.passwords.carried == []
    approve(bench.workspace, waiting, reason="passwords may go")
    bench.settled()
    exported(bench, waiting)
    assert bench.passwords.carried == [("anna", "id-anna-1")]
