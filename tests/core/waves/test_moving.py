"""People move on with a reason, exactly those concerned are looked at again, and authority moves only where nothing is left to be done."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from metasync.contract import Kind, MetasyncError, Operation
from metasync.store import audit
from metasync.store.tables import change, dirty, object_
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import anchor, person, values
from metasync.waves import moving

from .conftest import DOCUMENT, WriteWave, shown, states


def marked(engine: Engine) -> list[tuple[str, str]]:
    """(profile, source object) that is dirty."""
    query = select(dirty.c.profile, object_.c.label).join(object_, object_.c.id == dirty.c.object_id)
    with engine.backend.read() as connection:
        return sorted((row[0], row[1]) for row in connection.execute(query))


def why(done: moving.Moved) -> dict[str, list[str]]:
    return {one.person.key: list(one.why) for one in done.refused}


def test_who_moves_sees_it_in_expressions_and_nobody_else_is_looked_at(engine: Engine, new: MemoryDirectory) -> None:
    moving.move(engine.workspace, "one", reason="CHG-1")
    assert marked(engine) == [("people", "Person 1"), ("people", "Person 2")]
    assert shown(engine.cycle()) == [("update", "Person 1"), ("update", "Person 2")]
    assert {one: (values(new, one)["department"], values(new, one).get("company")) for one in ("Person 1", "Person 3", "Person 4")} == {
        "Person 1": ("moving", "one"),
        "Person 3": ("waiting", "two"),
        "Person 4": ("waiting", None),
    }
    assert engine.plan() == {}


def test_an_edit_of_a_file_marks_exactly_those_whom_it_is_about(engine: Engine, write_wave: WriteWave) -> None:
    write_wave("one", "E1", "E4")
    assert shown(engine.plan()) == [("clear", "Person 2"), ("update", "Person 4")]


def test_every_move_is_audited_with_its_author_reason_and_people(engine: Engine) -> None:
    moving.move(engine.workspace, "one", reason="CHG-1")
    moving.back(engine.workspace, "one", to="waiting", reason="too early")
    with engine.backend.read() as connection:
        rows = [row for row in audit.rows(connection) if row.action.startswith("wave ")]
        assert not audit.verify(connection)
    assert [(row.action, row.subject, row.actor, row.detail["reason"], row.detail["people"]) for row in rows] == [
        ("wave move", "one", "tester", "CHG-1", ["E1", "E2"]),
        ("wave back", "one", "tester", "too early", ["E1", "E2"]),
    ]


def test_to_move_needs_a_reason(engine: Engine) -> None:
    with pytest.raises(MetasyncError, match="--reason TEXT"):
        moving.move(engine.workspace, "one", reason=" ")


def test_a_wave_moves_as_a_whole_unless_it_is_said_otherwise(engine: Engine, write_wave: WriteWave) -> None:
    write_wave("one", "E1", "E2", "E99")
    done = moving.move(engine.workspace, "one", reason="a test")
    assert (done.done, list(why(done))) == (False, ["E99"])
    assert states(engine) == {}
    assert moving.move(engine.workspace, "one", but=["E99", "old/" + _anchor(engine, "Person 2")], reason="a test").done
    assert states(engine) == {"E1": ("one", "moving")}
    assert moving.move(engine.workspace, "one", ready=True, reason="a test").done
    assert states(engine) == {"E1": ("one", "moving"), "E2": ("one", "moving")}


def _anchor(engine: Engine, name: str) -> str:
    return anchor(engine.directories["old"], name)


def test_one_person_can_be_named_by_his_key_his_name_or_any_of_his_objects(engine: Engine, new: MemoryDirectory) -> None:
    assert moving.move(engine.workspace, "one", objects=["new/" + anchor(new, "Person 2")], reason="a test").done
    assert states(engine) == {"E2": ("one", "moving")}
    assert moving.back(engine.workspace, "one", objects=["person 2"], to="waiting", reason="a test").done
    assert states(engine) == {"E2": ("one", "waiting")}
    with pytest.raises(MetasyncError, match="is not in the wave one"):
        moving.move(engine.workspace, "one", objects=["old/" + _anchor(engine, "Person 5")], reason="a test")
    with pytest.raises(MetasyncError, match="nobody of the wave one has the key 'E98'"):
        moving.move(engine.workspace, "one", objects=["E98"], reason="a test")


def test_who_was_never_in_scope_can_move_into_it(engine: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    """A scope may wait for the wave: then there is no identity yet that could move."""
    engine.load(DOCUMENT.replace("target: new\n", "target: new\n    scope: {where: 'wave.state != \"waiting\"'}\n", 1))
    person(old, "Nora New", employeeID="E9", title="Clerk")
    (engine.folder / "two.csv").write_text("employeeID\nE9\n", encoding="utf-8")
    engine.cycle()
    assert len(new.anchors(Kind.USER)) == 6
    assert moving.move(engine.workspace, "two", reason="a test").done
    assert shown(engine.cycle()) == [("create", "Nora New")]
    assert engine.plan() == {}


# --- the cut-over ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def moved(engine: Engine) -> Engine:
    """The wave one is moving, and in step."""
    moving.move(engine.workspace, "one", reason="CHG-1")
    engine.cycle()
    assert engine.plan() == {}
    return engine


def cut(engine: Engine, **more: object) -> moving.Moved:
    return moving.cut_over(engine.workspace, "one", reason="CHG-2", **more)  # type: ignore[arg-type]


def test_who_is_in_step_is_cut_over_and_then_the_target_decides(moved: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    assert cut(moved).done
    moved.cycle()
    new.change(anchor(new, "Person 1"), title="Head")
    old.change(anchor(old, "Person 2"), title="Boss")
    assert shown(moved.cycle()) == []
    assert values(new, "Person 1")["title"] == "Head"
    assert moving.back(moved.workspace, "one", reason="mail does not arrive").done
    assert shown(moved.cycle()) == [("update", "Person 1"), ("update", "Person 2")]
    assert values(new, "Person 1")["title"] == "Clerk"
    assert values(new, "Person 2")["title"] == "Boss"
    assert moved.plan() == {}


def test_who_waits_must_move_first(engine: Engine) -> None:
    assert why(cut(engine))["E1"] == ["is waiting; begin with `metasync wave move one`"]


def test_what_no_plan_has_seen_yet_refuses_a_cut_over(moved: Engine, old: MemoryDirectory) -> None:
    old.change(_anchor(moved, "Person 1"), title="Boss")
    moved.import_()
    done = cut(moved)
    assert (done.done, why(done)) == (False, {"E1": ["people: pending: update; plan, approve and export first"]})
    assert states(moved)["E2"] == ("one", "moving"), "nobody goes alone unless that is said"


def test_what_is_pending_approved_or_not_confirmed_refuses_a_cut_over(moved: Engine, old: MemoryDirectory) -> None:
    old.change(_anchor(moved, "Person 1"), title="Boss")
    moved.import_()
    moved.plan()
    assert why(cut(moved)) == {"E1": ["people: pending: update; plan, approve and export first"]}
    moved.approve()
    number = moved.last.plans[0] if moved.last else 0
    assert f"plan {number} of people is approved and not written; run `metasync export {number}`" in why(cut(moved))["E1"]
    for state, words in (("in_flight", "in flight still"), ("written", "is not confirmed yet; run `metasync confirm`")):
        with moved.backend.write() as connection:
            connection.execute(change.update().where(change.c.plan_id == number).values(state=state, run_id=1))
        assert any(words in one for one in why(cut(moved))["E1"])
    with moved.backend.write() as connection:
        connection.execute(change.update().where(change.c.plan_id == number).values(state="approved", run_id=None))
    moved.export([number])
    assert cut(moved).done


def test_drift_refuses_a_cut_over_and_names_what_somebody_changed(moved: Engine, new: MemoryDirectory) -> None:
    new.change(anchor(new, "Person 1"), title="Head")
    moved.import_()
    moved.plan()
    assert why(cut(moved)) == {"E1": ["people: drifts: somebody changed title in new; plan and export, or change it back"]}


def test_a_problem_and_a_hold_refuse_a_cut_over(moved: Engine, old: MemoryDirectory) -> None:
    old.change(_anchor(moved, "Person 1"), title="Boss")
    moved.cycle()
    assert moved.last
    moved.undo(moved.last.run)
    moved.approve()
    moved.export()
    old.change(_anchor(moved, "Person 2"), displayName=None)
    moved.import_()
    moved.plan()
    found = why(cut(moved))
    assert found["E1"] == ["people: an undo holds title; see `metasync release`"]
    assert found["E2"][0].startswith("people: problem: ")


def test_those_who_are_ready_go_alone_only_where_that_is_said(moved: Engine, old: MemoryDirectory) -> None:
    old.change(_anchor(moved, "Person 1"), title="Boss")
    moved.import_()
    moved.plan()
    assert not cut(moved).done
    done = cut(moved, ready=True)
    assert (done.done, [one.key for one in done.people], list(why(done))) == (True, ["E2"], ["E1"])
    assert states(moved) == {"E1": ("one", "moving"), "E2": ("one", "cut over")}
    moved.cycle()
    assert cut(moved, but=["E2"]).done
    assert states(moved) == {"E1": ("one", "cut over"), "E2": ("one", "cut over")}


def test_what_stands_against_somebody_is_told_once(moved: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    """A value that somebody else has is an error; that no profile keeps him in step then is the same thing in other words."""
    old.change(_anchor(moved, "Person 1"), mail=str(values(new, "Person 3")["mail"]))
    moved.cycle()
    said = why(cut(moved))["E1"]
    assert len(said) == 1 and said[0].startswith("people: problem: "), said


def test_who_left_is_not_cut_over(moved: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    old.delete(_anchor(moved, "Person 1"))
    moved.cycle()
    assert any("no profile keeps him in step" in one for one in why(cut(moved))["E1"])
    assert cut(moved, but=["E1"]).done


def test_what_was_approved_before_a_move_is_not_written_after_it(moved: Engine, old: MemoryDirectory, new: MemoryDirectory) -> None:
    old.change(_anchor(moved, "Person 1"), title="Boss")
    old.change(_anchor(moved, "Person 4"), title="Boss")
    moved.import_()
    moved.plan()
    numbers = moved.approve()
    done = moving.back(moved.workspace, "one", to="waiting", reason="too early")
    assert done.sent_back == 1
    moved.export(numbers)
    assert values(new, "Person 1")["title"] == "Clerk"
    assert values(new, "Person 4")["title"] == "Boss"
    assert shown(moved.cycle()) == [("update", "Person 1"), ("update", "Person 2")]
    assert moved.plan() == {}


def test_back_says_what_to_do_where_nobody_is_cut_over(moved: Engine) -> None:
    with pytest.raises(MetasyncError, match="nobody of one is cut over; to take back those who are moving: `metasync wave back one --to"):
        moving.back(moved.workspace, "one", reason="a test")


def test_a_person_is_as_far_as_he_was_after_he_was_made_anew_with_his_key(
    moved: Engine, old: MemoryDirectory, new: MemoryDirectory
) -> None:
    """A returner takes the place of the object that went, and moves on with his wave."""
    old.delete(_anchor(moved, "Person 1"))
    moved.cycle()
    person(old, "Person 1", employeeID="E1", title="Clerk")
    moved.cycle(beyond=list(Operation))
    assert moved.plan() == {}
    assert values(new, "Person 1")["department"] == "moving"
    assert states(moved)["E1"] == ("one", "moving")
    assert cut(moved).done
