"""A document that has a directory no more: what was imported of it, and joined, stays in the database and is in nobody's way."""

from __future__ import annotations

import pytest

from metasync.contract import Kind, MetasyncError, Operation, Reference
from metasync.explain import explain
from metasync.naming import find_object
from metasync.overview import show_plan
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, anchor, person, profile, shown, target

from .conftest import MakeEngine

BOTH = DOCUMENT.replace("  ad: {", "  phones: {{connector: memory, options: {{store: phones}}}}\n  ad: {")
MAP = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "manager": "source.manager"}
STAFF = profile("staff", map=MAP)
TEAMS = profile("teams", kind="group", match=[{"source": "cn", "target": "cn"}], map={"cn": "source.cn", "members": "source.members"})
PHONES = profile("numbers", target="phones", map=MAP)


@pytest.fixture
def phones() -> MemoryDirectory:
    return target()


@pytest.fixture
def engine(make: MakeEngine, hr: MemoryDirectory, phones: MemoryDirectory) -> Engine:
    """Everybody is in both, and then the document forgets one of them."""
    boss = person(hr, "Anna")
    person(hr, "Bert", manager=Reference(value=boss))
    hr.join(hr.add(Kind.GROUP, name="Team", path=BASE), *hr.anchors(Kind.USER))
    made = make(document=BOTH.format(profiles=STAFF + TEAMS + PHONES), phones=phones)
    made.cycle(beyond=list(Operation))
    assert made.plan() == {}
    return made


def test_whoever_has_an_object_there_is_still_kept_in_step(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    engine.load(DOCUMENT.format(profiles=STAFF + TEAMS))
    hr.change(anchor(hr, "Bert"), displayName="Bertram")
    hr.leave(hr.by_name("Team"), anchor(hr, "Bertram"))
    assert shown(engine.cycle(beyond=list(Operation))) == [("rename", "Bert"), ("update", "Bert"), ("member remove", "Team")]
    assert engine.plan() == {}
    engine.load(BOTH.format(profiles=STAFF + TEAMS + PHONES))
    assert [one for one, _ in shown(engine.cycle(beyond=list(Operation)))] == ["rename", "update"]
    assert engine.plan() == {}


def test_a_directory_of_another_name_is_another_directory(engine: Engine, hr: MemoryDirectory) -> None:
    """Its objects are found again, by the rules of `match:`."""
    renamed = BOTH.format(profiles=STAFF + TEAMS + PHONES).replace("phones: {c", "numbers: {c").replace('"phones"', '"numbers"')
    engine.load(renamed)
    assert engine.cycle() == {}
    lines = [
        line.words for one in explain(engine.workspace, find_object(engine.workspace, f"hr/{anchor(hr, 'Anna')}").id) for line in one.lines
    ]
    assert any(words.startswith("phones/") for words in lines) and any(words.startswith("numbers/") for words in lines)


def test_a_plan_for_it_is_shown_and_not_exported(engine: Engine, hr: MemoryDirectory, phones: MemoryDirectory) -> None:
    hr.change(anchor(hr, "Bert"), displayName="Bertram")
    engine.import_()
    engine.plan("numbers")
    (number,) = engine.approve(beyond=list(Operation))
    engine.load(DOCUMENT.format(profiles=STAFF + TEAMS))
    assert show_plan(engine.workspace, number).plan.changes
    with pytest.raises(MetasyncError, match="does not have the directory 'phones' any more"):
        engine.export([number])
    assert anchor(phones, "Bert")
