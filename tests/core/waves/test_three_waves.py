"""Three waves of people between two directories, with leavers, returners, collisions and edits on both sides between the waves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Kind, Operation, Reference
from metasync.planning.holds import release
from metasync.runs import run as runs
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, PEOPLE, anchor, person, values
from metasync.waves import moving
from metasync.waves.report import report

from .conftest import states

DOCUMENT = f"""
engagement: migration
plugins: {{standard: ">=0"}}
directories:
  old: {{connector: memory, options: {{store: old}}}}
  new: {{connector: memory, options: {{store: new}}, mark: adminDescription}}
profiles:
  staff:
    kind: user
    source: old
    target: new
    scope: {{where: 'wave.state != "waiting"'}}
    match: [{{source: employeeID, target: employeeID}}]
    place: '"{PEOPLE}"'
    map:
      cn: {{from: source.displayName, unique: ['{{value}}', '{{value}} ({{n}})']}}
      displayName: source.displayName
      employeeID: source.employeeID
      mail: {{from: source.mail, unique: ['{{value}}', '{{local}}{{n}}@{{domain}}']}}
      title: {{from: source.title, when: 'wave.state != "cut over"'}}
      manager: source.manager
      company: wave.name
      enabled: source.enabled
    leaving: {{deleted: [disable], out of scope: keep}}
    limits: {{create: {{count: 500}}, update: {{count: 500}}, clear: {{count: 500, percent: 100}}, delete: {{count: 500, percent: 100}},
      disable: {{count: 500}}, enable: {{count: 500}}, rename: {{count: 500, percent: 100}}, sign-in change: {{count: 500, percent: 100}},
      member add: {{count: 500, percent: 100}}, member remove: {{count: 500, percent: 100}}}}
  teams:
    kind: group
    source: old
    target: new
    match: [{{source: cn, target: cn}}]
    place: '"{PEOPLE}"'
    map: {{cn: source.cn, members: source.members}}
    limits: {{member add: {{count: 500, percent: 100}}, member remove: {{count: 500, percent: 100}}}}
waves:
  one: {{file: one.csv, key: employeeID}}
  two: {{file: two.csv, key: employeeID}}
  three: {{file: three.csv, key: employeeID}}
