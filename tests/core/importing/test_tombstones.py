"""Not seen is not gone: what a complete import did not show is gone only on good grounds (law 1, I4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from metasync.contract import Gone, Kind, Patch, Presence, Reject, SourceEmpty, Unavailable
from metasync.store import codec

World = Any


def people(world: World, count: int = 4) -> None:
    for number in range(count):
        world.user(str(number), displayName=f"Person {number}")


@pytest.mark.parametrize("connector", ["plain", "writing"])
def test_an_object_that_a_complete_import_does_not_show_is_gone_and_its_tombstone_knows_what_it_was(world: World) -> None:
    people(world)
    world.run()
    del world.hr.entries["2"]
    assert world.counts(full=True) == {"unchanged": 3, "gone": 1}
    row = world.row("2")
    assert row.state == "gone" and codec.decode(row.blob) == {"displayName": "Person 2"}


def test_the_directory_is_asked_for_each_missing_object_by_its_anchor(world: World) -> None:
    people(world)
    world.run()
    del world.hr.entries["1"], world.hr.entries["2"]
    world.hr.there = {"2"}
    assert world.counts(full=True) == {"unchanged": 2, "gone": 1, "unread": 1}
    assert world.hr.asked == ["1", "2"]
    (problem,) = world.problems()
    assert (problem.anchor, problem.code, problem.severity) == ("2", "unreadable", "warning")
    assert "still there" in problem.text
    # It stays so, is listed once, and is gone once it is.
    assert world.counts(full=True) == {"unchanged": 2}
    assert len(world.problems()) == 1
    world.hr.there = set()
    assert world.counts(full=True) == {"unchanged": 2, "gone": 1}
    assert not world.problems()


def test_an_object_whose_presence_the_directory_cannot_tell_is_unread(world: World) -> None:
    people(world)
    world.run()
    del world.hr.entries["1"]
    world.hr.presence = Presence.UNKNOWN
    assert world.counts(full=True) == {"unchanged": 3, "unread": 1}
    assert "cannot say" in world.problems()[0].text


def test_a_directory_that_cannot_be_asked_any_more_ends_the_import_before_anything_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(world)
    world.run()
    del world.hr.entries["1"]

    def fails(self: Any, changes: Any) -> Any:
        raise Unavailable("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(world.workspace.connector_class("hr"), "find", fails)
        with pytest.raises(Unavailable):
            world.run(full=True)
    assert set(world.states().values()) == {"live"}
    assert world.run().full
    assert world.states()["1"] == "gone"


@pytest.mark.parametrize("everything", [False, True])
def test_an_emptied_source_is_held_and_nothing_is_deleted(world: World, everything: bool) -> None:
    people(world)
    world.run()
    before = dict(world.hr.entries)
    world.hr.entries.clear()
    world.hr.everything = everything
    for _ in range(2):
        with pytest.raises(SourceEmpty, match="4 were known"):
            world.run(full=not everything)
        assert set(world.states().values()) == {"live"} and len(world.states()) == 4
    assert not world.hr.asked
    world.hr.entries.update(before)
    assert world.counts() == {"unchanged": 4}


def test_a_directory_that_never_held_anything_may_be_empty(world: World) -> None:
    assert world.run().complete
    assert world.run(full=True).complete


def test_a_rejected_object_is_neither_changed_nor_deleted(world: World) -> None:
    people(world)
    world.run()
    del world.hr.entries["1"]
    world.hr.extra = [Reject(where="row 2", reason="ragged", anchor="1")]
    assert world.counts(full=True) == {"unchanged": 3, "rejected": 1}
    assert world.states()["1"] == "live" and world.stored()["1"] == {"displayName": "Person 1"}


def test_while_a_rejected_entry_may_be_anybody_nobody_is_gone(world: World) -> None:
    people(world)
    world.run()
    del world.hr.entries["1"]
    world.hr.extra = [Reject(where="row 2", reason="its anchor cannot be read")]
    assert world.counts(full=True) == {"unchanged": 3, "rejected": 1, "unread": 1}
    assert {problem.code for problem in world.problems()} == {"rejected", "not seen"}
    world.hr.extra.clear()
    assert world.counts(full=True) == {"unchanged": 3, "gone": 1}


@pytest.mark.parametrize("connector", ["plain"])
def test_what_a_narrower_scope_does_not_show_is_unread_and_comes_back_with_a_wider_one(world: World) -> None:
    people(world)
    world.run()
    hidden = world.hr.entries.pop("1")
    world.set_options("hr", base="OU=Staff")
    assert world.counts() == {"unchanged": 3, "unread": 1}
    assert world.counts() == {"unchanged": 3}
    assert not world.problems()
    world.set_options("hr")
    world.hr.entries["1"] = hidden
    assert world.counts() == {"unchanged": 3, "changed": 1}
    assert set(world.states().values()) == {"live"}


def test_what_a_narrower_scope_does_not_show_may_be_gone_where_the_directory_says_so(world: World) -> None:
    people(world)
    world.run()
    del world.hr.entries["1"], world.hr.entries["2"]
    world.hr.there = {"2"}
    world.set_options("hr", base="OU=Staff")
    assert world.counts() == {"unchanged": 2, "gone": 1, "unread": 1}
    assert not world.problems()


@pytest.mark.parametrize("full", [True, False])
def test_objects_of_a_kind_that_nobody_asks_for_any_more_are_unread(world: World, full: bool) -> None:
    people(world)
    world.group("g", "1")
    world.run()
    world.revise(staff=world.engagement.profiles["staff"])
    assert world.counts(full=full)["unread"] == 1
    assert world.states()["g"] == "unread" and not world.problems() and not world.hr.asked


def test_one_who_returns_is_added_again_with_the_same_row(world: World) -> None:
    people(world)
    world.run()
    before = world.row("1")
    entry = world.hr.entries.pop("1")
    world.run(full=True)
    world.hr.entries["1"] = entry
    assert world.counts(full=True) == {"unchanged": 3, "added": 1}
    assert world.row("1").id == before.id and world.states()["1"] == "live"


def test_a_delta_cannot_bring_back_what_is_gone_without_showing_it_whole(world: World) -> None:
    people(world)
    world.run()
    world.hr.delta = [Gone(anchor="1")]
    world.run()
    world.hr.delta = [Patch(anchor="1", kind=Kind.USER, attributes={"title": "x"})]
    world.run()
    assert world.states()["1"] == "gone"
    assert world.run().full
    assert world.states()["1"] == "live"


def test_a_delta_of_an_unread_object_leaves_it_unread(world: World) -> None:
    people(world)
    world.run()
    del world.hr.entries["1"]
    world.hr.there = {"1"}
    world.run(full=True)
    world.hr.delta = [Patch(anchor="1", kind=Kind.USER, attributes={"title": "x"})]
    world.run()
    assert world.states()["1"] == "unread" and world.stored()["1"]["title"] == "x"


def test_only_the_objects_of_this_directory_are_judged(world: World) -> None:
    people(world)
    world.user("1", displayName="Somebody else", directory="ad")
    world.run()
    world.run("ad")
    del world.hr.entries["1"]
    world.run(full=True)
    assert world.states("ad") == {"1": "live"}
    assert replace(world.hr).entries.keys() == {"0", "2", "3"}
