"""Whatever ends an export before its time, the next import and plan go on from there, and nobody has to know of it (I1, I2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from metasync import faults as fault
from metasync.contract import Kind, Operation, Reference
from metasync.exporting import batches
from metasync.importing import read
from metasync.store.tables import dirty, object_, plan
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory, WriteFault
from metasync.testing.staff import BASE, DOCUMENT, STAFF, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]


@pytest.fixture
def broken(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> Engine:
    """One of Ann and Bob was written, whose anchor comes first; the other was not; and nobody got an answer."""
    engine = make(profile())
    for name in ("Ann", "Bob"):
        person(hr, name)
    engine.import_()
    engine.plan()
    engine.approve()
    ad.faults.on_write(1, WriteFault.CUT)
    assert engine.export().written == {"in_flight": 2}
    return engine


def names(ad: MemoryDirectory) -> list[str]:
    return sorted(str((ad.get(one) or {})["displayName"]) for one in ad.anchors(Kind.USER))


def other(name: str) -> str:
    return "Bob" if name == "Ann" else "Ann"


def test_what_was_left_in_flight_is_settled_although_its_plan_gave_way_to_a_newer_one(
    broken: Engine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    (written,) = names(ad)
    person(hr, "Cleo")
    hr.change(anchor(hr, "Ann"), title="Chief")
    hr.change(anchor(hr, "Bob"), title="Clerk")
    assert sorted(shown(broken.cycle())) == sorted([("create", other(written)), ("create", "Cleo"), ("update", written)])
    assert names(ad) == ["Ann", "Bob", "Cleo"]
    assert [values(ad, name).get("title") for name in ("Ann", "Bob")] == ["Chief", "Clerk"]
    assert broken.cycle() == {}
    assert broken.problems() == []


@pytest.mark.parametrize("moment", ["synchronise.unit.after_commit", "synchronise.references.before_commit"])
def test_i1_managers_and_members_are_worked_out_although_the_synchronisation_ended_before_it_came_to_them(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, moment: str
) -> None:
    engine = make()
    ann, bob, cleo = (person(hr, name) for name in ("Ann", "Bob", "Cleo"))
    team = hr.add(Kind.GROUP, name="Team", members=(Reference(value=ann),))
    engine.cycle()
    hr.change(ann, manager=Reference(value=bob))
    hr.join(team, cleo)
    hr.leave(team, ann)
    engine.import_()
    with fault.armed(",".join(f"{moment}:raise:{nth}" for nth in (1, 2))), pytest.raises(fault.Injected):
        engine.plan()
    engine.cycle()
    assert values(ad, "Ann").get("manager") == Reference(value=anchor(ad, "Bob"))
    (group,) = ad.anchors(Kind.GROUP)
    assert (ad.get(group) or {}).get("members") == (Reference(value=anchor(ad, "Cleo")),)
    assert engine.plan() == {}


def test_what_was_left_in_flight_is_settled_although_the_document_changed(broken: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail"}
    broken.load(DOCUMENT.format(profiles=profile(map=mapped)))
    (written,) = names(ad)
    assert shown(broken.cycle()) == [("create", other(written))]
    assert names(ad) == ["Ann", "Bob"]
    assert broken.cycle() == {}


def test_what_is_approved_and_was_not_written_needs_no_second_approval(broken: Engine, ad: MemoryDirectory) -> None:
    (written,) = names(ad)
    broken.import_()
    planned = broken.plan()
    assert [one.label for one in planned["people"] if one.state == "approved"] == [other(written)]
    broken.export()
    assert names(ad) == ["Ann", "Bob"]
    assert broken.cycle() == {}


def test_an_import_writes_nothing_of_what_it_reads_back(broken: Engine, ad: MemoryDirectory) -> None:
    written = names(ad)
    broken.import_()
    assert len(written) == 1
    assert names(ad) == written


@pytest.mark.parametrize("member", [False, True])
def test_what_was_refused_and_nobody_wants_any_more_is_no_problem(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, member: bool
) -> None:
    ann, team = person(hr, "Ann"), hr.add(Kind.GROUP, name="Team", path=BASE)
    engine = make(STAFF)
    engine.cycle()
    if member:
        hr.join(team, ann)
    else:
        hr.change(ann, title="Chief")
    ad.faults.on_write(1, WriteFault.REFUSED)
    engine.cycle()
    assert [code for _, code, _ in engine.problems()] == ["rejected"]
    if member:
        hr.leave(team, ann)
    else:
        hr.change(ann, title=None)
    assert engine.cycle() == {}
    assert engine.problems() == []


def test_what_an_import_took_back_leaves_no_mark_on_whoever_gets_its_number(
    make: MakeEngine, hr: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first import is cut, and all of it read again: what it brought twice is taken back."""
    monkeypatch.setattr(read, "PAGE", 1)
    engine = make(STAFF)
    for name in ("Ann", "Bob"):
        person(hr, name)
    hr.add(Kind.GROUP, name="Team", path=BASE)
    hr.faults.cut_after_pages = 3
    engine.import_()
    engine.import_(full=True)
    with engine.backend.read() as connection:
        assert connection.execute(select(dirty.c.object_id).where(dirty.c.object_id.not_in(select(object_.c.id)))).all() == []


