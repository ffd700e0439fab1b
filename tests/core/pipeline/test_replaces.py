"""`replaces:`: the contact that an address book made gives way to the user who moves, in one plan, and comes back by an undo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import Change, Kind, Operation, Reference, Veto, hookimpl
from metasync.explain import explain
from metasync.naming import find_object
from metasync.planning.holds import release
from metasync.store import plans, readiness
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.memory.faults import WriteFault
from metasync.testing.staff import BASE, PEOPLE, anchor, person, profile

BOOK = f"OU=Book,{BASE}"
MANY = {one.value: {"count": 500, "percent": 100} for one in Operation if one not in (Operation.PASSWORD, Operation.SID)}
DOCUMENT = """
engagement: moving
plugins: {{standard: ">=0"}}
directories:
  hr: {{connector: memory, options: {{store: hr}}}}
  ad: {{connector: memory, options: {{store: ad}}{marks}}}
profiles:
{profiles}
"""
MOVED = 'source.title == "moved"'


def staff(**more: Any) -> str:
    """The people whose title is `moved` are users, in the place of their contacts."""
    given: dict[str, Any] = {
        "scope": {"where": MOVED},
        "replaces": "book",
        "map": {
            "cn": {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]},
            "displayName": "source.displayName",
            "mail": "source.mail",
            "manager": "source.manager",
            "proxyAddresses": {"from": "source.proxyAddresses", "values": "add"},
        },
        "leaving": {"out of scope": ["delete"], "deleted": ["delete"]},
        "limits": MANY,
    }
    return profile("staff", **(given | more))


def book(**more: Any) -> str:
    given: dict[str, Any] = {
        "kind": {"user": "contact"},
        "match": [{"source": "mail", "target": "mail", "any kind": "skip"}],
        "place": f'"{BOOK}"',
        "map": {
            "cn": "source.displayName",
            "displayName": "source.displayName",
            "mail": "source.mail",
            "targetAddress": "source.mail",
            "manager": "source.manager",
        },
        "leaving": {"deleted": ["delete"], "out of scope": ["delete"]},
        "limits": MANY,
    }
    return profile("book", **(given | more))


GROUPS = profile(
    "groups",
    kind="group",
    match=[{"source": "cn", "target": "cn"}],
    map={"cn": "source.cn", "members": "source.members"},
    limits=MANY,
)


def text(*profiles: str, marks: bool = True) -> str:
    return DOCUMENT.format(marks=", mark: adminDescription" if marks else "", profiles="".join(profiles or (staff(), book())))


@pytest.fixture(params=["marks", "no marks"])
def engine(request: Any, make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> Engine:
    """Three people of hr, who are contacts in ad, and in a group there."""
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    for name in ("Anna", "Bert", "Cleo"):
        person(hr, name, title="stays", proxyAddresses=(f"SMTP:{name.lower()}@x.test", f"smtp:{name.lower()}.old@x.test"))
    made: Engine = make(document=text(staff(), book(), GROUPS, marks=request.param == "marks"))
    settle(made)
    return made


def settle(engine: Engine) -> None:
    """Until nothing is left to do."""
    for _ in range(3):
        engine.cycle(beyond=list(Operation))
    assert engine.plan() == {}


def once(engine: Engine) -> tuple[dict[str, Any], int]:
    """One run, behind which the next plan is empty; what was planned, and the run's number."""
    planned = engine.cycle(beyond=list(Operation))
    assert engine.last is not None
    number = engine.last.run
    engine.import_()
    assert engine.plan() == {}
    return planned, number


def undo(engine: Engine, number: int) -> None:
    engine.undo(number)
    engine.approve(beyond=list(Operation))
    engine.export()


def move(hr: MemoryDirectory, *names: str) -> None:
    for name in names:
        hr.change(anchor(hr, name), title="moved")


def contact(ad: MemoryDirectory, name: str) -> dict[str, Any] | None:
    return next((values for one in ad.anchors(Kind.CONTACT) if (values := dict(ad.get(one) or {}))["displayName"] == name), None)


