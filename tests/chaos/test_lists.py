"""HR's list is not what it was: too many are gone, or new; everybody manages everybody; nobody can say who is meant (I4, limits, law 2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metasync.contract import Operation
from metasync.engagement.defaults import LIMITS

from . import judge
from .forks import Stable
from .site import RUN
from .sites import CsvSite
from .size import sized

PEOPLE = 200
MOST_NEW = LIMITS[Operation.CREATE].count or 0
STOPPED, UNAVAILABLE = 3, 4
DEEP = sized(400, 10_000)


class Careful(CsvSite):
    """With the limits that hold where the document says nothing."""

    document = "".join(line for line in CsvSite.document.splitlines(keepends=True) if "limits:" not in line)


@pytest.fixture
def site(tmp_path: Path, stable: Stable) -> Iterator[Careful]:
    """Two hundred people, in step."""
    made = Careful(tmp_path / "site", stable)
    made.begin(PEOPLE)
    for person in made.people.values():
        person["manager"] = ""
    made.save()
    assert made.ask(*RUN).code == 0
    yield made
    made.close()


@pytest.mark.parametrize(("gone", "stops"), [(200, True), (100, True), (11, True), (10, False)], ids=["100%", "50%", "5.5%", "5%"])
def test_a_list_from_which_too_many_are_missing_deletes_nobody(site: Careful, gone: int, stops: bool) -> None:
    before = site.listed()
    everybody = dict(site.people)
    for key in list(site.people)[:gone]:
        del site.people[key]
    site.save()
    answer = site.ask(*RUN)
    if stops:
        assert answer.code == (UNAVAILABLE if gone == PEOPLE else STOPPED), answer
        assert site.listed() == before, "it was stopped before the first write"
        site.people = everybody
        site.save()
        assert site.ask(*RUN).code == 0, "and needs nobody once the list is whole again"
    assert judge.target(site) == []


@pytest.mark.parametrize(
    ("limits", "more"), [("", MOST_NEW + 1), ("    limits: {create: {percent: 50}}", PEOPLE * 3)], ids=["5001", "+300%"]
)
def test_a_list_that_is_far_longer_waits_for_a_person(site: Careful, limits: str, more: int) -> None:
    """Of creates the number alone is limited where the document says nothing, so that a first load needs nobody."""
    site.written.write_text(site.document.rstrip("\n") + f"\n{limits}\n", encoding="utf-8")
    site("load")
    before = site.listed()
    for number in range(PEOPLE + 1, PEOPLE + more + 1):
        site.hire(number)
    site.save()
    answer = site.ask(*RUN)
    assert (answer.code, site.listed()) == (STOPPED, before), answer
    [plan] = [one for one in site("plan")["plans"] if one["changes"]]
    site("approve", str(plan["plan"]), "--beyond", "create", "--reason", "a test")
    assert site.ask("export", str(plan["plan"])).code == 0
    assert judge.at_rest(site) == []


def test_managers_in_rings_of_one_and_two_and_in_a_chain_without_an_end_are_written(tmp_path: Path, stable: Stable) -> None:
    site = CsvSite(tmp_path / "site", stable)
    site.begin()
    for number in range(1, DEEP + 1):
        site.hire(number, manager=str(number + 1) if number < DEEP else str(DEEP))
    site.people["1"]["manager"] = "2"
    site.people["2"]["manager"] = "1"
    site.save()
    assert site.ask(*RUN).code == 0
    assert judge.at_rest(site) == []


def test_two_of_a_thousand_that_nobody_can_tell_apart_are_named_and_left_alone(tmp_path: Path, stable: Stable) -> None:
    """The target has two people with the same number, for two of HR's list."""
    site = CsvSite(tmp_path / "site", stable)
    site.begin(sized(100, 1000))
    rows = [f"x{copy}{key},{key},Somebody,s{copy}{key}@example.com,," for key in ("7", "70") for copy in ("a", "b")]
    site.staff.write_text("id,number,name,mail,manager,origin\n" + "\n".join(rows) + "\n", encoding="utf-8")
    for person in site.people.values():
        person["manager"] = ""
    site.save()
    answer = site.ask(*RUN)
    assert answer.code in (0, 1), answer
    listed = site.listed()
    assert [row for row in listed if row["number"] in ("7", "70")] == [row for row in listed if row["id"].startswith("x")]
    assert {row["number"] for row in listed} == set(site.people)
    told = site.ask("problems").out
    assert all(f"x{copy}{key}" in told or "Somebody" in told for key in ("7", "70") for copy in ("a", "b")), told
