"""What is worked in bulk (newcomers, and pairs that are in step) is left behind as if each object had been worked with care."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from metasync.contract import Kind, Operation, Reference
from metasync.runs import verbs
from metasync.synchronising.newcomers import Newcomers
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, STAFF, anchor, person, profile, shown

from .ways import MAILS, MANY, MAP, NUMBERED, Make, Ways, edit


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


def test_a_name_of_whoever_is_moved_away_because_he_left_is_not_free_before(ways: Make) -> None:
    leavers = f"OU=Leavers,{BASE}"
    company = ways(profile(map=MAP, limits=MANY, leaving={"disabled": ["disable", {"move": f'"{leavers}"'}]}))
    company.edit(lambda hr, ad: (person(hr, "Anna Bo", "a@x.test"), ad.add(Kind.CONTAINER, name="Leavers", path=BASE)))
    company.settle()
    company.settle()
    company.edit(lambda hr, ad: (hr.change(anchor(hr, "Anna Bo"), enabled=False), person(hr, "Anna Bo", "b@x.test")))
    assert ("create", "Anna Bo") not in shown(company.settle())
    assert shown(company.settle()) == [("create", "Anna Bo")]