def user(ad: MemoryDirectory, name: str) -> dict[str, Any] | None:
    return next((values for one in ad.anchors(Kind.USER) if (values := dict(ad.get(one) or {}))["displayName"] == name), None)


def contact_of(ad: MemoryDirectory, name: str) -> str:
    return next(one for one in ad.anchors(Kind.CONTACT) if (ad.get(one) or {})["displayName"] == name)


def everything(ad: MemoryDirectory) -> dict[str, dict[str, Any]]:
    """The whole directory, but for what no undo can bring back."""
    found = {}
    for one in ad.anchors():
        values = dict(ad.get(one) or {})
        members = values.get("members")
        found[one] = {**values, "members": frozenset(members)} if isinstance(members, tuple) else values
    return found


def operations(planned: dict[str, Any], profile: str = "staff") -> list[tuple[str, str]]:
    return [(one.operation.value, one.label) for one in planned.get(profile, ())]


def states(engine: Engine, name: str, hr: MemoryDirectory) -> dict[str, str]:
    """profile -> how the person stands under it, in words."""
    number = find_object(engine.workspace, f"hr/{anchor(hr, name)}").id
    return {
        one.profile: "\n".join([one.status, *(f"{line.topic}: {line.words}" for line in one.lines)])
        for one in explain(engine.workspace, number)
    }


