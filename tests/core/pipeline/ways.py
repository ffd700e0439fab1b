"""One company twice: what is worked in bulk has to be left behind as if each object had been worked with care."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from metasync.contract import Kind, Operation, Reference
from metasync.planning.freezer import Freezer
from metasync.store.tables import dirty, object_, plan, reserved, sync_state, wanted
from metasync.synchronising import newcomers, pairs
from metasync.synchronising.newcomers import Newcomers
from metasync.synchronising.pairs import Pairs
from metasync.synchronising.reference_pass import ReferencePass
from metasync.synchronising.references import UNRESOLVED
from metasync.testing.engine import Engine, Planned
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person

NAMES = ("Anna", "anna", "ANNA (2)", "Anna (2)", "Änne", "Åse", "Zoë", "zoe", "O'Neil", "Straße", "Strasse", "李雷", "Bo", "B o")
WAVES = "\nwaves: {one: {file: one.csv, key: mail}, two: {file: two.csv, key: employeeID}}\n"
IN_ONE_STORE = ("engagement_id", "object_id", "run_id", "target", "left_since")
SEEDS = range(int(os.environ.get("METASYNC_WAYS_FROM", "0")), int(os.environ.get("METASYNC_WAYS_TO", "1")))
"""More of them are lived through by hand."""
SCOPED = STAFF.replace(
    "target: ad\n    match: [{source: mail", "target: ad\n    scope: {where: 'source.title != \"Guest\"'}\n    match: [{source: mail"
)
MAP = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "title": "source.title"}
MATCHED = [{"source": "employeeID", "target": "employeeID"}]
NUMBERED = {**MAP, "cn": {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]}}
MAILS = [f"{letter}@x.test" for letter in "abcdef"]
MANY = {
    one: {"count": 500, "percent": 100}
    for one in ("create", "update", "clear", "sign-in change", "rename", "move", "enable", "disable", "delete", "restore")
}


class Ways:
    """One company twice: the one engine may work in bulk, the other must not."""

    def __init__(
        self,
        folder: Path,
        patch: pytest.MonkeyPatch,
        profiles: str = SCOPED,
        more: Sequence[Mapping[str, MemoryDirectory]] = ({}, {}),
        url: str | None = None,
    ) -> None:
        self.patch, self.taken = patch, {"newcomers": 0, "pairs": 0}
        self.engines: list[Engine] = []
        self.further = [*more[0]]
        self.exported: dict[int, int] = {}
        """Engine -> the run that it exported last."""
        for name, further in zip(("bulk", "care"), more, strict=True):
            own = folder / name
            own.mkdir()
            hr, ad = MemoryDirectory(seed=1), MemoryDirectory(seed=2)
            ad.add(Kind.CONTAINER, name="People", path=BASE)
            self.engines.append(Engine(own, self.document(profiles), {"hr": hr, "ad": ad, **further}, url=url if name == "bulk" else None))
        # Portions so small that most of what concerns two objects concerns two portions.
        patch.setattr(newcomers, "BULK", 3)
        patch.setattr(pairs, "BULK", 3)

    def document(self, profiles: str) -> str:
        further = "".join(f"\n  {name}: {{{{connector: memory, options: {{{{store: {name}}}}}}}}}" for name in self.further)
        return (
            DOCUMENT.replace("mark: adminDescription", "mark: adminDescription, reserve names: 10 days")
            .replace("\nprofiles:", f"{further}\nprofiles:")
            .format(profiles=profiles)
        ) + (WAVES if "wave." in profiles else "")

    def each(self) -> Iterator[Engine]:
        """Both engines, each by its own way."""
        ways = {"newcomers": Newcomers, "pairs": Pairs}
        for number, engine in enumerate(self.engines):
            with self.patch.context() as patch:
                for name, way in ways.items():
                    real = way.run

                    def counted(self_: object, *given: object, real: object = real, name: str = name) -> object:
                        before = self_.at.outcome.looked_at  # type: ignore[attr-defined]
                        found = real(self_, *given)  # type: ignore[operator]
                        self.taken[name] += self_.at.outcome.looked_at - before  # type: ignore[attr-defined]
                        return found

                    patch.setattr(way, "run", counted)
                    if number == 1:
                        patch.setattr(way, "possible", lambda _: False)
                if number == 1:
                    patch.setattr(ReferencePass, "_plain", lambda *_: False)
                    patch.setattr(Freezer, "add_creates", lambda _, rows: rows)
                    patch.setattr(Freezer, "add_members", lambda _, rows, kind: rows)
                yield engine

    def edit(self, change: Callable[[MemoryDirectory, MemoryDirectory], object]) -> None:
        """The same in both companies: change(hr, ad)."""
        for engine in self.engines:
            change(engine.directories["hr"], engine.directories["ad"])

    def bring(self, *change: Callable[[MemoryDirectory, MemoryDirectory], object]) -> None:
        """One after the other in both companies, each imported by itself: in this order they are worked."""
        for one in change:
            self.edit(one)
            for engine in self.engines:
                engine.import_()

    def load(self, profiles: str) -> None:
        """Another document."""
        for engine in self.engines:
            engine.load(self.document(profiles))

    def settle(self, *, export: bool = True) -> dict[str, list[Planned]]:
        """Import, plan and, perhaps, export by both ways; what is left behind is the same. What was planned."""
        left: list[tuple[Any, ...]] = []
        for engine in self.each():
            engine.import_()
            planned = engine.plan()
            found = (hashes(engine), states(engine), wrong(engine), waiting(engine), names(engine), marks(engine))
            left.append((planned, *found))
            if export and any(planned.values()):
                engine.approve(beyond=list(Operation))
                self.exported[id(engine)] = engine.export().run
        for bulk, care in zip(*left, strict=True):
            assert bulk == care
        return left[0][0]


def hashes(engine: Engine) -> list[str]:
    assert engine.last is not None
    with engine.backend.read() as connection:
        return list(connection.execute(select(plan.c.hash).where(plan.c.id.in_(engine.last.plans)).order_by(plan.c.profile)).scalars())


def states(engine: Engine) -> list[tuple[object, ...]]:
    """What is known of every source object, but for numbers, marks and times."""
    known = [one for one in sync_state.c if one.name not in IN_ONE_STORE]
    query = select(object_.c.anchor, *known).join(object_, object_.c.id == sync_state.c.object_id)
    with engine.backend.read() as connection:
        return sorted((tuple(row) for row in connection.execute(query)), key=repr)


def wrong(engine: Engine) -> list[tuple[str, str, str]]:
    """All problems; how somebody was called who has no object yet is told as it was when the reference was last looked at."""
    found = ((area, code, text.replace(str(engine.folder), "")) for area, code, text in engine.problems())
    return sorted((area, code, text if code != UNRESOLVED else "") for area, code, text in found)


def waiting(engine: Engine) -> list[tuple[object, ...]]:
    query = select(wanted.c.profile, object_.c.anchor, wanted.c.name, wanted.c.value).join(object_, object_.c.id == wanted.c.object_id)
    with engine.backend.read() as connection:
        return sorted(tuple(row) for row in connection.execute(query))


def names(engine: Engine) -> list[tuple[object, ...]]:
    """What is reserved, and what is free again."""
    query = select(reserved.c.profile, reserved.c.attribute, reserved.c.value, reserved.c.shown, reserved.c.base, reserved.c.released)
    with engine.backend.read() as connection:
        return sorted((*row[:5], row.released is None) for row in connection.execute(query))


def marks(engine: Engine) -> list[tuple[object, ...]]:
    """What is still to be looked at, or at another time."""
    query = select(dirty.c.profile, object_.c.anchor, dirty.c.member_id <= 0, dirty.c.due_at).join(
        object_, object_.c.id == dirty.c.object_id
    )
    with engine.backend.read() as connection:
        return sorted((*row[:3], row.due_at is None) for row in connection.execute(query))


def edit(dice: random.Random, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Joiners, among them some of like names and addresses, leavers, changes that matter and others, and drift."""
    for number in range(dice.randint(2, 7)):
        title = dice.choice(("Clerk", "Guest", "Ärztin"))
        mail = f"{dice.getrandbits(40):x}{number}@x.test" if dice.random() < 0.8 else f"{dice.randint(1, 4)}@x.test"
        manager = hr.anchors(Kind.USER)
        more = {"manager": Reference(value=dice.choice(manager))} if manager and dice.random() < 0.6 else {}
        person(hr, f"{dice.choice(NAMES)} {dice.choice(NAMES)}", mail, title=title, enabled=dice.random() < 0.9, **more)
    people, groups = hr.anchors(Kind.USER), hr.anchors(Kind.GROUP)
    if len(groups) < 3:
        groups.append(hr.add(Kind.GROUP, name=f"Team {dice.choice(NAMES)} {len(groups)}", path=BASE))
    for one in dice.sample(people, min(4, len(people))):
        match dice.randrange(6):
            case 0:
                hr.delete(one)
            case 1:
                hr.change(one, displayName=f"{dice.choice(NAMES)} {dice.choice(NAMES)}")
            case 2:
                hr.change(one, manager=Reference(value=dice.choice(people)), enabled=dice.random() < 0.7)
            case 3:
                hr.change(one, title=dice.choice(("Guest", "Clerk")))
            case _:
                hr.join(dice.choice(groups), one)
    there = ad.anchors(Kind.USER)
    if dice.random() < 0.4:
        person(ad, f"{dice.choice(NAMES)} {dice.choice(NAMES)}", f"{dice.randint(1, 4)}@x.test", title="there")
    if there and dice.random() < 0.5:
        ad.change(dice.choice(there), title="changed by hand")
    if there and dice.random() < 0.2:
        ad.delete(dice.choice(there))


Make = Callable[..., Ways]