"""
WAVES = {"one": range(1, 6), "two": range(6, 11), "three": range(11, 16)}
LAST = 18
"""Three people stand in no wave."""


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Engine]:
    old, new = MemoryDirectory(seed=1), MemoryDirectory(seed=2)
    new.add(Kind.CONTAINER, name="People", path=BASE)
    boss = person(old, "Person 1", employeeID="E1", title="Head")
    for number in range(2, LAST + 1):
        person(old, f"Person {number}", employeeID=f"E{number}", title="Clerk", manager=Reference(value=boss))
    team = old.add(Kind.GROUP, name="Team", path=BASE)
    old.join(team, *old.anchors(Kind.USER))
    for name, numbers in WAVES.items():
        (tmp_path / f"{name}.csv").write_text("employeeID\n" + "".join(f"E{number}\n" for number in numbers), encoding="utf-8")
    # Some are there already: one is to be joined, one bears the name of another, and one his address.
    person(new, "Person Two", "two@new.test", employeeID="E2", title="Old title")
    person(new, "Person 7", "seven@new.test", employeeID="N7")
    new.add(Kind.USER, name="Stranger", path=PEOPLE, displayName="Stranger", mail="person.12@x.test", enabled=True)
    made = Engine(tmp_path, DOCUMENT, {"old": old, "new": new})
    yield made
    made.close()


def settle(engine: Engine) -> None:
    """After each run the next plan is empty (law 13)."""
    engine.cycle(beyond=list(Operation))
    assert engine.plan() == {}
    engine.import_()
    assert engine.plan() == {}


def image(directory: MemoryDirectory) -> dict[str, dict[str, Any]]:
    """All people and groups, attribute by attribute."""
    kinds = (Kind.USER, Kind.GROUP)
    return {one: dict(directory.get(one) or {}) for kind in kinds for one in directory.anchors(kind)}


def between(engine: Engine, step: int) -> None:
    """What happens between two waves: a leaver, a returner, a joiner of a taken name, edits on both sides."""
    old, new = engine.directories["old"], engine.directories["new"]
    old.delete(anchor(old, f"Person {3 + step * 5}"))
    old.change(anchor(old, "Person 2"), title=f"Title {step}", displayName="Person 2")
    person(old, "Person 4", f"namesake{step}@x.test", employeeID=f"J{step}")
    old.change(anchor(old, f"Person {9 + step}"), mail=f"new{step}@x.test", enabled=step % 2 == 0)
    there = [one for one in new.anchors(Kind.USER) if (new.get(one) or {}).get("company")]
    new.change(sorted(there)[step], title="changed by hand")
    if step:
        gone = 3 + (step - 1) * 5
        person(old, f"Person {gone}", employeeID=f"E{gone}", title="Back again")


def test_three_waves_move_are_cut_over_and_every_next_plan_is_empty(company: Engine) -> None:
    new = company.directories["new"]
    settle(company)
    assert len(new.anchors(Kind.USER)) == 3, "nobody moves before he is said to"
    for step, name in enumerate(WAVES):
        rehearsed = {
            one.key: {outcome.what for outcome in one.outcomes if outcome.profile == "staff"}
            for one in report(company.workspace, name).people
        }
        before = len(new.anchors(Kind.USER))
        assert moving.move(company.workspace, name, reason=f"step {step}", ready=True).done
        settle(company)
        assert len(new.anchors(Kind.USER)) - before == sum("create" in what for what in rehearsed.values()), "as it was rehearsed"
        done = moving.cut_over(company.workspace, name, reason=f"step {step}", ready=True)
        assert done.done
        settle(company)
        between(company, step)
        settle(company)
    assert values(new, "Person 2")["employeeID"] == "E2"
    assert {wave for wave, _ in states(company).values()} == {"one", "two", "three"}
    found = {str(entry.get("employeeID")) for entry in image(new).values()}
    assert {f"E{number}" for number in range(16, LAST + 1)}.isdisjoint(found), "who is in no wave waits"
    mails = [entry["mail"] for entry in image(new).values() if "mail" in entry]
    assert len(mails) == len(set(mails))


def test_undo_of_a_wave_restores_it_and_nobody_else(company: Engine) -> None:
    new = company.directories["new"]
    settle(company)
    moving.move(company.workspace, "one", reason="the first")
    settle(company)
    before = image(new)
    for _ in range(2):
        moving.move(company.workspace, "two", reason="the second")
        settle(company)
        company.directories["old"].change(anchor(company.directories["old"], "Person 8"), title="Boss", displayName="Eight")
        settle(company)
        assert "E6" in {entry.get("employeeID") for entry in image(new).values()}
        moving.back(company.workspace, "two", to="waiting", reason="postponed")
        company.last = runs.undo_wave(company.workspace, "two")
        company.approve(beyond=list(Operation))
        company.export()
        assert image(new) == before
        settle(company)
        assert image(new) == before
        release(company.workspace)
        settle(company)
        assert image(new) == before, "they wait: nothing is done for them again"
        company.directories["old"].change(anchor(company.directories["old"], "Eight"), title="Clerk", displayName="Person 8")
        settle(company)


def test_a_joined_person_gets_back_what_he_had_before_several_runs(company: Engine) -> None:
    """What several runs wrote one after the other goes back in one step, memberships too."""
    old, new = company.directories["old"], company.directories["new"]
    settle(company)
    before = image(new)
    moving.move(company.workspace, "one", objects=["E2"], reason="a pilot")
    settle(company)
    for title in ("first", "second", "third"):
        old.change(anchor(old, "Person 2"), title=title, enabled=title != "second")
        settle(company)
    team = next(one for one in old.anchors(Kind.GROUP))
    old.leave(team, anchor(old, "Person 2"))
    settle(company)
    moving.back(company.workspace, "one", to="waiting", reason="not yet")
    company.last = runs.undo_wave(company.workspace, "one")
    assert all(
        len([one for one in some if one.operation is Operation.UPDATE]) <= 1 for some in company.changes(company.last.plans).values()
    )
    company.approve(beyond=list(Operation))
    company.export()
    assert image(new) == before
    settle(company)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_in_whatever_order_every_next_plan_is_empty(company: Engine, seed: int) -> None:
    dice = random.Random(seed)
    steps = 0
    for _ in range(8):
        name = dice.choice(list(WAVES))
        match dice.randrange(4):
            case 0 if steps < 3:
                settle(company)
                if len([one for one in states(company).values() if one[1] != "waiting"]) > 4:
                    between(company, steps)
                    steps += 1
            case 1:
                moving.cut_over(company.workspace, name, reason="a test", ready=True)
            case 2:
                moving.back(company.workspace, name, to="waiting", reason="a test")
            case _:
                moving.move(company.workspace, name, reason="a test", ready=True)
        settle(company)
