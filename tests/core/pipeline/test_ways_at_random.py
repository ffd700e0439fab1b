"""Companies live at random, worked in bulk and with care: the same is left behind."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from metasync import decisions
from metasync.contract import Kind, MetasyncError, Operation
from metasync.naming import find_object
from metasync.planning.holds import release
from metasync.store import waves
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person, profile
from metasync.waves import moving

from .ways import MAILS, MANY, MAP, MATCHED, NAMES, NUMBERED, SCOPED, SEEDS, Make, Ways, edit, names

ENABLED = {**MAP, "enabled": "source.enabled"}
DOCUMENTS = {
    "numbers": profile(
        map={
            **NUMBERED,
            "enabled": "source.enabled",
            "sAMAccountName": {"from": "source.sn", "once": True, "unique": ["{value}", "{value}{n}"]},
        },
        scope={"where": 'source.title != "Guest"'},
        limits=MANY,
        leaving={"out of scope": ["disable"], "deleted": ["disable", {"after": "30 days", "delete": "created"}], "disabled": ["keep"]},
    ),
    "rules": profile(
        match=[{"source": "employeeID", "target": "employeeID"}, {"source": "mail", "target": "mail", "any kind": "skip"}],
        map={
            **ENABLED,
            "employeeID": "source.employeeID",
            "department": {"from": "source.department", "fill": True},
            "company": {"from": "source.company", "once": True},
        },
        limits=MANY,
        leaving={"deleted": ["delete"], "disabled": ["disable", {"move": f'"OU=Leavers,{BASE}"'}]},
    ),
    "strengths": profile(
        map={
            **NUMBERED,
            "otherTelephone": {"from": "source.otherTelephone", "values": "add"},
            "department": {"from": "source.department", "when": 'source.company != "Old"'},
            "company": "source.company == null ? clear() : source.company",
            "enabled": {"from": "source.enabled", "when": 'source.company != "Old"'},
        },
        place={"mirror": {BASE: f"OU=People,{BASE}"}, "existing": "move"},
        limits=MANY,
        action="create or update",
        leaving={"deleted": [{"after": "10 days", "disable": None}] and ["disable"], "out of scope": "keep"},
    ),
    "places": profile(
        map=NUMBERED,
        scope={"under": [f"OU=Staff,{BASE}"]},
        place={"mirror": {f"OU=Staff,{BASE}": f"OU=People,{BASE}"}, "existing": "move"},
        limits=MANY,
        leaving={"out of scope": ["disable"], "deleted": ["disable"]},
    ),
    "kinds": profile(map=NUMBERED, limits=MANY, leaving={"deleted": ["delete"]})
    + profile(
        "contacts",
        kind={"user": "contact"},
        match=[{"source": "mail", "target": "targetAddress"}],
        map={"cn": NUMBERED["cn"], "targetAddress": "source.mail", "manager": "source.manager"},
        limits=MANY,
        leaving={"deleted": ["delete"]},
    ),
    "replaces": profile(
        replaces="book",
        scope={"where": 'source.title == "Clerk"'},
        map={**NUMBERED, "manager": "source.manager", "proxyAddresses": {"from": "source.otherTelephone", "values": "add"}},
        limits=MANY,
        leaving={"out of scope": ["delete"], "deleted": ["delete"]},
    )
    + profile(
        "book",
        kind={"user": "contact"},
        match=[{"source": "mail", "target": "mail", "any kind": "skip"}],
        map={**NUMBERED, "manager": "source.manager", "proxyAddresses": "source.otherTelephone"},
        limits=MANY,
        leaving={"out of scope": ["delete"], "deleted": ["delete"]},
    )
    + SCOPED[SCOPED.index("  groups:") - 1 :],
    "only": profile(action="create only", map=NUMBERED, limits=MANY, leaving={"deleted": ["delete"]}),
    "groups": SCOPED
    + """
    leaving: {deleted: delete}
    limits: {member add: {count: 500, percent: 100}, member remove: {count: 500, percent: 100}, delete: {count: 50, percent: 100}}
