"""What is worked in bulk (newcomers, and pairs that are in step) is left behind as if each object had been worked with care."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from metasync import decisions
from metasync.contract import Kind, MetasyncError, Operation, Reference
from metasync.naming import find_object
from metasync.planning.freezer import Freezer
from metasync.planning.holds import release
from metasync.runs import verbs
from metasync.store import waves
from metasync.store.tables import dirty, object_, plan, reserved, sync_state, wanted
from metasync.synchronising import newcomers, pairs
from metasync.synchronising.newcomers import Newcomers
from metasync.synchronising.pairs import Pairs
from metasync.synchronising.reference_pass import ReferencePass
from metasync.synchronising.references import UNRESOLVED
from metasync.testing.engine import Engine, Planned
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, anchor, person, profile, shown
from metasync.waves import moving

NAMES = ("Anna", "anna", "ANNA (2)", "Anna (2)", "Änne", "Åse", "Zoë", "zoe", "O'Neil", "Straße", "Strasse", "李雷", "Bo", "B o")
WAVES = "\nwaves: {one: {file: one.csv, key: mail}, two: {file: two.csv, key: employeeID}}\n"
IN_ONE_STORE = ("engagement_id", "object_id", "run_id", "target", "left_since")
SEEDS = range(int(os.environ.get("METASYNC_WAYS_FROM", "0")), int(os.environ.get("METASYNC_WAYS_TO", "1")))
"""More of them are lived through by hand."""
SCOPED = STAFF.replace(
    "target: ad\n    match: [{source: mail", "target: ad\n    scope: {where: 'source.title != \"Guest\"'}\n    match: [{source: mail"
)


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


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_leave_the_same_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    ways = Ways(tmp_path, monkeypatch)
    dice = random.Random(seed)
    for step in range(6):
        for engine in ways.engines:
            edit(random.Random(1000 * seed + step), engine.directories["hr"], engine.directories["ad"])
        ways.settle(export=dice.random() < 0.7)
        if dice.random() < 0.3:
            # Another document that means the same: everything is looked at again.
            text = SCOPED.replace("title: source.title", f"title: 'source.title'{' ' * step}\n      description: '\"{step % 2}\"'")
            for engine in ways.each():
                engine.load(DOCUMENT.format(profiles=text))
    ways.settle(export=True)
    ways.settle(export=True)
    assert ways.taken["newcomers"] > 10
    assert ways.taken["pairs"] > 10
    for engine in ways.engines:
        engine.close()


Make = Callable[..., Ways]


@pytest.fixture
def ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[Ways] = []

    def make(profiles: str, more: Sequence[Mapping[str, MemoryDirectory]] = ({}, {}), url: str | None = None) -> Ways:
        made.append(Ways(tmp_path, monkeypatch, profiles, more, url))
        return made[-1]

    yield make
    for one in made:
        for engine in one.engines:
            engine.close()


MAP = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "title": "source.title"}


MATCHED = [{"source": "employeeID", "target": "employeeID"}]


def readdress(dice: random.Random, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Joiners and others get, keep and give up addresses of which there are few; some are given by hand."""
    pool = [f"{dice.choice(('smtp', 'SMTP'))}:{letter}@x.test" for letter in "abcdefgh"]

    def some() -> tuple[str, ...]:
        return (*dice.sample(pool, dice.randrange(3)), f"smtp:{dice.getrandbits(40):x}@x.test")

    def free() -> tuple[str, ...]:
        """What nobody of `ad` has, for it keeps addresses unique."""
        there = {str(one).casefold() for each in ad.anchors(Kind.USER) for one in (ad.get(each) or {}).get("proxyAddresses", ())}  # type: ignore[union-attr]
        return tuple(one for one in some() if one.casefold() not in there)

    for _ in range(dice.randint(1, 4)):
        number = f"{dice.getrandbits(40):x}"
        person(hr, number, employeeID=number, proxyAddresses=some())
        if dice.random() < 0.3:
            person(ad, f"there {number}", employeeID=number, proxyAddresses=free())
    for directory, most, given in ((hr, 3, some), (ad, 1, free)):
        people = directory.anchors(Kind.USER)
        for one in dice.sample(people, min(most, len(people))):
            directory.change(one, proxyAddresses=given())
    if dice.random() < 0.3:
        hr.delete(dice.choice(hr.anchors(Kind.USER)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("more", [{}, {"values": "add"}, {"unique": ["{value}", "{local}{n}@{domain}"]}, {"once": True}])
def test_addresses_of_which_each_stands_only_once(ways: Make, seed: int, more: Mapping[str, Any]) -> None:
    mapped = {key: MAP[key] for key in ("cn", "displayName")} | {"employeeID": "source.employeeID"}
    mapped["proxyAddresses"] = {"from": "source.proxyAddresses", **more}  # type: ignore[assignment]
    company = ways(profile(match=MATCHED, map=mapped, leaving={"deleted": "delete"}))
    for step in range(5):
        for engine in company.engines:
            readdress(random.Random(1000 * seed + step), engine.directories["hr"], engine.directories["ad"])
        company.settle(export=step != 2)
    for _ in range(6):
        company.settle()
    assert not company.settle()
    if "unique" not in more:
        company.load(profile(match=MATCHED, map={**mapped, "displayName": "source.displayName + ''"}, leaving={"deleted": "delete"}))
        company.settle()
        assert company.taken["pairs"] > 0
    assert company.taken["newcomers"] > 0


@pytest.mark.parametrize("more", [{"action": "update only"}, {"place": None}, {}], ids=["update only", "no place", "no name"])
def test_partners_are_found_in_bulk_where_nobody_can_be_made(ways: Make, more: Mapping[str, Any]) -> None:
    company = ways(profile(map={key: value for key, value in MAP.items() if key != "cn"}, **more))
    for number in range(8):
        company.edit(lambda hr, ad, number=number: [person(one, f"Anna {number}", f"{number}@x.test") for one in (hr, ad)])  # type: ignore[misc]
    company.edit(lambda hr, ad: person(hr, "Nobody There"))
    assert not company.settle()
    assert company.taken["pairs"] == 8
    for step in range(5):
        for engine in company.engines:
            edit(random.Random(step), engine.directories["hr"], engine.directories["ad"])
        company.settle(export=step != 2)


def test_a_mapping_that_means_more_is_looked_at_although_it_yields_the_same(ways: Make) -> None:
    company = ways(profile(map={**MAP, "title": {"from": "source.title", "fill": True}}))
    company.edit(lambda hr, ad: (person(hr, "Anna Bo", title="Clerk"), person(ad, "Anna Bo", title="Boss")))
    company.settle()
    assert not company.settle()
    company.load(profile(map=MAP))
    assert shown(company.settle()) == [("update", "Anna Bo")]


@pytest.mark.parametrize("strict", ["replace", "add"])
def test_values_that_are_added_and_then_replaced(ways: Make, strict: str) -> None:
    kept = {"from": "source.otherTelephone", "values": "add"}
    company = ways(profile(map={**MAP, "otherTelephone": kept}))
    company.edit(lambda hr, ad: (person(hr, "Anna Bo", otherTelephone=("1",)), person(ad, "Anna Bo", otherTelephone=("1", "2"))))
    company.settle()
    company.load(profile(map={**MAP, "otherTelephone": {**kept, "values": strict}}, limits={"clear": {"percent": 100}}))
    assert shown(company.settle()) == ([("update", "Anna Bo")] if strict == "replace" else [])


def test_a_pattern_that_comes_later(ways: Make) -> None:
    company = ways(profile(map={**MAP, "sAMAccountName": "source.employeeID"}))
    company.edit(lambda hr, ad: person(hr, "Anna Bo", employeeID="a1"))
    company.settle()
    company.settle()
    company.load(profile(map={**MAP, "sAMAccountName": {"from": "source.employeeID", "unique": ["{value}", "{value}{n}"]}}))
    company.settle()
    company.load(profile(map={**MAP, "sAMAccountName": {"from": "source.employeeID", "unique": ["x{value}", "{value}{n}"]}}))
    company.settle()


def test_whoever_was_joined_in_an_earlier_portion_and_is_taken_back_may_leave(ways: Make) -> None:
    company = ways(profile(leaving={"deleted": ["disable"]}))
    company.edit(lambda hr, ad: person(ad, "Anna 0", "0@x.test"))
    company.bring(*(lambda hr, ad, one=one: person(hr, f"Anna {one}", f"{one}@x.test") for one in range(3)))  # type: ignore[misc]
    company.edit(lambda hr, ad: person(hr, "Rival Bo", "0@x.test"))
    company.settle(export=False)
    company.edit(lambda hr, ad: hr.delete(anchor(hr, "Rival Bo")))
    company.settle()
    company.edit(lambda hr, ad: hr.delete(anchor(hr, "Anna 0")))
    assert shown(company.settle()) == [("disable", "Anna 0")]


def test_rivals_with_a_history_are_seen_before_newcomers_are_joined(ways: Make) -> None:
    """One waits in vain for the partner already, another comes to be in scope together with the newcomer."""
    company = ways(profile(scope={"where": 'source.title != "Guest"'}))
    company.edit(lambda hr, ad: (person(hr, "Anna Bo", "a@x.test"), person(hr, "Anne Bo", "a@x.test"), person(ad, "A", "a@x.test")))
    company.edit(lambda hr, ad: (person(hr, "Cleo Bo", "c@x.test", title="Guest"), person(ad, "C", "c@x.test")))
    company.edit(lambda hr, ad: person(hr, "Dora Bo", "d@x.test", title="Guest"))
    company.settle(export=False)
    company.edit(lambda hr, ad: (person(hr, "Anni Bo", "a@x.test"), person(hr, "Clea Bo", "c@x.test"), person(hr, "Dori Bo", "d@x.test")))
    company.edit(lambda hr, ad: [hr.change(anchor(hr, name), title="Clerk") for name in ("Cleo Bo", "Dora Bo")])
    company.settle(export=False)


@pytest.mark.parametrize("there", [True, False])
def test_rivals_that_were_refused_in_an_earlier_portion(ways: Make, there: bool) -> None:
    company = ways(profile())
    company.edit(lambda hr, ad: person(ad, "A", "a@x.test") if there else None)
    mails = enumerate(("a@x.test", "a@x.test", "b@x.test", "a@x.test"))
    company.bring(*(lambda hr, ad, at=at, mail=mail: person(hr, f"Anna {at}", mail) for at, mail in mails))  # type: ignore[misc]
    company.settle(export=False)


NUMBERED = {**MAP, "cn": {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]}}
MAILS = [f"{letter}@x.test" for letter in "abcdef"]


def brought(company: Ways, people: Sequence[tuple[str, str, str]]) -> None:
    """People of `hr` (name, mail, title), in this order."""
    company.bring(*(lambda hr, ad, one=one: person(hr, one[0], one[1], title=one[2]) for one in people))  # type: ignore[misc]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("between", [0, 3])
@pytest.mark.parametrize("there", [True, False])
def test_a_rival_whose_values_cannot_be_computed(ways: Make, order: int, between: int, there: bool) -> None:
    company = ways(profile(map={**NUMBERED, "title": "source.title == 'x' ? source.nothing.lower() : source.title"}))
    company.edit(lambda hr, ad: person(ad, "A", "a@x.test") if there else None)
    others = [(f"Cleo {one}", f"{one}@x.test", "Clerk") for one in range(between)]
    people = [("Anna Bo", "a@x.test", "Clerk"), *others, ("Anna  Bo", "a@x.test", "x")]
    brought(company, people[::order])
    company.settle(export=False)
    company.edit(lambda hr, ad: hr.change(anchor(hr, "Anna  Bo"), title="y", mail="z@x.test"))
    company.settle(export=False)


def test_a_name_that_is_wanted_by_somebody_with_a_history(ways: Make) -> None:
    company = ways(profile(map=NUMBERED, scope={"where": 'source.title != "Guest"'}))
    company.edit(lambda hr, ad: [person(hr, "Anna Bo", mail, title="Guest") for mail in MAILS[:2]])
    company.settle(export=False)
    company.edit(lambda hr, ad: [hr.change(one, title="Clerk") for one in hr.anchors(Kind.USER)])
    company.edit(lambda hr, ad: [person(hr, "Anna Bo", mail) for mail in MAILS[2:4]])
    company.settle(export=False)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("between", [0, 3])
def test_a_name_that_is_wanted_by_a_newcomer_with_a_partner(ways: Make, order: int, between: int) -> None:
    company = ways(profile(map=NUMBERED))
    company.edit(lambda hr, ad: [person(ad, mail, mail) for mail in MAILS[:2]])
    people = [("Anna Bo", MAILS[0], ""), *((f"Cleo {one}", f"{one}@x.test", "") for one in range(between)), ("Anna Bo", MAILS[3], "")]
    brought(company, [*people, ("Cleo", MAILS[1], ""), ("Cleo", MAILS[4], "")][::order])
    company.settle(export=False)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("between", [0, 3])
def test_a_number_that_stands_in_anothers_name(ways: Make, order: int, between: int) -> None:
    company = ways(profile(map=NUMBERED))
    called = ["Anna Bo", "Anna Bo", *(f"Cleo {one}" for one in range(between)), "Anna Bo (2)", "Anna Bo (3)"]
    brought(company, [(name, f"{at}@x.test", "") for at, name in enumerate(called)][::order])
    company.settle(export=False)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("between", [0, 3])
def test_rules_by_which_one_has_a_partner_and_another_has_none(ways: Make, order: int, between: int) -> None:
    company = ways(profile(match=[{"source": "employeeID", "target": "employeeID"}, {"source": "mail", "target": "mail"}]))
    company.edit(lambda hr, ad: person(ad, "A", "a@x.test"))
    people = [("Anna Bo", "a@x.test"), *((f"Cleo {one}", f"{one}@x.test") for one in range(between)), ("Anna Cy", "b@x.test")][::order]
    same = {"Anna Bo": "7", "Anna Cy": "7"}
    company.bring(*(lambda hr, ad, one=one: person(hr, *one, employeeID=same.get(one[0], one[0][-1])) for one in people))  # type: ignore[misc]
    company.settle(export=False)


def test_a_value_that_was_cleared_is_free_for_others(ways: Make) -> None:
    company = ways(
        profile(match=[{"source": "employeeNumber", "target": "employeeNumber"}], map={**MAP, "employeeNumber": "source.employeeNumber"})
    )
    company.edit(lambda hr, ad: person(hr, "Anna Bo", "a@x.test", employeeNumber="1"))
    company.settle()
    company.settle()
    company.edit(lambda hr, ad: hr.change(anchor(hr, "Anna Bo"), mail=None))
    for engine in company.each():
        engine.cycle(beyond=list(Operation))
    company.settle()
    company.edit(lambda hr, ad: person(hr, "Anna Two", "a@x.test", employeeNumber="2"))
    assert shown(company.settle()) == [("create", "Anna Two")]


def test_whoever_waits_is_looked_at_once_his_rival_is_joined_to_what_does_not_bear_the_key(ways: Make) -> None:
    company = ways(profile(match=[{"source": "employeeID", "target": "employeeID"}]))
    company.edit(lambda hr, ad: person(hr, "Anna Bo", employeeID="1"))
    for engine in company.each():
        engine.import_()
        engine.plan()
        engine.approve()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(verbs, "_import_all", lambda *_, **__: [])
            engine.export()
    company.edit(lambda hr, ad: person(hr, "Cleo Bo", employeeID="1"))
    for engine in company.each():
        engine.import_("hr")
        assert not engine.plan()
    assert shown(company.settle()) == [("create", "Cleo Bo")]


def test_a_problem_that_another_document_does_not_know_is_over(ways: Make) -> None:
    merging = profile(merge={"more": {"on": {"mail": "source.mail"}}})
    more = [MemoryDirectory(seed=3), MemoryDirectory(seed=3)]
    company = ways(profile(), [{"more": one} for one in more])
    company.load(merging)
    for one in more:
        person(one, "A", "a@x.test")
        person(one, "B", "a@x.test")
    company.edit(lambda hr, ad: person(hr, "Anna Bo", "a@x.test"))
    company.settle()
    company.settle()
    company.load(profile())
    company.settle()
    assert not company.engines[0].problems()


def test_newcomers_are_told_to_groups_of_which_values_alone_are_looked_at_again(ways: Make) -> None:
    company = ways(STAFF)
    company.edit(lambda hr, ad: hr.add(Kind.GROUP, name="Team", path=BASE, members=(Reference(value=person(hr, "Anna Bo")),)))
    for engine in company.each():
        for _ in range(2):
            engine.import_()
            engine.plan("groups")
            engine.approve()
            engine.export()
    company.load(STAFF + "    limits: {member add: {count: 7}}\n")
    assert shown(company.settle()) == [("create", "Anna Bo"), ("member add", "Team")]


@pytest.mark.parametrize("mapped", ["source.mail", {"from": "source.mail", "unique": ["{value}", "{local}{n}@{domain}"]}])
def test_a_value_that_somebody_else_in_the_target_has_too(ways: Make, mapped: object) -> None:
    company = ways(
        profile(
            match=[{"source": "employeeNumber", "target": "employeeNumber"}],
            map={**MAP, "mail": mapped, "employeeNumber": "source.employeeNumber"},
        )
    )
    company.edit(lambda hr, ad: person(hr, "Anna Bo", "a@x.test", employeeNumber="1"))
    company.settle()
    company.settle()
    company.edit(lambda hr, ad: person(ad, "Other", "a@x.test"))
    company.settle(export=False)
    company.edit(lambda hr, ad: ad.delete(anchor(ad, "Other")))
    company.settle(export=False)


def test_a_pass_that_ended_between_two_rivals(ways: Make) -> None:
    company = ways(profile(map=NUMBERED))
    company.edit(lambda hr, ad: person(ad, "A", "a@x.test"))
    brought(
        company, [("Anna Bo", "a@x.test", ""), *((f"Cleo {one}", f"{one}@x.test", "") for one in range(3)), ("Anna Cy", "a@x.test", "")]
    )
    with pytest.MonkeyPatch.context() as patch:
        portion, worked = Newcomers._portion, []

        def once(self: Newcomers, *given: Any) -> None:
            if worked:
                raise KeyError("the process is killed")
            worked.append(portion(self, *given))

        patch.setattr(Newcomers, "_portion", once)
        with pytest.raises(KeyError):
            company.engines[0].plan()
    company.settle(export=False)


@pytest.mark.parametrize("read", ["manager", "title"])
def test_references_by_other_keys_than_the_anchor(ways: Make, read: str) -> None:
    manager = {"manager": "source.manager", "description": f'source.{read} != null ? "has" : "none"'}
    company = ways(profile(map={**MAP, **manager}))

    def two(directory: MemoryDirectory) -> None:
        person(directory, "Anna Bo", "a@x.test")
        person(directory, "Cleo Bo", "c@x.test", manager=Reference(value="a@x.test", key="mail"))

    company.edit(lambda hr, ad: (two(hr), two(ad)))
    company.settle()
    assert not company.settle()
    company.edit(lambda hr, ad: [hr.change(one, title="Chief") for one in hr.anchors(Kind.USER)])
    company.settle()
    assert not company.settle()


MANY = {
    one: {"count": 500, "percent": 100}
    for one in ("create", "update", "clear", "sign-in change", "rename", "move", "enable", "disable", "delete", "restore")
}
ENABLED = {**MAP, "enabled": "source.enabled"}
DOCUMENTS = {
    "numbers": profile(
        map={
            **NUMBERED,
            "enabled": "source.enabled",
            "sAMAccountName": {"from": "source.sn", "once": True, "unique": ["{value}", "{value}{n}"]},
        },
        scope={"where": 'source.title != "Guest"'},
        limits=MANY,
        leaving={"out of scope": ["disable"], "deleted": ["disable", {"after": "30 days", "delete": "created"}], "disabled": ["keep"]},
    ),
    "rules": profile(
        match=[{"source": "employeeID", "target": "employeeID"}, {"source": "mail", "target": "mail", "any kind": "skip"}],
        map={
            **ENABLED,
            "employeeID": "source.employeeID",
            "department": {"from": "source.department", "fill": True},
            "company": {"from": "source.company", "once": True},
        },
        limits=MANY,
        leaving={"deleted": ["delete"], "disabled": ["disable", {"move": f'"OU=Leavers,{BASE}"'}]},
    ),
    "strengths": profile(
        map={
            **NUMBERED,
            "otherTelephone": {"from": "source.otherTelephone", "values": "add"},
            "department": {"from": "source.department", "when": 'source.company != "Old"'},
            "company": "source.company == null ? clear() : source.company",
            "enabled": {"from": "source.enabled", "when": 'source.company != "Old"'},
        },
        place={"mirror": {BASE: f"OU=People,{BASE}"}, "existing": "move"},
        limits=MANY,
        action="create or update",
        leaving={"deleted": [{"after": "10 days", "disable": None}] and ["disable"], "out of scope": "keep"},
    ),
    "places": profile(
        map=NUMBERED,
        scope={"under": [f"OU=Staff,{BASE}"]},
        place={"mirror": {f"OU=Staff,{BASE}": f"OU=People,{BASE}"}, "existing": "move"},
        limits=MANY,
        leaving={"out of scope": ["disable"], "deleted": ["disable"]},
    ),
    "kinds": profile(map=NUMBERED, limits=MANY, leaving={"deleted": ["delete"]})
    + profile(
        "contacts",
        kind={"user": "contact"},
        match=[{"source": "mail", "target": "targetAddress"}],
        map={"cn": NUMBERED["cn"], "targetAddress": "source.mail", "manager": "source.manager"},
        limits=MANY,
        leaving={"deleted": ["delete"]},
    ),
    "replaces": profile(
        replaces="book",
        scope={"where": 'source.title == "Clerk"'},
        map={**NUMBERED, "manager": "source.manager", "proxyAddresses": {"from": "source.otherTelephone", "values": "add"}},
        limits=MANY,
        leaving={"out of scope": ["delete"], "deleted": ["delete"]},
    )
    + profile(
        "book",
        kind={"user": "contact"},
        match=[{"source": "mail", "target": "mail", "any kind": "skip"}],
        map={**NUMBERED, "manager": "source.manager", "proxyAddresses": "source.otherTelephone"},
        limits=MANY,
        leaving={"out of scope": ["delete"], "deleted": ["delete"]},
    )
    + SCOPED[SCOPED.index("  groups:") - 1 :],
    "only": profile(action="create only", map=NUMBERED, limits=MANY, leaving={"deleted": ["delete"]}),
    "groups": SCOPED
    + """
    leaving: {deleted: delete}
    limits: {member add: {count: 500, percent: 100}, member remove: {count: 500, percent: 100}, delete: {count: 50, percent: 100}}
""",
    "waves": profile(
        map={
            **NUMBERED,
            "title": {"from": "source.title", "when": 'wave.state != "cut over"'},
            "department": "wave.state",
            "company": "wave.name",
            "enabled": {"from": "source.enabled", "when": 'wave.state != "cut over"'},
        },
        scope={"where": 'wave.state != "waiting" || source.title != "Guest"'},
        limits=MANY,
        leaving={"out of scope": ["disable"], "deleted": ["delete"]},
    ),
    "waves and managers": STAFF.replace("title: source.title", "title: {from: source.title, when: 'wave.state != \"cut over\"'}").replace(
        "manager: source.manager", "manager: {from: source.manager, when: 'wave.state != \"waiting\"'}"
    )
    + "    limits: {member add: {count: 500, percent: 100}, member remove: {count: 500, percent: 100}}\n",
    "authoritative": SCOPED.replace(
        "members: source.members", "members: {from: source.members, authoritative: true}, description: source.description"
    )
    + """
    limits: {member add: {count: 500, percent: 100}, member remove: {count: 500, percent: 100}, delete: {count: 50, percent: 100}}
""",
}


def walk(dice: random.Random, company: Ways) -> None:
    """The files of waves are edited, and people move on, or back, the same in both."""
    hr = company.engines[0].directories["hr"]
    mails = [str(mail) for one in hr.anchors(Kind.USER) if (mail := (hr.get(one) or {}).get("mail"))]
    keys = {"one": dice.sample(mails, min(3, len(mails))), "two": [str(number) for number in range(1, dice.randint(2, 6))]}
    header = {"one": "mail", "two": "employeeID"}
    name, what = dice.choice(("one", "two")), dice.choice(("file", "move", "move", "cut over", "back"))
    for engine in company.each():
        if what == "file":
            (engine.folder / f"{name}.csv").write_text("\n".join([header[name], *keys[name], ""]), encoding="utf-8")
        with suppress(MetasyncError):  # nobody to go back: in both
            if what == "move":
                moving.move(engine.workspace, name, reason="a test", ready=True)
            elif what == "cut over":
                moving.cut_over(engine.workspace, name, reason="a test", ready=True)
            elif what == "back":
                moving.back(engine.workspace, name, reason="a test", to=("moving", "waiting")[len(mails) % 2])


def far(engine: Engine) -> list[tuple[str, str, str]]:
    """Who is how far."""
    with engine.backend.read() as connection:
        return [(row.name, row.key, row.state) for row in waves.states(connection, engine.workspace.engagement_id)]


def turn(dice: random.Random, company: Ways) -> None:
    """One more thing that may happen, the same to both."""
    hr, ad = company.engines[0].directories["hr"], company.engines[0].directories["ad"]
    people, there = hr.anchors(Kind.USER), ad.anchors(Kind.USER)
    one, other = dice.choice(people or [""]), dice.choice(there or [""])
    names, number = dice.choice(NAMES[:5]), dice.randint(1, 5)
    told = {
        "hr": lambda hr, ad: hr.change(one, mail=dice_mail),
        "cleared": lambda hr, ad: hr.change(one, mail=None) if number > 3 else hr.change(one, department=None, company=None),
        "texts": lambda hr, ad: hr.change(one, department=names, company="Old" if number > 3 else names, sn=names, employeeID=f"{number}"),
        "several": lambda hr, ad: hr.change(one, otherTelephone=tuple(str(each) for each in range(number)), description=names),
        "enabled": lambda hr, ad: hr.change(one, enabled=number > 2),
        "drift": lambda hr, ad: other and ad.change(other, enabled=number > 2, department=names),
        "theirs": lambda hr, ad: other and ad.change(other, mail=dice_mail),
        "lost": lambda hr, ad: other and ad.delete(other),
        "alike": lambda hr, ad: [
            hr.add(
                Kind.USER,
                name=f"{what}{at} {one}",
                path=BASE,
                displayName=each,
                mail=f"{(number + at * 3) % 9}@x.test",
                **{"title": "Clerk", **more},
            )
            for at, each in enumerate(called)
        ],
        "members": lambda hr, ad: team and ad.join(team, other) if number > 2 else ad.leave(team, other),
        "left": lambda hr, ad: ours and hr.leave(ours, one) if number > 2 else hr.join(ours, one),
        "container": lambda hr, ad: hr.rename(hr.by_name(unit, BASE), f"{unit} {number}"),
        "place": lambda hr, ad: one and hr.move(one, f"OU={unit},{BASE}" if number > 2 else BASE),
        "elsewhere": lambda hr, ad: [ad.reserve(each, called[0]) for each in ("name", "sAMAccountName")],
        "moved": lambda hr, ad: one and hr.change(one, displayName=called[0], sn=called[1]),
        "native": lambda hr, ad: person(
            ad, f"{names} {number}{one[:4]}", f"{number}@x.test", employeeID=f"{number}", privileged=number == 1
        ),
        "contact": lambda hr, ad: ad.add(Kind.CONTACT, name=f"{names} {number}{one[:4]}", path=BASE, mail=f"{number}@x.test"),
    }
    team, ours = dice.choice(ad.anchors(Kind.GROUP) or [""]), dice.choice(hr.anchors(Kind.GROUP) or [""])
    units = [(hr.get(each) or {})["name"] for each in hr.anchors(Kind.CONTAINER)]
    unit = str(dice.choice(units or [""]))
    dice_mail = f"{number}@x.test"
    called = [dice.choice(("Anna", "anna", "Anna (2)", "Anna (3)", "Bo", "Bo (2)")) for _ in range(dice.randint(2, 6))]
    more: dict[str, Any] = {"enabled": number > 1, "sn": called[0], "employeeID": str(number)} if number != 3 else {"title": "Guest"}
    what = dice.choice([*told, "alike", "alike", "ignore", "unjoin", "join", "undo", "release", "later", "withdraw"])
    if what in told:
        for engine in company.engines:
            with suppress(MetasyncError):
                told[what](engine.directories["hr"], engine.directories["ad"])
        return
    reasons = dice.random()
    for engine in company.engines:
        workspace = engine.workspace
        with suppress(MetasyncError):
            match what:
                case "ignore":
                    decisions.ignore(workspace, find_object(workspace, f"hr/{one}"), "a test")
                case "withdraw":
                    for source in people:
                        with suppress(MetasyncError):
                            decisions.withdraw(workspace, find_object(workspace, f"hr/{source}"), "no")
                case "unjoin":
                    decisions.unjoin(workspace, find_object(workspace, f"hr/{one}"), find_object(workspace, f"ad/{other}"), "a test")
                case "join":
                    decisions.join(workspace, find_object(workspace, f"hr/{one}"), find_object(workspace, f"ad/{other}"), "a test")
                case "undo" if company.exported and reasons < 0.6:
                    engine.undo(company.exported[id(engine)])
                    engine.approve(beyond=list(Operation))
                    engine.export()
                case "later":
                    engine.later(days=number * 4)
                case _:
                    release(workspace)


def test_a_name_of_whoever_is_moved_away_because_he_left_is_not_free_before(ways: Make) -> None:
    leavers = f"OU=Leavers,{BASE}"
    company = ways(profile(map=MAP, limits=MANY, leaving={"disabled": ["disable", {"move": f'"{leavers}"'}]}))
    company.edit(lambda hr, ad: (person(hr, "Anna Bo", "a@x.test"), ad.add(Kind.CONTAINER, name="Leavers", path=BASE)))
    company.settle()
    company.settle()
    company.edit(lambda hr, ad: (hr.change(anchor(hr, "Anna Bo"), enabled=False), person(hr, "Anna Bo", "b@x.test")))
    assert ("create", "Anna Bo") not in shown(company.settle())
    assert shown(company.settle()) == [("create", "Anna Bo")]


def test_two_objects_of_one_identity_keep_their_own_names(ways: Make) -> None:
    company = ways(DOCUMENTS["kinds"])
    company.edit(lambda hr, ad: [person(hr, "Anna Bo", mail) for mail in MAILS[:2]])
    company.settle()
    assert not company.settle()
    company.edit(lambda hr, ad: [hr.change(one, title="Chief") for one in hr.anchors(Kind.USER)])
    company.settle()
    company.settle()
    for engine in company.engines:
        assert all(kept for *_, kept in names(engine))


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_both_ways_leave_the_same_behind_under_many_documents(ways: Make, document: str, seed: int) -> None:
    lives(ways(DOCUMENTS[document]), document, seed)


@pytest.mark.parametrize("document", ["rules", "kinds", "replaces", "authoritative", "waves"])
def test_in_bulk_on_the_one_store_and_with_care_on_the_other(ways: Make, document: str, postgres_url: str) -> None:
    lives(ways(DOCUMENTS[document], url=postgres_url), document, len(document))


def lives(company: Ways, document: str, seed: int) -> None:
    """Some weeks of a company."""
    dice = random.Random(f"{document} {seed}")
    company.edit(lambda hr, ad: [ad.add(Kind.CONTAINER, name="Leavers", path=BASE), hr.add(Kind.CONTAINER, name="Staff", path=BASE)])
    for step in range(7):
        for engine in company.engines:
            with suppress(MetasyncError):  # a name that is taken: in both
                edit(random.Random(f"{document} {seed} {step}"), engine.directories["hr"], engine.directories["ad"])
        for _ in range(dice.randint(0, 4)):
            turn(dice, company)
        for _ in range(2 if "wave" in document else 0):
            walk(dice, company)
            assert far(company.engines[0]) == far(company.engines[1])
        company.settle(export=dice.random() < 0.7)
        if dice.random() < 0.2:
            company.load(
                DOCUMENTS[document].replace("source.title", "source.title " + " " * step).replace("{value} ({n})", "{value} ({n})")
            )
    company.settle()
    company.settle()
