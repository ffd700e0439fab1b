"""Each edit of the source shows as exactly that in the plan, and the plan after it is empty (law 13)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from metasync.contract import Allow, Kind, Operation, Reference
from metasync.planning.approval import ApprovalRefused
from metasync.testing.engine import Engine, Planned
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, PEOPLE, person


def operations(planned: dict[str, list[Planned]]) -> list[tuple[str, str]]:
    return [(one.operation.value, one.label) for changes in planned.values() for one in changes]


@pytest.fixture
def engine(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> Engine:
    boss = person(hr, "Berta Boss", title="Head")
    for number in range(4):
        person(hr, f"Person {number}", title="Clerk", manager=Reference(value=boss))
    group = hr.add(Kind.GROUP, name="Everybody", path=BASE)
    hr.join(group, *hr.anchors(Kind.USER))
    engine: Engine = make()
    engine.cycle()
    assert engine.plan() == {}
    return engine


def anchor(directory: MemoryDirectory, name: str) -> str:
    return next(one for one in directory.anchors() if (directory.get(one) or {}).get("displayName") == name)


def edit_and_settle(engine: Engine) -> list[tuple[str, str]]:
    shown = operations(engine.cycle())
    assert engine.plan() == {}, "the second plan is empty"
    assert engine.import_().state == "done"
    assert engine.plan() == {}, "and so it is after another import"
    return shown


def test_a_rename_is_a_rename(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    before = anchor(ad, "Person 1")
    hr.change(anchor(hr, "Person 1"), displayName="Person One")
    assert edit_and_settle(engine) == [("rename", "Person 1"), ("update", "Person 1")]
    assert anchor(ad, "Person One") == before
    assert (ad.get(before) or {})["name"] == "Person One"


def test_a_cleared_attribute_is_cleared(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    hr.change(anchor(hr, "Person 1"), title=None)
    assert edit_and_settle(engine) == [("clear", "Person 1")]
    assert "title" not in (ad.get(anchor(ad, "Person 1")) or {})


def test_a_joiner_is_created_with_references_and_memberships(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    new = person(hr, "Nora New", manager=Reference(value=anchor(hr, "Berta Boss")))
    hr.join(hr.by_name("Everybody"), new)
    assert edit_and_settle(engine) == [("create", "Nora New"), ("update", "Nora New"), ("member add", "Everybody")]
    made = ad.get(anchor(ad, "Nora New")) or {}
    assert made["manager"] == Reference(value=anchor(ad, "Berta Boss"))
    assert made["path"] == PEOPLE


def test_a_collision_is_numbered_and_never_renumbered(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    second = person(hr, "Person 1", mail="p1b@x.test")
    assert edit_and_settle(engine) == [("create", "Person 1")]
    assert ad.by_name("Person 1 (2)")
    hr.delete(anchor(hr, "Person 1") if anchor(hr, "Person 1") != second else second)
    edit_and_settle(engine)
    assert ad.by_name("Person 1 (2)"), "whoever got a name keeps it"


def test_a_leaver_is_disabled_and_leaves_the_group_and_a_returner_comes_back(
    engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    leaver = anchor(hr, "Person 2")
    hr.delete(leaver)
    assert edit_and_settle(engine) == [("disable", "Person 2"), ("member remove", "Everybody")]
    hr.restore(leaver)
    hr.join(hr.by_name("Everybody"), leaver)
    assert ("enable", "Person 2") in edit_and_settle(engine)
    assert (ad.get(anchor(ad, "Person 2")) or {})["enabled"] is True


def test_somebody_who_is_made_anew_takes_his_place_again(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    before = anchor(ad, "Person 2")
    hr.delete(anchor(hr, "Person 2"))
    edit_and_settle(engine)
    person(hr, "Person 2", title="Clerk")
    shown = edit_and_settle(engine)
    assert ("enable", "Person 2") in shown
    assert not any(operation == Operation.CREATE.value for operation, _ in shown)
    assert anchor(ad, "Person 2") == before


def test_a_disable_of_the_security_team_stands(engine: Engine, ad: MemoryDirectory, hr: MemoryDirectory) -> None:
    ad.change(anchor(ad, "Person 3"), enabled=False)
    assert edit_and_settle(engine) == []
    assert any(code == "enabled differs" for _, code, _ in engine.problems())
    hr.change(anchor(hr, "Person 3"), title="Chief")
    assert edit_and_settle(engine) == [("update", "Person 3")]
    assert (ad.get(anchor(ad, "Person 3")) or {})["enabled"] is False


def test_a_disable_flows_and_is_reversed(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    hr.change(anchor(hr, "Person 3"), enabled=False)
    assert edit_and_settle(engine) == [("disable", "Person 3")]
    hr.change(anchor(hr, "Person 3"), enabled=True)
    assert edit_and_settle(engine) == [("enable", "Person 3")]


def test_whoever_was_created_disabled_is_enabled_when_the_source_says_so(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    later = person(hr, "Lara Later", enabled=False)
    assert edit_and_settle(engine) == [("create", "Lara Later")]
    hr.change(later, enabled=True)
    assert edit_and_settle(engine) == [("enable", "Lara Later")]


def test_drift_is_corrected_and_shown_as_drift(engine: Engine, ad: MemoryDirectory) -> None:
    ad.change(anchor(ad, "Person 3"), title="Hacker")
    engine.import_()
    (changes,) = engine.plan().values()
    assert [(one.operation, one.after) for one in changes] == [(Operation.UPDATE, {"title": "Clerk"})]
    engine.approve()
    engine.export()
    assert engine.plan() == {}


def test_members_that_no_identity_stands_for_stay(engine: Engine, ad: MemoryDirectory, hr: MemoryDirectory) -> None:
    native = ad.add(Kind.USER, name="Service", path=PEOPLE, enabled=True)
    ad.join(ad.by_name("Everybody"), native)
    assert edit_and_settle(engine) == []
    hr.leave(hr.by_name("Everybody"), anchor(hr, "Person 0"))
    assert edit_and_settle(engine) == [("member remove", "Everybody")]
    members = (ad.get(ad.by_name("Everybody")) or {})["members"]
    assert Reference(value=native) in members  # type: ignore[operator]


def test_a_manager_who_leaves_and_another_who_takes_over(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    other = anchor(hr, "Person 0")
    hr.change(anchor(hr, "Person 1"), manager=Reference(value=other))
    assert edit_and_settle(engine) == [("update", "Person 1")]
    assert (ad.get(anchor(ad, "Person 1")) or {})["manager"] == Reference(value=anchor(ad, "Person 0"))


@pytest.mark.parametrize(("without", "word"), [(Allow.CLEAR, "cleared"), (Allow.UPDATE, "changed")])
def test_a_reference_that_the_target_does_not_let_go_is_a_problem_and_no_change(
    engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory, without: Allow, word: str
) -> None:
    """The owners of a group, of whom one must stay: the plan says so, instead of the export."""
    users = ad.schema.kinds[Kind.USER]
    manager = replace(users.attributes["manager"], allow=users.attributes["manager"].allow - {without})
    users = replace(users, attributes={**users.attributes, "manager": manager})
    ad.schema = replace(ad.schema, kinds={**ad.schema.kinds, Kind.USER: users})
    held = Reference(value=anchor(hr, "Berta Boss"))
    shall = None if without is Allow.CLEAR else Reference(value=anchor(hr, "Person 0"))
    hr.change(anchor(hr, "Person 1"), manager=shall)
    engine.import_()
    assert engine.plan() == {}
    (problem,) = [text for _, code, text in engine.problems() if code == "unwritable reference"]
    assert f"manager cannot be {word} in the target" in problem
    hr.change(anchor(hr, "Person 1"), manager=held)
    engine.import_()
    assert engine.plan() == {} and engine.problems() == []


@pytest.mark.parametrize("edits", [("title", "Boss"), ("displayName", "Zoe")])
def test_an_unapproved_plan_is_only_a_plan(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory, edits: tuple[str, str]) -> None:
    """I3: no write that was not approved."""
    before = ad.get(anchor(ad, "Person 1"))
    hr.change(anchor(hr, "Person 1"), {edits[0]: edits[1]})
    engine.import_()
    assert engine.plan()
    assert engine.last is not None
    with pytest.raises(ApprovalRefused, match="not approved"):
        engine.export([engine.last.plans[0]])
    assert ad.get(anchor(ad, "Person 1")) == before