""",
    "waves": profile(
        map={
            **NUMBERED,
            "title": {"from": "source.title", "when": 'wave.state != "cut over"'},
            "department": "wave.state",
            "company": "wave.name",
            "enabled": {"from": "source.enabled", "when": 'wave.state != "cut over"'},
        },
        scope={"where": 'wave.state != "waiting" || source.title != "Guest"'},
        limits=MANY,
        leaving={"out of scope": ["disable"], "deleted": ["delete"]},
    ),
    "waves and managers": STAFF.replace("title: source.title", "title: {from: source.title, when: 'wave.state != \"cut over\"'}").replace(
        "manager: source.manager", "manager: {from: source.manager, when: 'wave.state != \"waiting\"'}"
    )
    + "    limits: {member add: {count: 500, percent: 100}, member remove: {count: 500, percent: 100}}\n",
    "authoritative": SCOPED.replace(
        "members: source.members", "members: {from: source.members, authoritative: true}, description: source.description"
    )
    + """
    limits: {member add: {count: 500, percent: 100}, member remove: {count: 500, percent: 100}, delete: {count: 50, percent: 100}}
""",
}


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_leave_the_same_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    ways = Ways(tmp_path, monkeypatch)
    dice = random.Random(seed)
    for step in range(6):
        for engine in ways.engines:
            edit(random.Random(1000 * seed + step), engine.directories["hr"], engine.directories["ad"])
        ways.settle(export=dice.random() < 0.7)
        if dice.random() < 0.3:
            # Another document that means the same: everything is looked at again.
            text = SCOPED.replace("title: source.title", f"title: 'source.title'{' ' * step}\n      description: '\"{step % 2}\"'")
            for engine in ways.each():
                engine.load(DOCUMENT.format(profiles=text))
    ways.settle(export=True)
    ways.settle(export=True)
    assert ways.taken["newcomers"] > 10
    assert ways.taken["pairs"] > 10
    for engine in ways.engines:
        engine.close()


def readdress(dice: random.Random, hr: MemoryDirectory, ad: MemoryDirectory) -> None:
    """Joiners and others get, keep and give up addresses of which there are few; some are given by hand."""
    pool = [f"{dice.choice(('smtp', 'SMTP'))}:{letter}@x.test" for letter in "abcdefgh"]

    def some() -> tuple[str, ...]:
        return (*dice.sample(pool, dice.randrange(3)), f"smtp:{dice.getrandbits(40):x}@x.test")

    def free() -> tuple[str, ...]:
        """What nobody of `ad` has, for it keeps addresses unique."""
        there = {str(one).casefold() for each in ad.anchors(Kind.USER) for one in (ad.get(each) or {}).get("proxyAddresses", ())}  # type: ignore[union-attr]
        return tuple(one for one in some() if one.casefold() not in there)

    for _ in range(dice.randint(1, 4)):
        number = f"{dice.getrandbits(40):x}"
        person(hr, number, employeeID=number, proxyAddresses=some())
        if dice.random() < 0.3:
            person(ad, f"there {number}", employeeID=number, proxyAddresses=free())
    for directory, most, given in ((hr, 3, some), (ad, 1, free)):
        people = directory.anchors(Kind.USER)
        for one in dice.sample(people, min(most, len(people))):
            directory.change(one, proxyAddresses=given())
    if dice.random() < 0.3:
        hr.delete(dice.choice(hr.anchors(Kind.USER)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("more", [{}, {"values": "add"}, {"unique": ["{value}", "{local}{n}@{domain}"]}, {"once": True}])
def test_addresses_of_which_each_stands_only_once(ways: Make, seed: int, more: Mapping[str, Any]) -> None:
    mapped = {key: MAP[key] for key in ("cn", "displayName")} | {"employeeID": "source.employeeID"}
    mapped["proxyAddresses"] = {"from": "source.proxyAddresses", **more}  # type: ignore[assignment]
    company = ways(profile(match=MATCHED, map=mapped, leaving={"deleted": "delete"}))
    for step in range(5):
        for engine in company.engines:
            readdress(random.Random(1000 * seed + step), engine.directories["hr"], engine.directories["ad"])
        company.settle(export=step != 2)
    for _ in range(6):
        company.settle()
    assert not company.settle()
    if "unique" not in more:
        company.load(profile(match=MATCHED, map={**mapped, "displayName": "source.displayName + ''"}, leaving={"deleted": "delete"}))
        company.settle()
        assert company.taken["pairs"] > 0
    assert company.taken["newcomers"] > 0


def walk(dice: random.Random, company: Ways) -> None:
    """The files of waves are edited, and people move on, or back, the same in both."""
    hr = company.engines[0].directories["hr"]
    mails = [str(mail) for one in hr.anchors(Kind.USER) if (mail := (hr.get(one) or {}).get("mail"))]
    keys = {"one": dice.sample(mails, min(3, len(mails))), "two": [str(number) for number in range(1, dice.randint(2, 6))]}
    header = {"one": "mail", "two": "employeeID"}
    name, what = dice.choice(("one", "two")), dice.choice(("file", "move", "move", "cut over", "back"))
    for engine in company.each():
        if what == "file":
            (engine.folder / f"{name}.csv").write_text("\n".join([header[name], *keys[name], ""]), encoding="utf-8")
        with suppress(MetasyncError):  # nobody to go back: in both
            if what == "move":
                moving.move(engine.workspace, name, reason="a test", ready=True)
            elif what == "cut over":
                moving.cut_over(engine.workspace, name, reason="a test", ready=True)
            elif what == "back":
                moving.back(engine.workspace, name, reason="a test", to=("moving", "waiting")[len(mails) % 2])


def far(engine: Engine) -> list[tuple[str, str, str]]:
    """Who is how far."""
    with engine.backend.read() as connection:
        return [(row.name, row.key, row.state) for row in waves.states(connection, engine.workspace.engagement_id)]


def turn(dice: random.Random, company: Ways) -> None:
    """One more thing that may happen, the same to both."""
    hr, ad = company.engines[0].directories["hr"], company.engines[0].directories["ad"]
    people, there = hr.anchors(Kind.USER), ad.anchors(Kind.USER)
    one, other = dice.choice(people or [""]), dice.choice(there or [""])
    names, number = dice.choice(NAMES[:5]), dice.randint(1, 5)
    told = {
        "hr": lambda hr, ad: hr.change(one, mail=dice_mail),
        "cleared": lambda hr, ad: hr.change(one, mail=None) if number > 3 else hr.change(one, department=None, company=None),
        "texts": lambda hr, ad: hr.change(one, department=names, company="Old" if number > 3 else names, sn=names, employeeID=f"{number}"),
        "several": lambda hr, ad: hr.change(one, otherTelephone=tuple(str(each) for each in range(number)), description=names),
        "enabled": lambda hr, ad: hr.change(one, enabled=number > 2),
        "drift": lambda hr, ad: other and ad.change(other, enabled=number > 2, department=names),
        "theirs": lambda hr, ad: other and ad.change(other, mail=dice_mail),
        "lost": lambda hr, ad: other and ad.delete(other),
        "alike": lambda hr, ad: [
            hr.add(
                Kind.USER,
                name=f"{what}{at} {one}",
                path=BASE,
                displayName=each,
                mail=f"{(number + at * 3) % 9}@x.test",
                **{"title": "Clerk", **more},
            )
            for at, each in enumerate(called)
        ],
        "members": lambda hr, ad: team and ad.join(team, other) if number > 2 else ad.leave(team, other),
        "left": lambda hr, ad: ours and hr.leave(ours, one) if number > 2 else hr.join(ours, one),
        "container": lambda hr, ad: hr.rename(hr.by_name(unit, BASE), f"{unit} {number}"),
        "place": lambda hr, ad: one and hr.move(one, f"OU={unit},{BASE}" if number > 2 else BASE),
        "elsewhere": lambda hr, ad: [ad.reserve(each, called[0]) for each in ("name", "sAMAccountName")],
        "moved": lambda hr, ad: one and hr.change(one, displayName=called[0], sn=called[1]),
        "native": lambda hr, ad: person(
            ad, f"{names} {number}{one[:4]}", f"{number}@x.test", employeeID=f"{number}", privileged=number == 1
        ),
        "contact": lambda hr, ad: ad.add(Kind.CONTACT, name=f"{names} {number}{one[:4]}", path=BASE, mail=f"{number}@x.test"),
    }
    team, ours = dice.choice(ad.anchors(Kind.GROUP) or [""]), dice.choice(hr.anchors(Kind.GROUP) or [""])
    units = [(hr.get(each) or {})["name"] for each in hr.anchors(Kind.CONTAINER)]
    unit = str(dice.choice(units or [""]))
    dice_mail = f"{number}@x.test"
    called = [dice.choice(("Anna", "anna", "Anna (2)", "Anna (3)", "Bo", "Bo (2)")) for _ in range(dice.randint(2, 6))]
    more: dict[str, Any] = {"enabled": number > 1, "sn": called[0], "employeeID": str(number)} if number != 3 else {"title": "Guest"}
    what = dice.choice([*told, "alike", "alike", "ignore", "unjoin", "join", "undo", "release", "later", "withdraw"])
    if what in told:
        for engine in company.engines:
            with suppress(MetasyncError):
                told[what](engine.directories["hr"], engine.directories["ad"])
        return
    reasons = dice.random()
    for engine in company.engines:
        workspace = engine.workspace
        with suppress(MetasyncError):
            match what:
                case "ignore":
                    decisions.ignore(workspace, find_object(workspace, f"hr/{one}"), "a test")
                case "withdraw":
                    for source in people:
                        with suppress(MetasyncError):
                            decisions.withdraw(workspace, find_object(workspace, f"hr/{source}"), "no")
                case "unjoin":
                    decisions.unjoin(workspace, find_object(workspace, f"hr/{one}"), find_object(workspace, f"ad/{other}"), "a test")
                case "join":
                    decisions.join(workspace, find_object(workspace, f"hr/{one}"), find_object(workspace, f"ad/{other}"), "a test")
                case "undo" if company.exported and reasons < 0.6:
                    engine.undo(company.exported[id(engine)])
                    engine.approve(beyond=list(Operation))
                    engine.export()
                case "later":
                    engine.later(days=number * 4)
                case _:
                    release(workspace)


def test_two_objects_of_one_identity_keep_their_own_names(ways: Make) -> None:
    company = ways(DOCUMENTS["kinds"])
    company.edit(lambda hr, ad: [person(hr, "Anna Bo", mail) for mail in MAILS[:2]])
    company.settle()
    assert not company.settle()
    company.edit(lambda hr, ad: [hr.change(one, title="Chief") for one in hr.anchors(Kind.USER)])
    company.settle()
    company.settle()
    for engine in company.engines:
        assert all(kept for *_, kept in names(engine))


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_both_ways_leave_the_same_behind_under_many_documents(ways: Make, document: str, seed: int) -> None:
    lives(ways(DOCUMENTS[document]), document, seed)


@pytest.mark.parametrize("document", ["rules", "kinds", "replaces", "authoritative", "waves"])
def test_in_bulk_on_the_one_store_and_with_care_on_the_other(ways: Make, document: str, postgres_url: str) -> None:
    lives(ways(DOCUMENTS[document], url=postgres_url), document, len(document))


def lives(company: Ways, document: str, seed: int) -> None:
    """Some weeks of a company."""
    dice = random.Random(f"{document} {seed}")
    company.edit(lambda hr, ad: [ad.add(Kind.CONTAINER, name="Leavers", path=BASE), hr.add(Kind.CONTAINER, name="Staff", path=BASE)])
    for step in range(7):
        for engine in company.engines:
            with suppress(MetasyncError):  # a name that is taken: in both
                edit(random.Random(f"{document} {seed} {step}"), engine.directories["hr"], engine.directories["ad"])
        for _ in range(dice.randint(0, 4)):
            turn(dice, company)
        for _ in range(2 if "wave" in document else 0):
            walk(dice, company)
            assert far(company.engines[0]) == far(company.engines[1])
        company.settle(export=dice.random() < 0.7)
        if dice.random() < 0.2:
            company.load(
                DOCUMENTS[document].replace("source.title", "source.title " + " " * step).replace("{value} ({n})", "{value} ({n})")
            )
    company.settle()
    company.settle()
