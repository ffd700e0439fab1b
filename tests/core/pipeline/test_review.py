"""Changes that meet each other: whoever must look again does, and nobody is touched by mistake."""

from __future__ import annotations

from collections.abc import Callable

from metasync.contract import Kind, Reference
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, PEOPLE, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]

MAP = {
    "cn": {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]},
    "displayName": "source.displayName",
    "mail": "source.mail",
    "title": "source.title",
    "enabled": "source.enabled",
}
GROUPS = (
    "\n  groups: {kind: group, source: hr, target: ad, match: [{source: cn, target: cn}], "
    f"place: '\"{PEOPLE}\"', map: {{cn: source.cn, members: source.members}}}}"
)
SECOND = "  ad2: {connector: memory, options: {store: ad2}, mark: adminDescription}\nprofiles:\n"


def calm(engine: Engine) -> None:
    """Nothing is left to do, whatever is imported again."""
    assert engine.plan() == {}
    engine.import_()
    assert engine.plan() == {}
    engine.import_(full=True)
    assert engine.plan() == {}


def two_targets(make: MakeEngine, first: str, second: str) -> tuple[Engine, MemoryDirectory]:
    """Two profiles from `hr`, into `ad` and `ad2`."""
    ad2 = MemoryDirectory()
    ad2.add(Kind.CONTAINER, name="People", path=BASE)
    document = DOCUMENT.format(profiles=first + second).replace("profiles:\n", SECOND, 1)
    return make(document=document, ad2=ad2), ad2


def test_whoever_is_made_anew_in_the_same_import_is_not_disabled(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    old = [person(hr, f"Person {number}") for number in range(6)]
    engine = make(profile(map=MAP, leaving={"deleted": ["disable"]}))
    engine.cycle()
    for one in old:
        hr.delete(one)
    for number in range(6):
        person(hr, f"Person {number}")
    assert engine.cycle() == {}
    assert len(ad.anchors(Kind.USER)) == 6
    calm(engine)


def test_whoever_was_made_anew_before_the_old_one_went_takes_his_place(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    old = person(hr, "Anna", "a@x.test")
    engine = make(profile(map=MAP, leaving={"deleted": ["disable"]}))
    engine.cycle()
    hr.add(Kind.USER, name="Anna again", path=BASE, displayName="Anna", mail="a@x.test", enabled=True)
    assert engine.cycle() == {}
    assert [code for _, code, _ in engine.problems()] == ["taken"]
    hr.delete(old)
    assert engine.cycle() == {}
    assert engine.problems() == []
    assert values(ad, "Anna")["enabled"] is True
    calm(engine)


def test_whoever_has_an_identity_of_his_own_is_not_created_beside_his_former_object(make: MakeEngine, hr: MemoryDirectory) -> None:
    old = person(hr, "Anna", employeeID="7")
    names = {"cn": MAP["cn"], "displayName": "source.displayName", "employeeID": "source.employeeID"}
    by_number = [{"source": "employeeID", "target": "employeeID"}]
    engine, ad2 = two_targets(make, profile("one", match=None, map=names), profile("two", target="ad2", match=by_number, map=names))
    engine.cycle()
    hr.delete(old)
    engine.cycle()
    person(hr, "Anna", employeeID="7")
    assert ("create", "Anna") in shown(engine.cycle("one"))
    assert engine.cycle("two") == {}
    assert len(ad2.anchors(Kind.USER)) == 1
    assert "taken" in [code for _, code, _ in engine.problems()]


def test_nobody_is_made_to_refer_to_whom_we_deleted(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    boss = person(hr, "Boss", title="in")
    person(hr, "Clerk", title="in", manager=Reference(value=boss))
    hr.join(hr.add(Kind.GROUP, name="Everybody", path=BASE), *hr.anchors(Kind.USER))
    mapped = {**MAP, "manager": "source.manager"}
    engine = make(profile(map=mapped, scope={"where": 'source.title == "in"'}, leaving={"out of scope": ["delete"]}) + GROUPS)
    engine.cycle()
    hr.change(boss, title="out")
    assert shown(engine.cycle()) == [("delete", "Boss")]
    calm(engine)


def test_a_false_when_leaves_a_reference_alone(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    boss = person(hr, "Boss", title="no")
    clerk = person(hr, "Clerk", title="no", manager=Reference(value=boss))
    engine = make(profile(map={**MAP, "manager": {"from": "source.manager", "when": 'source.title == "yes"'}}))
    engine.cycle()
    assert "manager" not in values(ad, "Clerk")
    calm(engine)
    hr.change(clerk, title="yes")
    engine.cycle()
    assert values(ad, "Clerk")["manager"] == Reference(value=anchor(ad, "Boss"))
    hr.change(clerk, title="no", manager=None)
    engine.cycle()
    assert values(ad, "Clerk")["manager"] == Reference(value=anchor(ad, "Boss"))


def test_a_profile_that_only_creates_leaves_references_alone(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    boss = person(hr, "Boss")
    clerk = person(hr, "Clerk", manager=Reference(value=boss))
    engine = make(profile(action="create only", map={**MAP, "manager": "source.manager"}))
    engine.cycle()
    assert values(ad, "Clerk")["manager"] == Reference(value=anchor(ad, "Boss"))
    hr.change(clerk, manager=None, title="Chief")
    assert engine.cycle() == {}


def test_a_value_of_a_third_directory_is_followed(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    names = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail"}
    engine, ad2 = two_targets(make, profile("one", map=names), profile("two", target="ad2", map={**names, "title": "ad.title"}))
    person(hr, "Anna")
    engine.cycle()
    calm(engine)
    ad.change(anchor(ad, "Anna"), title="Chief")
    engine.cycle()
    assert values(ad2, "Anna")["title"] == "Chief"
    calm(engine)
