"""The whole job: a directory in memory keeps a lab tenant in step, and one tenant another one; through the engine, over HTTPS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import metasync_entra.plugin
from metasync.contract import Kind, Operation, Reference
from metasync.store.tables import object_
from metasync.testing.engine import Engine, Planned
from metasync.testing.memory import MemoryDirectory
from metasync_entra.connector import EntraID
from metasync_entra.lab import Lab, tenant

from .conftest import MARK, ROLES, options_for

BASE = "DC=memory,DC=test"
DOCUMENT = """
engagement: cloud
plugins: {{standard: ">=0"}}
directories:
  hr: {{connector: memory, options: {{store: hr}}}}
  cloud: {{connector: entra, options: {cloud}, mark: {mark}}}
profiles:
  people:
    kind: user
    source: hr
    target: cloud
    match: [{{source: mail, target: userPrincipalName}}]
    map:
      userPrincipalName: source.mail
      displayName: source.displayName
      givenName: source.givenName
      jobTitle: source.title
      manager: source.manager
      enabled: source.enabled
    leaving: {{disabled: disable, deleted: delete}}
    limits: {{create: {{count: 5000}}, delete: {{count: 50, percent: 100}}, disable: {{count: 50, percent: 100}}}}
  teams:
    kind: group
    source: hr
    target: cloud
    match: [{{source: cn, target: displayName}}]
    map: {{displayName: source.cn, description: source.description, members: source.members}}
    leaving: {{deleted: delete}}
    limits: {{delete: {{count: 50, percent: 100}}}}
