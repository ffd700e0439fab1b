"""Changes that meet each other: whoever must look again does, and nobody is touched by mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metasync import decisions
from metasync.contract import Kind, Reference
from metasync.naming import find_object
from metasync.runs import verbs
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


NUMBERED = {
    "cn": {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]},
    "displayName": "source.displayName",
    "employeeID": "source.employeeID",
    "title": "source.title",
}
BY_NUMBER = [{"source": "employeeID", "target": "employeeID"}]


def native(directory: MemoryDirectory, name: str, **more: object) -> str:
    """Somebody whom others made in the target."""
    return directory.add(Kind.USER, name=name, path=PEOPLE, **{"displayName": name, "enabled": True, **more})  # type: ignore[arg-type]


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


def test_a_record_that_is_made_anew_in_a_further_source_is_merged_again(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    payroll = MemoryDirectory()
    merged = profile(
        match=BY_NUMBER,
        merge={"payroll": {"on": {"employeeID": "source.employeeID"}}},
        map={**NUMBERED, "title": "payroll.title"},
    )
    store = "  payroll: {connector: memory, options: {store: payroll}}\nprofiles:\n"
    person(hr, "Anna", employeeID="7")
    old = person(payroll, "Anna", employeeID="7", title="Old")
    engine = make(document=DOCUMENT.format(profiles=merged).replace("profiles:\n", store, 1), payroll=payroll)
    engine.cycle()
    payroll.delete(old)
    person(payroll, "Anna", employeeID="7", title="New")
    engine.cycle()
    assert values(ad, "Anna")["title"] == "New"
    calm(engine)


def test_a_pair_made_by_hand_comes_before_any_rule(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    paired = [person(hr, f"Paired {number}") for number in range(4)]
    for number in range(4):
        person(hr, f"Ruled {number}", employeeID=str(number))
    targets = [native(ad, f"Target {number}", employeeID=str(number)) for number in range(4)]
    engine = make(profile(match=BY_NUMBER, map={"title": "source.title", "displayName": "source.displayName"}, action="update only"))
    engine.import_()
    for one, other in zip(paired, targets, strict=True):
        source, target = find_object(engine.workspace, f"hr/{one}"), find_object(engine.workspace, f"ad/{other}")
        decisions.join(engine.workspace, source, target, "they said so")
    engine.cycle()
    assert [(ad.get(one) or {})["displayName"] for one in targets] == [f"Paired {number}" for number in range(4)]
    assert [code for _, code, _ in engine.problems()] == ["taken"] * 4
    calm(engine)


def test_a_pair_of_the_file_is_made_once_its_partner_appears(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, tmp_path: Path
) -> None:
    (tmp_path / "pairs.csv").write_text("source.employeeID,target.mail\n7,later@x.test\n", encoding="utf-8")
    document = DOCUMENT.format(profiles=profile(match=BY_NUMBER, map={"cn": NUMBERED["cn"], "title": "source.title"}))
    person(hr, "Anna", employeeID="7", title="Chief")
    engine = make(document=document.replace("mark: adminDescription", "mark: adminDescription, joins: {file: pairs.csv}"))
    assert engine.cycle() == {}
    native(ad, "Somebody", mail="later@x.test")
    engine.cycle()
    assert values(ad, "Somebody")["title"] == "Chief"
    calm(engine)


def test_nobody_is_created_beside_whom_no_import_has_shown_yet(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    person(hr, "Anna", employeeID="7")
    engine = make(profile(match=BY_NUMBER, map=NUMBERED))
    engine.import_()
    engine.plan()
    engine.approve()
    with monkeypatch.context() as patched:
        patched.setattr(verbs, "_import_all", lambda *_, **__: [])
        engine.export()
    person(hr, "Berta", employeeID="7")
    engine.import_("hr")
    assert engine.plan() == {}
    assert [code for _, code, _ in engine.problems()] == ["ambiguous source"]
    assert engine.cycle() == {}
    assert [code for _, code, _ in engine.problems()] == ["taken"]


def test_two_profiles_do_not_create_one_person_twice(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    students = MemoryDirectory()
    given = {"match": BY_NUMBER, "map": NUMBERED, "disjoint": "people"}
    store = "  students: {connector: memory, options: {store: students}}\nprofiles:\n"
    document = DOCUMENT.format(profiles=profile("one", **given) + profile("two", source="students", **given))
    person(hr, "Anna", employeeID="7")
    person(students, "Anna", employeeID="7")
    engine = make(document=document.replace("profiles:\n", store, 1), students=students)
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert engine.reasons("two")["Anna"][0] == "waiting"
    engine.cycle()
    assert len(ad.anchors(Kind.USER)) == 1
    assert engine.reasons("two")["Anna"][0] == "problem", "disjoint they are not"
    calm(engine)


def test_a_disable_that_somebody_took_back_is_not_ours_any_more(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    anna = person(hr, "Anna", employeeID="7")
    engine = make(profile(match=BY_NUMBER, map={**NUMBERED, "enabled": "source.enabled"}, leaving={"deleted": ["disable"]}))
    engine.cycle()
    hr.delete(anna)
    engine.cycle()
    for enabled in (True, False):
        ad.change(anchor(ad, "Anna"), enabled=enabled)
        assert engine.cycle() == {}
    hr.restore(anna)
    assert engine.cycle() == {}
    assert values(ad, "Anna")["enabled"] is False, "a security team disabled the account"


def test_who_leaves_once_more_is_disabled_once_more(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    anna = person(hr, "Anna", employeeID="7")
    engine = make(profile(match=BY_NUMBER, map={**NUMBERED, "enabled": "source.enabled"}, leaving={"deleted": ["disable"]}))
    engine.cycle()
    hr.delete(anna)
    assert shown(engine.cycle()) == [("disable", "Anna")]
    ad.change(anchor(ad, "Anna"), enabled=True)
    engine.cycle()
    hr.restore(anna)
    assert engine.cycle() == {}
    hr.delete(anna)
    assert shown(engine.cycle()) == [("disable", "Anna")]


def test_a_member_is_decided_about_once_an_identity_stands_for_it(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.join(ad.add(Kind.GROUP, name="Everybody", path=PEOPLE), native(ad, "Anna", employeeID="7"))
    hr.add(Kind.GROUP, name="Everybody", path=BASE)
    engine = make(profile(match=BY_NUMBER, map=NUMBERED) + GROUPS)
    assert engine.cycle() == {}
    person(hr, "Anna", employeeID="7")
    assert shown(engine.cycle()) == [("member remove", "Everybody")]
    calm(engine)


def test_whoever_reads_a_directory_looks_again_once_a_partner_there_is_joined(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """The second profile comes first in the document, and reads what the first one joins."""
    reading = profile("cloud", target="ad2", match=BY_NUMBER, map={"displayName": "source.displayName", "mail": "ad.mail"})
    engine, ad2 = two_targets(make, reading, profile("people", match=BY_NUMBER, action="update only", map={"title": "source.title"}))
    person(hr, "Anna", "", employeeID="7")
    native(ad2, "Anna", employeeID="7")
    engine.cycle()
    engine.cycle()
    partner = native(ad, "Anna", employeeID="8", mail="anna@x.test")
    assert engine.cycle() == {}
    ad.change(partner, employeeID="7")
    assert shown(engine.cycle()) == [("sign-in change", "Anna")]
    assert values(ad2, "Anna")["mail"] == "anna@x.test"
