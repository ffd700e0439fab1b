"""Laws 8 to 12: limits, approval, the order of export, and the way back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from metasync.contract import Kind, Operation, Reference
from metasync.planning import release
from metasync.planning.approval import ApprovalRefused, LimitExceeded
from metasync.store import audit
from metasync.store.tables import change
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, PEOPLE, STAFF, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]
NAMES = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "title": "source.title"}
DELETES = {"deleted": "delete"}


def crowd(hr: MemoryDirectory, number: int) -> list[str]:
    return [person(hr, f"Person {one:02}") for one in range(number)]


def approve(engine: Engine, *, beyond: list[Operation] | None = None) -> None:
    engine.approve(beyond=beyond or [])


# --- law 8: limits ---------------------------------------------------------------------------------------------------------------------


def test_a_count_is_judged_on_the_whole_plan_before_the_first_write(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    crowd(hr, 3)
    engine = make(profile(limits={"create": {"count": 2}}))
    engine.import_()
    engine.plan()
    with pytest.raises(LimitExceeded, match="create"):
        engine.approve()
    with pytest.raises(ApprovalRefused):
        engine.export(engine.last.plans if engine.last else [])
    assert not ad.applied


def test_a_percentage_is_of_what_the_profile_has_joined(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    people = crowd(hr, 40)
    engine = make(profile(leaving=DELETES, limits={"delete": {"percent": 20}}))
    engine.cycle()
    for one in people[:8]:
        hr.delete(one)
    assert len(shown(engine.cycle())) == 8, "20% of 40"
    for one in people[8:16]:
        hr.delete(one)
    engine.import_()
    engine.plan()
    with pytest.raises(LimitExceeded, match="delete"):
        engine.approve()


HALF = {
    Operation.RENAME: {"displayName": "Somebody {number}"},
    Operation.MOVE: {"title": "gone abroad"},
    Operation.DISABLE: {"enabled": False},
    Operation.CLEAR: {"title": None},
    Operation.SIGN_IN: {"userPrincipalName": "u{number}@y.test"},
    Operation.MEMBER_REMOVE: {},
    Operation.DELETE: {},
}
"""What becomes of every second person in HR's directory."""


@pytest.mark.parametrize("operation", HALF)
def test_of_whatever_there_is_too_much_nothing_is_written(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, operation: Operation
) -> None:
    """Within the limits that hold where the document says nothing; of members the document says something."""
    ad.add(Kind.CONTAINER, name="Abroad", path=BASE)
    people = [person(hr, f"Person {one:02}", title="Clerk", userPrincipalName=f"u{one}@x.test") for one in range(40)]
    team = hr.add(Kind.GROUP, name="Team", path=BASE)
    hr.join(team, *people)
    place = {"expression": f"source.title == 'gone abroad' ? 'OU=Abroad,{BASE}' : '{PEOPLE}'", "existing": "move"}
    flows = {**NAMES, "enabled": "source.enabled", "userPrincipalName": "source.userPrincipalName"}
    group = {"kind": "group", "match": [{"source": "cn", "target": "cn"}], "map": {"cn": "source.cn", "members": "source.members"}}
    limits = {"member remove": {"count": 19}}
    engine = make(profile(place=place, map=flows, leaving=DELETES) + profile("teams", **group, limits=limits))
    engine.cycle()
    written = len(ad.applied)
    for number, one in enumerate(people[::2]):
        if operation is Operation.DELETE:
            hr.delete(one)
        elif operation is Operation.MEMBER_REMOVE:
            hr.leave(team, one)
        else:
            words = HALF[operation].items()
            hr.change(one, {name: value.format(number=number) if isinstance(value, str) else value for name, value in words})
    engine.import_()
    assert operation.value in {what for what, _ in shown(engine.plan())}
    with pytest.raises(LimitExceeded, match=operation.value):
        engine.approve()
    assert len(ad.applied) == written


def test_passing_a_limit_is_for_one_plan(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    people = crowd(hr, 6)
    engine = make(profile(leaving=DELETES, limits={"delete": {"count": 1}}))
    engine.cycle()
    for round_ in (0, 1):
        for one in people[2 * round_ : 2 * round_ + 2]:
            hr.delete(one)
        engine.import_()
        assert len(shown(engine.plan())) == 2
        with pytest.raises(LimitExceeded):
            engine.approve(beyond=[Operation.CREATE])
        engine.approve(beyond=[Operation.DELETE])
        engine.export()
    assert len(ad.anchors(Kind.USER)) == 2


def test_a_change_of_sign_in_has_a_limit_of_its_own(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    people = crowd(hr, 2)
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], limits={"sign-in change": {"count": 1}}))
    engine.cycle()
    for number, one in enumerate(people):
        hr.change(one, mail=f"new{number}@x.test", title="Chief")
    engine.import_()
    assert {one.operation for changes in engine.plan().values() for one in changes} == {Operation.SIGN_IN, Operation.UPDATE}
    with pytest.raises(LimitExceeded, match="sign-in change"):
        engine.approve()


