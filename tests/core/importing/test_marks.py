"""An import marks those, and only those, who must look again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from metasync.contract import Entry, Gone, Kind, Patch, Reference
from metasync.store.tables import dirty

World = Any


def two_people(world: World) -> None:
    """Anna and Bert, in hr and in ad, and a group of them, joined."""
    for anchor, name in (("h-anna", "Anna"), ("h-bert", "Bert")):
        world.user(anchor, displayName=name)
    for anchor, name in (("a-anna", "Anna"), ("a-bert", "Bert")):
        world.user(anchor, displayName=name, directory="ad")
    world.group("h-all", "h-anna")
    world.group("a-all", "a-anna", directory="ad")
    world.run()
    world.run("ad")
    world.joined(hr="h-anna", ad="a-anna")
    world.joined(hr="h-bert", ad="a-bert")
    world.joined(hr="h-all", ad="a-all")
    world.synchronised()


def test_an_import_that_changes_nothing_marks_nothing(world: World) -> None:
    two_people(world)
    assert world.counts(full=True) == {"unchanged": 3}
    assert world.counts("ad", full=True) == {"unchanged": 3}
    assert world.dirty() == set()


def test_a_profile_that_was_never_synchronised_is_not_marked_since_it_begins_with_everybody(world: World) -> None:
    world.user("1")
    world.run()
    assert world.dirty() == set()


def test_a_changed_source_object_is_marked_for_the_profiles_of_its_kind(world: World) -> None:
    two_people(world)
    world.hr.delta = [
        Patch(anchor="h-anna", kind=Kind.USER, attributes={"title": "x"}),
        Entry(anchor="h-new", kind=Kind.USER, attributes={}),
    ]
    world.run()
    assert world.dirty() == {("staff", "h-anna", None), ("staff", "h-new", None)}


def test_a_changed_target_object_marks_the_source_object_of_its_identity(world: World) -> None:
    two_people(world)
    world.ad.delta = [Patch(anchor="a-bert", kind=Kind.USER, attributes={"displayName": "Robert"})]
    world.run("ad")
    assert world.dirty() == {("staff", "h-bert", None)}


def test_one_who_is_gone_is_marked_and_so_is_the_group_for_that_member(world: World) -> None:
    two_people(world)
    world.hr.delta = [Gone(anchor="h-anna")]
    world.run()
    assert world.dirty() == {("staff", "h-anna", None), ("teams", "h-all", "h-anna")}
    world.clean()
    world.ad.delta = [Gone(anchor="a-bert")]
    world.run("ad")
    assert world.dirty() == {("staff", "h-bert", None)}


def test_who_waits_for_a_key_is_marked_when_it_appears_and_when_it_leaves(world: World) -> None:
    two_people(world)
    world.waits("h-anna", "ad", "employeeID", "47")
    world.ad.delta = [Entry(anchor="a-new", kind=Kind.USER, attributes={"employeeID": "48"})]
    world.run("ad")
    assert world.dirty() == set()
    world.ad.delta = [Patch(anchor="a-new", kind=Kind.USER, attributes={"employeeID": " 47"})]
    world.run("ad")
    assert world.dirty() == {("staff", "h-anna", None)}
    world.clean()
    world.ad.delta = [Gone(anchor="a-new")]
    world.run("ad")
    assert world.dirty() == {("staff", "h-anna", None)}


def test_a_joiner_marks_the_group_for_that_member_alone(world: World) -> None:
    two_people(world)
    world.hr.delta = [Patch(anchor="h-all", kind=Kind.GROUP, added={"members": (Reference(value="h-bert"),)})]
    world.run()
    assert world.dirty() == {("teams", "h-all", "h-bert")}


def test_a_member_that_drifted_in_the_target_marks_the_source_member(world: World) -> None:
    two_people(world)
    world.ad.delta = [Patch(anchor="a-all", kind=Kind.GROUP, added={"members": (Reference(value="a-bert"),)})]
    world.run("ad")
    assert world.dirty() == {("teams", "h-all", "h-bert")}


def test_a_member_of_the_target_that_no_identity_stands_for_marks_the_whole_group(world: World) -> None:
    two_people(world)
    world.ad.delta = [
        Entry(anchor="a-foreign", kind=Kind.USER, attributes={}),
        Patch(anchor="a-all", kind=Kind.GROUP, added={"members": (Reference(value="a-foreign"),)}),
    ]
    world.run("ad")
    assert world.dirty() == {("teams", "h-all", None)}


def test_a_group_whose_name_changed_too_is_marked_as_a_whole(world: World) -> None:
    two_people(world)
    world.group("h-all", "h-anna", "h-bert", displayName="Everybody")
    world.run(full=True)
    assert world.dirty() == {("teams", "h-all", None)}


def test_a_group_of_which_a_thousand_members_changed_is_marked_as_a_whole(world: World) -> None:
    two_people(world)
    crowd = [f"m{number:04}" for number in range(1000)]
    for anchor in crowd:
        world.user(anchor)
    world.hr.page = 2000
    world.run(full=True)
    world.clean()
    world.group("h-all", "h-anna", *crowd)
    world.run(full=True)
    assert world.dirty() == {("teams", "h-all", None)}


def test_a_holder_is_marked_when_its_reference_finds_its_object(world: World) -> None:
    two_people(world)
    world.hr.delta = [
        Patch(anchor="h-anna", kind=Kind.USER, attributes={"manager": Reference(value="h-boss")}),
        Patch(anchor="h-all", kind=Kind.GROUP, added={"members": (Reference(value="h-boss"),)}),
    ]
    world.run()
    world.clean()
    world.hr.delta = [Entry(anchor="h-boss", kind=Kind.USER, attributes={})]
    world.run()
    assert world.dirty() == {("staff", "h-boss", None), ("staff", "h-anna", None), ("teams", "h-all", "h-boss")}


def test_a_provisional_join_is_given_its_object_and_its_source_object_looks_again(world: World) -> None:
    two_people(world)
    world.user("h-new")
    world.run(full=True)
    world.joined(hr="h-new", ad="a-created")
    world.clean()
    assert world.joins("ad")["a-created"] is None
    world.ad.delta = [Entry(anchor="a-created", kind=Kind.USER, attributes={})]
    world.run("ad")
    assert world.joins("ad")["a-created"] == world.row("a-created", "ad").id
    assert world.dirty() == {("staff", "h-new", None)}


def test_a_target_that_was_empty_until_we_wrote_into_it_gives_joins_their_objects(world: World) -> None:
    world.user("h-new")
    world.run()
    world.run("ad")
    world.joined(hr="h-new", ad="a-created")
    world.user("a-created", directory="ad")
    world.run("ad", full=True)
    assert world.joins("ad")["a-created"] == world.row("a-created", "ad").id


def test_what_waited_for_a_later_time_is_due_now(world: World) -> None:
    two_people(world)
    world.hr.delta = [Patch(anchor="h-anna", kind=Kind.USER, attributes={"title": "x"})]
    world.run()
    with world.backend.write() as connection:
        later = world.backend.now(connection).replace(year=2099)
        connection.execute(update(dirty).values(due_at=later))
    assert world.dirty() == set()
    world.hr.delta = [Patch(anchor="h-anna", kind=Kind.USER, attributes={"title": "y"})]
    world.run()
    assert world.dirty() == {("staff", "h-anna", None)}


def test_objects_that_become_unread_are_marked(world: World) -> None:
    two_people(world)
    del world.hr.entries["h-anna"]
    world.hr.there = {"h-anna"}
    world.run(full=True)
    assert ("staff", "h-anna", None) in world.dirty()
