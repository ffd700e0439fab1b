"""Full or delta, from the first page to the last; what a cut leaves behind, and how it goes on (I4)."""

from __future__ import annotations

import gc
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from metasync import faults as fault
from metasync.contract import (
    AttributeSchema,
    CursorExpired,
    Entry,
    Gone,
    ImportIncomplete,
    Kind,
    Patch,
    ReadRequest,
    Reference,
    Schema,
    Stopped,
    Unavailable,
)
from metasync.engagement.model import Mapping_
from metasync.importing import AnotherDirectory, decide
from metasync.store import audit, directories

World = Any


def people(world: World, count: int) -> None:
    for number in range(count):
        world.user(f"{number:03}", displayName=f"Person {number}", mail=f"p{number}@a.test")


def test_the_first_import_reads_everything_and_stores_what_was_shown(world: World) -> None:
    people(world, 5)
    outcome = world.run()
    assert (outcome.complete, outcome.full, outcome.reason) == (True, True, "it is the first import")
    assert outcome.counts == {"added": 5, "changed": 0, "gone": 0, "unread": 0, "unchanged": 0, "rejected": 0}
    assert world.stored() == {anchor: dict(entry.attributes) for anchor, entry in world.hr.entries.items()}
    assert world.row("003").label == "Person 3"


def test_only_what_profiles_need_is_asked_for(world: World) -> None:
    people(world, 1)
    world.run()
    (request,) = world.hr.reads
    assert request.kinds == {Kind.USER, Kind.GROUP}
    assert {"displayName", "mail", "title", "manager", "employeeID", "enabled"} <= request.attributes[Kind.USER]
    assert "members" not in request.attributes[Kind.USER]


def test_no_garbage_is_collected_while_a_page_is_made(world: World) -> None:
    class Reads(list[ReadRequest]):
        def append(self, request: ReadRequest) -> None:
            super().append(request)
            assert not gc.isenabled()

    people(world, 3)
    world.hr.reads = Reads()
    assert world.run().complete
    assert len(world.hr.reads) == 1
    assert gc.isenabled()


def test_the_second_import_is_a_delta_from_the_cursor_of_the_first(world: World) -> None:
    people(world, 4)
    world.hr.cursor = 7
    world.run()
    world.hr.delta = [
        Patch(anchor="001", kind=Kind.USER, attributes={"title": "Boss", "mail": None}),
        Entry(anchor="009", kind=Kind.USER, attributes={"displayName": "New"}),
        Gone(anchor="002"),
        Gone(anchor="never seen"),
    ]
    world.hr.cursor = 8
    outcome = world.run()
    assert not outcome.full
    assert world.hr.follows == [("all", "cursor 7")]
    assert world.cursors() == {"all": "cursor 8"}
    assert {name: count for name, count in outcome.counts.items() if count} == {"added": 1, "changed": 1, "gone": 1}
    assert world.stored()["001"] == {"displayName": "Person 1", "title": "Boss"}
    assert world.states() == {"000": "live", "001": "live", "002": "gone", "003": "live", "009": "live"}


def test_a_replayed_delta_changes_nothing(world: World) -> None:
    people(world, 2)
    world.group("g", "000")
    world.run()
    world.hr.delta = [
        Patch(anchor="001", kind=Kind.USER, attributes={"title": "Boss"}),
        Patch(anchor="g", kind=Kind.GROUP, added={"members": (Reference(value="001"),)}, removed={"members": (Reference(value="000"),)}),
        Gone(anchor="000"),
    ]
    world.run()
    before = world.stored()
    assert world.counts() == {"unchanged": 2}
    assert world.stored() == before


def test_a_delta_that_listed_everything_deletes_what_it_did_not_list(world: World) -> None:
    people(world, 3)
    world.run()
    world.hr.delta, world.hr.everything = [world.hr.entries["000"], world.hr.entries["001"]], True
    assert world.counts() == {"unchanged": 2, "gone": 1}


def test_an_expired_cursor_leads_to_a_full_import_that_says_so(world: World) -> None:
    people(world, 2)
    world.run()
    del world.hr.entries["001"]
    world.hr.expired = True
    outcome = world.run()
    assert outcome.full and "cursor does not hold" in outcome.reason and "too old" in outcome.reason
    assert world.states() == {"000": "live", "001": "gone"}


