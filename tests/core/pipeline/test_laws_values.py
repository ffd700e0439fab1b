"""Laws 4 and 13: which values are written, which stay, and which are equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from metasync.contract import READ_ONLY, AttributeSchema, Kind, Operation, Reference, Schema, Type
from metasync.engagement.document import DocumentError
from metasync.testing.engine import Engine, Planned
from metasync.testing.memory import MemoryDirectory
from metasync.testing.memory.faults import WriteFault
from metasync.testing.staff import BASE, PEOPLE, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]
NAMES = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail"}


def after(planned: dict[str, list[Planned]]) -> list[tuple[Operation, Any]]:
    return [(one.operation, dict(one.after)) for changes in planned.values() for one in changes]


def test_once_is_written_at_creation_alone(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", title="Clerk")
    engine = make(profile(map={**NAMES, "title": {"from": "source.title", "once": True}}))
    engine.cycle()
    assert values(ad, "Anna")["title"] == "Clerk"
    hr.change(source, title="Chief")
    assert engine.cycle() == {}
    ad.change(anchor(ad, "Anna"), title=None)
    assert engine.cycle() == {}


def test_once_leaves_whom_it_merely_matched(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", "anna@x.test", title="Clerk")
    ad.add(Kind.USER, name="Anna", path=PEOPLE, displayName="Anna", mail="anna@x.test")
    engine = make(profile(map={**NAMES, "title": {"from": "source.title", "once": True}}))
    assert engine.cycle() == {}


def test_fill_writes_only_where_the_target_has_nothing(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", title="Clerk")
    engine = make(profile(map={**NAMES, "title": {"from": "source.title", "fill": True}}))
    engine.cycle()
    hr.change(source, title="Chief")
    assert engine.cycle() == {}
    ad.change(anchor(ad, "Anna"), title=None)
    assert after(engine.cycle()) == [(Operation.UPDATE, {"title": "Chief"})]
    hr.change(source, title=None)
    assert engine.cycle() == {}, "nothing fills nothing"


def test_values_add_keeps_what_others_wrote(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", proxyAddresses=("smtp:a@x.test", "SMTP:anna@x.test"))
    engine = make(profile(map={**NAMES, "proxyAddresses": {"from": "source.proxyAddresses", "values": "add"}}))
    engine.cycle()
    ad.change(anchor(ad, "Anna"), proxyAddresses=("x500:/o=old", "smtp:A@X.TEST", "smtp:anna@x.test"))
    assert engine.cycle() == {}, "case does not count in addresses"
    hr.change(source, proxyAddresses=("smtp:new@x.test",))
    engine.cycle()
    assert set(values(ad, "Anna")["proxyAddresses"]) == {  # type: ignore[arg-type]
        "x500:/o=old", "smtp:A@X.TEST", "smtp:anna@x.test", "smtp:new@x.test",
    }  # fmt: skip
    hr.change(source, proxyAddresses=None)
    assert engine.cycle() == {}


def test_values_replace_makes_them_equal(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", otherTelephone=("1", "2"))
    engine = make(profile(map={**NAMES, "otherTelephone": "source.otherTelephone"}))
    engine.cycle()
    ad.change(anchor(ad, "Anna"), otherTelephone=("2", "3"))
    engine.cycle()
    assert set(values(ad, "Anna")["otherTelephone"]) == {"1", "2"}  # type: ignore[arg-type]
    hr.change(source, otherTelephone=None)
    assert after(engine.cycle()) == [(Operation.CLEAR, {"otherTelephone": None})]


def test_clear_asserts_empty_and_keep_leaves_alone(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    expression = 'source.title == "clear" ? clear() : source.title == "keep" ? keep() : source.title'
    source = person(hr, "Anna", title="Clerk")
    engine = make(profile(map={**NAMES, "title": expression}))
    engine.cycle()
    hr.change(source, title="keep")
    assert engine.cycle() == {}
    assert values(ad, "Anna")["title"] == "Clerk"
    ad.change(anchor(ad, "Anna"), title="Drifted")
    assert engine.cycle() == {}, "what is left alone does not drift"
    hr.change(source, title="clear")
    assert after(engine.cycle()) == [(Operation.CLEAR, {"title": None})]
    assert "title" not in values(ad, "Anna")


def test_keep_and_clear_at_creation_write_nothing(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", title="Clerk")
    engine = make(profile(map={**NAMES, "title": "keep()", "department": "clear()"}))
    engine.cycle()
    assert not {"title", "department"} & values(ad, "Anna").keys()


def test_clear_empties_even_what_is_only_filled(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(profile(map={**NAMES, "proxyAddresses": {"from": "clear()", "values": "add"}}))
    engine.cycle()
    ad.change(anchor(ad, "Anna"), proxyAddresses=("smtp:a@x.test",))
    assert after(engine.cycle()) == [(Operation.CLEAR, {"proxyAddresses": None})]


def test_a_false_when_leaves_alone(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", title="Clerk", company="us")
    engine = make(profile(map={**NAMES, "title": {"from": "source.title", "when": 'source.company == "us"'}}))
    engine.cycle()
    hr.change(source, title="Chief", company="them")
    assert engine.cycle() == {}
    assert values(ad, "Anna")["title"] == "Clerk"
    hr.change(source, company="us")
    assert after(engine.cycle()) == [(Operation.UPDATE, {"title": "Chief"})]


def test_an_expression_that_fails_stops_that_object_alone(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", title="Clerk")
    bad = person(hr, "Berta")
    engine = make(profile(map={**NAMES, "title": "source.title + source.title"}))
    assert shown(engine.cycle()) == [("create", "Anna")]
    (problem,) = [text for _, code, text in engine.problems() if code == "value"]
    assert "title" in problem
    hr.change(bad, title="x")
    assert shown(engine.cycle()) == [("create", "Berta")]
    assert engine.problems() == []


def test_two_profiles_that_enforce_one_attribute_are_refused(make: MakeEngine) -> None:
    """Law 4, and law 15: the error names the file, the line, the key, and what is allowed."""
    with pytest.raises(DocumentError) as caught:
        make(profile() + profile("others", source="hr", map={"title": "source.department"}))
    assert "title" in str(caught.value) and "disjoint" in str(caught.value) and "engagement.yaml:" in str(caught.value)
    make(profile(disjoint="a") + profile("others", disjoint="a", map={"title": "source.department"}))


def test_profiles_that_call_themselves_disjoint_and_meet_are_shown_and_the_first_one_stays(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    source = person(hr, "Anna", title="Chief", department="Sales", company="b")
    first = profile(disjoint="a", scope={"where": 'source.company in ["a", "ab"]'})
    engine = make(
        first
        + profile(
            "others",
            disjoint="a",
            scope={"where": 'source.company in ["b", "ab"]'},
            map={"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail", "title": "source.department"},
        )
    )
    engine.cycle()
    assert values(ad, "Anna")["title"] == "Sales"
    hr.change(source, company="ab", department="Service")
    assert shown(engine.cycle()) == [("update", "Anna")]
    assert values(ad, "Anna")["title"] == "Service"
    assert engine.reasons("people")["Anna"] == ("problem", "others stands for the same identity, and both say `disjoint: a`")
    assert [code for _, code, _ in engine.problems()] == ["disjoint"]
    assert engine.cycle() == {}
    hr.change(source, company="a")
    engine.cycle()
    assert values(ad, "Anna")["title"] == "Chief"
    assert engine.problems() == []
    assert engine.cycle() == {}


def test_members_may_be_authoritative(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    anna = person(hr, "Anna")
    group = hr.add(Kind.GROUP, name="Team", path=BASE)
    hr.join(group, anna)
    members = {"from": "source.members", "authoritative": True}
    groups = profile("groups", kind="group", match=[{"source": "cn", "target": "cn"}], map={"cn": "source.cn", "members": members})
    engine = make(profile() + groups)
    engine.cycle()
    native = ad.add(Kind.USER, name="Service", path=PEOPLE)
    ad.join(ad.by_name("Team"), native)
    assert shown(engine.cycle()) == [("member remove", "Team")]
    assert (ad.get(ad.by_name("Team")) or {})["members"] == (Reference(value=anchor(ad, "Anna")),)


def test_a_member_that_the_directory_lets_nobody_take_out_is_seen_and_left_alone(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """As of a group that is somebody's primary one."""
    group_schema = ad.schema.kinds[Kind.GROUP]
    by_primary = AttributeSchema(name="primaryMembers", type=Type.REFERENCE, multi=True, allow=READ_ONLY)
    attributes = {
        **group_schema.attributes,
        "member": replace(group_schema.attributes["member"], fixed="primaryMembers"),
        "primaryMembers": by_primary,
    }
    ad.schema = Schema(kinds={**ad.schema.kinds, Kind.GROUP: replace(group_schema, attributes=attributes)})
    people = [person(hr, name) for name in ("Anna", "Berta", "Carla")]
    group = hr.add(Kind.GROUP, name="Team", path=BASE)
    hr.join(group, *people)
    members = {"from": "source.members", "authoritative": True}
    groups = profile("groups", kind="group", match=[{"source": "cn", "target": "cn"}], map={"cn": "source.cn", "members": members})
    engine = make(profile() + groups)
    engine.cycle()
    team = ad.by_name("Team")
    ad.change(team, primaryMembers=(Reference(value=anchor(ad, "Anna")), Reference(value=anchor(ad, "Berta"))))
    hr.leave(group, people[0], people[2])
    assert shown(engine.cycle()) == [("member remove", "Team")]
    assert engine.cycle() == {}
    assert set((ad.get(team) or {})["members"]) == {Reference(value=anchor(ad, one)) for one in ("Anna", "Berta")}  # type: ignore[arg-type]
    ad.change(team, primaryMembers=(Reference(value=anchor(ad, "Berta")),))
    assert shown(engine.cycle()) == [("member remove", "Team")], "once another group is the primary one, it is a membership like others"


