"""Law 5: what happens to those who leave, and what is reversed when they come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from metasync.contract import Kind, Operation
from metasync.engagement.document import DocumentError
from metasync.explain import explain
from metasync.naming import find_object
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory, WriteFault
from metasync.testing.staff import BASE, DOCUMENT, PEOPLE, anchor, person, profile, shown, values

MakeEngine = Callable[..., Engine]
NAMES = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail"}
MAPPED = {**NAMES, "enabled": {"from": "source.enabled", "once": True}}
GROUPS = profile("more", source="hr", kind="group", match=None, map={"cn": "source.cn"})
LEAVERS = f"OU=Leavers,{BASE}"
MOVES = {"deleted": ["disable", {"move": f'"{LEAVERS}"'}, {"delete": "created", "after": "90 days"}]}


@pytest.fixture
def matched(ad: MemoryDirectory) -> str:
    """Somebody who was there before us."""
    return ad.add(Kind.USER, name="Mona", path=PEOPLE, displayName="Mona", mail="mona@x.test", enabled=True)


def two_profiles(**more: object) -> str:
    """Two profiles of the same people, of which each holds on by a condition of its own."""
    first = profile("one", map=MAPPED, disjoint="x", scope={"where": 'source.company == "a" || source.company == "ab"'}, **more)
    return first + profile("two", map=MAPPED, disjoint="x", scope={"where": 'source.company == "b" || source.company == "ab"'}, **more)


def test_leaving_fires_only_when_the_last_profile_lets_go(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", company="ab")
    engine = make(two_profiles(leaving={"out of scope": "disable"}))
    engine.cycle()
    assert len(ad.anchors(Kind.USER)) == 1, "one object for one identity"
    hr.change(source, company="b")
    assert engine.cycle() == {}
    assert "two still holds on to it" in engine.reasons("one")["Anna"][1]
    hr.change(source, company="none")
    assert shown(engine.cycle()) == [("disable", "Anna")]
    assert engine.plan() == {}


def test_from_one_profile_into_another_is_not_leaving(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", company="a")
    engine = make(two_profiles(leaving={"out of scope": "delete", "deleted": "delete"}))
    engine.cycle()
    before = anchor(ad, "Anna")
    hr.change(source, company="b")
    assert engine.cycle() == {}
    assert anchor(ad, "Anna") == before
    hr.change(source, company="a")
    assert engine.cycle() == {}
    hr.change(source, company="")
    assert shown(engine.cycle()) == [("delete", "Anna")]


def test_removing_a_profile_is_not_leaving(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna")
    engine = make(
        profile(leaving={"out of scope": "delete", "deleted": "delete"})
        + profile("more", source="hr", kind="group", match=None, map={"cn": "source.cn"})
    )
    engine.cycle()
    engine.load(DOCUMENT.format(profiles=GROUPS))
    assert engine.cycle() == {}
    assert values(ad, "Anna")


def test_a_profile_that_comes_back_is_told_what_changed_meanwhile(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """While the document does without it, no import marks anything for it."""
    anna, bert = person(hr, "Anna"), person(hr, "Bert")
    people = profile(map=MAPPED, leaving={"deleted": "disable"})
    engine = make(people + GROUPS)
    engine.cycle()
    engine.load(DOCUMENT.format(profiles=GROUPS))
    hr.change(anna, displayName="Anna Lee")
    hr.delete(bert)
    assert engine.cycle() == {}
    engine.load(DOCUMENT.format(profiles=people + GROUPS))
    assert sorted(shown(engine.cycle())) == [("disable", "Bert"), ("rename", "Anna"), ("update", "Anna")]
    assert engine.plan() == {}


def test_renaming_a_profile_is_not_leaving(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    leaving = {"out of scope": "delete", "deleted": "delete"}
    engine = make(profile(leaving=leaving))
    engine.cycle()
    engine.load(DOCUMENT.format(profiles=profile("crew", leaving=leaving)))
    assert engine.cycle() == {}
    hr.change(source, title="Chief")
    assert shown(engine.cycle()) == [("update", "Anna")]
    hr.delete(source)
    assert shown(engine.cycle()) == [("delete", "Anna")]


def test_destructive_steps_are_for_those_whom_we_created(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, matched: str) -> None:
    ad.add(Kind.CONTAINER, name="Leavers", path=BASE)
    mona, anna = person(hr, "Mona", "mona@x.test"), person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving={"deleted": [{"move": f'"{LEAVERS}"'}, "delete"]}))
    engine.cycle()
    hr.delete(mona)
    hr.delete(anna)
    assert shown(engine.cycle()) == [("delete", "Anna")]
    assert (ad.get(matched) or {})["path"] == PEOPLE
    assert any(code == "not ours" for _, code, _ in engine.problems())


def test_destructive_steps_may_be_meant_for_all(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, matched: str) -> None:
    mona = person(hr, "Mona", "mona@x.test")
    engine = make(profile(map=MAPPED, leaving={"deleted": {"delete": "joined"}}))
    engine.cycle()
    hr.delete(mona)
    assert shown(engine.cycle()) == [("delete", "Mona")]
    assert ad.get(matched) is None


def test_a_disable_is_for_all(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory, matched: str) -> None:
    mona = person(hr, "Mona", "mona@x.test")
    engine = make(profile(map=MAPPED, leaving={"deleted": "disable"}))
    engine.cycle()
    hr.delete(mona)
    assert shown(engine.cycle()) == [("disable", "Mona")]


def test_keep_is_the_default(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", company="us")
    other = person(hr, "Berta", company="us")
    engine = make(profile(scope={"where": 'source.company == "us"'}))
    engine.cycle()
    before = [ad.get(one) for one in ad.anchors()]
    hr.delete(source)
    hr.change(other, company="them")
    assert engine.cycle() == {}
    assert [ad.get(one) for one in ad.anchors()] == before
    assert engine.statuses() == {"left": 2}


def test_what_cannot_be_disabled_is_refused_at_load(make: MakeEngine) -> None:
    with pytest.raises(DocumentError, match="cannot be disabled"):
        make(profile(kind="group", map={"cn": "source.cn"}, leaving={"deleted": "disable"}))


def test_steps_wait_for_their_time(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.CONTAINER, name="Leavers", path=BASE)
    source = person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving=MOVES))
    engine.cycle()
    hr.delete(source)
    assert shown(engine.cycle()) == [("disable", "Anna"), ("move", "Anna")]
    assert engine.cycle() == {}
    engine.later(days=89)
    assert engine.cycle() == {}
    assert engine.reasons("people")["Anna"][0] == "leaving"
    engine.later(days=2)
    assert shown(engine.cycle()) == [("delete", "Anna")]
    assert engine.cycle() == {}
    assert engine.statuses() == {"left": 1}


def test_who_returns_in_time_is_not_deleted_and_gets_back_what_was_taken(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    ad.add(Kind.CONTAINER, name="Leavers", path=BASE)
    source = person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving=MOVES))
    engine.cycle()
    hr.delete(source)
    engine.cycle()
    assert (values(ad, "Anna")["enabled"], values(ad, "Anna")["path"]) == (False, LEAVERS)
    engine.later(days=80)
    hr.restore(source)
    assert sorted(shown(engine.cycle())) == [("enable", "Anna"), ("move", "Anna")]
    assert (values(ad, "Anna")["enabled"], values(ad, "Anna")["path"]) == (True, PEOPLE)
    engine.later(days=80)
    assert engine.cycle() == {}
    hr.delete(source)
    assert sorted(shown(engine.cycle())) == [("disable", "Anna"), ("move", "Anna")], "the time counts from the last leaving"
    assert engine.cycle() == {}
    engine.later(days=91)
    assert shown(engine.cycle()) == [("delete", "Anna")]


def test_a_step_that_somebody_took_back_is_not_repeated(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving={"deleted": "disable"}))
    engine.cycle()
    hr.delete(source)
    engine.cycle()
    ad.change(anchor(ad, "Anna"), enabled=True)
    assert engine.cycle() == {}
    assert any(code == "taken back" for _, code, _ in engine.problems())


def test_whom_a_security_team_disabled_stays_so_when_he_returns(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving={"deleted": "disable"}))
    engine.cycle()
    ad.change(anchor(ad, "Anna"), enabled=False)
    hr.delete(source)
    assert engine.cycle() == {}
    hr.restore(source)
    assert engine.cycle() == {}
    assert values(ad, "Anna")["enabled"] is False


def test_returning_may_be_left_to_people(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving={"deleted": "disable"}, returning={"enable": "never", "recreated": "never"}))
    engine.cycle()
    hr.delete(source)
    engine.cycle()
    hr.restore(source)
    assert engine.cycle() == {}
    assert values(ad, "Anna")["enabled"] is False


def test_who_is_deleted_and_returns_is_made_anew(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving={"deleted": "delete"}))
    engine.cycle()
    hr.delete(source)
    assert shown(engine.cycle()) == [("delete", "Anna")]
    hr.restore(source)
    assert shown(engine.cycle()) == [("create", "Anna")]
    assert engine.plan() == {}


def test_an_error_in_a_scope_never_means_left(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    source = person(hr, "Anna", company="us")
    engine = make(profile(scope={"where": 'source.company.endsWith("s")'}, leaving={"out of scope": "delete", "deleted": "delete"}))
    engine.cycle()
    hr.change(source, company=None)
    assert engine.cycle() == {}
    assert values(ad, "Anna")
    status, reason = engine.reasons("people")["Anna"]
    assert status == "problem" and "company" in reason
    hr.change(source, company="them")
    assert shown(engine.cycle()) == [("delete", "Anna")]


def test_renaming_the_container_of_a_scope_moves_nobody_out(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    staff = hr.add(Kind.CONTAINER, name="Staff", path=BASE)
    hr.move(person(hr, "Anna"), f"OU=Staff,{BASE}")
    engine = make(profile(scope={"under": [f"OU=Staff,{BASE}"]}, leaving={"out of scope": "delete"}))
    engine.cycle()
    hr.rename(staff, "Everybody")
    assert engine.cycle() == {}
    assert values(ad, "Anna")
    hr.move(anchor(hr, "Anna"), BASE)
    assert shown(engine.cycle()) == [("delete", "Anna")]


def test_a_container_of_the_scope_that_is_gone_moves_nobody_out(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    staff = hr.add(Kind.CONTAINER, name="Staff", path=BASE)
    hr.move(person(hr, "Anna"), f"OU=Staff,{BASE}")
    engine = make(profile(scope={"under": [f"OU=Staff,{BASE}"]}, leaving={"out of scope": "delete"}))
    engine.cycle()
    hr.move(anchor(hr, "Anna"), BASE)
    hr.delete(staff)
    assert engine.cycle() == {}
    assert engine.last is not None and "gone" in engine.last.left_out["people"]


def test_a_disabled_source_takes_the_steps_of_its_cause(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.CONTAINER, name="Leavers", path=BASE)
    source = person(hr, "Anna")
    leaving = {"disabled": ["disable", {"move": f'"{LEAVERS}"', "after": "30 days"}]}
    engine = make(profile(map={**MAPPED, "enabled": "source.enabled"}, leaving=leaving))
    engine.cycle()
    hr.change(source, enabled=False)
    assert shown(engine.cycle()) == [("disable", "Anna")]
    engine.later(days=31)
    assert shown(engine.cycle()) == [("move", "Anna")]
    assert engine.cycle() == {}
    hr.change(source, enabled=True)
    assert sorted(shown(engine.cycle())) == [("enable", "Anna"), ("move", "Anna")]
    assert values(ad, "Anna")["path"] == PEOPLE


def test_the_last_of_several_sources_lets_go(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """`source:` a list: any of them makes the identity."""
    other = MemoryDirectory()
    person(hr, "Anna", "anna@x.test")
    theirs = person(other, "Anna", "anna@x.test")
    text = DOCUMENT.format(
        profiles=profile(
            source=["hr", "other"],
            map={"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail"},
            leaving={"deleted": "delete"},
        )
    )
    text = text.replace("directories:\n", "directories:\n  other: {connector: memory, options: {store: other}}\n")
    engine = make(document=text, other=other)
    engine.cycle(beyond=[Operation.DELETE])
    engine.cycle(beyond=[Operation.DELETE])
    assert len(ad.anchors(Kind.USER)) == 1
    other.delete(theirs)
    person(other, "Somebody", "s@x.test")
    assert shown(engine.cycle()) == [("create", "Somebody")]
    hr.delete(anchor(hr, "Anna"))
    person(hr, "Else", "e@x.test")
    assert sorted(shown(engine.cycle())) == [("create", "Else"), ("delete", "Anna")]


def test_the_time_since_somebody_left_runs_on_while_a_change_is_in_flight(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    source = person(hr, "Anna")
    engine = make(profile(map=MAPPED, leaving={"deleted": ["disable", {"delete": "created", "after": "90 days"}]}))
    engine.cycle()
    hr.delete(source)
    ad.faults.on_write(1, WriteFault.CUT)
    assert shown(engine.cycle()) == [("disable", "Anna")]
    engine.later(days=91)
    engine.plan()
    assert engine.reasons("people")["Anna"][0] == "in flight"
    assert shown(engine.cycle()) == [("delete", "Anna")]


def test_whoever_becomes_another_kind_leaves_the_profiles_of_the_old_one(
    make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    source = person(hr, "Anna")
    engine = make(
        profile(map=MAPPED, leaving={"out of scope": "disable"})
        + profile("outside", kind="contact", match=None, map={"cn": "'Contact ' + source.displayName", "displayName": "source.displayName"})
    )
    engine.cycle()
    becomes(hr, source, Kind.CONTACT)
    engine.import_(full=True)
    planned = engine.plan()
    assert sorted(shown(planned)) == [("create", "Anna"), ("disable", "Anna")]
    assert engine.reasons("people")["Anna"] == ("leaving", "it is a contact now")
    told = explain(engine.workspace, find_object(engine.workspace, "hr:displayName=Anna").id)
    assert {one.profile for one in told} == {"people", "outside"}
    engine.approve()
    engine.export()
    assert engine.cycle() == {}
    becomes(hr, source, Kind.USER)
    engine.import_(full=True)
    assert ("enable", "Anna") in shown(engine.plan())


def test_whoever_became_another_kind_before_anybody_looked_has_no_state_as_the_old_one(make: MakeEngine, hr: MemoryDirectory) -> None:
    source = person(hr, "Anna")
    engine = make(
        profile(map=MAPPED)
        + profile("outside", kind="contact", match=None, map={"cn": "source.displayName", "displayName": "source.displayName"})
    )
    engine.import_()
    becomes(hr, source, Kind.CONTACT)
    engine.import_(full=True)
    assert shown(engine.plan()) == [("create", "Anna")]
    assert engine.reasons("people") == {}
    assert engine.reasons("outside")["Anna"][0] == "pending"


def becomes(directory: MemoryDirectory, anchor: str, kind: Kind) -> None:
    """As a line of a file does whose type is corrected."""
    with directory._change() as index:
        directory._put(replace(index.objects[anchor], kind=kind))


def test_a_step_is_taken_only_where_its_condition_is_true(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Of the object as it was when it was last seen; an error is no answer, and the step is not taken."""
    steps = [{"disable": "joined", "when": 'source.company == "ours"'}, {"delete": "created", "when": "source.title.startsWith('Temp')"}]
    people = {
        name: person(hr, name, company=company, title=title)
        for name, company, title in (
            ("Anna", "ours", "Clerk"),
            ("Bert", "theirs", "Clerk"),
            ("Cleo", "theirs", "Temp"),
            ("Dora", "ours", None),
        )
    }
    engine = make(profile(map=MAPPED, leaving={"deleted": steps}))
    engine.cycle()
    for one in people.values():
        hr.delete(one)
    assert sorted(shown(engine.cycle())) == [("delete", "Cleo"), ("disable", "Anna")]
    assert engine.plan() == {}
    assert [text for _, _, text in engine.problems() if "source.title is empty here" in text]
    told = explain(engine.workspace, find_object(engine.workspace, f"hr/{people['Bert']}").id)
    words = " ".join(line.words for one in told for line in one.lines)
    assert 'disable: not done, because `source.company == "ours"` is not true for it' in words


