"""The main job: an HR file of 2,000 people, with groups and managers, keeps a domain in step; then days full of edits, and the way back.

METASYNC_SYSTEM_PEOPLE says how many people there are.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from .company import EMPLOYED
from .ldap_dump import Dump, difference
from .office import Office, office
from .product import changes
from .stories import STORIES, Changes

if TYPE_CHECKING:
    from lab.samba import Samba

pytestmark = pytest.mark.xdist_group("two thousand")
LEFT_BY_A_TOMBSTONE = {"lastknownparent", "admincount", "operatorcount"}
PEOPLE = int(os.environ.get("METASYNC_SYSTEM_PEOPLE", "2000"))


@pytest.fixture(scope="module")
def big(samba: Samba, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The company, in step. Every test leaves it in step."""
    with office(samba, tmp_path_factory.mktemp("company"), PEOPLE) as made:
        began = time.monotonic()
        done = made.first_day()
        print(f"first day: {dict(done)} in {time.monotonic() - began:.1f} s")
        assert done["create"] == len(made.company.people) + len(made.company.teams) + len(made.company.partners)
        assert done["member add"] == sum(len(team.members) for team in made.company.teams.values())
        assert changes(made.product.plan_only()) == [], "the second plan is empty"
        yield made


def test_the_domain_holds_just_what_hr_says(big: Office) -> None:
    """Read behind the product's back, attribute by attribute."""
    entries = big.dump()
    users = {text(held, "employeenumber"): held for held in entries.values() if b"user" in held["objectclass"]}
    groups = {text(held, "info"): held for held in entries.values() if b"group" in held["objectclass"]}
    assert users.keys() == big.company.people.keys()
    assert groups.keys() == big.company.teams.keys()
    names = {number: text(held, "dn") for number, held in users.items()}
    for number, person in big.company.people.items():
        held = users[number]
        assert [text(held, name) for name in ("displayname", "givenname", "sn", "title", "l", "telephonenumber")] == [
            person.displayName, person.givenName, person.sn, person.title, person.site, person.phone
        ]  # fmt: skip
        assert text(held, "manager") == (names[person.manager] if person.manager else ""), person
        assert bool(int(text(held, "useraccountcontrol")) & 2) is (person.status != EMPLOYED)
        assert text(held, "pwdlastset") == "0", "must change the password"
        assert f",OU={person.site},{big.unit}" in text(held, "dn")
    for number, team in big.company.teams.items():
        assert {dn.decode() for dn in groups[number].get("member", ())} == {names[one] for one in team.members}
    account_names = Counter(text(held, "samaccountname").casefold() for held in users.values())
    assert max(account_names.values()) == 1, "of many people of one name, each has a sign-in name of his or her own"


def test_each_day_is_planned_as_just_what_happened_and_the_second_plan_is_empty(big: Office) -> None:
    stories = [story(big.company) for story in STORIES]
    number = 0
    while steps := [step for story in stories if (step := next(story, None)) is not None]:
        number += 1
        began = time.monotonic()
        big.live(*steps)
        print(f"day {number}: {len(steps)} edits, {operations(steps)} in {time.monotonic() - began:.1f} s")
        big.product("import", "--full")
        assert changes(big.product.plan_only()) == [], "nor is anything planned after everything was read again"
    assert number == 3


def test_undo_of_the_last_run_restores_the_domain_attribute_by_attribute(big: Office) -> None:
    before = big.dump()
    steps = [next(story(big.company)) for story in STORIES]
    big.live(*steps)
    began = time.monotonic()
    undone = big.product.undo(big.product.runs[-1])
    big.export(undone["plans"])
    print(f"undo: {operations([changes(undone['plans'])])} in {time.monotonic() - began:.1f} s")
    lost = {name for step in steps for operation, name in step if operation == "delete"}
    check_restored(before, big.dump(), lost)
    problems = [one for one in undone["problems"] if one["code"] == "cannot return"]
    assert {one["label"] for one in problems} == lost, "without a recycle bin each deleted object is a problem ..."
    assert all(word in one["text"] for one in problems for word in ("SID", "memberships", "password")), "... that names what cannot return"
    assert changes(big.product.plan_only()) == [], "what was undone is held, and not done again"
    big.product("release", "--all")
    again = big.product.plan_only()
    assert changes(again), "until it is released"
    big.export(again)
    assert changes(big.product.plan_only()) == []


def check_restored(before: Dump, after: Dump, lost: set[str]) -> None:
    """Everything is as it was but what no tombstone keeps: memberships, of the group that was deleted and of its former members."""
    starts = tuple(f"CN={name},".encode() for name in lost)
    wrong: dict[str, object] = {}
    for dn, what in difference(before, after).items():
        for attribute, (old, new) in what.items():
            if dn.encode().startswith(starts) and (attribute == "member" or attribute in LEFT_BY_A_TOMBSTONE):
                continue
            if attribute == "memberof" and new <= old and all(group.startswith(starts) for group in old - new):
                continue
            wrong[f"{dn}: {attribute}"] = (old, new)
    assert wrong == {}


def operations(steps: Sequence[Changes]) -> dict[str, int]:
    """Operation -> number."""
    return dict(Counter(operation for step in steps for operation, _ in step))


def text(held: Mapping[str, frozenset[bytes]], name: str) -> str:
    """The one value of an attribute, or nothing."""
    (value,) = held.get(name, frozenset({b""}))
    return value.decode()
