"""The example of the document's specification loads as written, and every part of it arrives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from metasync.contract import Event, Kind, Operation, SecretReference
from metasync.engagement.load import check, parse, read
from metasync.engagement.model import (
    Action,
    Approval,
    Cause,
    Engagement,
    ExporterUse,
    Leave,
    LeavingStep,
    Limit,
    Mapping_,
    MatchRule,
    Merge,
    NotifierUse,
    Origin,
    PasswordPolicy,
    Place,
    Profile,
    Ranking,
    Returning,
    RewriteCall,
    Scope,
    Several,
    Strength,
    Wave,
)
from metasync.host import Host

EXAMPLE = Path(__file__).with_name("example.yaml")


@pytest.fixture
def example(host: Host) -> Engagement:
    return check(read(EXAMPLE), host)


@pytest.fixture
def staff(example: Engagement) -> Profile:
    return example.profiles["staff"]


def test_name_and_plugins_can_be_read_before_any_plugin_is_loaded() -> None:
    document = read(EXAMPLE)
    assert document.name == "contoso-to-fabrikam"
    assert document.plugins == {"standard": ">=0.1", "csv": ">=0.1", "ad": ">=0.1", "passwords": ">=0.1"}


def test_directories(example: Engagement) -> None:
    contoso, fabrikam, hr = (example.directories[name] for name in ("contoso", "fabrikam", "hr"))
    assert list(example.directories) == ["contoso", "fabrikam", "hr"]
    assert contoso.connector == "ad"
    assert contoso.options["servers"] == ["dc1.contoso.test"]
    assert contoso.options["password"] == SecretReference(name="contoso-bind")
    assert contoso.mark is None
    assert fabrikam.mark == "adminDescription"
    assert fabrikam.new_passwords == PasswordPolicy(length=24, must_change=True)
    assert hr.options == {"path": str(EXAMPLE.parent / "hr.csv"), "anchor": "employeeNumber"}
    assert hr.reserve_names == timedelta(days=180)


def test_metaverse(example: Engagement) -> None:
    assert example.metaverse == {
        Kind.USER: {"title": Ranking(contributors=(("hr", "title"), ("contoso", "title")))},
        Kind.GROUP: {"members": Ranking(contributors=(("contoso", "members"), ("fabrikam", "members")), union=True)},
    }


def test_what_a_profile_is_about(staff: Profile) -> None:
    assert (staff.source_kind, staff.target_kind, staff.sources, staff.target) == (Kind.USER, Kind.USER, ("contoso",), "fabrikam")
    assert staff.merge == (
        Merge(directory="hr", key="employeeNumber", expression="source.employeeID", rewrite=(RewriteCall(name="digits"),)),
    )
    assert staff.scope == Scope(
        under=("OU=Staff,DC=contoso,DC=test",),
        where='source.mail != null && source.mail.lower().endsWith("@contoso.com")',
        origin=Origin.NATIVE,
    )
    assert staff.match == (
        MatchRule(matcher="attribute", options={"source": "employeeID", "target": "employeeID"}),
        MatchRule(matcher="attribute", options={"source": 'replace_domain(source.mail, "contoso.com", "fabrikam.com")', "target": "mail"}),
    )
    assert staff.action is Action.CREATE_OR_UPDATE
    assert staff.place == Place(mirror={"OU=Staff,DC=contoso,DC=test": "OU=Imported,DC=fabrikam,DC=test"})


def test_every_mapping_of_the_profile(staff: Profile) -> None:
    domain = RewriteCall(name="replace_domain", arguments=("contoso.com", "fabrikam.com"))
    expected = [
        Mapping_(attribute="cn", expression="source.cn", unique=("{value}", "{value} ({n})")),
        Mapping_(attribute="sn", expression="source.sn"),
        Mapping_(attribute="displayName", expression='join(", ", [source.sn, source.givenName])'),
        Mapping_(
            attribute="userPrincipalName",
            expression="source.userPrincipalName",
            rewrite=(domain,),
            unique=("{value}", "{local}{n}@{domain}"),
        ),
        Mapping_(attribute="sAMAccountName", expression="source.sAMAccountName", unique=("{value}", "{value}{n}"), strength=Strength.ONCE),
        Mapping_(attribute="mail", expression="source.mail", rewrite=(domain, RewriteCall(name="lower"))),
        Mapping_(attribute="proxyAddresses", expression="addresses(source.proxyAddresses, source.legacyExchangeDN)", values=Several.ADD),
        Mapping_(attribute="title", expression="mv.title"),
        Mapping_(attribute="manager", expression="source.manager"),
        Mapping_(attribute="enabled", expression="source.enabled", when='wave.state != "cut over"'),
    ]
    assert list(staff.map.values()) == expected


def test_leaving_and_returning(staff: Profile) -> None:
    stays = 'wave.state != "cut over"'
    assert staff.leaving == {
        Cause.OUT_OF_SCOPE: (LeavingStep(action=Leave.KEEP),),
        Cause.DISABLED: (LeavingStep(action=Leave.DISABLE, only_created=False),),
        Cause.DELETED: (
            LeavingStep(action=Leave.DISABLE, only_created=False, when=stays),
            LeavingStep(action=Leave.MOVE, place='"OU=Leavers,DC=fabrikam,DC=test"', when=stays),
            LeavingStep(action=Leave.DELETE, after=timedelta(days=90), when=stays),
        ),
    }
    assert staff.returning == Returning(enable=True, rejoin=True)


def test_limits_have_defaults_for_every_operation_and_what_is_said_replaces_one_whole(staff: Profile) -> None:
    assert set(staff.limits) == set(Operation)
    assert staff.limits[Operation.DELETE] == Limit(count=50, percent=5)
    assert staff.limits[Operation.DISABLE] == Limit(percent=10)
    assert staff.limits[Operation.CREATE] == Limit(count=5000)
    assert staff.limits[Operation.SIGN_IN] == Limit(count=100, percent=5)


def test_approval_and_schedule(staff: Profile) -> None:
    assert staff.approval is Approval.FIRST
    assert staff.schedule == {"every": 900}
    assert not staff.staging


def test_a_pair_of_kinds(example: Engagement) -> None:
    gal = example.profiles["gal-to-fabrikam"]
    assert (gal.source_kind, gal.target_kind) == (Kind.USER, Kind.CONTACT)
    assert gal.match == (MatchRule(matcher="attribute", options={"source": "mail", "target": "proxyAddresses"}, skip_other_kinds=True),)
    assert gal.place == Place(expression='"OU=GAL,DC=fabrikam,DC=test"')
    assert [mapping.expression for mapping in gal.map.values()] == ["source.displayName", "source.mail", '"SMTP:" + source.mail']
    assert gal.leaving[Cause.DELETED] == (LeavingStep(action=Leave.DELETE),)
    assert gal.approval is Approval.ALWAYS


def test_waves_and_exporters(example: Engagement) -> None:
    assert example.waves == {"wave1": Wave(name="wave1", file=str(EXAMPLE.parent / "wave1.csv"), key="employeeID")}
    assert example.exporters == (
        ExporterUse(name="passwords", source="contoso", target="fabrikam", when='wave.state != "waiting"', options={"every": 120}),
    )


def test_notifiers(host: Host, tmp_path: Path) -> None:
    text = FURTHER.partition("exporters:")[0] + "notify:\n  note:\n    - {to: ann}\n    - {to: bob, on: [failed, limit]}\n"
    engagement = check(parse(text, str(tmp_path / "engagement.yaml")), host)
    assert engagement.notifiers == (
        NotifierUse(
            name="note",
            notifier="note",
            on=frozenset({Event.FAILED, Event.LIMIT, Event.APPROVAL, Event.RECOVERED}),
            options={"to": "ann"},
        ),
        NotifierUse(name="note 2", notifier="note", on=frozenset({Event.FAILED, Event.LIMIT}), options={"to": "bob"}),
    )


def test_every_key_of_the_example_acts(example: Engagement) -> None:
    assert [notice.key for notice in example.notices] == []


FURTHER = """\
engagement: further
plugins: {standard: ">=0.1"}
directories:
  hr-file: {connector: csv, options: {path: data/hr.csv, anchor: id}}
  ad:
    connector: ad
    options: {servers: [a, b], base: "DC=a", bind: svc, password: {secret: x}, ca: ca.pem}
    mark: info
    allow privileged: ["CN=Admin,DC=a", "0f0f"]
    joins: {file: pairs.csv}
    reserve names: 2 weeks
    new passwords: {length: 32, must change: false, classes: 3}
    windows: ["Mon-Fri 20:00-06:00 Europe/Berlin", "Sat,Sun 00:00-24:00 UTC"]
    rate: {operations: 50/s, connections: 4}