def test_members_that_are_only_added_stay(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    anna, berta = person(hr, "Anna"), person(hr, "Berta")
    group = hr.add(Kind.GROUP, name="Team", path=BASE)
    hr.join(group, anna)
    members = {"from": "source.members", "values": "add"}
    groups = profile("groups", kind="group", match=[{"source": "cn", "target": "cn"}], map={"cn": "source.cn", "members": members})
    engine = make(profile() + groups)
    engine.cycle()
    hr.leave(group, anna)
    assert engine.cycle() == {}
    hr.join(group, berta)
    assert shown(engine.cycle()) == [("member add", "Team")]


@pytest.mark.parametrize(
    ("attribute", "ours", "theirs"),
    [
        ("mail", "Anna@X.test", "anna@x.TEST"),
        ("proxyAddresses", ("smtp:a@x.test", "SMTP:b@x.test"), ("smtp:B@x.test", "smtp:A@x.test")),
        ("otherTelephone", ("1", "2", "3"), ("3", "1", "2")),
        ("department", "Sales  and   more ", "Sales and more"),
        ("employeeID", "ab-7", "AB-7"),
    ],
)
def test_what_a_directory_normalises_is_equal_by_its_own_rule(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, attribute: str, ours: Any, theirs: Any
) -> None:
    """Law 13: the second plan is empty."""
    hr.add(Kind.USER, {"name": "Anna", "displayName": "Anna", "employeeNumber": "1", attribute: ours})
    number = [{"source": "employeeNumber", "target": "employeeNumber"}]
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "employeeNumber": "source.employeeNumber"}
    engine = make(profile(match=number, map={**mapped, attribute: f"source.{attribute}"}))
    engine.cycle()
    ad.change(anchor(ad, "Anna"), {attribute: theirs})
    assert engine.cycle() == {}
    assert engine.plan() == {}