def test_who_joins_a_group_and_is_deleted_in_the_same_export_leaves_no_problem(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """The membership is written before the delete takes it away again; so is a reference."""
    ann, bob = person(hr, "Ann"), person(hr, "Bob")
    group = hr.add(Kind.GROUP, name="Team", path=BASE)
    leaving = {"out of scope": "delete"}
    scope = {"where": "source.title != 'left'"}
    engine = make(
        profile("people", scope=scope, leaving=leaving, map={"cn": "source.displayName", "manager": "source.manager"})
        + profile("groups", kind="group", match=None, map={"cn": "source.name", "members": "source.members"})
    )
    engine.cycle()
    hr.join(group, ann)
    hr.change(bob, manager=Reference(value=ann))
    hr.change(ann, title="left")
    assert ("delete", "Ann") in shown(engine.cycle(beyond=list(Operation)))
    assert engine.cycle() == {}
    assert [code for _, code, _ in engine.problems()] == ["unresolved reference"]


@pytest.mark.parametrize("next_step", ["export", "run", "plan"])
def test_a_plan_that_was_written_by_a_process_that_died_before_it_said_so_is_closed(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch, next_step: str
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    engine = make(STAFF)
    person(hr, "Ann")
    engine.import_()
    engine.plan()
    engine.approve()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(batches, "_audit", dies)
        engine.export()
    assert names(ad) == ["Ann"]
    engine.restart()
    engine.later(minutes=10)
    if next_step == "export":
        engine.export([1])
    elif next_step == "run":
        assert engine.run().written == {}
    else:
        engine.import_()
        assert engine.plan() == {}
    with engine.backend.read() as connection:
        assert set(connection.execute(select(plan.c.state).where(plan.c.profile == "people")).scalars()) <= {"exported", "empty"}


def test_who_was_created_deleted_by_somebody_and_then_left_leaves_no_problem(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    engine = make(profile(scope={"where": "source.title != 'left'"}))
    source = person(hr, "Ann")
    engine.import_()
    engine.plan()
    engine.approve()
    ad.faults.on_write(1, WriteFault.CUT)
    engine.export()
    for one in ad.anchors(Kind.USER):
        ad.delete(one)
    engine.import_("ad")
    hr.change(source, title="left")
    engine.later(minutes=20)
    assert engine.cycle() == {}
    assert engine.cycle() == {}
    assert engine.problems() == []


def test_who_shall_leave_a_group_and_is_deleted_by_somebody_is_not_taken_out_again_and_again(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """What was planned for him is of no use any more, although nothing of the group changed."""
    engine = make(STAFF)
    source = person(hr, "Ann")
    group = hr.add(Kind.GROUP, {"members": (Reference(value=source),)}, name="Team", path=BASE, displayName="Team")
    engine.cycle()
    hr.leave(group, source)
    engine.import_()
    assert ("member remove", "Team") in shown(engine.plan())
    ad.delete(anchor(ad, "Ann"))
    assert ("create", "Ann") in shown(engine.cycle())
    assert engine.cycle() == {}


def test_an_undo_that_was_written_by_a_process_that_died_before_it_said_so_is_closed_by_the_next_plan(
    make: MakeEngine, hr: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    engine = make(STAFF)
    person(hr, "Ann")
    number = engine.run(approve=True).run
    engine.undo(number)
    (undo,) = engine.approve()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(batches, "_audit", dies)
        engine.export()
    engine.restart()
    engine.later(minutes=10)
    engine.import_()
    engine.plan()
    with engine.backend.read() as connection:
        assert connection.execute(select(plan.c.state).where(plan.c.id == undo)).scalar_one() == "exported"


def test_only_what_somebody_else_deleted_is_told_as_deleted_in_the_target(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    engine = make(STAFF)
    person(hr, "Ann")
    engine.undo(engine.run(approve=True).run)
    engine.approve()
    engine.export()
    assert names(ad) == []
    person(hr, "Bob")
    engine.cycle()
    assert engine.problems() == []
    ad.delete(anchor(ad, "Bob"))
    engine.import_()
    engine.plan()
    assert [text for _, code, text in engine.problems() if code == "deleted in target"] == ["Bob was deleted in ad"]