"""


def shown(planned: Mapping[str, Sequence[Planned]]) -> list[tuple[str, str]]:
    """(operation, label) of everything that was planned."""
    return sorted((one.operation.value, one.label) for changes in planned.values() for one in changes)


@pytest.fixture(autouse=True)
def no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """This tenant shows at once what was written, so that nothing waits to be confirmed."""
    monkeypatch.setattr(EntraID, "lag", timedelta(0))


@pytest.fixture
def hr() -> MemoryDirectory:
    directory = MemoryDirectory()
    boss = person(directory, "Berta Boss", title="Head")
    for number in range(30):
        person(directory, f"Person {number:02}", title="Clerk", manager=Reference(value=boss))
    team = directory.add(Kind.GROUP, name="Everybody", path=BASE)
    directory.join(team, *directory.anchors(Kind.USER))
    return directory


def person(directory: MemoryDirectory, name: str, **more: Any) -> str:
    mail = f"{name.lower().replace(' ', '.')}@contoso.com"
    given = {"displayName": name, "mail": mail, "givenName": name.split()[0], "enabled": True, **more}
    return directory.add(Kind.USER, name=name, path=BASE, **given)


def anchor(directory: MemoryDirectory, name: str) -> str:
    return directory.by_name(name)


Make = Callable[[str], Engine]


@pytest.fixture
def make(tmp_path: Path, hr: MemoryDirectory) -> Iterator[Make]:
    made: list[Engine] = []

    def build(document: str) -> Engine:
        folder = tmp_path / f"engine{len(made)}"
        folder.mkdir()
        made.append(Engine(folder, document, {"hr": hr}, plugins=[metasync_entra.plugin]))
        return made[-1]

    yield build
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make: Make, lab: Lab) -> Engine:
    return make(DOCUMENT.format(cloud=json.dumps(options_for(lab)), mark=MARK))


def stored_users(engine: Engine) -> set[str]:
    """The anchors of those people of the tenant whom the store knows."""
    query = select(object_.c.anchor).where(
        object_.c.directory_id == engine.workspace.directory_ids["cloud"], object_.c.kind == "user", object_.c.state == "live"
    )
    with engine.backend.read() as connection:
        return set(connection.execute(query).scalars())


def named(lab: Lab, kind: str = "user") -> dict[str, dict[str, Any]]:
    """displayName -> what the tenant holds."""
    found = {one: lab.control.read(one) for one in lab.control.ids(kind)}
    return {str(there["fields"]["displayName"]): {"id": one, **there} for one, there in found.items() if there is not None}


def test_what_the_tenant_would_refuse_is_a_problem_of_the_plan_and_the_rest_is_written(
    engine: Engine, hr: MemoryDirectory, lab: Lab
) -> None:
    engine.cycle()
    people, team = named(lab), named(lab, "group")["Everybody"]["id"]
    lab.control.change(people["Person 01"]["id"], {"onPremisesSyncEnabled": True})
    lab.control.change(team, {"groupTypes": ["DynamicMembership"]})
    for name in ("Person 01", "Person 02"):
        hr.change(anchor(hr, name), {"title": "Head"})
    for name in ("Nora New", "Olga Outside"):
        hr.join(anchor(hr, "Everybody"), person(hr, name))
    hr.change(anchor(hr, "Olga Outside"), {"mail": "olga@nowhere.test"})
    planned = engine.cycle()
    assert shown(planned) == [("create", "Nora New"), ("update", "Person 02")]
    assert engine.last is not None and engine.last.state == "done", engine.problems()
    problems = sorted(text for area, code, text in engine.problems() if (area, code) == ("plan", "would be refused"))
    assert len(problems) == 3 and not [one for one in engine.problems() if one[0] == "export"]
    assert problems[0].startswith("cloud would refuse the create of Olga Outside: nowhere.test is no verified domain of the tenant")
    assert problems[1].startswith("cloud would refuse the member add of Everybody: its members follow from a rule of the tenant")
    assert problems[2].startswith("cloud would refuse the update of Person 01: it is mastered by an Active Directory")
    assert named(lab)["Person 02"]["fields"]["jobTitle"] == "Head" and named(lab)["Person 01"]["fields"]["jobTitle"] == "Clerk"


def test_a_directory_is_brought_into_a_tenant_kept_in_step_and_taken_back(engine: Engine, hr: MemoryDirectory, lab: Lab) -> None:
    planned = engine.cycle()
    assert len(planned["people"]) == 31 + 30 and engine.last is not None and engine.last.state == "done", engine.problems()
    people, teams = named(lab), named(lab, "group")
    assert len(people) == 31 and set(teams) == {"Everybody"}
    assert set(teams["Everybody"]["members"]) == {one["id"] for one in people.values()}
    assert all(one["manager"] == [people["Berta Boss"]["id"]] for name, one in people.items() if name != "Berta Boss")
    assert all(one["fields"]["accountEnabled"] for one in people.values())
    assert engine.plan() == {}, "the plan after it is empty"
    engine.import_(full=True)
    assert engine.plan() == {}, "and so it is after everything was read again"
    assert engine.problems() == []

    hr.change(anchor(hr, "Person 01"), title=None)
    hr.change(anchor(hr, "Person 02"), enabled=False)
    hr.leave(hr.by_name("Everybody"), anchor(hr, "Person 03"))
    hr.delete(anchor(hr, "Person 04"))
    new = person(hr, "Nora New", manager=Reference(value=anchor(hr, "Berta Boss")))
    hr.join(hr.by_name("Everybody"), new)
    second = engine.cycle(beyond={Operation.MEMBER_REMOVE})
    done = engine.last
    assert done is not None and done.state == "done" and done.failed == 0, engine.problems()
    assert {operation for operation, _ in shown(second)} == {
        "clear", "disable", "delete", "create", "update", "member add", "member remove"
    }  # fmt: skip
    people, teams = named(lab), named(lab, "group")
    assert "Person 04" not in people and "Nora New" in people
    assert people["Person 01"]["fields"].get("jobTitle") is None
    assert people["Person 02"]["fields"]["accountEnabled"] is False
    assert people["Person 03"]["id"] not in teams["Everybody"]["members"]
    assert engine.plan() == {}

    undo = engine.undo(done.run)
    assert {"restore", "enable", "delete"} <= {operation for operation, _ in shown(undo)}
    engine.approve()
    assert engine.export().failed == 0, engine.problems()
    people, teams = named(lab), named(lab, "group")
    assert "Person 04" in people and "Nora New" not in people
    assert people["Person 02"]["fields"]["accountEnabled"] is True
    assert people["Person 01"]["fields"]["jobTitle"] == "Clerk"
    assert people["Person 03"]["id"] in teams["Everybody"]["members"]


def test_a_storm_of_faults_loses_and_doubles_nobody(engine: Engine, lab: Lab) -> None:
    lab.control.fault("status", status=429, retry_after="0.01", probability=0.3, times=None)
    lab.control.fault(
        "status",
        status=504,
        retry_after="0.01",
        method="POST",
        path="/users$",
        in_batch=True,
        after_commit=True,
        probability=0.3,
        times=None,
    )
    lab.control.fault("status", status=503, retry_after="0.01", method="GET", probability=0.2, times=None)
    for _ in range(5):
        engine.cycle()
        engine.later(hours=1)
    lab.control.clear_faults()
    engine.cycle()
    engine.import_(full=True)
    assert engine.plan() == {}, engine.problems()
    people = named(lab)
    assert len(people) == 31 == len(lab.control.ids("user"))
    assert len(named(lab, "group")["Everybody"]["members"]) == 31


def test_owners_follow_the_source_and_the_last_one_stays(make: Make, hr: MemoryDirectory, lab: Lab) -> None:
    document = DOCUMENT.format(cloud=json.dumps(options_for(lab)), mark=MARK)
    mapped = "members: source.members}"
    assert mapped in document
    engine = make(document.replace(mapped, "owners: source.members}"))
    team, boss, other = anchor(hr, "Everybody"), anchor(hr, "Berta Boss"), anchor(hr, "Person 01")
    hr.leave(team, *hr.anchors(Kind.USER))
    hr.join(team, boss)
    engine.cycle()
    people = named(lab)
    assert named(lab, "group")["Everybody"]["owners"] == [people["Berta Boss"]["id"]]
    hr.leave(team, boss)
    hr.join(team, other)
    assert shown(engine.cycle()) == [("update", "Everybody")]
    assert named(lab, "group")["Everybody"]["owners"] == [people["Person 01"]["id"]]
    assert engine.plan() == {}, engine.problems()
    hr.leave(team, other)
    engine.cycle()
    assert named(lab, "group")["Everybody"]["owners"] == [people["Person 01"]["id"]]
    assert any("The last one cannot be removed" in text for _, _, text in engine.problems()), engine.problems()


def test_a_lost_delta_reads_everything_and_deletes_nothing(engine: Engine, lab: Lab) -> None:
    engine.cycle()
    lab.control.reset_delta()
    outcome = engine.import_()
    assert outcome.state == "done"
    assert engine.plan() == {}
    assert len(lab.control.ids("user")) == 31


def test_a_permission_that_is_lost_while_it_is_read_deletes_nothing(engine: Engine, lab: Lab) -> None:
    engine.cycle()
    lab.control.fault("denied", method="GET", path="/users$", skip=1, times=None)
    outcome = engine.import_("cloud", full=True)
    assert outcome.unavailable and outcome.imports[0].error is not None and "consent" in str(outcome.imports[0].error)
    lab.control.clear_faults()
    engine.import_()
    assert engine.plan() == {}, engine.problems()
    assert len(lab.control.ids("user")) == 31


def test_a_first_load_that_is_cut_goes_on_where_it_stopped(make: Make, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metasync.importing.read.PAGE", 50)
    made = lab.control.seed(users=400)["users"]
    options = options_for(lab, **{"shard above": 100, "page size": 50})
    engine = make(DOCUMENT.format(cloud=json.dumps(options), mark=MARK))
    lab.control.fault("status", status=503, retry_after="0", method="GET", path="/users$", skip=35, times=None)
    assert engine.import_("cloud").unavailable
    lab.control.clear_faults()
    stored = sorted(stored_users(engine))
    assert 50 <= len(stored) < 400
    lab.control.delete(stored[0])
    lab.control.clear_stats()
    outcome = engine.import_("cloud")
    assert not outcome.unavailable and "goes on where it stopped" in outcome.imports[0].reason
    again = lab.control.stats()["calls"]["GET /users"]
    assert again <= 35, f"{again} pages were asked for, of about 50, 35 of which had come, ten of them perhaps too late to be stored"
    assert stored_users(engine) == set(lab.control.ids("user")) == set(made) - {stored[0]}


@pytest.mark.parametrize(
    ("profile", "line", "name"),
    [
        ("people", "proxyAddresses: source.proxyAddresses", "proxyAddresses"),
        ("people", "onPremisesSyncEnabled: 'true'", "onPremisesSyncEnabled"),
        ("teams", "mail: source.mail", "mail"),
    ],
)
def test_what_graph_does_not_write_is_known_before_anything_is_exported(
    make: Make, hr: MemoryDirectory, lab: Lab, profile: str, line: str, name: str
) -> None:
    hr.change(anchor(hr, "Person 01"), proxyAddresses=("SMTP:one@contoso.com",))
    hr.change(anchor(hr, "Everybody"), mail="everybody@contoso.com")
    document = DOCUMENT.format(cloud=json.dumps(options_for(lab)), mark=MARK)
    mapped = {"people": "      enabled: source.enabled", "teams": "    map: {displayName: source.cn, "}[profile]
    more = {"people": f"{mapped}\n      {line}", "teams": f"{mapped}{line}, "}[profile]
    assert mapped in document
    engine = make(document.replace(mapped, more))
    engine.import_()
    engine.plan()
    assert any(name in text for _, _, text in engine.problems()), engine.problems()
    assert lab.control.ids("user") == []


def test_a_member_who_leaves_before_joining_was_confirmed_is_removed_once(
    engine: Engine, hr: MemoryDirectory, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EntraID, "lag", timedelta(minutes=2))
    engine.cycle()
    gone, new = anchor(hr, "Person 04"), person(hr, "Nora New")
    hr.leave(hr.by_name("Everybody"), gone)
    hr.delete(gone)
    hr.join(hr.by_name("Everybody"), new)
    planned = engine.cycle(beyond={Operation.MEMBER_REMOVE})
    assert [operation for operation, _ in shown({"teams": planned["teams"]})] == ["member add", "member remove"]
    assert engine.last is not None and engine.last.failed == 0, engine.problems()
    assert len(named(lab, "group")["Everybody"]["members"]) == 31


TENANTS = """
engagement: merger
plugins: {{standard: ">=0"}}
directories:
  old: {{connector: entra, options: {old}}}
  cloud: {{connector: entra, options: {new}, mark: {mark}}}
