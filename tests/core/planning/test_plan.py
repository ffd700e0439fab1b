"""A plan holds exactly what is pending, frozen, ordered and hashed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select, update

from metasync.contract import Kind, MetasyncError, Operation, Reference
from metasync.engagement.model import Limit
from metasync.exporting.order import Stage
from metasync.planning import approve, freeze
from metasync.store import tables as t
from metasync.store.rows import PendingOperation


def test_a_create_is_one_change_with_all_its_attributes(bench: Any) -> None:
    anna = bench.person("anna")
    bench.pend_create(anna, mail="anna@x.test")
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert (plan.state, plan.counts, plan.changes) == ("planned", {Operation.CREATE: 1}, 1)
    [change] = bench.changes(plan.id)
    assert change.after == {"name": "anna", "mail": "anna@x.test"}
    assert (change.source, change.anchor, change.state, len(change.tag)) == ("hr/anna", None, "planned", 32)


def test_references_of_a_create_are_a_later_change_and_do_not_count(bench: Any) -> None:
    """Law 10: creates never depend on one another."""
    anna, boss = bench.person("anna"), bench.person("boss")
    bench.pend_create(anna, manager=Reference(key="created for", value="hr/boss"))
    bench.pend_create(boss, manager=Reference(key="created for", value="hr/anna"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.counts == {Operation.CREATE: 2}
    assert [(one.operation, one.stage) for one in bench.changes(plan.id)] == [
        (Operation.CREATE, Stage.CREATE),
        (Operation.CREATE, Stage.CREATE),
        (Operation.UPDATE, Stage.REFERENCE),
        (Operation.UPDATE, Stage.REFERENCE),
    ]


def test_members_are_one_change_each_behind_everything_else(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP, target={"name": "team"})
    bench.person("anna", target={"name": "anna"})
    bench.pend_members(group, Operation.MEMBER_ADD, "t-anna")
    [plan] = freeze(bench.workspace, bench.run(), ["groups"])
    [change] = bench.changes(plan.id)
    assert (change.operation, change.anchor, change.stage) == (Operation.MEMBER_ADD, "t-team", Stage.MEMBER)
    assert change.after == {"members": (Reference(value="t-anna"),)}


def test_members_of_a_group_that_is_created_wait_for_it(bench: Any) -> None:
    group = bench.person("team", kind=Kind.GROUP)
    bench.pend_create(group, profile="groups")
    bench.pend_members(group, Operation.MEMBER_ADD, "hr/anna", created=True)
    [plan] = freeze(bench.workspace, bench.run(), ["groups"])
    create, member = bench.changes(plan.id)
    assert create.operation is Operation.CREATE
    assert (member.anchor, member.identity_id) == (None, create.identity_id)
    assert member.after == {"members": (Reference(key="created for", value="hr/anna"),)}


def test_what_frees_an_address_comes_before_what_takes_it(bench: Any) -> None:
    first = bench.person("first", target={"name": "first", "mail": "a@x"})
    second = bench.person("second", target={"name": "second", "mail": "b@x"})
    new = bench.person("new")
    bench.pend_create(new, mail="b@x")
    bench.pend_update(first, {"mail": "a@x"}, {"mail": "A2@x"}, Operation.SIGN_IN)
    bench.pend_update(second, {"mail": "b@x"}, {"mail": "a@x"}, Operation.SIGN_IN)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert [one.label for one in bench.changes(plan.id)] == ["first", "second", "new"]


def test_a_delete_whose_address_is_taken_comes_before_its_taker(bench: Any) -> None:
    old = bench.person("old", target={"name": "old", "mail": "x@x"})
    other = bench.person("other", target={"name": "other"})
    new = bench.person("new")
    bench.pend(old, PendingOperation(operation=Operation.DELETE, before={"name": "old"}))
    bench.pend(other, PendingOperation(operation=Operation.DELETE, before={"name": "other"}))
    bench.pend_create(new, mail="X@x")
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert [one.label for one in bench.changes(plan.id)] == ["old", "new", "other"]


def test_two_objects_that_swap_an_address_step_aside(bench: Any) -> None:
    left = bench.person("left", target={"name": "left", "mail": "l@x"})
    right = bench.person("right", target={"name": "right", "mail": "r@x"})
    bench.pend_update(left, {"mail": "l@x"}, {"mail": "r@x"}, Operation.SIGN_IN)
    bench.pend_update(right, {"mail": "r@x"}, {"mail": "l@x"}, Operation.SIGN_IN)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.counts == {Operation.SIGN_IN: 2}
    assert [(one.operation, one.label, one.before, one.after) for one in bench.changes(plan.id)] == [
        (Operation.CLEAR, "left", {"mail": "l@x"}, {"mail": None}),
        (Operation.SIGN_IN, "right", {"mail": "r@x"}, {"mail": "l@x"}),
        (Operation.SIGN_IN, "left", {}, {"mail": "r@x"}),
    ]


def test_deletes_and_moves_out_come_last_and_containers_first(bench: Any) -> None:
    leaver = bench.person("leaver", target={"name": "leaver", "path": "OU=A"})
    bench.pend(
        leaver,
        PendingOperation(operation=Operation.MOVE, before={"path": "OU=A"}, after={"path": "OU=B"}, rules={"path": "leaving: deleted"}),
    )
    new = bench.person("new")
    bench.pend_create(new)
    place = bench.person("place", kind=Kind.CONTAINER)
    bench.pend_create(place, path="DC=x")
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert [one.label for one in bench.changes(plan.id)] == ["place", "new", "leaver"]


def test_a_container_has_its_new_name_before_anything_is_created_in_it_or_moves_there(bench: Any) -> None:
    """A unit is renamed in the source: what is below it, and who is new there, already has the path that it will have."""
    person = bench.person("person", target={"name": "person", "path": "OU=old"})
    below = bench.person("below", kind=Kind.CONTAINER, target={"name": "below", "path": "OU=old"})
    unit = bench.person("unit", kind=Kind.CONTAINER, target={"name": "old", "path": ""})
    inner = bench.person("inner", kind=Kind.CONTAINER)
    bench.pend_update(person, {"path": "OU=old"}, {"path": "OU=new"}, Operation.MOVE)
    bench.pend_update(below, {"path": "OU=old"}, {"path": "OU=new"}, Operation.MOVE)
    bench.pend_create(inner, path="OU=new")
    bench.pend_create(bench.person("joiner"), path="OU=new")
    bench.pend_update(unit, {"name": "old"}, {"name": "new"}, Operation.RENAME)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    order = [one.label for one in bench.changes(plan.id)]
    assert order[0] == "unit"
    assert set(order[1:3]) == {"below", "inner"}
    assert set(order[3:]) == {"person", "joiner"}


@pytest.mark.parametrize("kind", [Kind.CONTAINER, Kind.USER])
def test_a_plugin_may_object_to_a_new_name(bench: Any, kind: Kind) -> None:
    bench.plugin.objects_to.add("one")
    one = bench.person("one", kind=kind, target={"name": "one", "mail": "a@x", "path": "OU=x"})
    bench.pend_update(one, {"name": "one"}, {"name": "two"}, Operation.RENAME)
    bench.pend_update(bench.person("other", target={"name": "other"}), {}, {"title": "x"})
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert [one.label for one in bench.changes(plan.id)] == ["other"]


def test_nobody_steps_aside_for_a_change_that_a_plugin_objects_to(bench: Any) -> None:
    """The address would be given up, and the other one never come free."""
    bench.plugin.objects_to.add("left")
    left = bench.person("left", target={"name": "left", "mail": "l@x"})
    right = bench.person("right", target={"name": "right", "mail": "r@x"})
    bench.pend_update(left, {"mail": "l@x"}, {"mail": "r@x"}, Operation.SIGN_IN)
    bench.pend_update(right, {"mail": "r@x"}, {"mail": "l@x"}, Operation.SIGN_IN)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert [(one.operation, one.label, one.after) for one in bench.changes(plan.id)] == [(Operation.SIGN_IN, "right", {"mail": "l@x"})]


def test_the_hash_is_over_content_not_over_order_tags_or_numbers(bench: Any, unmarked: Any) -> None:
    people = [bench.person(name, target={"name": name}) for name in ("a", "b", "c")]
    for one in people:
        bench.pend_update(one, {}, {"title": "x", "phones": ("1", "2")})
    people = [unmarked.person(name, target={"name": name}) for name in ("x", "c", "b", "a")]
    for one in people[1:]:
        unmarked.pend_update(one, {}, {"phones": ("2", "1"), "title": "x"})
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    unmarked.run()
    [other] = freeze(unmarked.workspace, unmarked.run(), ["staff"])
    assert plan.hash == other.hash


def test_another_value_gives_another_hash(bench: Any) -> None:
    anna = bench.person("anna", target={"name": "anna"})
    bench.pend_update(anna, {}, {"title": "x"})
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    bench.pend_update(anna, {}, {"title": "y"})
    [other] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.hash != other.hash


def test_an_unchanged_plan_is_found_again(bench: Any) -> None:
    bench.pend_create(bench.person("anna"))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    approve(bench.workspace, plan.id, reason="good")
    [again] = freeze(bench.workspace, bench.run(), ["staff"])
    assert (again.id, again.reused, again.state) == (plan.id, True, "approved")
    assert len(bench.rows(t.plan)) == 1


def test_a_newer_plan_supersedes_only_what_is_unwritten(bench: Any) -> None:
    anna, bob = bench.person("anna"), bench.person("bob")
    bench.pend_create(anna)
    bench.pend_create(bob)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    with bench.backend.write() as connection:
        connection.execute(update(t.change).where(t.change.c.label == "anna").values(state="written"))
    bench.pend_create(bob, title="new")
    [newer] = freeze(bench.workspace, bench.run(), ["staff"])
    assert newer.id != plan.id
    assert {one.label: one.state for one in bench.changes(plan.id)} == {"anna": "written", "bob": "superseded"}


def test_what_is_in_flight_is_not_planned_a_second_time(bench: Any) -> None:
    """I2 begins here: a change whose outcome is unknown is read back, never planned anew."""
    anna, bob = bench.person("anna"), bench.person("bob")
    bench.pend_create(anna)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    with bench.backend.write() as connection:
        connection.execute(update(t.change).values(state="in_flight"))
    bench.pend_create(bob)
    [newer] = freeze(bench.workspace, bench.run(), ["staff"])
    assert [one.label for one in bench.changes(newer.id)] == ["bob"]
    assert bench.states(plan.id) == {"in_flight": 1}


def test_a_pilot_freezes_only_the_objects_named_and_leaves_the_rest_of_an_older_plan(bench: Any) -> None:
    anna, bob = bench.person("anna"), bench.person("bob")
    bench.pend_create(anna)
    bench.pend_create(bob)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    [pilot] = freeze(bench.workspace, bench.run(), ["staff"], objects={bob})
    assert [one.label for one in bench.changes(pilot.id)] == ["bob"]
    assert {one.label: one.state for one in bench.changes(plan.id)} == {"anna": "planned", "bob": "superseded"}
    assert approve(bench.workspace, plan.id, reason="the rest").state == "approved"
    assert bench.states(plan.id) == {"approved": 1, "superseded": 1}


def test_a_second_plan_with_nothing_pending_is_empty(bench: Any) -> None:
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    [again] = freeze(bench.workspace, bench.run(), ["staff"])
    assert (plan.state, again.reused, again.id) == ("empty", True, plan.id)


def test_a_vetoed_change_is_left_out_and_stands_as_a_problem(bench: Any) -> None:
    bench.plugin.objects_to.add("anna")
    group = bench.person("team", kind=Kind.GROUP, target={"name": "team"})
    bench.pend_create(bench.person("anna"))
    bench.pend_create(bench.person("bob"))
    bench.pend_members(group, Operation.MEMBER_ADD, "hr/bob", created=True)
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert (plan.counts, [one.label for one in bench.changes(plan.id)]) == ({Operation.CREATE: 1}, ["bob"])
    assert bench.problems("plan") == ["a plugin objects to a change of anna: not him"]
    bench.plugin.objects_to.clear()
    freeze(bench.workspace, bench.run(), ["staff"])
    assert bench.problems("plan") == []


def test_limits_are_judged_on_the_whole_set(bench: Any) -> None:
    for number in range(4):
        bench.pend_update(bench.person(f"p{number}", target={"name": f"p{number}"}), {}, {"title": "x"})
    bench.limit(Operation.UPDATE, Limit(count=100, percent=50))
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.joined == 4
    [passed] = plan.exceeded
    assert (passed.operation, passed.count, passed.allowed) == (Operation.UPDATE, 4, 2)
    assert passed.words == "4 x update, at most 50% of the 4 joined (2) allowed"


def test_an_unknown_profile_is_named_with_those_there_are(bench: Any) -> None:
    with pytest.raises(MetasyncError, match="no profile 'nobody'; the document has: groups, others, staff"):
        freeze(bench.workspace, bench.run(), ["nobody"])


def test_thousands_of_rows_are_frozen_in_one_plan(bench: Any) -> None:
    with bench.backend.write() as connection:
        for number in range(2500):
            values = {"directory_id": bench.directory_ids["hr"], "anchor": f"{number}", "kind": "user", "label": f"{number}"}
            fixed = {
                "engagement_id": bench.engagement_id,
                "state": "live",
                "digest": b"",
                "blob": b"\x01{}",
                "generation": 1,
                "privileged": False,
            }
            connection.execute(insert(t.object_).values(**fixed, **values))
        connection.execute(insert(t.identity).values(engagement_id=bench.engagement_id, kind="user"))
        from metasync.store import codec

        operations = codec.encode_operations([PendingOperation(operation=Operation.CREATE, after={"name": "x"})])
        rows = connection.execute(select(t.object_.c.id)).scalars().all()
        connection.execute(
            insert(t.pending),
            [
                {
                    "engagement_id": bench.engagement_id,
                    "profile": "staff",
                    "object_id": row,
                    "identity_id": 1,
                    "directory_id": bench.directory_ids["fabrikam"],
                    "kind": "user",
                    "label": str(row),
                    "operations": operations,
                }
                for row in rows
            ],
        )
    [plan] = freeze(bench.workspace, bench.run(), ["staff"])
    assert plan.counts == {Operation.CREATE: 2500}
    assert bench.states(plan.id) == {"planned": 2500}