def test_the_user_takes_the_contacts_place_in_one_plan(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    team = ad.add(Kind.GROUP, name="Sales", path=BASE)
    ad.join(team, contact_of(ad, "Anna"))
    ad.join(team, contact_of(ad, "Bert"))
    ad.change(contact_of(ad, "Anna"), legacyExchangeDN="/o=Old/cn=Anna", proxyAddresses=("SMTP:anna@alias.test", "X500:/o=Older/cn=Anna"))
    move(hr, "Anna")
    planned, _ = once(engine)
    assert sorted(planned) == ["staff"], "one plan"
    assert operations(planned) == [
        ("create", "Anna"),
        ("clear", "Anna"),
        ("update", "Anna"),
        ("member add", "Sales"),
        ("member remove", "Sales"),
        ("delete", "Anna"),
    ]
    made = user(ad, "Anna")
    assert made is not None and made["mail"] == "anna@x.test" and made["path"] == PEOPLE
    assert set(made["proxyAddresses"]) == {
        "SMTP:anna@x.test",
        "smtp:anna.old@x.test",
        "smtp:anna@alias.test",
        "X500:/o=Older/cn=Anna",
        "X500:/o=Old/cn=Anna",
    }
    assert contact(ad, "Anna") is None
    assert contact(ad, "Bert") is not None
    assert {one.value for one in (ad.get(team) or {})["members"]} == {anchor(ad, "Anna"), contact_of(ad, "Bert")}  # type: ignore[union-attr]
    assert [one for one, _ in ad.applied][-6:] == ["create", "clear", "update", "member add", "member remove", "delete"]


def test_it_is_explained(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    move(hr, "Anna")
    engine.import_()
    engine.plan()
    before = states(engine, "Anna", hr)
    assert "it takes the place of the contact Anna, which book made" in before["staff"]
    assert "replaces: the contact Anna gives way: clear mail; delete" in before["staff"]
    assert "in step" in before["book"]
    engine.approve(beyond=list(Operation))
    engine.export()
    engine.import_()
    engine.plan()
    after = states(engine, "Anna", hr)["book"]
    assert after.startswith("skipped: staff has the user Anna for it, which has taken its place")


def test_an_undo_brings_the_contact_back_with_all_it_had(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    team = ad.add(Kind.GROUP, name="Sales", path=BASE)
    ad.join(team, contact_of(ad, "Anna"))
    ad.change(contact_of(ad, "Anna"), proxyAddresses=("SMTP:anna@alias.test",), legacyExchangeDN="/o=Old/cn=Anna")
    settle(engine)
    before = everything(ad)
    move(hr, "Anna")
    _, number = once(engine)
    undo(engine, number)
    assert everything(ad) == before
    engine.import_()
    assert engine.plan() == {}, "what was undone is held"
    assert "in step" in states(engine, "Anna", hr)["book"]
    hr.change(anchor(hr, "Anna"), displayName="Anna Bo")
    engine.cycle(beyond=list(Operation))
    assert contact(ad, "Anna Bo") is not None, "the contact is kept in step again"
    release(engine.workspace)
    once(engine)
    assert user(ad, "Anna Bo") is not None and contact(ad, "Anna Bo") is None


def test_nobody_loses_his_contact_whose_user_cannot_be_created(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    team = ad.add(Kind.GROUP, name="Sales", path=BASE)
    ad.join(team, contact_of(ad, "Anna"))
    before = everything(ad)
    move(hr, "Anna")
    engine.import_()
    engine.plan()
    engine.approve(beyond=list(Operation))
    ad.faults.on_write(1, WriteFault.REFUSED)
    engine.export()
    assert everything(ad) == before
    assert "not begun, because the create before it was not done" in str(states(engine, "Anna", hr)["staff"])
    once(engine)
    assert user(ad, "Anna") is not None and contact(ad, "Anna") is None


def test_what_was_freed_before_an_export_broke_is_not_lost(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.change(contact_of(ad, "Anna"), proxyAddresses=("X500:/o=Older/cn=Anna",))
    move(hr, "Anna")
    engine.import_()
    engine.plan()
    engine.approve(beyond=list(Operation))
    ad.faults.on_write(3, WriteFault.REFUSED)  # behind the create and the clear
    engine.export()
    assert contact(ad, "Anna") is not None, "it stays while its addresses are nobody's"
    once(engine)
    made = user(ad, "Anna")
    assert made is not None and made["mail"] == "anna@x.test" and "X500:/o=Older/cn=Anna" in made["proxyAddresses"]
    assert contact(ad, "Anna") is None


def test_a_membership_that_cannot_go_over_keeps_the_contact(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    team = ad.add(Kind.GROUP, name="Sales", path=BASE)
    ad.join(team, contact_of(ad, "Anna"))
    move(hr, "Anna")
    engine.import_()
    engine.plan()
    engine.approve(beyond=list(Operation))
    ad.faults.on_write(4, WriteFault.REFUSED)  # behind the create, the clear and the update
    engine.export()
    assert contact(ad, "Anna") is not None
    once(engine)
    assert contact(ad, "Anna") is None
    assert {one.value for one in (ad.get(team) or {})["members"]} == {anchor(ad, "Anna")}  # type: ignore[union-attr]


def test_a_membership_that_was_refused_is_not_told_when_it_is_written(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    team = ad.add(Kind.GROUP, name="Sales", path=BASE)
    ad.join(team, contact_of(ad, "Anna"))
    move(hr, "Anna")
    for refused in (4, 2):  # the membership of the user; then, behind that, the one of the contact
        engine.import_()
        engine.plan()
        engine.approve(beyond=list(Operation))
        ad.faults.on_write(refused, WriteFault.REFUSED)
        engine.export()
    told = [words for _, _, words in engine.problems()]
    assert len(told) == 2 and all("member add" not in words for words in told)
    once(engine)
    assert engine.problems() == []


def test_a_contact_that_was_merely_found_stays_and_is_shown(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="stays")
    ad.add(Kind.CONTACT, name="Anna", path=BOOK, displayName="Anna", mail="anna@x.test")
    engine = make(document=text())
    settle(engine)
    move(hr, "Anna")
    engine.import_()
    assert operations(engine.plan()) == []
    assert ("ad", "not ours") in {(area, code) for area, code, _ in engine.problems()} or any(
        code == "not ours" for _, code, _ in engine.problems()
    )
    assert contact(ad, "Anna") is not None
    assert any("is taken by the contact Anna;" in words for _, _, words in engine.problems()), "it has the address"


def test_a_name_in_the_same_place_is_freed_first(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Anna", title="stays")
    engine = make(document=text(staff(), book(place=f'"{PEOPLE}"')))
    settle(engine)
    before = everything(ad)
    move(hr, "Anna")
    planned, number = once(engine)
    assert ("rename", "Anna") in operations(planned)
    made = user(ad, "Anna")
    assert made is not None and made["name"] == "Anna"
    undo(engine, number)
    assert everything(ad) == before


def test_the_user_who_is_there_already_takes_over(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="stays", employeeID="7")
    engine = make(document=text(staff(match=[{"source": "employeeID", "target": "employeeID"}]), book()))
    settle(engine)
    ad.change(contact_of(ad, "Anna"), proxyAddresses=("X500:/o=Old/cn=Anna",))
    there = person(ad, "Anna there", employeeID="7", proxyAddresses=("SMTP:there@x.test",))
    before = everything(ad)
    move(hr, "Anna")
    _, number = once(engine)
    found = ad.get(there) or {}
    assert found["mail"] == "anna@x.test" and set(found["proxyAddresses"]) == {"SMTP:there@x.test", "X500:/o=Old/cn=Anna"}  # type: ignore[arg-type]
    assert contact(ad, "Anna") is None
    undo(engine, number)
    assert everything(ad) == before


def _refused(make: Any, hr: MemoryDirectory, ad: MemoryDirectory, write: int) -> Engine:
    """Anna's user is there already; her contact gives way to him in an export of which one write is refused."""
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="stays", employeeID="7")
    engine: Engine = make(document=text(staff(match=[{"source": "employeeID", "target": "employeeID"}]), book()))
    settle(engine)
    ad.change(contact_of(ad, "Anna"), proxyAddresses=("X500:/o=Old/cn=Anna",))
    person(ad, "Anna there", employeeID="7")
    move(hr, "Anna")
    engine.import_()
    engine.plan()
    engine.approve(beyond=list(Operation))
    ad.faults.on_write(write, WriteFault.REFUSED)
    engine.export()
    return engine


def test_a_user_who_may_not_be_written_leaves_the_contact_its_addresses(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    engine = _refused(make, hr, ad, 1)
    found = contact(ad, "Anna") or {}
    assert found["mail"] == "anna@x.test" and found["proxyAddresses"] == ("X500:/o=Old/cn=Anna",)
    planned, _ = once(engine)
    of_user = [one for one in operations(planned) if one == ("update", "Anna there")]
    assert len(of_user) == 2, "what touches nobody else goes first"
    assert engine.problems() == []
    assert contact(ad, "Anna") is None and (user(ad, "Anna") or {})["mail"] == "anna@x.test"


def test_an_update_in_two_parts_is_counted_once(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    engine = _refused(make, hr, ad, 1)
    engine.import_()
    engine.plan("staff")
    assert engine.last is not None
    with engine.backend.read() as connection:
        made = plans.get(connection, engine.workspace.engagement_id, engine.last.plans[0])
    assert made is not None and made.counts["update"] == 1


def test_addresses_that_are_on_nobody_are_told_and_an_undo_gives_them_back(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    engine = _refused(make, hr, ad, 4)  # behind the update of what is nobody else's, the clear and the rename
    assert engine.last is not None
    number = engine.last.run
    assert "mail" not in (contact(ad, "Anna") or {})
    engine.import_()
    engine.plan()
    told = [words for _, code, words in engine.problems() if code == "on nobody"]
    assert told == [
        "mail, proxyAddresses of the contact Anna: cleared, and not written to what takes its place. Nobody has that now; the next export "
        f"tries again, and `metasync undo {number}` gives it back"
    ]
    assert "problem: on nobody" in states(engine, "Anna", hr)["staff"]
    undo(engine, number)
    found = contact(ad, "Anna") or {}
    assert found["mail"] == "anna@x.test" and found["proxyAddresses"] == ("X500:/o=Old/cn=Anna",)
    release(engine.workspace)
    once(engine)
    assert engine.problems() == []


def test_who_has_no_contact_yet_and_moves_gets_none(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    person(hr, "Dora", title="moved")
    planned, _ = once(engine)
    assert sorted(planned) == ["staff"]
    assert user(ad, "Dora") is not None and contact(ad, "Dora") is None
    assert "staff has the user Dora for it" in states(engine, "Dora", hr)["book"]


def test_a_contact_comes_back_when_the_user_goes(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    move(hr, "Anna")
    once(engine)
    hr.change(anchor(hr, "Anna"), title="stays")
    settle(engine)
    assert user(ad, "Anna") is None and contact(ad, "Anna") is not None


def test_a_user_that_is_kept_when_its_profile_lets_go_stays_in_its_place(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="stays")
    engine = make(document=text(staff(leaving={"out of scope": ["keep"]}), book()))
    settle(engine)
    move(hr, "Anna")
    once(engine)
    hr.change(anchor(hr, "Anna"), title="stays")
    settle(engine)
    assert user(ad, "Anna") is not None and contact(ad, "Anna") is None


def test_a_staging_profile_keeps_nobody_from_his_contact(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="moved")
    engine = make(document=text(staff(mode="staging"), book()))
    engine.import_()
    engine.plan("book")
    engine.approve(beyond=list(Operation))
    engine.export()
    assert contact(ad, "Anna") is not None


def test_references_to_the_contact_go_to_the_user(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    hr.change(anchor(hr, "Bert"), manager=Reference(value=anchor(hr, "Anna")))
    team = hr.add(Kind.GROUP, name="Team", path=BASE)
    for name in ("Anna", "Bert"):
        hr.join(team, anchor(hr, name))
    settle(engine)
    before = everything(ad)
    move(hr, "Anna")
    once(engine)
    new = anchor(ad, "Anna")
    assert (contact(ad, "Bert") or {})["manager"] == Reference(value=new)
    assert new in {one.value for one in (ad.get(ad.by_name("Team", PEOPLE)) or {})["members"]}  # type: ignore[union-attr]
    move(hr, "Bert")
    once(engine)
    assert (user(ad, "Bert") or {})["manager"] == Reference(value=new)
    assert len((ad.get(ad.by_name("Team", PEOPLE)) or {})["members"]) == 2  # type: ignore[arg-type]
    assert before


def test_privileged_groups_are_not_entered(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="stays")
    engine = make(document=text())
    settle(engine)
    admins = ad.add(Kind.GROUP, name="Admins", path=BASE, privileged=True)
    ad.join(admins, contact_of(ad, "Anna"))
    move(hr, "Anna")
    once_planned = engine.cycle(beyond=list(Operation))
    assert ("member add", "Admins") not in operations(once_planned)
    assert any("that group is privileged" in words for _, _, words in engine.problems())
    assert not (ad.get(admins) or {}).get("members")


def test_without_replaces_nothing_that_was_pending_goes(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    move(hr, "Anna")
    engine.import_()
    engine.plan()
    document = engine.path.read_text(encoding="utf-8").replace('"replaces": "book", ', "")
    assert "replaces" not in document
    engine.load(document)
    engine.import_()
    planned = engine.plan()
    assert ("delete", "Anna") not in operations(planned)


def test_addresses_stay_where_the_document_decides_about_all_of_them(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="stays", proxyAddresses=("SMTP:anna@x.test",))
    mapped = {
        "cn": "source.displayName",
        "displayName": "source.displayName",
        "mail": "source.mail",
        "proxyAddresses": "source.proxyAddresses",
    }
    engine = make(document=text(staff(map=mapped), book()))
    settle(engine)
    ad.change(contact_of(ad, "Anna"), proxyAddresses=("X500:/o=Old/cn=Anna",))
    move(hr, "Anna")
    engine.import_()
    engine.plan()
    assert any(code == "addresses stay" for _, code, _ in engine.problems())
    once(engine)
    assert (user(ad, "Anna") or {})["proxyAddresses"] == ("SMTP:anna@x.test",)


class Guard:
    """Objects to whatever the test says."""

    def __init__(self, against: tuple[Operation, str]) -> None:
        self.against = against

    @hookimpl
    def metasync_veto(self, engagement: str, profile: str, changes: Sequence[Change]) -> list[Veto]:
        return [Veto(change=one.id, reason="not today") for one in changes if (one.operation, one.label) == self.against]


@pytest.mark.parametrize("against", [(Operation.MEMBER_ADD, "Sales"), (Operation.DELETE, "Anna"), (Operation.CREATE, "Anna")])
def test_a_veto_of_one_part_keeps_the_contact_with_all_it_has(
    tmp_path: Path, hr: MemoryDirectory, ad: MemoryDirectory, against: tuple[Operation, str]
) -> None:
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="stays")
    engine = Engine(tmp_path, text(), {"hr": hr, "ad": ad}, plugins=[Guard(against)])
    try:
        if against[0] is Operation.CREATE:
            ad.add(Kind.CONTACT, name="Anna", path=BOOK, displayName="Anna", mail="anna@x.test", adminDescription="metasync:" + "0" * 32)
        settle(engine)
        team = ad.add(Kind.GROUP, name="Sales", path=BASE)
        ad.join(team, contact_of(ad, "Anna"))
        ad.change(contact_of(ad, "Anna"), proxyAddresses=("X500:/o=Old/cn=Anna",))
        before = {one: ad.get(one) for one in (contact_of(ad, "Anna"), team)}
        move(hr, "Anna")
        engine.cycle(beyond=list(Operation))
        assert {one: ad.get(one) for one in before} == before
    finally:
        engine.close()


def test_a_user_that_somebody_changed_since_is_kept_by_an_undo_and_the_contact_stays_away(
    engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory
) -> None:
    team = ad.add(Kind.GROUP, name="Sales", path=BASE)
    ad.join(team, contact_of(ad, "Anna"))
    move(hr, "Anna")
    _, number = once(engine)
    ad.change(anchor(ad, "Anna"), displayName="Anna of ad")
    engine.import_()
    before = everything(ad)
    assert engine.undo(number) == {}
    assert any("does not come back: what took its place" in words for _, _, words in engine.problems())
    assert everything(ad) == before


def test_a_pilot_takes_what_gives_way_along(engine: Engine, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    move(hr, "Anna", "Bert")
    engine.import_()
    number = find_object(engine.workspace, f"hr/{anchor(hr, 'Anna')}").id
    planned = engine.plan("staff", objects=[number])
    assert operations(planned) == [("create", "Anna"), ("clear", "Anna"), ("update", "Anna"), ("delete", "Anna")]


def test_what_gives_way_is_pending_for_a_wave(make: Any, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Also where nothing is to be done to the user himself."""
    ad.add(Kind.CONTAINER, name="Book", path=BASE)
    person(hr, "Anna", title="stays")
    mapped = {"cn": "source.displayName", "displayName": "source.displayName", "mail": "source.mail"}
    engine = make(document=text(staff(map=mapped, match=[{"source": "displayName", "target": "displayName"}]), book()))
    settle(engine)
    ad.change(contact_of(ad, "Anna"), mail="anna@elsewhere.test")
    person(ad, "Anna")
    ad.move(anchor(ad, "Anna"), PEOPLE)
    ad.rename(anchor(ad, "Anna"), "Anna")
    move(hr, "Anna")
    engine.import_()
    engine.plan("staff")
    number = find_object(engine.workspace, f"hr/{anchor(hr, 'Anna')}").id
    with engine.backend.read() as connection:
        wished = [one.operation for wish in readiness.wishes(connection, [number]) if wish.profile == "staff" for one in wish.operations]
    assert wished == [Operation.DELETE]