def test_where_enabled_is_left_alone_nobody_leaves_by_being_disabled(make: MakeEngine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    sources = {name: person(hr, name, company=company) for name, company in (("Anna", "ours"), ("Bert", "theirs"))}
    mapped = {**NAMES, "enabled": {"from": "source.enabled", "when": 'source.company == "ours"'}}
    engine = make(profile(map=mapped, leaving={"disabled": "disable"}))
    engine.cycle()
    for name, one in sources.items():
        hr.change(one, enabled=False)
        ad.change(anchor(ad, name), enabled=True)
    assert shown(engine.cycle()) == [("disable", "Anna")]
    assert engine.plan() == {}
    told = explain(engine.workspace, find_object(engine.workspace, f"hr/{sources['Bert']}").id)
    assert any("because `map:` leaves `enabled` alone here" in line.words for one in told for line in one.lines)
    hr.change(sources["Bert"], company="ours")
    assert shown(engine.cycle()) == [("disable", "Bert")]
    hr.change(sources["Bert"], enabled=True)
    assert shown(engine.cycle()) == [("enable", "Bert")]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"disable": "joined", "when": ""}, "the step says no condition"),
        ({"disable": "joined", "when": "has(source.mail)"}, "has()"),
        ({"keep": None, "when": "true"}, "`keep` cannot say this"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(make: MakeEngine, step: dict[str, object], words: str) -> None:
    with pytest.raises(DocumentError) as refused:
        make(profile(map=MAPPED, leaving={"deleted": [step]}))
    assert words in str(refused.value)


def test_check_tells_of_steps_that_reach_whoever_is_cut_over(make: MakeEngine) -> None:
    """His old account goes one day, and that is not his leaving."""
    mapped = {**NAMES, "enabled": {"from": "source.enabled", "when": 'wave.state != "cut over"'}}
    engine = make(profile(map=mapped, leaving={"disabled": "disable", "deleted": ["disable"], "out of scope": "keep"}))
    (notice,) = [one for one in engine.workspace.engagement.notices if "cut over" in one.text]
    assert notice.key == "profiles.people.leaving.deleted"
    said = [{"disable": "joined", "when": 'wave.state != "cut over"'}]
    engine = make(profile(map=mapped, leaving={"disabled": "disable", "deleted": said}))
    assert not [one for one in engine.workspace.engagement.notices if "cut over" in one.text]