# --- law 9: approval -------------------------------------------------------------------------------------------------------------------


def test_an_approval_needs_a_reason(make: MakeEngine, hr: MemoryDirectory) -> None:
    from metasync.planning import approve as approve_plan

    person(hr, "Anna")
    engine = make(profile())
    engine.import_()
    engine.plan()
    assert engine.last is not None
    with pytest.raises(ApprovalRefused, match="reason"):
        approve_plan(engine.workspace, engine.last.plans[0], reason="  ")


@pytest.mark.parametrize("when", ["before the approval", "before the export"])
def test_another_configuration_is_refused(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, when: str) -> None:
    person(hr, "Anna")
    engine = make(profile())
    engine.import_()
    engine.plan()
    assert engine.last is not None
    plans = list(engine.last.plans)
    if when == "before the export":
        engine.approve()
    engine.load(DOCUMENT.format(profiles=profile(map={**NAMES, "department": "source.title"})))
    with pytest.raises(ApprovalRefused, match="configuration"):
        engine.approve() if when == "before the approval" else engine.export(plans)
    assert not ad.applied


def test_a_comment_and_another_profile_are_no_other_configuration(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile())
    engine.import_()
    engine.plan()
    engine.approve()
    groups = profile("groups", kind="group", match=None, map={"cn": "source.cn"})
    engine.load("# a comment\n" + DOCUMENT.format(profiles=profile() + groups))
    engine.export()
    assert values(ad, "Anna")