profiles:
  people:
    kind: user
    source: old
    target: cloud
    match: [{{source: employeeId, target: employeeId}}]
    map:
      userPrincipalName: 'source.mailNickname + "@contoso.com"'
      displayName: source.displayName
      employeeId: source.employeeId
      department: source.department
      manager: source.manager
      enabled: source.enabled
  teams:
    kind: group
    source: old
    target: cloud
    match: [{{source: displayName, target: displayName}}]
    map: {{displayName: source.displayName, members: source.members}}
"""


def test_one_tenant_is_brought_into_another(make: Make, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with tenant(folder=tmp_path / "old", domains=("fabrikam.onmicrosoft.com", "fabrikam.com"), roles=ROLES) as old:
        made = old.control.seed(users=40, groups=3, members=20, managers=True)
        for number, one in enumerate(made["users"]):
            old.control.change(one, {"employeeId": f"E{number}", "mailNickname": f"user{number}"})
        engine = make(TENANTS.format(old=json.dumps(options_for(old)), new=json.dumps(options_for(lab)), mark=MARK))
        engine.cycle()
        assert engine.last is not None and engine.last.state == "done", engine.problems()
        engine.cycle()
        assert engine.plan() == {}, engine.problems()
        theirs, ours = named(old), named(lab)
        assert set(ours) == set(theirs) and len(ours) == 40
        for name, one in theirs.items():
            bosses = {other["fields"]["displayName"] for other in theirs.values() if other["id"] in one.get("manager", [])}
            assert bosses == {other["fields"]["displayName"] for other in ours.values() if other["id"] in ours[name].get("manager", [])}
        groups = named(old, "group")
        for name, group in named(lab, "group").items():
            members = {other["fields"]["displayName"] for other in ours.values() if other["id"] in group.get("members", [])}
            assert members == {other["fields"]["displayName"] for other in theirs.values() if other["id"] in groups[name]["members"]}
        old.control.change(made["users"][0], {"department": "Moved"})
        assert [operation for operation, _ in shown(engine.cycle())] == ["update"]
        assert engine.plan() == {}


def test_people_who_exchange_sign_in_names_step_aside(engine: Engine, hr: MemoryDirectory, lab: Lab) -> None:
    """A sign-in name cannot be cleared: without a name in between, each of them waits for the other for ever."""
    engine.cycle()
    ring = {
        "Person 01": "Person 02",
        "Person 02": "Person 01",
        "Person 03": "Person 04",
        "Person 04": "Person 05",
        "Person 05": "Person 03",
    }
    wanted = {name: f"{other.lower().replace(' ', '.')}@contoso.com" for name, other in ring.items()}
    for name, mail in wanted.items():
        hr.change(anchor(hr, name), mail=mail)
    planned = engine.cycle(beyond={Operation.SIGN_IN})
    assert {operation for operation, _ in shown(planned)} == {"sign-in change"} and len(shown(planned)) == 5 + 2
    assert engine.last is not None and engine.last.failed == 0, engine.problems()
    people = named(lab)
    assert {name: people[name]["fields"]["userPrincipalName"] for name in wanted} == wanted
    assert engine.plan() == {} and engine.problems() == []
