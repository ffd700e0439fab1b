"""What was created stands for its identity before any import shows it; and what becomes of that where none ever does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from metasync.contract import Kind, Operation, Reference
from metasync.runs import verbs
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryConnector, MemoryDirectory, WriteFault
from metasync.testing.staff import BASE, DOCUMENT, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]


def export_unseen(engine: Engine) -> None:
    """Plan and write; the process ends before the import that would confirm it."""
    engine.import_()
    engine.plan()
    engine.approve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "_import_all", lambda *_, **__: [])
        engine.export()


def test_who_was_created_and_deleted_before_any_import_is_created_anew(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile())
    export_unseen(engine)
    first = anchor(ad, "Anna")
    ad.delete(first)
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert anchor(ad, "Anna") != first
    assert engine.cycle() == {}
    assert engine.statuses() == {"in step": 1}


def test_what_was_written_is_not_planned_again_before_it_is_imported(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile())
    engine.cycle()
    person(hr, "Berta")
    hr.change(anchor(hr, "Anna"), title="Chief")
    export_unseen(engine)
    assert engine.plan() == {}
    assert engine.cycle() == {}
    assert engine.statuses() == {"in step": 2}
    assert [operation for operation, _ in ad.applied] == ["create", "create", "update"]


def test_who_was_created_and_left_before_any_import_is_forgotten(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(leaving={"deleted": ["delete"]}))
    export_unseen(engine)
    hr.delete(source)
    engine.import_("hr")
    assert shown(engine.plan()) == [("delete", "Anna")]
    engine.approve()
    ad.faults.cut_after_pages = 0
    engine.export()
    person(hr, "Anna")
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert engine.cycle() == {}
    assert [operation for operation, _ in ad.applied] == ["create", "delete", "create"]


def test_who_is_there_and_is_not_shown_by_an_import_is_left_alone_and_said(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    source = person(hr, "Anna")
    engine = make(profile())
    engine.cycle()
    person(hr, "Berta")
    ad.lag()
    engine.cycle()
    hr.change(anchor(hr, "Berta"), title="Chief")
    hr.change(source, title="Chief")
    assert shown(engine.cycle()) == [("update", "Anna")]
    assert engine.reasons("people")["Berta"][0] == "unread"
    assert "not_reimported" in {code for _, code, _ in engine.problems()}
    engine.plan()
    assert "not_reimported" in {code for _, code, _ in engine.problems()}
    ad.settle()
    assert shown(engine.cycle()) == [("update", "Berta")]
    assert engine.cycle() == {}
    assert engine.problems() == []


def test_an_answer_that_was_lost_is_joined_to_what_an_import_showed_meanwhile(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    source = person(hr, "Anna")
    text = DOCUMENT.format(profiles=profile()).replace(", mark: adminDescription", "")
    engine = make(document=text)
    ad.faults.on_write(1, WriteFault.ANSWER_LOST)
    engine.cycle()
    engine.cycle()
    engine.export()
    hr.change(source, title="Chief")
    engine.cycle()
    assert values(ad, "Anna")["title"] == "Chief"
    assert [operation for operation, _ in ad.applied] == [Operation.CREATE.value, Operation.UPDATE.value]
    assert len(ad.anchors(Kind.USER)) == 1
    assert engine.cycle() == {}


def test_a_member_who_leaves_before_his_adding_was_confirmed_is_removed_once_and_by_his_anchor(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryConnector, "lag", timedelta(minutes=2))
    people = {name: person(hr, name) for name in ("Anna", "Berta", "Carl")}
    team = hr.add(Kind.GROUP, name="Team", path=BASE)
    for one in people.values():
        hr.join(team, one)
    teams = {"kind": "group", "match": None, "map": {"cn": "source.cn", "members": "source.members"}}
    engine = make(profile() + profile("teams", **teams))
    export_unseen(engine)
    left = anchor(ad, "Carl")
    engine.import_()  # within the lag: it shows them, and confirms nothing
    hr.leave(team, people["Carl"])
    hr.join(team, person(hr, "Dora"))
    engine.import_("hr")
    planned = engine.plan()["teams"]
    assert sorted(operation for operation, _ in shown({"teams": planned})) == ["member add", "member remove"]
    engine.approve(beyond={Operation.MEMBER_REMOVE})
    engine.export()
    (there,) = ad.anchors(Kind.GROUP)
    held = (ad.get(there) or {})["members"]
    assert isinstance(held, tuple)
    assert left not in {one.value for one in held if isinstance(one, Reference)}
    assert len(held) == 3
