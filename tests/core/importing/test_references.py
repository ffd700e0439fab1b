"""References find the objects that they name, whichever came first and whatever they name them by."""

from __future__ import annotations

from typing import Any

from metasync.contract import Entry, Gone, Kind, Patch, Reference

World = Any


def test_a_reference_finds_an_object_that_is_imported_later_in_the_same_import(world: World) -> None:
    world.user("1", manager=Reference(value="9"))
    world.user("5")
    world.user("9", manager=Reference(value="1"))
    world.run()
    assert world.stored()["1"] == {"manager": ["9"]} and world.stored()["9"] == {"manager": ["1"]}


def test_a_reference_to_an_object_that_is_not_there_waits_for_it(world: World) -> None:
    world.group("g", "1", "2")
    world.user("1")
    world.run()
    assert world.stored()["g"] == {"members": ["1", "[2]"]}
    world.hr.delta = [Entry(anchor="2", kind=Kind.USER, attributes={})]
    world.run()
    assert world.stored()["g"] == {"members": ["1", "2"]}


def test_members_that_a_delta_adds_are_found_at_once_and_removed_ones_leave_no_row(world: World) -> None:
    for anchor in "123":
        world.user(anchor)
    world.group("g", "1", "2")
    world.run()
    world.hr.delta = [
        Patch(
            anchor="g",
            kind=Kind.GROUP,
            added={"members": (Reference(value="3"), Reference(value="1"))},
            removed={"members": (Reference(value="2"),)},
        )
    ]
    world.run()
    assert world.stored()["g"] == {"members": ["1", "3"]}


def test_a_group_that_lost_its_last_member_has_none(world: World) -> None:
    world.user("1")
    world.group("g", "1")
    world.run()
    world.group("g")
    assert world.counts(full=True) == {"unchanged": 1, "changed": 1}
    assert world.stored()["g"] == {}


def test_an_object_may_refer_to_itself_and_two_to_each_other(world: World) -> None:
    world.group("a", "a", "b")
    world.group("b", "a")
    world.run()
    world.run(full=True)
    assert world.stored() == {"a": {"members": ["a", "b"]}, "b": {"members": ["a"]}}


def test_a_manager_named_by_mail_is_found_in_the_first_import(world: World) -> None:
    world.user("1", mail="anna@a.test", manager=Reference(key="mail", value="BERT@a.test "))
    world.user("2", mail="Bert@A.test")
    world.run()
    assert world.stored()["1"]["manager"] == ["2"]
    assert world.run(full=True).counts["unchanged"] == 2


def test_a_manager_named_by_an_attribute_that_nobody_asked_for_is_found_too(world: World) -> None:
    world.user("1", manager=Reference(key="staff number", value="2b"))
    world.user("2", **{"staff number": "2B"})
    outcome = world.run()
    assert world.stored()["1"]["manager"] == ["2"]
    assert outcome.counts["added"] == 2 and outcome.counts["changed"] == 0
    assert "staff number" in world.hr.reads[-1].attributes[Kind.USER]
    assert not world.run().full


def test_a_key_that_changes_hands_takes_its_references_along(world: World) -> None:
    world.user("1", manager=Reference(key="mail", value="boss@a.test"))
    world.user("2", mail="boss@a.test")
    world.user("3", mail="other@a.test")
    world.run()
    world.hr.delta = [
        Patch(anchor="2", kind=Kind.USER, attributes={"mail": "former@a.test"}),
        Patch(anchor="3", kind=Kind.USER, attributes={"mail": "boss@a.test"}),
    ]
    world.run()
    assert world.stored()["1"]["manager"] == ["3"]


def test_a_key_that_two_objects_have_names_neither(world: World) -> None:
    world.user("1", manager=Reference(key="mail", value="boss@a.test"))
    world.user("2", mail="boss@a.test")
    world.user("3", mail="boss@a.test")
    world.run()
    assert world.stored()["1"]["manager"] == ["[boss@a.test]"]
    world.hr.delta = [Patch(anchor="3", kind=Kind.USER, attributes={"mail": None})]
    world.run()
    assert world.stored()["1"]["manager"] == ["2"]
    world.hr.delta = [Patch(anchor="3", kind=Kind.USER, attributes={"mail": "boss@a.test"})]
    world.run()
    assert world.stored()["1"]["manager"] == ["[boss@a.test]"]


def test_a_delta_may_be_the_first_to_name_by_another_key(world: World) -> None:
    world.user("1")
    world.user("2", mail="boss@a.test", **{"staff number": "7"})
    world.run()
    world.hr.delta = [Patch(anchor="1", kind=Kind.USER, attributes={"manager": Reference(key="mail", value="boss@a.test")})]
    world.run()
    assert world.stored()["1"]["manager"] == ["2"]
    world.user("1", manager=Reference(key="staff number", value="7"))
    world.hr.delta = [Patch(anchor="1", kind=Kind.USER, attributes={"manager": Reference(key="staff number", value="7")})]
    world.run()
    world.run()
    assert world.stored()["1"]["manager"] == ["2"]


def test_a_reference_to_one_who_left_still_names_him_and_a_new_one_does_not(world: World) -> None:
    world.user("1", manager=Reference(value="2"))
    world.user("2")
    world.run()
    world.hr.delta = [Gone(anchor="2"), Entry(anchor="3", kind=Kind.USER, attributes={"manager": Reference(value="2")})]
    world.run()
    assert world.stored() == {"1": {"manager": ["2"]}, "3": {"manager": ["[2]"]}}


def test_one_whom_the_directory_unlinked_is_named_by_nobody_although_the_delta_says_so_of_him_alone(world: World) -> None:
    world.user("1", manager=Reference(value="2"))
    world.user("2")
    world.user("3", manager=Reference(value="1"))
    world.group("g", "1", "2", "3")
    world.run()
    world.hr.delta = [Gone(anchor="2", unlinked=True), Patch(anchor="3", kind=Kind.USER, attributes={"manager": Reference(value="3")})]
    world.run()
    assert world.stored() == {"1": {}, "3": {"manager": ["3"]}, "g": {"members": ["1", "3"]}}
    del world.hr.entries["2"]
    world.user("1")
    world.user("3", manager=Reference(value="3"))
    world.group("g", "1", "3")
    assert world.counts(full=True) == {"unchanged": 3}, "a full read finds everything as the delta left it"


def test_references_do_not_cross_directories(world: World) -> None:
    world.user("1", manager=Reference(value="2"))
    world.user("2", directory="ad")
    world.run("ad")
    world.run()
    assert world.stored()["1"] == {"manager": ["[2]"]}


def test_one_joiner_in_a_large_group_writes_one_row(world: World) -> None:
    members = [f"{number:05}" for number in range(3000)]
    for anchor in members:
        world.user(anchor)
    world.group("g", *members[:-1])
    world.hr.page = 1000
    world.run()
    world.synchronised()
    world.group("g", *members)
    assert world.counts(full=True) == {"unchanged": 3000, "changed": 1}
    assert world.dirty() == {("teams", "g", members[-1])}
    assert len(world.stored()["g"]["members"]) == 3000