def test_an_approval_binds_what_was_shown(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Somebody edits the frozen changes in the database."""
    person(hr, "Anna", title="Clerk")
    engine = make(profile())
    engine.import_()
    engine.plan()
    engine.approve()
    from metasync.store import codec

    with engine.backend.write() as connection:
        (row,) = connection.execute(select(change.c.id, change.c.after)).all()
        altered = {**codec.decode(row.after), "title": "Administrator"}
        connection.execute(change.update().where(change.c.id == row.id).values(after=codec.encode(altered)))
    with pytest.raises(ApprovalRefused, match="not those that were frozen"):
        engine.export()
    assert not ad.applied


def test_a_newer_plan_takes_back_the_older_one(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", title="Clerk")
    engine = make(profile())
    engine.import_()
    engine.plan()
    engine.approve()
    assert engine.last is not None
    old = list(engine.last.plans)
    hr.change(source, title="Chief")
    engine.import_()
    engine.plan()
    with pytest.raises(ApprovalRefused):
        engine.export(old)
    assert not ad.applied
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert values(ad, "Anna")["title"] == "Chief"


def test_the_same_plan_stands_and_keeps_its_approval(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile())
    engine.import_()
    engine.plan()
    engine.approve()
    assert engine.last is not None
    old = list(engine.last.plans)
    engine.import_()
    engine.plan()
    assert list(engine.last.plans) == old
    engine.export(old)
    assert values(ad, "Anna")


def test_drift_of_one_object_sends_that_one_back(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    people = crowd(hr, 3)
    engine = make(profile())
    engine.cycle()
    for one in people:
        hr.change(one, title="Chief")
    engine.import_()
    engine.plan()
    engine.approve()
    ad.change(anchor(ad, "Person 01"), title="Drifted")
    engine.export()
    assert [values(ad, f"Person 0{one}")["title"] for one in range(3)] == ["Chief", "Drifted", "Chief"]
    assert any(code == "conflict" for _, code, _ in engine.problems())
    assert shown(engine.cycle()) == [("update", "Person 01")]
    assert engine.plan() == {} and engine.problems() == []


def test_first_goes_on_by_itself_while_the_configuration_holds(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(approval="first", limits={"update": {"count": 0}}))
    assert engine.run().state == "waiting"
    assert not ad.applied
    assert engine.run(approve=True).state == "done"
    person(hr, "Berta")
    assert engine.run().state == "done"
    assert values(ad, "Berta")
    hr.change(source, title="Chief")
    assert engine.run().state == "waiting", "a limit stops it"
    engine.load(DOCUMENT.format(profiles=profile(approval="first")))
    assert engine.run().state == "waiting", "and so does another configuration"
    assert "title" not in values(ad, "Anna")


def test_never_needs_nobody_within_the_limits(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile(approval="never", limits={"create": {"count": 1}}))
    assert engine.run().state == "done"
    crowd(hr, 2)
    assert engine.run().state == "waiting"
    assert engine.run(approve=True).state == "waiting", "`--approve` never passes a limit"
    assert len(ad.anchors(Kind.USER)) == 1


def test_always_waits_for_a_person_each_time(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile())
    assert engine.run(approve=True).state == "done"
    person(hr, "Berta")
    assert engine.run().state == "waiting"
    assert len(ad.anchors(Kind.USER)) == 1


def test_staging_plans_and_never_exports(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile(mode="staging", approval="never"))
    engine.import_()
    assert shown(engine.plan()) == [("create", "Anna")]
    with pytest.raises(ApprovalRefused, match="staging"):
        engine.approve()
    engine.run(approve=True)
    assert not ad.applied


def test_a_pilot_is_of_these_objects_alone(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    from metasync.naming import find_object

    people = crowd(hr, 3)
    engine = make(profile())
    engine.import_()
    chosen = find_object(engine.workspace, f"hr/{people[1]}").id
    assert shown(engine.plan(objects=[chosen])) == [("create", "Person 01")]
    engine.approve()
    engine.export()
    assert len(ad.anchors(Kind.USER)) == 1
    assert len(shown(engine.cycle())) == 2


# --- law 10: the order of export -------------------------------------------------------------------------------------------------------


def test_everything_is_written_in_its_order(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    boss = person(hr, "Boss")
    leaver = person(hr, "Leaver")
    worker = person(hr, "Worker")
    group = hr.add(Kind.GROUP, name="Team", path=BASE)
    hr.join(group, boss, worker, leaver)
    engine = make(STAFF.replace("deleted: [disable]", "deleted: [delete]"))
    engine.cycle()
    ad.applied.clear()
    new = person(hr, "Newcomer", manager=Reference(value=boss))
    hr.join(group, new)
    hr.delete(leaver)
    hr.change(worker, title="Chief", manager=Reference(value=new))
    engine.cycle()
    operations = [operation for operation, _ in ad.applied]
    assert operations.index("create") < operations.index("update") < operations.index("member add") < operations.index("delete")
    assert operations[-1] == "delete"
    assert engine.plan() == {}


def test_a_name_is_freed_before_it_is_taken(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    first = person(hr, "Anna", "anna@x.test", employeeID="1")
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "employeeID": "source.employeeID"}
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], map=mapped))
    engine.cycle()
    hr.change(first, name="Anna Old", mail="old@x.test", displayName="Anna Old")
    person(hr, "Anna", "anna@x.test", employeeID="2")
    assert ("create", "Anna") in shown(engine.cycle())
    assert values(ad, "Anna Old")["mail"] == "old@x.test"
    assert values(ad, "Anna")["mail"] == "anna@x.test"
    assert engine.plan() == {}


def test_a_name_that_an_earlier_pass_found_to_be_given_up_is_free(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    first = person(hr, "Anna", "anna@x.test", employeeID="1")
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "employeeID": "source.employeeID"}
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], map=mapped))
    engine.cycle()
    hr.change(first, name="Anna Old", mail="old@x.test", displayName="Anna Old")
    engine.import_()
    assert ("rename", "Anna") in shown(engine.plan())
    person(hr, "Anna", "anna@x.test", employeeID="2")
    assert ("create", "Anna") in shown(engine.cycle())
    assert values(ad, "Anna Old")["mail"] == "old@x.test"
    assert values(ad, "Anna")["mail"] == "anna@x.test"
    assert engine.plan() == {}


def test_two_that_exchange_an_address_step_aside(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    one, other = person(hr, "Anna", "one@x.test", employeeID="1"), person(hr, "Berta", "two@x.test", employeeID="2")
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "employeeID": "source.employeeID"}
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], map=mapped))
    engine.cycle()
    hr.change(one, mail=None)
    hr.change(other, mail="one@x.test")
    hr.change(one, mail="two@x.test")
    engine.cycle(beyond=[Operation.SIGN_IN])
    assert (values(ad, "Anna")["mail"], values(ad, "Berta")["mail"]) == ("two@x.test", "one@x.test")
    assert engine.plan() == {}


def test_two_that_refer_to_each_other_are_created_first(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    anna = person(hr, "Anna")
    berta = person(hr, "Berta", manager=Reference(value=anna))
    hr.change(anna, manager=Reference(value=berta))
    engine = make(STAFF)
    engine.cycle()
    assert values(ad, "Anna")["manager"] == Reference(value=anchor(ad, "Berta"))
    assert values(ad, "Berta")["manager"] == Reference(value=anchor(ad, "Anna"))
    assert engine.plan() == {}


# --- law 12: undo ----------------------------------------------------------------------------------------------------------------------


def undone(engine: Engine, run: int) -> list[tuple[str, str]]:
    found = shown(engine.undo(run))
    engine.approve(beyond=list(Operation))
    engine.export()
    return found


def test_an_undo_is_held_until_it_is_released(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", title="Clerk")
    engine = make(profile())
    engine.cycle()
    hr.change(source, title="Chief")
    engine.cycle()
    assert engine.last is not None
    assert undone(engine, engine.last.run) == [("update", "Anna")]
    assert values(ad, "Anna")["title"] == "Clerk"
    assert engine.cycle() == {}, "the next run does not redo what was undone"
    hr.change(source, title="Head", department="Sales")
    assert engine.cycle() == {}
    hr.change(source, displayName="Anna Maria")
    assert sorted(shown(engine.cycle())) == [("rename", "Anna"), ("update", "Anna")], "other attributes go on"
    assert values(ad, "Anna Maria")["title"] == "Clerk"
    assert release(engine.workspace) == 1
    assert shown(engine.cycle()) == [("update", "Anna Maria")]
    assert values(ad, "Anna Maria")["title"] == "Head"


def test_an_undone_create_deletes_only_what_is_ours_and_as_we_left_it(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    for one in crowd(hr, 2):
        hr.change(one, title="Clerk")
    engine = make(profile())
    engine.cycle()
    assert engine.last is not None
    run = engine.last.run
    ad.change(anchor(ad, "Person 00"), title="Changed since")
    engine.import_()
    assert undone(engine, run) == [("delete", "Person 01")]
    assert ad.anchors(Kind.USER) == [anchor(ad, "Person 00")]
    assert any(code == "changed since" for _, code, _ in engine.problems())
    assert not any(operation == "create" for operation, _ in shown(engine.cycle())), "it is held"
    assert release(engine.workspace) == 1
    assert ("create", "Person 01") in shown(engine.cycle())


def test_an_undone_delete_is_restored_with_all_that_it_had(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", title="Clerk")
    engine = make(profile(leaving=DELETES))
    engine.cycle()
    before = values(ad, "Anna")
    hr.delete(source)
    engine.cycle()
    assert engine.last is not None
    assert undone(engine, engine.last.run) == [("restore", "Anna")]
    assert values(ad, "Anna") == before
    assert engine.cycle() == {}, "it is held"
    assert engine.statuses() == {"held": 1}
    release(engine.workspace)
    assert shown(engine.cycle()) == [("delete", "Anna")]


def test_an_undone_disable_is_enabled_and_held(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(STAFF)
    engine.cycle()
    hr.delete(source)
    engine.cycle()
    assert engine.last is not None
    assert undone(engine, engine.last.run) == [("enable", "Anna")]
    assert engine.cycle() == {}
    release(engine.workspace)
    assert shown(engine.cycle()) in ([("disable", "Anna")], [])


def test_undone_members_are_held(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    anna, berta = person(hr, "Anna"), person(hr, "Berta")
    group = hr.add(Kind.GROUP, name="Team", path=BASE)
    hr.join(group, anna)
    engine = make(STAFF)
    engine.cycle()
    hr.leave(group, anna)
    hr.join(group, berta)
    engine.cycle()
    assert engine.last is not None
    assert sorted(undone(engine, engine.last.run)) == [("member add", "Team"), ("member remove", "Team")]
    assert (ad.get(ad.by_name("Team")) or {})["members"] == (Reference(value=anchor(ad, "Anna")),)
    assert engine.cycle() == {}
    release(engine.workspace)
    assert sorted(shown(engine.cycle())) == [("member add", "Team"), ("member remove", "Team")]
    assert (ad.get(ad.by_name("Team")) or {})["members"] == (Reference(value=anchor(ad, "Berta")),)


# --- law 11 ----------------------------------------------------------------------------------------------------------------------------


def test_everything_written_is_a_change_and_every_decision_is_audited(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", title="Clerk")
    engine = make(STAFF)
    engine.cycle()
    hr.change(source, title="Chief")
    engine.cycle()
    assert engine.last is not None
    undone(engine, engine.last.run)
    with engine.backend.read() as connection:
        done = connection.execute(select(change.c.operation, change.c.anchor).where(change.c.state == "confirmed")).all()
        assert sorted((row.operation, row.anchor) for row in done) == sorted(ad.applied)
        assert audit.verify(connection) == []