profiles:
  old: &old
    kind: user
    source: hr-file
    target: ad
    disjoint: people
    map: {cn: source.name}
  new:
    <<: *old
    source: [hr-file]
    mode: staging
    replaces: book
    scope: {under: OU=One, origin: any}
    place: {expression: '"OU=" + hr_file.unit', existing: move}
    schedule: {cron: "0 6 * * 1-5", zone: Europe/Berlin, missed: skip}
    approval: never
    action: create only
    leaving:
      out of scope: {after: 30 days, disable: created}
      disabled: [{move: source.unit, of: joined}, {after: 1 week, delete: joined}]
    returning: {enable: never, recreated: never}
    map:
      cn: {from: source.name, fill: true}
      members: {from: source.members, authoritative: true, values: replace}
  book: {kind: {user: contact}, source: hr-file, target: ad, map: {cn: source.name}}
exporters:
  passwords:
    - {between: [ad, ad2]}
"""


def test_every_further_key(host: Host, tmp_path: Path, checked: object) -> None:
    text = FURTHER.partition("exporters:")[0]
    engagement = check(parse(text, str(tmp_path / "engagement.yaml")), host)
    ad, new = engagement.directories["ad"], engagement.profiles["new"]
    assert ad.allow_privileged == {"CN=Admin,DC=a", "0f0f"}
    assert ad.joins_file == str(tmp_path / "pairs.csv")
    assert ad.options["ca"] == str(tmp_path / "ca.pem")
    assert ad.reserve_names == timedelta(days=14)
    assert ad.new_passwords == PasswordPolicy(length=32, must_change=False, classes=3)
    assert ad.windows == ("Mon-Fri 20:00-06:00 Europe/Berlin", "Sat,Sun 00:00-24:00 UTC")
    assert ad.rate == {"operations": "50/s", "connections": 4}
    assert engagement.directories["hr-file"].options["path"] == str(tmp_path / "data" / "hr.csv")
    assert (new.staging, new.replaces, new.disjoint, new.action) == (True, "book", "people", Action.CREATE_ONLY)
    assert new.scope == Scope(under=("OU=One",), origin=Origin.ANY)
    assert new.place == Place(expression='"OU=" + hr_file.unit', move_existing=True)
    assert new.schedule == {"cron": "0 6 * * 1-5", "zone": "Europe/Berlin", "missed": "skip"}
    assert new.leaving[Cause.OUT_OF_SCOPE] == (LeavingStep(action=Leave.DISABLE, after=timedelta(days=30)),)
    assert new.leaving[Cause.DISABLED] == (
        LeavingStep(action=Leave.MOVE, place="source.unit", only_created=False),
        LeavingStep(action=Leave.DELETE, after=timedelta(days=7), only_created=False),
    )
    assert new.returning == Returning(enable=False, rejoin=False)
    assert new.map["cn"].strength is Strength.FILL
    assert new.map["members"].authoritative
    assert engagement.notices == ()


def test_a_target_without_a_mark_is_named(checked: object, host: Host, tmp_path: Path, small: str) -> None:
    from metasync.engagement.load import parse

    text = small.replace(", mark: adminDescription", "")
    engagement = check(parse(text, str(tmp_path / "engagement.yaml")), host)
    (notice,) = engagement.notices
    assert notice.key == "directories.ad"
    assert "the ledger's record" in notice.text


@pytest.mark.parametrize(
    ("book", "says"),
    [
        ("{kind: user, source: hr, target: ad, map: {cn: source.name}}", "an identity has one user there"),
        ("{kind: {user: contact}, source: hr, target: ad, replaces: staff, map: {cn: source.name}}", "the profile book replaces this one"),
    ],
)
def test_what_cannot_give_way_is_refused(
    faults: Callable[[str], list[tuple[int, str, str, str]]], small: str, book: str, says: str
) -> None:
    text = small.replace("    map:", "    replaces: book\n    map:", 1).rstrip() + f"\n  book: {book}\n"
    found = faults(text)
    assert [key for _, key, said, _ in found if says in said] == ["profiles.staff.replaces"], found
