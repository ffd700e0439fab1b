"""A page is compared with what is known; only what changed is written, and what cannot be taken harms nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from metasync.contract import Entry, Gone, Kind, Patch, Reference, Reject, Unavailable
from metasync.store import codec
from metasync.store.tables import object_

World = Any
TAG = "0123456789abcdef0123456789abcdef"


def test_an_unchanged_object_is_not_written(world: World) -> None:
    world.user("1", displayName="Anna", mail=("b@a.test", "a@a.test"))
    world.run()
    before = world.row("1")
    world.user("1", mail=("a@a.test", "b@a.test"), displayName="Anna")
    assert world.counts(full=True) == {"unchanged": 1}
    assert world.row("1") == before


def test_a_changed_object_is_replaced_with_its_keys(world: World) -> None:
    world.user("1", displayName="Anna", mail="Anna@A.test", directory="ad")
    world.run("ad")
    assert world.keys("1", "ad")["mail"] == ["anna@a.test"] if "mail" in world.keys("1", "ad") else True
    world.user("1", displayName="Anna Berg", directory="ad", employeeID=" 47 ")
    assert world.counts("ad", full=True) == {"changed": 1}
    row = world.row("1", "ad")
    assert row.label == "Anna Berg" and codec.decode(row.blob) == {"displayName": "Anna Berg", "employeeID": " 47 "}
    assert world.keys("1", "ad")["employeeID"] == ["47"]


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({"displayName": "Berg, Anna", "name": "anna"}, "Berg, Anna"),
        ({"name": "anna", "mail": "a@a.test"}, "anna"),
        ({"mail": "a@a.test"}, "a@a.test"),
        ({"mail": ("a@a.test",)}, "1"),
        ({"displayName": "lone \ud800 surrogate"}, "lone \\ud800 surrogate"),
    ],
)
def test_an_object_is_called_by_what_people_call_it(world: World, attributes: dict[str, Any], label: str) -> None:
    world.user("1", **attributes)
    world.run()
    assert world.row("1").label == label


@pytest.mark.parametrize(
    ("attributes", "privileged"),
    [
        ({}, False),
        ({"privileged": True}, True),
        ({"privileged": False}, False),
        ({"adminCount": 1}, True),
        ({"adminCount": "1"}, True),
        ({"adminCount": 0}, False),
        ({"privileged": "No"}, False),
        ({"privileged": "domain admins"}, True),
    ],
)
def test_privileged_objects_are_known(world: World, attributes: dict[str, Any], privileged: bool) -> None:
    world.user("1", **attributes)
    world.run()
    assert bool(world.row("1").privileged) is privileged


def test_our_mark_is_read_from_the_attribute_that_the_document_names(world: World) -> None:
    world.user("1", adminDescription=f"metasync:{TAG}", directory="ad")
    world.user("2", adminDescription="something else", directory="ad")
    world.user("3", adminDescription=("else", f"metasync:{TAG}"), directory="ad")
    world.run("ad")
    assert [world.row(anchor, "ad").mark for anchor in "123"] == [f"metasync:{TAG}", None, f"metasync:{TAG}"]


def test_every_type_of_value_comes_back(world: World) -> None:
    values = {
        "displayName": "Ünïcode \ud83d\ude00 \ud800",
        "title": b"\x00\xff",
        "mail": ("a", "b"),
        "enabled": True,
        "name": 2**70,
        "path": datetime(2026, 2, 3, tzinfo=UTC),
    }
    world.user("1", **values)
    world.run()
    assert world.stored()["1"] == values


def test_an_entry_that_cannot_be_stored_is_listed_and_what_is_known_stays(world: World) -> None:
    world.user("1", displayName="Anna")
    world.user("2", displayName="Bert")
    world.run()
    world.user("1", displayName={1, 2})
    world.user("2", displayName="Berta")
    assert world.counts(full=True) == {"rejected": 1, "changed": 1}
    assert world.stored() == {"1": {"displayName": "Anna"}, "2": {"displayName": "Berta"}}
    (problem,) = world.problems()
    assert (problem.anchor, problem.code, problem.severity) == ("1", "rejected", "error") and "set" in problem.text


@pytest.mark.parametrize("anchor", ["", "a\0b", "lone \ud800"])
def test_an_anchor_that_is_no_text_is_rejected(world: World, anchor: str) -> None:
    world.user("1")
    world.hr.extra = [Entry(anchor=anchor, kind=Kind.USER, attributes={})]
    outcome = world.run()
    assert outcome.counts["rejected"] == 1 and set(world.states()) == {"1"}
    assert len(outcome.problems) == len(world.problems()) == 1


def test_an_object_of_a_kind_that_was_not_asked_for_is_rejected(world: World) -> None:
    world.hr.extra = [Entry(anchor="c", kind=Kind.CONTACT, attributes={})]
    world.user("1")
    assert world.counts() == {"added": 1, "rejected": 1}


def test_a_reject_names_the_place_and_settles_when_it_is_read_well(world: World) -> None:
    world.user("1", displayName="Anna")
    world.run()
    world.hr.delta = [Reject(where="row 17", reason="it has 4 fields, 5 expected", anchor="1")]
    assert world.counts() == {"rejected": 1}
    (problem,) = world.problems()
    assert problem.text == "row 17: it has 4 fields, 5 expected" and problem.object_id == world.row("1").id
    world.run()
    assert len(world.problems()) == 1
    world.hr.delta = [Patch(anchor="1", kind=Kind.USER, attributes={"title": "x"})]
    world.run()
    assert not world.problems()


def test_a_problem_that_stands_keeps_its_date(world: World) -> None:
    world.user("1")
    world.hr.extra = [Reject(where="row 2", reason="ragged")]

    def since() -> Any:
        from metasync.store import problems

        with world.backend.read() as connection:
            (row,) = problems.page(connection, 1)
        return row.since

    world.run()
    first = since()
    world.run(full=True)
    assert since() == first


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("page", [1, 10])
def test_two_objects_with_one_anchor_are_both_refused_however_the_pages_fall(world: World, known: bool, page: int) -> None:
    if known:
        world.user("1", displayName="Before")
        world.user("2", displayName="Other")
        world.run()
    world.hr.page = page
    world.user("1", displayName="Anna")
    world.user("2", displayName="Other")
    world.hr.extra = [Entry(anchor="1", kind=Kind.USER, attributes={"displayName": "Bert"})]
    for _ in range(3):
        world.run(full=True)
        assert world.states() == {"1": "unread", "2": "live"}
        (problem,) = world.problems()
        assert (problem.code, problem.anchor) == ("duplicate anchor", "1")
    world.hr.extra.clear()
    world.run(full=True)
    assert world.states() == {"1": "live", "2": "live"} and not world.problems()
    assert world.stored()["1"] == {"displayName": "Anna"}


@pytest.mark.parametrize("resumable", [False, True])
def test_whom_a_first_load_that_was_cut_off_showed_with_one_anchor_twice_is_told(world: World, resumable: bool) -> None:
    world.user("1", displayName="Anna")
    world.hr.extra = [Entry(anchor=one, kind=Kind.USER, attributes={"displayName": name}) for one, name in (("1", "Bert"), ("2", "Other"))]
    world.hr.page, world.hr.resumable, world.hr.fails_after = 1, resumable, 2
    with pytest.raises(Unavailable):
        world.run()
    assert not world.problems()
    world.run()
    assert world.states() == {"1": "unread", "2": "live"}
    (problem,) = world.problems()
    assert (problem.code, problem.anchor) == ("duplicate anchor", "1")
    world.hr.extra.pop(0)
    world.run(full=True)
    assert world.states() == {"1": "live", "2": "live"} and not world.problems()


def test_no_transaction_changes_rows_and_then_indexes_them(world: World) -> None:
    """On a server two loads that did would wait for each other: each may write until it wants what lets nobody write."""
    written: list[bool] = [False]
    indexed: list[bool] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        written[0] = written[0] or statement.startswith(("INSERT", "UPDATE", "DELETE"))
        if statement.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX")):
            indexed.append(written[0])

    def ended(connection: Any) -> None:
        written[0] = False

    world.user("1", displayName="Anna")
    world.hr.extra = [Entry(anchor="1", kind=Kind.USER, attributes={"displayName": "Bert"})]
    heard = {"before_cursor_execute": note, "commit": ended, "rollback": ended}
    for name, listener in heard.items():
        event.listen(Engine, name, listener)
    try:
        world.run()
    finally:
        for name, listener in heard.items():
            event.remove(Engine, name, listener)
    assert world.states() == {"1": "unread"}
    assert len(indexed) > 2 and not any(indexed)


@pytest.mark.parametrize("known", [False, True])
def test_an_object_that_overlapping_pages_show_twice_is_one_object(world: World, known: bool) -> None:
    world.user("1", displayName="Anna")
    world.group("g", "1")
    if known:
        world.run()
    world.hr.extra = list(world.hr.entries.values())
    world.run(full=True)
    assert world.states() == {"1": "live", "g": "live"} and not world.problems()
    assert world.stored()["g"] == {"members": ["1"]}


def test_several_deltas_of_one_object_apply_in_their_order(world: World) -> None:
    world.user("1", displayName="A")
    world.run()
    world.hr.page = 10
    world.hr.delta = [
        Patch(anchor="1", kind=Kind.USER, attributes={"displayName": "B"}),
        Patch(anchor="1", kind=Kind.USER, attributes={"title": "T"}),
        Gone(anchor="1"),
        Entry(anchor="1", kind=Kind.USER, attributes={"displayName": "C"}),
        Patch(anchor="1", kind=Kind.USER, attributes={"mail": "c@a.test"}),
    ]
    world.run()
    assert world.stored() == {"1": {"displayName": "C", "mail": "c@a.test"}} and world.states() == {"1": "live"}


def test_a_patched_image_has_the_digest_of_the_same_image_read_whole(world: World) -> None:
    world.user("1")
    world.user("2")
    world.group("g", "1", displayName="All")
    world.run()
    world.hr.delta = [
        Patch(
            anchor="g", kind=Kind.GROUP, attributes={"displayName": None, "mail": "g@a.test"}, added={"members": (Reference(value="2"),)}
        ),
        Patch(anchor="1", kind=Kind.USER, attributes={"manager": Reference(value="2")}),
        Patch(anchor="2", kind=Kind.USER, attributes={"manager": Reference(value="1")}),
        Patch(anchor="2", kind=Kind.USER, attributes={"manager": None, "mail": ("x", "y")}),
    ]
    assert world.counts() == {"changed": 4}
    world.group("g", "1", "2", mail="g@a.test")
    world.user("1", manager=Reference(value="2"))
    world.user("2", mail=("y", "x"))
    assert world.counts(full=True) == {"unchanged": 3}


def test_a_delta_of_an_unknown_object_leads_to_a_full_import_next(world: World) -> None:
    world.user("1")
    world.run()
    world.user("2", displayName="Bert")
    world.hr.delta = [Patch(anchor="2", kind=Kind.USER, attributes={"title": "x"})]
    world.run()
    assert world.states() == {"1": "live"} and "not known" in world.problems()[0].text
    assert world.run().reason == "there is no cursor"
    assert world.states() == {"1": "live", "2": "live"} and not world.problems()


def test_an_object_may_become_another_kind(world: World) -> None:
    world.user("1", displayName="Anna")
    world.run()
    world.group("1", displayName="Anna")
    assert world.counts(full=True) == {"changed": 1}
    assert world.row("1").kind == "group"


def test_new_keys_are_made_from_what_is_stored(world: World) -> None:
    from dataclasses import replace

    from metasync.engagement.model import MatchRule

    world.user("1", displayName="Anna  BERG", mail="a@a.test", directory="ad")
    world.run("ad")
    assert "displayName" not in world.keys("1", "ad")
    staff = world.engagement.profiles["staff"]
    rules = (MatchRule(matcher="attribute", options={"source": "displayName", "target": "displayName"}),)
    world.revise(staff=replace(staff, match=rules), teams=world.engagement.profiles["teams"])
    assert not world.run("ad").full
    assert world.keys("1", "ad") == {"displayName": ["anna berg"]}


def test_a_mark_is_found_when_the_document_names_its_attribute_later(world: World) -> None:
    from dataclasses import replace

    world.user("1", title=f"metasync:{TAG}", directory="ad")
    world.run("ad")
    known = dict(world.engagement.directories)
    known["ad"] = replace(known["ad"], mark="title")
    world.engagement = replace(world.engagement, directories=known)
    world.workspace = world.make_workspace()
    world.run("ad")
    assert world.row("1", "ad").mark == f"metasync:{TAG}"


def test_an_image_in_an_older_form_is_not_rewritten_while_it_is_equal(world: World) -> None:
    world.user("1", displayName="Anna")
    world.run()
    spaced = bytes([codec.VERSION]) + b'{ "displayName": "Anna" }'
    with world.backend.write() as connection:
        connection.execute(update(object_).values(blob=spaced))
    assert world.counts(full=True) == {"unchanged": 1}
    assert world.row("1").blob == spaced
