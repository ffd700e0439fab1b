"""What was created stands for its identity before any import shows it; and what becomes of that where none ever does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metasync.contract import Kind, Operation
from metasync.runs import verbs
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory, WriteFault
from metasync.testing.staff import DOCUMENT, anchor, person, profile, shown, values

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