def test_a_title_differs_by_its_case(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", title="Clerk")
    engine = make(profile())
    engine.cycle()
    ad.change(anchor(ad, "Anna"), title="CLERK")
    assert after(engine.cycle()) == [(Operation.UPDATE, {"title": "Clerk"})]


def test_who_is_disabled_before_anybody_looked_again_is_disabled(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """We created him enabled: the two had agreed."""
    source = person(hr, "Anna")
    engine = make(profile(map={**NAMES, "enabled": "source.enabled"}))
    engine.cycle()
    hr.change(source, enabled=False)
    assert shown(engine.cycle()) == [("disable", "Anna")]
    assert engine.cycle() == {}


def test_whom_somebody_else_made_before_we_did_never_agreed_with_the_source(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    source = person(hr, "Anna")
    engine = make(profile(map={**NAMES, "enabled": "source.enabled"}))
    engine.import_()
    assert shown(engine.plan()) == [("create", "Anna")]
    hr.change(source, enabled=False)
    ad.add(Kind.USER, name="Anna", path=PEOPLE, displayName="Anna", mail="anna@x.test", enabled=True)
    assert engine.cycle() == {}
    assert [code for _, code, _ in engine.problems()] == ["enabled differs"]


def test_a_refusal_is_told_although_the_manager_behind_it_was_written(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """What refers to somebody who is created in the same plan is written by itself, and does not wait for the other values."""
    person(hr, "Anna")
    engine = make(profile(map={"cn": "source.displayName", "mail": "source.mail", "title": "source.title", "manager": "source.manager"}))
    engine.cycle()
    boss = person(hr, "Boss")
    hr.change(hr.by_name("Anna", BASE), title="Clerk", manager=Reference(value=boss))
    engine.import_()
    engine.plan()
    engine.approve()
    ad.faults.on_write(2, WriteFault.REFUSED)  # behind the create of Boss
    engine.export()
    [anna] = [found for one in ad.anchors() if (found := ad.get(one) or {}).get("mail") == "anna@x.test"]
    assert "manager" in anna and "title" not in anna
    assert [code for _, code, _ in engine.problems()] == ["rejected"]
    engine.cycle()
    assert engine.problems() == []
