"""Laws 2, 3 and 14: whom a person of the source is matched with, and who is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metasync import decisions
from metasync.contract import Kind, Operation
from metasync.naming import find_object
from metasync.synchronising import setting
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, PEOPLE, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]


def native(directory: MemoryDirectory, name: str, mail: str | None = None, **more: object) -> str:
    """Somebody whom others made in the target."""
    given = {"displayName": name, "enabled": True, **({"mail": mail} if mail else {}), **more}
    return directory.add(Kind.USER, name=name, path=PEOPLE, **given)  # type: ignore[arg-type]


def problems(engine: Engine) -> dict[str, str]:
    return {code: text for _, code, text in engine.problems()}


def test_an_ambiguous_match_names_both_and_touches_neither(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", employeeID="7")
    first, second = native(ad, "Anna A", employeeID="7"), native(ad, "Anna B", employeeID="7")
    before = [ad.get(first), ad.get(second)]
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}]))
    assert engine.cycle() == {}
    text = problems(engine)["ambiguous match"]
    assert first in text and second in text
    assert [ad.get(first), ad.get(second)] == before
    assert len(ad.anchors(Kind.USER)) == 2


def test_an_ambiguous_match_is_settled_when_the_values_are_corrected(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", employeeID="7", title="Chief")
    first, second = native(ad, "Anna A", employeeID="7"), native(ad, "Anna B", employeeID="7")
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], map={"title": "source.title"}))
    engine.cycle()
    ad.change(second, employeeID="8")
    assert shown(engine.cycle()) == [("update", "Anna A")]
    assert (ad.get(first) or {})["title"] == "Chief"
    assert problems(engine) == {}


def test_nobody_is_created_before_the_target_can_be_searched_by_a_new_rule(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    """The values were read long since; what they are found by is made at the next import."""
    person(hr, "Anna", employeeID="7")
    native(ad, "Anna A", employeeID="7")
    people = {"map": {"cn": "source.displayName", "displayName": "source.displayName", "employeeID": "source.employeeID"}}
    engine = make(profile(**people))
    engine.import_()
    engine.load(DOCUMENT.format(profiles=profile(**people, match=[{"source": "employeeID", "target": "employeeID"}])))
    assert engine.plan() == {}
    assert engine.last is not None
    assert engine.last.left_out == {"people": "ad cannot be searched yet by all that the document matches by now; run `metasync import ad`"}
    engine.import_("ad")
    assert {one for one, _ in shown(engine.plan())} == {"rename", "update"}


def test_two_of_the_source_with_one_key_are_both_named_and_nobody_is_created(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    person(hr, "Anna", employeeID="7")
    person(hr, "Berta", employeeID="7")
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}]))
    assert engine.cycle() == {}
    texts = [text for _, code, text in engine.problems() if code == "ambiguous source"]
    assert len(texts) == 2
    hr.change(anchor(hr, "Berta"), employeeID="8")
    assert sorted(shown(engine.cycle())) == [("create", "Anna"), ("create", "Berta")]


def test_two_of_the_source_that_want_one_partner_are_both_named_and_neither_joins(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    person(hr, "Anna", employeeID="7")
    person(hr, "Berta", employeeID="7")
    native(ad, "Anna A", employeeID="7")
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}]))
    assert engine.cycle() == {}
    assert [code for _, code, _ in engine.problems()] == ["ambiguous source", "ambiguous source"]


def test_a_newcomers_collision_never_freezes_an_established_pair(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    old = person(hr, "Anna", employeeID="7", title="Clerk")
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "title": "source.title", "employeeID": "source.employeeID"}
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}], map=mapped))
    engine.cycle()
    person(hr, "Berta", employeeID="7")
    hr.change(old, title="Chief")
    assert shown(engine.cycle()) == [("update", "Anna")]
    assert values(ad, "Anna")["title"] == "Chief"
    assert "joined" in problems(engine)["taken"]


@pytest.mark.parametrize("empty", [None, "", "   "])
def test_an_empty_key_never_matches(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, empty: str | None) -> None:
    key = {} if empty is None else {"employeeID": empty}
    person(hr, "Anna", **key)
    native(ad, "Nobody", **key)
    engine = make(profile(match=[{"source": "employeeID", "target": "employeeID"}]))
    assert shown(engine.cycle()) == [("create", "Anna")]


def test_the_first_rule_with_any_candidate_decides(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", "anna@x.test", employeeID="7", title="Chief")
    native(ad, "By number", employeeID="7")
    native(ad, "By mail", "anna@x.test")
    rules = [{"source": "employeeID", "target": "employeeID"}, {"source": "mail", "target": "mail"}]
    engine = make(profile(match=rules, map={"title": "source.title"}))
    assert shown(engine.cycle()) == [("update", "By number")]


def test_an_ambiguous_first_rule_is_not_passed_over(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", "anna@x.test", employeeID="7")
    native(ad, "One", employeeID="7")
    native(ad, "Two", employeeID="7")
    native(ad, "By mail", "anna@x.test")
    rules = [{"source": "employeeID", "target": "employeeID"}, {"source": "mail", "target": "mail"}]
    engine = make(profile(match=rules, map={"title": "source.title"}))
    assert engine.cycle() == {}
    assert "ambiguous match" in problems(engine)


def test_update_only_creates_nobody_and_waits_for_the_partner(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", "anna@x.test", title="Chief")
    engine = make(profile(action="update only", map={"title": "source.title"}))
    assert engine.cycle() == {}
    assert engine.reasons("people")["Anna"][0] == "waiting"
    native(ad, "Anna A", "ANNA@x.test")
    assert shown(engine.cycle()) == [("update", "Anna A")]


def test_both_sides_of_a_rule_may_be_expressions(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Law 14."""
    person(hr, "Anna", "anna@x.test", employeeNumber="A-7", title="Chief")
    native(ad, "Seven", employeeID="x7")
    rule = {"source": "digits(source.employeeNumber)", "target": "digits(target.employeeID)"}
    engine = make(profile(match=[rule], map={"title": "source.title"}))
    assert shown(engine.cycle()) == [("update", "Seven")]


