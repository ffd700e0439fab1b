"""An approval binds a plan's content and configuration; everything else is refused with what to do next (laws 8 and 9)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from metasync.contract import Operation
from metasync.engagement.model import Approval, Limit
from metasync.exporting import export
from metasync.planning import ApprovalRefused, LimitExceeded, approve, auto_approve, freeze
from metasync.store import audit
from metasync.store import tables as t


def planned(bench: Any, *names: str) -> int:
    for name in names:
        bench.pend_create(bench.person(name))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    return int(plan.id)


def test_an_approval_records_who_why_and_what(bench: Any) -> None:
    plan = planned(bench, "anna")
    summary = approve(bench.workspace, plan, reason="looked at it")
    assert summary.state == "approved"
    assert bench.states(plan) == {"approved": 1}
    [given] = bench.rows(t.approval)
    assert (given.author, given.reason, given.hash, given.configuration) == ("anna", "looked at it", summary.hash, "one")
    with bench.backend.read() as connection:
        [row] = list(audit.rows(connection))
    assert (row.action, row.actor, row.detail["hash"]) == ("approve", "anna", summary.hash)


def test_an_approval_needs_a_reason(bench: Any) -> None:
    with pytest.raises(ApprovalRefused, match="needs a reason"):
        approve(bench.workspace, planned(bench, "anna"), reason=" ")


def test_a_plan_is_approved_once(bench: Any) -> None:
    plan = planned(bench, "anna")
    approve(bench.workspace, plan, reason="good")
    with pytest.raises(ApprovalRefused, match="is approved already"):
        approve(bench.workspace, plan, reason="good")


def test_a_superseded_plan_cannot_be_approved(bench: Any) -> None:
    plan = planned(bench, "anna")
    planned(bench, "bob")
    with pytest.raises(ApprovalRefused, match="gave way to a newer plan"):
        approve(bench.workspace, plan, reason="good")


def test_an_edited_plan_cannot_be_approved(bench: Any) -> None:
    """I3: in exactly the approved form."""
    plan = planned(bench, "anna")
    with bench.backend.write() as connection:
        connection.execute(update(t.change).values(after=b'\x01{"name":"eve"}'))
    with pytest.raises(ApprovalRefused, match="somebody edited the database"):
        approve(bench.workspace, plan, reason="good")


def test_a_plan_of_another_configuration_cannot_be_approved(bench: Any) -> None:
    plan = planned(bench, "anna")
    bench.profile(configuration="two")
    with pytest.raises(ApprovalRefused, match="plan again and look at the new plan"):
        approve(bench.workspace, plan, reason="good")


def test_a_profile_in_staging_plans_and_is_never_approved(bench: Any) -> None:
    bench.profile(staging=True, approval=Approval.NEVER)
    plan = planned(bench, "anna")
    assert not auto_approve(bench.workspace, plan)
    with pytest.raises(ApprovalRefused, match="staging"):
        approve(bench.workspace, plan, reason="good")


def test_passing_a_limit_needs_its_operation_named_and_lifts_it_for_this_plan_alone(bench: Any) -> None:
    """Law 8: one-shot."""
    bench.limit(Operation.CREATE, Limit(count=1))
    plan = planned(bench, "anna", "bob")
    with pytest.raises(LimitExceeded, match=r"2 x create, at most 1 \(1\) allowed. Approve it with --beyond 'create'"):
        approve(bench.workspace, plan, reason="good")
    with pytest.raises(LimitExceeded):
        approve(bench.workspace, plan, reason="good", beyond={Operation.DELETE})
    assert bench.states(plan) == {"planned": 2}
    approve(bench.workspace, plan, reason="a merger", beyond={Operation.CREATE})
    [given] = bench.rows(t.approval)
    assert given.beyond == ["create"]
    another = planned(bench, "carl")
    with pytest.raises(LimitExceeded):
        approve(bench.workspace, another, reason="good")


def test_policy_always_waits_for_a_person_and_tells_the_plugins(bench: Any) -> None:
    assert not auto_approve(bench.workspace, planned(bench, "anna"))
    assert bench.plugin.notices == ["approval needed"]


def test_policy_never_approves_within_limits_only(bench: Any) -> None:
    bench.profile(approval=Approval.NEVER)
    bench.limit(Operation.CREATE, Limit(count=1))
    assert auto_approve(bench.workspace, planned(bench, "anna"))
    assert not auto_approve(bench.workspace, planned(bench, "bob"))
    [given] = bench.rows(t.approval)
    assert given.author == "policy: never"


def test_policy_first_approves_after_a_person_did_under_the_same_configuration(bench: Any) -> None:
    bench.profile(approval=Approval.FIRST)
    plan = planned(bench, "anna")
    assert not auto_approve(bench.workspace, plan)
    approve(bench.workspace, plan, reason="good")
    export(bench.workspace, bench.run("export"), [plan], patience=timedelta(0))
    bench.settled()
    assert auto_approve(bench.workspace, planned(bench, "bob"))
    bench.settled()
    bench.profile(configuration="two")
    assert not auto_approve(bench.workspace, planned(bench, "carl"))


def test_policy_first_never_stands_on_an_automatic_approval(bench: Any) -> None:
    bench.profile(approval=Approval.NEVER)
    auto_approve(bench.workspace, planned(bench, "anna"))
    bench.profile(approval=Approval.FIRST)
    assert not auto_approve(bench.workspace, planned(bench, "bob"))
