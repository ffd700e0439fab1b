"""Every object is in exactly one state, and the state is explained in words (I5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from metasync.contract import Kind
from metasync.decisions import ignore
from metasync.explain import explain
from metasync.naming import find_object
from metasync.store.rows import Status
from metasync.store.tables import directory, object_, sync_state
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import PEOPLE, anchor, person, profile

MakeEngine = Callable[..., Engine]
States = dict[int, tuple[Status, str]]


@pytest.fixture
def engine(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> Engine:
    """People of every sort: new, known, twice in the target, out of scope, ignored, wrong."""
    for name in ("Ann Lee", "Bob Ray", "Cleo Ost", "Dan Poe", "Eve Orr", "Fay Kim"):
        person(hr, name, title="External" if name == "Dan Poe" else None)
    for number, name in enumerate(("Bob Ray", "Cleo Ost", "Cleo Ost")):
        mail = f"{name.lower().replace(' ', '.')}@x.test"
        ad.add(Kind.USER, name=f"{name} {number}", path=PEOPLE, displayName=name, mail=mail, enabled=True)
    scope = {"where": 'source.title != "External"'}
    mappings = {
        "cn": "source.displayName",
        "displayName": "source.displayName",
        "mail": "source.mail",
        "title": 'source.displayName == "Fay Kim" ? "a" + source.title : "x"',
    }
    return make(profile(scope=scope, map=mappings))


def source_objects(engine: Engine) -> set[int]:
    with engine.backend.read() as connection:
        query = select(object_.c.id).join(directory, directory.c.id == object_.c.directory_id)
        return set(connection.execute(query.where(directory.c.name == "hr", object_.c.kind == "user")).scalars())


def states(engine: Engine) -> States:
    with engine.backend.read() as connection:
        rows = connection.execute(select(sync_state).where(sync_state.c.profile == "people")).all()
    assert len({row.object_id for row in rows}) == len(rows)
    return {row.object_id: (Status(row.status), row.reason) for row in rows}


def check(engine: Engine) -> set[Status]:
    """All of them, each once, each with words; which states there are."""
    found = states(engine)
    assert set(found) == source_objects(engine)
    assert [number for number, (_, reason) in found.items() if not reason.strip()] == []
    return {status for status, _ in found.values()}


def test_every_source_object_is_in_exactly_one_state_with_words(engine: Engine, hr: MemoryDirectory) -> None:
    engine.import_()
    ignore(engine.workspace, find_object(engine.workspace, "hr:displayName=Eve Orr"), "a test account")
    engine.plan()
    assert check(engine) == {Status.PENDING, Status.PROBLEM, Status.OUT_OF_SCOPE, Status.IGNORED}
    engine.cycle()
    assert check(engine)
    engine.plan()
    assert Status.IN_STEP in check(engine)
    hr.delete(anchor(hr, "Ann Lee"))
    engine.cycle()
    assert check(engine)


def test_every_state_that_is_reached_can_be_explained(engine: Engine) -> None:
    engine.cycle()
    engine.plan()
    for number, (status, reason) in states(engine).items():
        told = explain(engine.workspace, number)
        assert [one.status for one in told] == [f"{status}: {reason}"]
        assert told[0].lines
