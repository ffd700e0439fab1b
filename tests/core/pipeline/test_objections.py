"""What a directory would refuse is seen in the plan, on the object and in `explain`, and is exported once it may be."""

from __future__ import annotations

from collections.abc import Callable

from metasync.contract import Kind, Operation
from metasync.explain import explain
from metasync.naming import find_object
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import anchor, person

MakeEngine = Callable[..., Engine]
REASON = "it is mastered by another directory; change it there"


def said(engine: Engine) -> list[tuple[str, str]]:
    return [(code, text) for area, code, text in engine.problems() if area == "plan"]


def test_the_rest_is_written_and_what_was_objected_to_as_soon_as_it_may(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    people = {name: person(hr, name) for name in ("Anna", "Bob")}
    engine = make()
    engine.cycle()
    guarded = anchor(ad, "Anna")
    ad.protect(guarded, "Eve")
    for one in people.values():
        hr.change(one, {"title": "Head"})
    for name in ("Dan", "Eve"):
        person(hr, name)
    planned = engine.cycle()
    assert [(one.operation, one.label) for one in planned["people"]] == [(Operation.CREATE, "Dan"), (Operation.UPDATE, "Bob")]
    assert said(engine) == [
        ("would be refused", f"ad would refuse the update of Anna: {REASON}"),
        ("would be refused", f"ad would refuse the create of Eve: {REASON}"),
    ]
    assert "title" not in (ad.get(guarded) or {}) and len(ad.anchors(Kind.USER)) == 3
    (explained,) = explain(engine.workspace, find_object(engine.workspace, f"hr/{people['Anna']}").id)
    told = [line.words for line in explained.lines if line.topic == "problem"]
    assert told == [f"would be refused: ad would refuse the update of Anna: {REASON}"]
    (explained,) = explain(engine.workspace, find_object(engine.workspace, f"hr/{people['Anna']}").id, "title")
    assert [line.words for line in explained.lines if line.topic == "problem"] == told
    ad.unprotect()
    planned = engine.cycle()
    assert [(one.operation, one.label) for one in planned["people"]] == [(Operation.CREATE, "Eve"), (Operation.UPDATE, "Anna")]
    assert (ad.get(guarded) or {})["title"] == "Head" and said(engine) == []
    assert engine.cycle() == {}


def test_what_was_protected_after_the_plan_is_refused_by_the_export(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    anna = person(hr, "Anna")
    engine = make()
    engine.cycle()
    hr.change(anna, {"title": "Head"})
    engine.import_()
    engine.plan()
    engine.approve()
    ad.protect(anchor(ad, "Anna"))
    engine.export()
    assert [code for area, code, _ in engine.problems() if area == "export"] == ["rejected"]
    engine.import_()
    assert engine.plan() == {}
    assert [code for code, _ in said(engine)] == ["would be refused"]