def test_a_cursor_that_expires_after_a_page_leads_to_a_full_import_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    people(world, 3)
    world.run()
    connector = world.workspace.connector_class("hr")
    real = connector.follow

    def forgets(self: Any, request: Any, cursor: str) -> Any:
        yield from list(real(self, request, cursor))[:1]
        raise CursorExpired("the log was truncated")

    monkeypatch.setattr(connector, "follow", forgets)
    world.hr.delta = [Patch(anchor=anchor, kind=Kind.USER, attributes={"title": "x"}) for anchor in world.hr.entries]
    assert world.run().full
    assert world.stored()["000"] == {"displayName": "Person 0", "mail": "p0@a.test"}


def test_full_can_be_asked_for(world: World) -> None:
    people(world, 2)
    world.run()
    outcome = world.run(full=True)
    assert outcome.full and outcome.reason == "it was asked for" and outcome.counts["unchanged"] == 2


@pytest.mark.parametrize("connector", ["plain"])
def test_a_connector_that_cannot_follow_is_read_in_full_every_time(world: World) -> None:
    people(world, 2)
    world.run()
    outcome = world.run()
    assert outcome.full and outcome.counts["unchanged"] == 2


def test_a_new_attribute_forces_a_full_import(world: World) -> None:
    people(world, 2)
    world.run()
    assert not world.run().full
    staff = world.engagement.profiles["staff"]
    wider = {**staff.map, "company": Mapping_(attribute="company", expression="source.company")}
    world.revise(staff=replace(staff, map=wider), teams=world.engagement.profiles["teams"])
    outcome = world.run()
    assert outcome.full and "company" in outcome.reason
    assert not world.run().full


def test_an_attribute_that_left_the_document_and_came_back_is_read_again(world: World) -> None:
    people(world, 2)
    staff, teams = world.engagement.profiles["staff"], world.engagement.profiles["teams"]
    world.run()
    world.revise(staff=replace(staff, map={name: one for name, one in staff.map.items() if name != "title"}), teams=teams)
    assert not world.run().full
    world.revise(staff=staff, teams=teams)
    assert "title" in world.run().reason


def test_changed_options_force_a_full_import(world: World) -> None:
    people(world, 2)
    world.run()
    world.set_options("hr", base="OU=Other")
    assert world.run().reason == "the directory's options have changed"
    assert not world.run().full


def test_another_directory_under_the_same_name_is_refused_with_both_named(world: World) -> None:
    people(world, 2)
    world.run()
    world.hr.identity = "the second"
    world.hr.entries.clear()
    with pytest.raises(AnotherDirectory, match=r"the first.*the second"):
        world.run()
    assert set(world.states().values()) == {"live"}


def test_a_directory_that_became_another_one_names_the_attributes_in_which_it_differs(world: World) -> None:
    people(world, 2)
    world.run()
    world.hr.identity = "the second"
    before = world.hr.schema.kinds[Kind.USER]
    attributes = {**before.attributes, "boss": AttributeSchema(name="boss")}
    del attributes["manager"]
    world.hr.schema = Schema(kinds={**world.hr.schema.kinds, Kind.USER: replace(before, attributes=attributes)})
    with pytest.raises(AnotherDirectory, match=r"and is the second now \(of user: 'manager' is missing and 'boss' is new\); nothing was"):
        world.run()


def test_a_directory_that_nobody_needs_is_not_read(world: World) -> None:
    world.revise()
    outcome = world.run()
    assert outcome.complete and not outcome.full and not world.hr.reads


@pytest.mark.parametrize("silent", [True, False])
def test_a_read_that_stops_early_deletes_nothing_and_keeps_the_last_cursor_from_counting(world: World, silent: bool) -> None:
    people(world, 6)
    world.run()
    del world.hr.entries["000"]
    world.user("001", displayName="Renamed")
    world.hr.silent, world.hr.fails_after = silent, None if silent else 1
    with pytest.raises(ImportIncomplete if silent else Unavailable):
        world.run(full=True)
    assert set(world.states().values()) == {"live"}
    assert world.stored()["001"] == {"displayName": "Renamed"}
    assert world.cursors() == {"all": None}
    world.restart()
    outcome = world.run()
    assert outcome.full and outcome.reason == "the last full import was not completed"
    assert world.states()["000"] == "gone"


