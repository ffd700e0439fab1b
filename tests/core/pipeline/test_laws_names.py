"""Law 6: values that stand only once are reserved, sticky, and released after their time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metasync.contract import Kind, Operation
from metasync.overview import changes_of, show_plan
from metasync.synchronising import setting
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, PEOPLE, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]
SAM = {"from": "source.sn", "unique": ["{value}", "{value}{n}"]}
MAPPED = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "sAMAccountName": SAM}
DELETES = {"deleted": "delete"}


def sams(ad: MemoryDirectory) -> dict[str, str]:
    found = [ad.get(one) or {} for one in ad.anchors(Kind.USER)]
    return {str(one["displayName"]): str(one["sAMAccountName"]) for one in found if "displayName" in one}


def document(days: int, profiles: str) -> str:
    return DOCUMENT.format(profiles=profiles).replace("mark: adminDescription", f"mark: adminDescription, reserve names: {days} days")


def test_names_are_numbered_against_each_other_and_against_everything_imported(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """Also against a group, and whatever the case."""
    ad.add(Kind.GROUP, name="Smiths", path=PEOPLE, sAMAccountName="SMITH")
    for name in ("Anna", "Berta", "Clara"):
        person(hr, name, sn="smith")
    groups = profile("groups", kind="group", match=None, scope={"where": "source.cn == null"}, map={"cn": "source.cn"})
    engine = make(profile(map=MAPPED) + groups)
    engine.cycle()
    assert sorted(sams(ad).values()) == ["smith2", "smith3", "smith4"]
    assert engine.plan() == {}


def test_a_name_is_never_renumbered(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    for name in ("Anna", "Berta"):
        person(hr, name, sn="smith")
    engine = make(profile(map=MAPPED, leaving=DELETES))
    engine.cycle()
    first = next(name for name, sam in sams(ad).items() if sam == "smith")
    other = next(name for name, sam in sams(ad).items() if sam == "smith2")
    hr.delete(anchor(hr, first))
    engine.cycle()
    assert engine.cycle() == {}
    assert sams(ad) == {other: "smith2"}


def test_the_name_of_somebody_who_went_is_kept_for_its_time(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", sn="smith")
    engine = make(document=document(30, profile(map=MAPPED, leaving=DELETES)))
    engine.cycle()
    hr.delete(anchor(hr, "Anna"))
    assert shown(engine.cycle()) == [("delete", "Anna")]
    engine.cycle()
    person(hr, "Berta", sn="smith")
    engine.cycle()
    assert sams(ad) == {"Berta": "smith2"}
    engine.later(days=31)
    person(hr, "Clara", sn="smith")
    engine.cycle()
    assert sams(ad)["Clara"] == "smith", "after its time a name is free again"
    assert sams(ad)["Berta"] == "smith2"


def test_who_returns_gets_the_name_again(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", sn="smith")
    engine = make(profile(map=MAPPED, leaving=DELETES))
    engine.cycle()
    hr.delete(source)
    engine.cycle()
    person(hr, "Berta", sn="smith")
    engine.cycle()
    hr.restore(source)
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert sams(ad) == {"Anna": "smith", "Berta": "smith2"}


def test_a_planned_name_is_reserved_before_it_is_written(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", sn="smith")
    engine = make(profile(map=MAPPED))
    engine.import_()
    engine.plan()
    person(hr, "Berta", sn="smith")
    engine.cycle()
    assert sams(ad) == {"Anna": "smith", "Berta": "smith2"}


def test_names_are_unique_across_profiles(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    other = MemoryDirectory()
    person(hr, "Anna", sn="smith")
    person(other, "Berta", sn="smith")
    once = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "sAMAccountName": SAM}
    text = DOCUMENT.format(profiles=profile(map=once, disjoint="x") + profile("more", source="other", map=once, disjoint="x"))
    text = text.replace("directories:\n", "directories:\n  other: {connector: memory, options: {store: other}}\n")
    engine = make(document=text, other=other)
    engine.cycle()
    assert sorted(sams(ad).values()) == ["smith", "smith2"]


def test_what_a_connector_says_is_taken_is_not_given_out(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.reserve("sAMAccountName", "SMITH", "smith2")
    person(hr, "Anna", sn="smith")
    engine = make(profile(map=MAPPED))
    engine.cycle()
    assert sams(ad) == {"Anna": "smith3"}
    assert engine.plan() == {}


def test_a_long_name_is_shortened_before_its_number(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    for name in ("Anna", "Berta"):
        person(hr, name, sn="a" * 25)
    engine = make(profile(map=MAPPED))
    engine.cycle()
    assert sorted(sams(ad).values()) == ["a" * 19 + "2", "a" * 20]
    assert engine.plan() == {}


def test_where_every_pattern_is_taken_nobody_is_touched(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.USER, name="Native", path=PEOPLE, sAMAccountName="smith")
    person(hr, "Anna", sn="smith")
    engine = make(profile(map={**MAPPED, "sAMAccountName": {"from": "source.sn", "unique": ["{value}"]}}))
    assert engine.cycle() == {}
    assert any("taken" in text for _, code, text in engine.problems() if code == "value")


def test_an_address_is_numbered_before_its_domain(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    for name in ("Anna", "Berta"):
        person(hr, name, userPrincipalName="smith@x.test" if name == "Anna" else "SMITH@x.test")
    mapped = {**MAPPED, "userPrincipalName": {"from": "source.userPrincipalName", "unique": ["{value}", "{local}{n}@{domain}"]}}
    mapped.pop("sAMAccountName")
    engine = make(profile(map=mapped))
    engine.cycle()
    found = sorted(str(values(ad, name)["userPrincipalName"]).casefold() for name in ("Anna", "Berta"))
    assert found == ["smith2@x.test", "smith@x.test"]


def test_who_changes_the_name_gets_the_plain_one_when_it_is_free(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", sn="smith")
    engine = make(profile(map=MAPPED))
    engine.cycle()
    hr.change(source, sn="jones")
    assert shown(engine.cycle()) == [("sign-in change", "Anna")]
    assert sams(ad) == {"Anna": "jones"}
    assert engine.plan() == {}


def test_who_moves_and_is_renamed_does_both_at_once(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """The new name is taken where he leaves, the old one where he goes."""
    staff, sub = f"OU=Staff,{BASE}", f"OU=Sub,{PEOPLE}"
    for directory, name, path in ((hr, "Staff", BASE), (hr, "Sub", staff), (ad, "Sub", PEOPLE)):
        directory.add(Kind.CONTAINER, name=name, path=path)
    hr.add(Kind.USER, name="first", path=staff, displayName="Anna", mail="first@x.test")
    second = hr.add(Kind.USER, name="second", path=f"OU=Sub,{staff}", displayName="Anna", mail="second@x.test")
    ad.add(Kind.USER, name="Anna (2)", path=sub, displayName="Somebody")
    cn = {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]}
    mapped = {"cn": cn, "displayName": "source.displayName", "mail": "source.mail"}
    engine = make(profile(map=mapped, place={"mirror": {staff: PEOPLE}, "existing": "move"}))
    engine.cycle()
    hr.change(second, path=staff)
    assert shown(engine.cycle()) == [("rename", "Anna"), ("move", "Anna")]
    assert engine.cycle() == {}
    assert engine.problems() == []
    found = {(str(one["mail"]), str(one["name"])) for one in map(ad.get, ad.anchors(Kind.USER)) if one is not None and "mail" in one}
    assert found == {("first@x.test", "Anna"), ("second@x.test", "Anna (2)")}


def test_who_moves_and_is_renamed_is_not_in_his_own_way_while_addresses_are_exchanged(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """His new name is taken where he leaves; the change of his address stands between the rename and the move."""
    staff, sub = f"OU=Staff,{BASE}", f"OU=Sub,{PEOPLE}"
    for directory, name, path in ((hr, "Staff", BASE), (hr, "Sub", staff), (ad, "Sub", PEOPLE)):
        directory.add(Kind.CONTAINER, name=name, path=path)
    people = [hr.add(Kind.USER, name=one, path=staff, displayName=one, employeeID=one, mail=f"{one}@x.test") for one in ("Anna", "Bob")]
    ad.add(Kind.USER, name="Clara", path=PEOPLE, displayName="Somebody")
    ad.add(Kind.USER, name="Anna", path=sub, displayName="Somebody")
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "employeeID": "source.employeeID"}
    match = [{"source": "employeeID", "target": "employeeID"}]
    engine = make(profile(match=match, map=mapped, place={"mirror": {staff: PEOPLE}, "existing": "move"}))
    engine.cycle()
    hr.change(people[0], displayName="Clara", path=f"OU=Sub,{staff}", mail="bob@x.test")
    hr.change(people[1], mail="anna@x.test")
    engine.cycle(beyond=list(Operation))
    assert engine.problems() == []
    found = {
        (str(one["employeeID"]), str(one["path"]), str(one["name"]), str(one["mail"]))
        for one in map(ad.get, ad.anchors(Kind.USER))
        if one and "mail" in one
    }
    assert found == {("Anna", sub, "Clara", "bob@x.test"), ("Bob", PEOPLE, "Bob", "anna@x.test")}
    assert engine.cycle() == {}


def test_two_of_one_name_may_exchange_their_places(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    staff, sub = f"OU=Staff,{BASE}", f"OU=Sub,{PEOPLE}"
    for directory, name, path in ((hr, "Staff", BASE), (hr, "Sub", staff), (ad, "Sub", PEOPLE)):
        directory.add(Kind.CONTAINER, name=name, path=path)
    places = (staff, f"OU=Sub,{staff}")
    people = [hr.add(Kind.USER, name=f"{n}", path=place, displayName="Anna", employeeID=f"{n}") for n, place in enumerate(places)]
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "employeeID": "source.employeeID"}
    match = [{"source": "employeeID", "target": "employeeID"}]
    engine = make(profile(match=match, map=mapped, place={"mirror": {staff: PEOPLE}, "existing": "move"}))
    engine.cycle()
    hr.change(people[1], path=places[0])
    hr.change(people[0], path=places[1])
    engine.cycle(beyond=list(Operation))
    assert engine.problems() == []
    assert engine.last is not None
    run = engine.last.run

    def found() -> set[tuple[str, str, str]]:
        return {(str(one["employeeID"]), str(one["path"]), str(one["name"])) for one in map(ad.get, ad.anchors(Kind.USER)) if one}

    assert found() == {("0", sub, "Anna"), ("1", PEOPLE, "Anna")}
    assert engine.cycle() == {}
    engine.undo(run)
    engine.approve(beyond=list(Operation))
    engine.export()
    assert found() == {("0", PEOPLE, "Anna"), ("1", sub, "Anna")}


@pytest.mark.parametrize("portion", [1, 500])
def test_people_who_were_only_planned_may_exchange_names_and_addresses_in_a_ring(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    """What was reserved for a plan that nobody wrote holds nobody up."""
    monkeypatch.setattr(setting, "PORTION", portion)
    names = ("Anna", "Berta", "Clara")
    sources = [person(hr, name) for name in names]
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}]))
    engine.import_()
    engine.plan()
    for source, name in zip(sources, ("Berta", "Clara", "Anna"), strict=True):
        hr.change(source, mail=f"{name.lower()}@x.test", displayName=name)
    assert [operation for operation, _ in shown(engine.cycle())] == ["create"] * 3
    assert {str(values(ad, name)["mail"]) for name in names} == {"anna@x.test", "berta@x.test", "clara@x.test"}
    assert engine.plan() == {}


def mails(ad: MemoryDirectory) -> dict[str, str]:
    found = [ad.get(one) or {} for one in ad.anchors(Kind.USER)]
    return {str(one["displayName"]): str(one["mail"]) for one in found}


@pytest.mark.parametrize("portion", [1, 500])
def test_people_may_exchange_addresses_in_a_ring_whoever_is_looked_at_first(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr(setting, "PORTION", portion)
    names = ("Anna", "Berta", "Clara")
    sources = [person(hr, name, employeeID=name) for name in names]
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "employeeID": "source.employeeID"}
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], map=mapped))
    engine.cycle()
    for source, name in zip(sources, ("Berta", "Clara", "Anna"), strict=True):
        hr.change(source, mail=f"{name.lower()}@x.test")
    engine.cycle(beyond=[Operation.SIGN_IN])
    assert mails(ad) == {"Anna": "berta@x.test", "Berta": "clara@x.test", "Clara": "anna@x.test"}
    assert engine.cycle() == {}
    assert engine.problems() == []


def test_people_may_exchange_addresses_although_their_edits_come_in_two_imports(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    first, second = (person(hr, name, employeeID=name) for name in ("Anna", "Berta"))
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "employeeID": "source.employeeID"}
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], map=mapped))
    engine.cycle()
    hr.change(first, mail="berta@x.test")
    assert engine.cycle(beyond=[Operation.SIGN_IN]) == {}
    hr.change(second, mail="anna@x.test")
    engine.cycle(beyond=[Operation.SIGN_IN])
    assert mails(ad) == {"Anna": "berta@x.test", "Berta": "anna@x.test"}
    assert engine.cycle() == {}
    assert engine.problems() == []


def test_an_exchange_of_addresses_is_shown_in_the_order_in_which_it_is_written(make: MakeEngine, hr: MemoryDirectory) -> None:
    people = [hr.add(Kind.USER, name=one, path=BASE, displayName=one, employeeID=one, mail=f"{one}@x.test") for one in ("ann", "bob")]
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "employeeID": "source.employeeID"}
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], map=mapped))
    engine.cycle()
    hr.change(people[0], mail="bob@x.test")
    hr.change(people[1], mail="ann@x.test")
    engine.import_()
    engine.plan()
    assert engine.last is not None
    shown = changes_of(engine.workspace, show_plan(engine.workspace, engine.last.plans[0]))
    rows = [one.row for one in shown if "mail" in one.row.after]
    several = [[one for one in rows if one.object_id == number] for number in {one.object_id for one in rows}]
    (aside, takes) = next(of_one for of_one in several if len(of_one) == 2)
    assert aside.rules["mail"].startswith("steps aside")
    assert takes.after["mail"] in ("ann@x.test", "bob@x.test")