def test_any_kind_skips_who_is_there_as_something_else(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Law 14: a candidate of another kind ends the search, and the object is skipped, with its reason."""
    person(hr, "Anna", "anna@x.test")
    ad.add(Kind.CONTACT, name="Anna the contact", path=PEOPLE, displayName="Anna the contact", proxyAddresses=("anna@x.test",))
    rule = {"source": "mail", "target": "proxyAddresses", "any kind": "skip"}
    engine = make(profile(match=[rule]))
    assert engine.cycle() == {}
    status, reason = engine.reasons("people")["Anna"]
    assert status == "skipped"
    assert "contact" in reason and "Anna the contact" in reason


def test_without_any_kind_another_kind_is_no_candidate(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", "anna@x.test")
    ad.add(Kind.CONTACT, name="Anna the contact", path=PEOPLE, proxyAddresses=("anna@x.test",))
    engine = make(profile(match=[{"source": "mail", "target": "proxyAddresses"}]))
    assert shown(engine.cycle()) == [("create", "Anna")]


# --- privileged objects ----------------------------------------------------------------------------------------------------------------


def test_who_is_privileged_is_neither_matched_nor_written(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", "anna@x.test")
    admin = native(ad, "Administrator", "anna@x.test", privileged=True)
    before = ad.get(admin)
    engine = make(profile())
    assert engine.cycle() == {}
    assert "privileged" in problems(engine)
    assert ad.get(admin) == before


def test_who_becomes_privileged_is_not_written_any_more(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(leaving={"deleted": "disable"}))
    engine.cycle()
    ad.change(anchor(ad, "Anna"), privileged=True)
    hr.change(source, title="Chief")
    assert engine.cycle() == {}
    assert "privileged" in problems(engine)
    hr.delete(source)
    assert engine.cycle() == {}, "nor disabled when its source goes"
    assert "enabled" not in values(ad, "Anna") or values(ad, "Anna")["enabled"] is not False


@pytest.mark.parametrize("by", ["anchor", "dn"])
def test_who_is_privileged_may_be_named(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, by: str) -> None:
    person(hr, "Anna", "anna@x.test", title="Chief")
    admin = native(ad, "Administrator", "anna@x.test", privileged=True)
    name = str((ad.get(admin) or {})[by])
    document = DOCUMENT.format(profiles=profile(map={"title": "source.title"})).replace(
        "mark: adminDescription", f"mark: adminDescription, allow privileged: ['{name}']"
    )
    engine = make(document=document)
    assert shown(engine.cycle()) == [("update", "Administrator")]
    assert (ad.get(admin) or {})["title"] == "Chief"


# --- decided by hand -------------------------------------------------------------------------------------------------------------------


def test_a_join_by_hand_outlasts_revisions(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", employeeID="7", title="Chief")
    first, _ = native(ad, "Anna A", employeeID="7"), native(ad, "Anna B", employeeID="7")
    number = [{"source": "employeeID", "target": "employeeID"}]
    engine = make(profile(match=number, map={"title": "source.title"}))
    engine.cycle()
    one, other = find_object(engine.workspace, f"hr/{source}"), find_object(engine.workspace, f"ad/{first}")
    decisions.join(engine.workspace, one, other, "she said so")
    assert shown(engine.cycle()) == [("update", "Anna A")]
    engine.load(DOCUMENT.format(profiles=profile(match=number, map={"title": "source.title", "department": "source.title"})))
    assert shown(engine.cycle()) == [("update", "Anna A")]
    assert problems(engine) == {}


def test_who_was_taken_apart_by_hand_stays_apart(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", "anna@x.test", title="Chief")
    target = native(ad, "Another Anna", "anna@x.test", title="Boss")
    engine = make(profile(map={"title": "source.title"}))
    engine.import_()
    engine.plan()
    one, other = find_object(engine.workspace, f"hr/{source}"), find_object(engine.workspace, f"ad/{target}")
    left = decisions.unjoin(engine.workspace, one, other, "two people")
    assert left.id == other.id, "who was joined leaves, not who made the identity"
    assert engine.cycle() == {}
    assert "by hand" in engine.reasons("people")["Anna"][1]
    engine.load(DOCUMENT.format(profiles=profile(map={"title": "source.title", "department": "source.title"})))
    assert engine.cycle() == {}
    assert (ad.get(target) or {})["title"] == "Boss"


def test_who_is_ignored_by_hand_is_left_alone_until_that_is_taken_back(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(leaving={"deleted": "delete"}))
    engine.cycle()
    seen = find_object(engine.workspace, f"hr/{source}")
    decisions.ignore(engine.workspace, seen, "on leave")
    hr.change(source, title="Chief")
    assert engine.cycle() == {}
    assert engine.reasons("people")["Anna"] == ("ignored", "ignored by hand: on leave")
    engine.load(DOCUMENT.format(profiles=profile(leaving={"deleted": "delete"}, action="update only")))
    assert engine.cycle() == {}
    assert decisions.withdraw(engine.workspace, seen, "back") == 1
    assert shown(engine.cycle()) == [("update", "Anna")]


def test_who_is_ignored_is_not_deleted_when_its_source_goes(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(leaving={"deleted": "delete"}))
    engine.cycle()
    decisions.ignore(engine.workspace, find_object(engine.workspace, f"hr/{source}"), "keep her")
    hr.delete(source)
    assert engine.cycle() == {}
    assert values(ad, "Anna")


@pytest.mark.parametrize("target", ["target.employeeID", "target"])
def test_a_pairing_file_joins_whom_no_rule_would(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, tmp_path: Path, target: str
) -> None:
    person(hr, "Anna", "anna@x.test", employeeNumber="1001", title="Chief")
    other = native(ad, "Somebody else", employeeID="x7")
    value = other if target == "target" else "x7"
    (tmp_path / "pairs.csv").write_text(f"source.employeeNumber,{target}\n1001,{value}\n", encoding="utf-8")
    document = DOCUMENT.format(profiles=profile(map={"title": "source.title"}))
    engine = make(document=document.replace("mark: adminDescription", "mark: adminDescription, joins: {file: pairs.csv}"))
    assert shown(engine.cycle()) == [("update", "Somebody else")]
    assert (ad.get(other) or {})["title"] == "Chief"


# --- further sources and kinds ---------------------------------------------------------------------------------------------------------


def test_a_further_source_joins_the_identity_and_ranks(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """`merge` and the rank of `metaverse`: the first contributor that has a value wins."""
    payroll = MemoryDirectory()
    person(hr, "Anna", employeeID="A-7", title="Clerk")
    person(hr, "Berta", employeeID="A-8", title="Clerk")
    number = payroll.add(Kind.USER, name="7", path=BASE, employeeNumber="7", title="Head of payroll")
    merge = {"payroll": {"on": {"employeeNumber": "source.employeeID"}, "rewrite": ["digits"]}}
    text = DOCUMENT.format(profiles=profile(merge=merge, map={"cn": "source.displayName", "mail": "source.mail", "title": "mv.title"}))
    text = text.replace("directories:\n", "directories:\n  payroll: {connector: memory, options: {store: payroll}}\n")
    text = text.replace("profiles:\n", "metaverse: {user: {title: [payroll.title, hr.title]}}\nprofiles:\n")
    engine = make(document=text, payroll=payroll)
    engine.cycle()
    titles = {(ad.get(one) or {})["name"]: (ad.get(one) or {})["title"] for one in ad.anchors(Kind.USER)}
    assert titles == {"Anna": "Head of payroll", "Berta": "Clerk"}
    payroll.change(number, title=None)
    planned = engine.cycle()
    assert [(one.operation, one.after) for changes in planned.values() for one in changes] == [(Operation.UPDATE, {"title": "Clerk"})]
    payroll.change(number, title="Chief payer")
    assert shown(engine.cycle()) == [("update", "Anna")]
    assert engine.plan() == {}


def test_a_further_source_with_two_candidates_contributes_nothing(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    payroll = MemoryDirectory()
    person(hr, "Anna", employeeID="7", title="Clerk")
    for name in ("7a", "7b"):
        payroll.add(Kind.USER, name=name, path=BASE, employeeNumber="7", title="Head of payroll")
    merge = {"payroll": {"on": {"employeeNumber": "source.employeeID"}}}
    text = DOCUMENT.format(profiles=profile(merge=merge, map={"cn": "source.displayName", "title": "mv.title"}))
    text = text.replace("directories:\n", "directories:\n  payroll: {connector: memory, options: {store: payroll}}\n")
    text = text.replace("profiles:\n", "metaverse: {user: {title: [payroll.title, hr.title]}}\nprofiles:\n")
    engine = make(document=text, payroll=payroll)
    engine.cycle()
    assert (ad.get(ad.by_name("Anna")) or {})["title"] == "Clerk"
    assert "merge" in problems(engine)


@pytest.mark.parametrize("portion", [1, 500])
@pytest.mark.parametrize("later", [False, True])
def test_two_who_want_one_object_of_a_further_source_both_get_nothing_of_it(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, monkeypatch: pytest.MonkeyPatch, portion: int, later: bool
) -> None:
    """Whatever portions they are in, and also where one of them waited for it."""
    monkeypatch.setattr(setting, "PORTION", portion)
    payroll = MemoryDirectory()
    for name in ("Anna", "Berta"):
        person(hr, name, employeeID="7", title="Clerk")
    merge = {"payroll": {"on": {"employeeNumber": "source.employeeID"}}}
    text = DOCUMENT.format(
        profiles=profile(merge=merge, map={"cn": "source.displayName", "displayName": "source.displayName", "title": "mv.title"})
    )
    text = text.replace("directories:\n", "directories:\n  payroll: {connector: memory, options: {store: payroll}}\n")
    text = text.replace("profiles:\n", "metaverse: {user: {title: [payroll.title, hr.title]}}\nprofiles:\n")
    engine = make(document=text, payroll=payroll)
    payroll.add(Kind.USER, name="somebody", path=BASE, employeeNumber="8")
    if later:
        engine.cycle()
    payroll.add(Kind.USER, name="7", path=BASE, employeeNumber="7", title="Director")
    engine.cycle()
    assert {str(values(ad, name)["title"]) for name in ("Anna", "Berta")} == {"Clerk"}
    assert [code for _, code, _ in engine.problems()] == ["merge", "merge"]


def test_members_of_several_contributors_are_united(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """`union`: what either side holds stays; members of the target that nobody stands for stay anyway."""
    anna, berta = person(hr, "Anna"), person(hr, "Berta")
    group = hr.add(Kind.GROUP, name="Team", path=BASE)
    hr.join(group, anna)
    groups = profile("groups", kind="group", match=[{"source": "cn", "target": "cn"}], map={"cn": "source.cn", "members": "mv.members"})
    text = DOCUMENT.format(profiles=profile() + groups).replace(
        "profiles:\n", "metaverse: {group: {members: {union: [hr.members, ad.members]}}}\nprofiles:\n"
    )
    engine = make(document=text)
    engine.cycle()
    team = ad.by_name("Team")
    ad.join(team, anchor(ad, "Berta"))
    assert engine.cycle() == {}, "the target contributes Berta, who stays"
    hr.leave(group, anna)
    assert engine.cycle() == {}, "and Anna, too: the target still has her"
    hr.join(group, berta)
    assert engine.cycle() == {}


def test_a_pair_of_kinds_makes_contacts_of_people(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", "anna@x.test")
    gal = profile(
        "gal",
        kind={"user": "contact"},
        match=[{"source": "mail", "target": "mail"}],
        map={
            "cn": "source.displayName",
            "displayName": "source.displayName",
            "mail": "source.mail",
            "targetAddress": '"SMTP:" + source.mail',
        },
        leaving={"deleted": "delete"},
    )
    engine = make(gal)
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert len(ad.anchors(Kind.CONTACT)) == 1 and not ad.anchors(Kind.USER)
    assert values(ad, "Anna")["targetAddress"] == "SMTP:anna@x.test"
    assert engine.plan() == {}
    hr.delete(source)
    assert shown(engine.cycle()) == [("delete", "Anna")]
    assert not ad.anchors(Kind.CONTACT)