def test_a_delta_that_stops_early_is_replayed_from_the_same_cursor(world: World) -> None:
    people(world, 6)
    world.run()
    world.hr.delta = [Patch(anchor=anchor, kind=Kind.USER, attributes={"title": "x"}) for anchor in world.hr.entries]
    world.hr.fails_after, world.hr.cursor = 2, 1
    with pytest.raises(Unavailable):
        world.run()
    assert world.cursors() == {"all": "cursor 0"}
    assert sum("title" in image for image in world.stored().values()) == 4
    assert world.counts() == {"unchanged": 4, "changed": 2}
    assert world.hr.follows[-1] == ("all", "cursor 0")
    assert world.cursors() == {"all": "cursor 1"}


def test_an_interrupted_import_goes_on_behind_the_last_stored_page(world: World) -> None:
    people(world, 8)
    world.hr.resumable = True
    world.run()
    del world.hr.entries["001"], world.hr.entries["007"]
    world.hr.fails_after = 2
    with pytest.raises(Unavailable):
        world.run(full=True)
    world.restart()
    outcome = world.run()
    assert "goes on where it stopped" in outcome.reason
    assert world.hr.reads[-1].resume == "4"
    assert {name: count for name, count in outcome.counts.items() if count} == {"unchanged": 2, "gone": 2}
    assert world.states() == {f"{number:03}": "gone" if number in (1, 7) else "live" for number in range(8)}
    assert not world.run().full


def test_a_resumed_read_that_starts_over_takes_nothing_for_a_duplicate(world: World) -> None:
    people(world, 6)
    world.hr.resumable = True
    world.run()
    world.hr.fails_after = 2
    with pytest.raises(Unavailable):
        world.run(full=True)
    world.user("000", displayName="Changed meanwhile")
    world.hr.restarts = True
    assert world.counts() == {"unchanged": 5, "changed": 1}
    assert set(world.states().values()) == {"live"} and not world.problems()


def test_an_import_is_not_resumed_under_another_request(world: World) -> None:
    people(world, 6)
    world.hr.resumable = True
    world.hr.fails_after = 2
    with pytest.raises(Unavailable):
        world.run()
    staff = world.engagement.profiles["staff"]
    wider = {**staff.map, "company": Mapping_(attribute="company", expression="source.company")}
    world.revise(staff=replace(staff, map=wider), teams=world.engagement.profiles["teams"])
    world.run()
    assert world.hr.reads[-1].resume is None


@pytest.mark.parametrize("resumable", [True, False])
def test_a_first_import_that_was_cut_off_goes_on_and_its_references_find_their_targets(world: World, resumable: bool) -> None:
    people(world, 4)
    world.group("a group", "000", "003")
    world.group("z group", "001", "a group")
    world.hr.resumable = resumable
    world.hr.fails_after = 1
    with pytest.raises(Unavailable):
        world.run()
    assert len(world.stored()) == 2
    world.restart()
    world.run()
    assert len(world.stored()) == 6
    assert world.stored()["a group"]["members"] == ["000", "003"]
    assert world.stored()["z group"]["members"] == ["001", "a group"]


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
@pytest.mark.parametrize("emptied", [False, True])
def test_a_first_import_that_ended_while_it_resolved_references_does_so_in_the_next(world: World, moment: str, emptied: bool) -> None:
    if emptied:
        world.run()
    people(world, 3)
    world.group("a group", "000", "002")
    with fault.armed(f"import.references.{moment}:raise"), pytest.raises(fault.Injected):
        world.run(full=True)
    world.restart()
    world.run()
    assert world.stored()["a group"]["members"] == ["000", "002"]


def test_references_by_a_new_key_are_resolved_in_the_next_import_where_one_ended_before_that(world: World) -> None:
    world.user("1")
    world.user("2", mail="boss@a.test")
    world.run()
    world.hr.delta = [Patch(anchor="1", kind=Kind.USER, attributes={"manager": Reference(key="mail", value="boss@a.test")})]
    with fault.armed("import.references.before_commit:raise"), pytest.raises(fault.Injected):
        world.run()
    world.restart()
    world.run()
    assert world.stored()["1"]["manager"] == ["2"]


def test_problems_of_the_part_before_the_cut_stand_when_the_import_is_complete(world: World) -> None:
    people(world, 6)
    world.hr.resumable = True
    world.run()
    world.user("000", displayName={1, 2})
    world.hr.fails_after = 2
    with pytest.raises(Unavailable):
        world.run(full=True)
    world.run()
    assert [problem.anchor for problem in world.problems()] == ["000"]
    world.user("000", displayName="Good")
    world.run(full=True)
    assert not world.problems()


