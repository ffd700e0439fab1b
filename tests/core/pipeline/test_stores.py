"""Whichever store keeps the database, the plans are the same to the hash, and so are statuses, reasons and problems."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from metasync.contract import Kind, Reference
from metasync.runs.outcome import RunOutcome
from metasync.store.tables import object_, plan, sync_state
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person

NAMES = ("Anna", "anna", "Änne", "ANNA", "Åse", "Zoë", "zoe", "_x", "O'Neil", "Ærø", "Straße", "Strasse", "李雷", "😀", "Bo", "b-o", "B o")


class Twins:
    """One company twice: what is done to one is done to the other, and only their stores differ."""

    def __init__(self, folder: Path, url: str) -> None:
        self.engines: list[Engine] = []
        for name, where in (("sqlite", None), ("postgresql", url)):
            own = folder / name
            own.mkdir()
            hr, ad = MemoryDirectory(seed=1), MemoryDirectory(seed=2)
            ad.add(Kind.CONTAINER, name="People", path=BASE)
            self.engines.append(Engine(own, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad}, url=where))

    def hashes(self) -> list[dict[str, str]]:
        """Per engine: profile -> hash of the plan that the last run froze."""
        found = []
        for engine in self.engines:
            assert engine.last is not None
            with engine.backend.read() as connection:
                rows = connection.execute(select(plan.c.profile, plan.c.hash).where(plan.c.id.in_(engine.last.plans))).all()
            found.append(dict(tuple(row) for row in rows))
        return found

    def settle(self) -> int:
        """Import, plan and export on both; how many changes there were."""
        for engine in self.engines:
            engine.import_()
        planned = [engine.plan() for engine in self.engines]
        assert planned[0] == planned[1]
        here, there = self.hashes()
        assert here == there
        for engine, changes in zip(self.engines, planned, strict=True):
            if changes:
                engine.approve()
                engine.export()
        here_after, there_after = ((states(engine), engine.problems()) for engine in self.engines)
        assert here_after == there_after
        return sum(len(changes) for changes in planned[0].values())

    def edit(self, seed: int) -> None:
        """The same edits on both sides of both companies."""
        for engine in self.engines:
            edit(random.Random(seed), engine.directories["hr"], engine.directories["ad"])


def states(engine: Engine) -> list[tuple[str, str, str, str]]:
    """(profile, anchor, status, reason) of every source object."""
    query = select(sync_state.c.profile, object_.c.anchor, sync_state.c.status, sync_state.c.reason)
    with engine.backend.read() as connection:
        return sorted(tuple(row) for row in connection.execute(query.join(object_, object_.c.id == sync_state.c.object_id)))


@pytest.fixture
def twins(tmp_path: Path, postgres_url: str) -> Iterator[Twins]:
    made = Twins(tmp_path, postgres_url)
    yield made
    for engine in made.engines:
        engine.close()


def edit(dice: random.Random, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Joiners with like names, leavers, moves of members and managers, other titles, and drift."""
    for number in range(dice.randint(1, 4)):
        name = f"{dice.choice(NAMES)} {dice.choice(NAMES)}"
        person(hr, name, f"{dice.getrandbits(40):x}{number}@x.test", title=dice.choice(("Clerk", "clerk ", "Ärztin")))
    people, groups = hr.anchors(Kind.USER), hr.anchors(Kind.GROUP)
    if len(groups) < 3:
        groups.append(hr.add(Kind.GROUP, name=f"Team {dice.choice(NAMES)} {len(groups)}", path=BASE))
    for one in dice.sample(people, min(3, len(people))):
        match dice.randrange(5):
            case 0:
                hr.delete(one)
            case 1:
                hr.change(one, displayName=f"{dice.choice(NAMES)} {dice.choice(NAMES)}")
            case 2:
                hr.change(one, manager=Reference(value=dice.choice(people)), enabled=dice.random() < 0.7)
            case _:
                hr.join(dice.choice(groups), one)
    there = ad.anchors(Kind.USER)
    if there and dice.random() < 0.5:
        ad.change(dice.choice(there), title="changed by hand")


@pytest.mark.parametrize("seed", range(2))
def test_plans_are_the_same_to_the_hash(twins: Twins, seed: int) -> None:
    changes = 0
    for step in range(7):
        twins.edit(1000 * seed + step)
        changes += twins.settle()
    assert changes > 25
    assert all(not engine.plan() for engine in twins.engines)


def test_so_they_are_when_there_are_more_objects_than_one_portion(twins: Twins) -> None:
    for engine in twins.engines:
        dice, hr = random.Random(5), engine.directories["hr"]
        for number in range(1500):
            person(hr, f"{dice.choice(NAMES)} {dice.choice(NAMES)}", f"{number}@x.test", title=str(number))
        group = hr.add(Kind.GROUP, name="Everybody", path=BASE)
        hr.join(group, *hr.anchors(Kind.USER))
    assert twins.settle() == 3001


WAITS = "SELECT 1 FROM pg_locks WHERE relation = to_regclass('match_key') AND NOT granted"


@pytest.mark.parametrize(("emptied", "mode"), [(False, "SHARE UPDATE EXCLUSIVE"), (True, "ACCESS SHARE")], ids=["statistics", "a reader"])
def test_a_first_load_and_whoever_looks_at_keys_and_then_at_objects_do_not_wait_for_each_other(
    tmp_path: Path, postgres_url: str, emptied: bool, mode: str
) -> None:
    """Two directories are loaded at once: while the one gathers statistics, the other builds or drops its indexes."""
    hr = MemoryDirectory(seed=1)
    engine = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": MemoryDirectory(seed=2)}, url=postgres_url)
    if emptied:
        engine.import_("hr")
    person(hr, "Anna Bo")
    loaded: list[RunOutcome] = []
    load = threading.Thread(target=lambda: loaded.append(engine.import_("hr", full=True)))
    with psycopg.connect(postgres_url) as looking, psycopg.connect(postgres_url, autocommit=True) as watching:
        looking.execute(f"LOCK TABLE match_key IN {mode} MODE")
        load.start()
        while watching.execute(WAITS).fetchone() is None and load.is_alive():
            time.sleep(0.01)  # a server tells nobody who waits
        looking.execute(f"LOCK TABLE object IN {mode} MODE")
    load.join()
    assert [one.state for one in loaded] == ["done"]
    engine.close()
