"""A container is renamed or moved: who is inside goes along, and is not planned to move one by one."""

from __future__ import annotations

from typing import Any

import pytest

from metasync.contract import Kind, Operation
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.memory.faults import WriteFault
from metasync.testing.staff import BASE, PEOPLE, anchor, person, profile, shown, values

STAFF = f"OU=Staff,{BASE}"
MIRROR = {"mirror": {STAFF: PEOPLE}, "existing": "move"}
PROFILES = profile(
    "tree",
    kind="container",
    scope={"under": [STAFF], "where": 'source.name != "Staff"'},
    match=[{"source": "description", "target": "description"}],
    place=MIRROR,
    map={"name": "source.name", "description": "source.description"},
) + profile(scope={"under": [STAFF]}, place=MIRROR, limits={"move": {"count": 1}})


@pytest.fixture
def engine(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> Engine:
    """Sales with a unit Inside, three people in the one and two in the other; Legal is beside it."""
    hr.add(Kind.CONTAINER, name="Staff", path=BASE)
    for name, path in (("Sales", STAFF), ("Inside", f"OU=Sales,{STAFF}"), ("Legal", STAFF)):
        hr.add(Kind.CONTAINER, name=name, path=path, description=name)
    for name in ("Anna", "Bert", "Cleo"):
        hr.move(person(hr, name), f"OU=Sales,{STAFF}")
    for name in ("Dora", "Emil"):
        hr.move(person(hr, name), f"OU=Inside,OU=Sales,{STAFF}")
    made: Engine = make(PROFILES)
    for _ in range(3):
        made.cycle(beyond=list(Operation))
    assert made.plan() == {}
    return made


def rename(hr: MemoryDirectory, name: str, new: str) -> None:
    hr.rename(next(one for one in hr.anchors(Kind.CONTAINER) if (hr.get(one) or {})["name"] == name), new)


def at_rest(engine: Engine) -> bool:
    """Nothing is left to do, and nothing to tell."""
    engine.import_()
    planned, problems = engine.plan(), engine.problems()
    assert (planned, problems) == ({}, [])
    return True


def test_a_renamed_unit_is_one_change_and_passes_no_limit(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    rename(hr, "Sales", "Selling, all of it")
    engine.import_()
    assert shown(engine.plan()) == [("rename", "Sales")]
    assert [text for _, code, text in engine.problems() if code == "goes along"] == [
        f"moves that are not in this plan: {count}. Who is in a container of ad that is to be renamed or moved goes along with it; "
        "export the plan of the containers"
        for count in (1, 5)
    ]
    engine.approve()
    engine.export()
    assert at_rest(engine)
    assert values(ad, "Dora")["path"] == f"OU=Inside,OU=Selling\\, all of it,{PEOPLE}"


def test_who_goes_elsewhere_is_moved_and_counted(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    rename(hr, "Sales", "Selling")
    rename(hr, "Inside", "Within")
    hr.move(anchor(hr, "Anna"), f"OU=Legal,{STAFF}")
    hr.move(anchor(hr, "Bert"), f"OU=Within,OU=Selling,{STAFF}")
    engine.import_()
    planned = engine.plan()
    assert sorted(shown(planned)) == [("move", "Anna"), ("move", "Bert"), ("rename", "Inside"), ("rename", "Sales")]
    engine.approve(beyond=[Operation.MOVE, Operation.RENAME])
    engine.export()
    assert sorted(shown(engine.cycle(beyond=[Operation.MOVE]))) == [("move", "Anna"), ("move", "Bert")], (
        "their unit has gone along meanwhile"
    )
    assert at_rest(engine)
    assert values(ad, "Bert")["path"] == values(ad, "Emil")["path"] == f"OU=Within,OU=Selling,{PEOPLE}"
    assert values(ad, "Anna")["path"] == f"OU=Legal,{PEOPLE}"


def test_a_unit_that_moves_below_another_takes_all_along(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    hr.move(next(one for one in hr.anchors(Kind.CONTAINER) if (hr.get(one) or {})["name"] == "Sales"), f"OU=Legal,{STAFF}")
    rename(hr, "Legal", "Law")
    engine.import_()
    assert sorted(shown(engine.plan())) == [("move", "Sales"), ("rename", "Legal")]
    engine.approve()
    engine.export()
    assert at_rest(engine)
    assert values(ad, "Dora")["path"] == f"OU=Inside,OU=Sales,OU=Law,{PEOPLE}"


def test_where_the_unit_may_not_be_renamed_nobody_moves(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    rename(hr, "Sales", "Selling")
    engine.import_()
    engine.plan()
    engine.approve()
    ad.faults.on_write(1, WriteFault.REFUSED)
    engine.export()
    engine.import_()
    assert shown(engine.plan()) == [("rename", "Sales")]
    assert values(ad, "Anna")["path"] == f"OU=Sales,{PEOPLE}"
    engine.approve()
    engine.export()
    assert at_rest(engine)