def test_each_stream_has_its_own_cursor(world: World) -> None:
    people(world, 4)
    for number in range(4):
        world.group(f"g{number}", "000")
    world.hr.streams, world.hr.resumable = ("user", "group"), True
    world.hr.cursor = 1
    world.run()
    assert world.cursors() == {"user": "cursor 1", "group": "cursor 1"}
    world.hr.entries.pop("g3")
    world.hr.cursor = 2
    outcome = world.run(full=True)
    assert outcome.counts["gone"] == 1
    assert world.cursors() == {"user": "cursor 2", "group": "cursor 2"}
    world.run()
    assert world.hr.follows == [("user", "cursor 2"), ("group", "cursor 2")]


def test_a_stream_that_was_finished_before_the_cut_is_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    people(world, 4)
    world.group("g0", "000")
    world.group("g1", "001")
    world.group("g2", "002")
    world.hr.streams, world.hr.resumable = ("user", "group"), True
    connector = world.workspace.connector_class("hr")
    real = connector.read

    def breaks(self: Any, request: Any) -> Any:
        if request.stream == "group" and request.resume is None:
            yield next(real(self, request))
            raise Unavailable("the connection broke")
        yield from real(self, request)

    monkeypatch.setattr(connector, "read", breaks)
    with pytest.raises(Unavailable):
        world.run()
    world.hr.reads.clear()
    world.run()
    assert [(request.stream, request.resume) for request in world.hr.reads] == [("group", "2")]
    assert set(world.states().values()) == {"live"} and len(world.states()) == 7


def test_a_run_that_is_asked_to_stop_stops_between_two_pages(world: World) -> None:
    people(world, 6)
    world.hr.stop = world.workspace.stop
    with pytest.raises(Stopped):
        world.run()
    assert len(world.stored()) == 2


def test_a_complete_import_is_audited_with_its_counts(world: World) -> None:
    people(world, 3)
    world.run()
    with world.backend.read() as connection:
        (row,) = audit.rows(connection)
        assert audit.verify(connection) == []
        known = directories.get(connection, world.ids["hr"])
    assert (row.actor, row.action, row.subject, row.detail["added"]) == ("anna", "import", "hr", 3)
    assert known.completed is not None and known.pinned == "the first" and known.requested is not None
    assert "displayName" in known.requested["user"]


def test_what_changed_while_an_import_lay_still_is_caught_up_at_once(world: World) -> None:
    people(world, 6)
    world.hr.resumable = True
    world.hr.fails_after = 1
    with pytest.raises(Unavailable):
        world.run()
    world.hr.delta = [Gone(anchor="000")]
    assert world.counts() == {"added": 4, "gone": 1}
    assert world.states()["000"] == "gone"


@pytest.mark.parametrize("connector", ["plain"])
@pytest.mark.parametrize(("hours", "resume"), [(1, "2"), (0, None)])
def test_without_a_delta_only_a_young_import_is_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch, hours: int, resume: str | None
) -> None:
    monkeypatch.setattr(decide, "RESUMABLE", timedelta(hours=hours))
    people(world, 6)
    world.hr.resumable = True
    world.hr.fails_after = 1
    with pytest.raises(Unavailable):
        world.run()
    world.run()
    assert world.hr.reads[-1].resume == resume
    assert len(world.stored()) == 6


@pytest.mark.parametrize(("hours", "again"), [(1, False), (0, True)])
def test_a_resumed_import_without_a_cursor_is_believed_only_while_it_is_young(
    world: World, monkeypatch: pytest.MonkeyPatch, hours: int, again: bool
) -> None:
    """A connector that follows, but tells no cursor for what is asked of it: what changed while it lay still is seen only by a read."""
    monkeypatch.setattr(decide, "RESUMABLE", timedelta(hours=hours))
    people(world, 6)
    world.hr.resumable, world.hr.tells = True, False
    world.hr.fails_after = 1
    with pytest.raises(Unavailable):
        world.run()
    world.user("000", displayName="Changed meanwhile")
    outcome = world.run()
    assert [request.resume for request in world.hr.reads] == [None, "2", *([None] if again else [])]
    assert (world.stored()["000"]["displayName"] == "Changed meanwhile") is again
    assert outcome.complete and len(world.stored()) == 6
