"""What migrations do, between two real forests: both directions, address lists, shared identities, a second source, renamed OUs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .forests import DOMAIN_LOCAL, Forests, forests, readable_sid

if TYPE_CHECKING:
    from lab.samba import Samba


@pytest.fixture
def pair(two_sambas: tuple[Samba, Samba], tmp_path: Path) -> Iterator[Forests]:
    """An OU in contoso.test and one in fabrikam.test."""
    with forests(two_sambas, tmp_path / "work") as made:
        yield made


STAFF = """
  staff:
    kind: user
    source: contoso
    target: fabrikam
    scope: {under: ["OU=Staff,CONTOSO"]}
    match: [{source: mail, target: mail}]
    place: {mirror: {"OU=Staff,CONTOSO": "OU=Imported,FABRIKAM"}}
    map:
      cn: {from: source.cn, unique: ['{value}', '{value} ({n})']}
      displayName: source.displayName
      mail: source.mail
      sAMAccountName: {from: source.sAMAccountName, once: true, unique: ['{value}', '{value}{n}']}
      manager: source.manager
      enabled: source.enabled
    leaving: {out of scope: disable, deleted: [disable, {move: '"OU=Leavers,FABRIKAM"'}]}
"""
TEAMS = """
  teams:
    kind: group
    source: contoso
    target: fabrikam
    scope: {under: ["OU=Teams,CONTOSO"]}
    match: [{source: sAMAccountName, target: sAMAccountName}]
    place: '"OU=Teams,FABRIKAM"'
    map: {cn: source.cn, sAMAccountName: source.sAMAccountName, description: source.description, members: source.members}
"""
BACK = (
    STAFF.replace("  staff:", "  staff-back:", 1)
    .replace("CONTOSO", "OTHER")
    .replace("FABRIKAM", "CONTOSO")
    .replace("OTHER", "FABRIKAM")
    .replace("source: contoso\n    target: fabrikam", "source: fabrikam\n    target: contoso")
    .replace("cn: {from", "cn: {once: true, from")
)


def once(profile: str) -> str:
    """The same mappings, which act at creation alone: two directions may not both enforce an attribute (law 4)."""
    for start in ("displayName", "mail", "manager", "enabled"):
        profile = profile.replace(f"      {start}: source.{start}\n", f"      {start}: {{from: source.{start}, once: true}}\n")
    return profile.replace("cn: {from", "cn: {once: true, from").replace("once: true, once: true", "once: true")


def test_people_and_groups_move_from_one_forest_into_the_other(pair: Forests) -> None:
    """Managers and members follow people, wherever those are now."""
    boss = pair.contoso.user("Berta Boss")
    people = [pair.contoso.user(f"Person {number}", manager=boss) for number in range(4)]
    pair.contoso.group("Crew", [boss, *people])
    there = pair.fabrikam.user("Person 0 was here", ou="GAL", mail=f"person.0@{pair.contoso.tag}.example")
    pair.load(STAFF + TEAMS)
    done = pair.settled()
    assert (done["create"], done["member add"]) == (5, 5), "the one who is there is joined, not made again"
    imported = pair.fabrikam.names("Imported")
    assert sorted(imported) == ["Berta Boss", "Person 1", "Person 2", "Person 3"]
    managers = {frozenset(held.get("manager", ())) for name, held in imported.items() if name != "Berta Boss"}
    assert managers == {imported["Berta Boss"]["dn"]}
    (joined,) = pair.fabrikam.names("GAL").values()
    (crew,) = pair.fabrikam.names("Teams").values()
    assert crew["member"] == {next(iter(held["dn"])) for held in (*imported.values(), joined)}
    assert next(iter(joined["dn"])).decode().endswith(pair.fabrikam.dn("GAL")), there

    pair.contoso.delete(people[1])
    assert pair.cycle() == [("disable", "Person 1"), ("member remove", "Crew"), ("move", "Person 1")]
    assert list(pair.fabrikam.names("Leavers")) == ["Person 1"]


def test_people_of_the_one_forest_who_are_in_groups_of_the_other_are_members_themselves(pair: Forests) -> None:
    """In contoso they are foreign security principals, which have nothing but the SID; an undo takes them out again."""
    anna, native = pair.contoso.user("Anna"), pair.fabrikam.user("Native")
    sid = readable_sid(min(pair.fabrikam.names("Staff")["Native"]["objectsid"]))
    crew = pair.contoso.group("Crew", [anna], groupType=DOMAIN_LOCAL)
    union = "metaverse: {group: {members: {union: [contoso.members, contoso.foreignMembers]}}}"
    pair.load(STAFF + TEAMS.replace("source.members", "mv.members"), before=union)
    pair.cycle()
    (imported,) = pair.fabrikam.names("Imported").values()

    def members() -> frozenset[bytes]:
        return pair.fabrikam.names("Teams")["Crew"]["member"]

    assert members() == imported["dn"]
    pair.contoso.join(crew, f"<SID={sid}>")
    assert pair.cycle() == [("member add", "Crew")]
    assert members() == imported["dn"] | {native.encode()}
    pair.product.export(pair.product.undo(pair.product.runs[-1])["plans"])
    assert members() == imported["dn"]


def test_both_directions_make_no_loop_and_marks_outlive_the_database(pair: Forests) -> None:
    """What we made is never a source, also when nobody remembers that we made it (law 7)."""
    for side in (pair.contoso, pair.fabrikam):
        for number in range(3):
            side.user(f"Native {number} of {side.samba.domain}")
    document = once(STAFF) + once(BACK)
    pair.load(document)
    assert pair.settled() == {"create": 6}
    assert [len(side.names(ou)) for side in (pair.contoso, pair.fabrikam) for ou in ("Staff", "Imported")] == [3, 3, 3, 3]
    before = (pair.contoso.dump(), pair.fabrikam.dump())
    for database in pair.product.folder.glob("metasync.db*"):
        database.unlink()
    pair.load(document)
    assert pair.cycle() == []
    assert (pair.contoso.dump(), pair.fabrikam.dump()) == before
    pair.contoso.delete(pair.contoso.dn("Native 0 of contoso.test", "Staff"))
    assert [name for _, name in pair.cycle()] == ["Native 0 of contoso.test"] * 2, "disabled and moved: by its mark it is ours"


GAL = """
  gal-to-fabrikam:
    kind: {user: contact}
    source: contoso
    target: fabrikam
    scope: {under: ["OU=Staff,CONTOSO"], where: 'source.mail != null'}
    match: [{source: mail, target: mail, any kind: skip}]
    place: '"OU=GAL,FABRIKAM"'
    map: {cn: source.displayName, displayName: source.displayName, mail: source.mail, proxyAddresses: '["SMTP:" + source.mail]'}
    leaving: {deleted: delete}
  gal-to-contoso:
    kind: {user: contact}
    source: fabrikam
    target: contoso
    scope: {under: ["OU=Staff,FABRIKAM"], where: 'source.mail != null'}
    match: [{source: mail, target: mail, any kind: skip}]
    place: '"OU=GAL,CONTOSO"'
    map: {cn: source.displayName, displayName: source.displayName, mail: source.mail, proxyAddresses: '["SMTP:" + source.mail]'}
    leaving: {deleted: delete}
"""


def test_each_forest_sees_the_people_of_the_other_as_contacts(pair: Forests) -> None:
    """{user: contact}, both ways; whoever has an account on the other side needs no contact there."""
    anna = pair.contoso.user("Anna Ærø")
    pair.contoso.change(pair.contoso.user("Silent"), mail=None)
    pair.contoso.user("Both")
    pair.fabrikam.user("Both", mail=f"both@{pair.contoso.tag}.example")
    pair.fabrikam.user("Bo Fabrikam")
    pair.load(GAL)
    assert [name for _, name in pair.cycle()] == ["Anna Ærø", "Bo Fabrikam"]
    (contact,) = pair.fabrikam.names("GAL").values()
    assert b"contact" in contact["objectclass"] and contact["proxyaddresses"] == {f"SMTP:anna.ærø@{pair.contoso.tag}.example".encode()}
    pair.contoso.change(anna, mail="anna@new.example")
    assert pair.cycle() == [("sign-in change", "Anna Ærø"), ("update", "Anna Ærø")]
    pair.contoso.delete(anna)
    assert pair.cycle() == [("delete", "Anna Ærø")]
    assert (list(pair.fabrikam.names("GAL")), list(pair.contoso.names("GAL"))) == ([], ["Bo Fabrikam"])


def test_leaving_is_when_the_last_of_several_profiles_lets_go(pair: Forests) -> None:
    """Two profiles share identities; the department decides who is in which (law 5)."""
    profiles = "".join(
        STAFF.replace("  staff:", f"  {name}:", 1)
        .replace(
            '    scope: {under: ["OU=Staff,CONTOSO"]}\n', "    scope: {where: 'source.department.lower().extract(\"NAME\") != null'}\n"
        )
        .replace("    map:", "    disjoint: departments\n    map:")
        .replace('{mirror: {"OU=Staff,CONTOSO": "OU=Imported,FABRIKAM"}}', "'\"OU=Imported,FABRIKAM\"'")
        .replace("NAME", name)
        for name in ("sales", "research")
    )
    dns = {what: pair.contoso.user(what, department=what) for what in ("Sales", "Research", "Sales and Research")}
    pair.load(profiles)
    assert pair.settled()["create"] == 3, "one object for one identity, of however many profiles"
    pair.contoso.change(dns["Sales and Research"], department="Sales")
    assert pair.cycle() == []
    pair.contoso.change(dns["Sales and Research"], department="Research")
    assert pair.cycle() == [], "from one profile into the other is not leaving"
    pair.contoso.change(dns["Sales and Research"], department="Golf")
    assert pair.cycle() == [("disable", "Sales and Research")]


HR = """
  hr: {connector: csv, options: {path: hr.csv, anchor: id}}
"""
RANK = "metaverse: {user: {title: [hr.title, contoso.title]}}"


def test_a_second_source_joins_the_identity_and_the_rank_decides(pair: Forests) -> None:
    """HR's title counts more than the domain's, as long as HR has one."""
    for number in (7, 8):
        pair.contoso.user(f"Person {number}", employeeID=f"E-{number}", title="Clerk")
    file = pair.product.folder / "hr.csv"
    file.write_text("id,number,title\n1,7,Head of Zürich\n2,99,Nobody\n", encoding="utf-8")
    merge = "    merge: {hr: {on: {number: source.employeeID}, rewrite: [digits]}}\n    target: fabrikam\n"
    profile = STAFF.replace("    target: fabrikam\n", merge).replace("      enabled:", "      title: mv.title\n      enabled:")
    pair.load(profile, before=RANK, directories=HR)

    def titles() -> dict[str, bytes]:
        return {name: min(held.get("title", {b""})) for name, held in pair.fabrikam.names("Imported").items()}

    pair.cycle()
    assert titles() == {"Person 7": "Head of Zürich".encode(), "Person 8": b"Clerk"}
    file.write_text("id,number,title\n1,7,\n2,8,Chief\n", encoding="utf-8")
    assert pair.cycle() == [("update", "Person 7"), ("update", "Person 8")]
    assert titles() == {"Person 7": b"Clerk", "Person 8": b"Chief"}


def test_renaming_the_ou_of_a_scope_moves_nobody_out(pair: Forests) -> None:
    """The OU is pinned by its objectGUID once it was resolved; the place below it is mirrored on."""
    pair.contoso.user("Anna")
    pair.load(STAFF)
    pair.cycle()
    pair.contoso.rename(pair.contoso.dn("Staff"), "OU=Mitarbeitende")
    assert pair.cycle() == []
    pair.contoso.user("Berta", ou="Mitarbeitende")
    assert pair.cycle() == [("create", "Berta")]
    assert sorted(pair.fabrikam.names("Imported")) == ["Anna", "Berta"]
    for name in ("Anna", "Berta"):
        pair.contoso.rename(pair.contoso.dn(name, "Mitarbeitende"), f"CN={name}", pair.contoso.dn("Leavers"))
    pair.contoso.delete(pair.contoso.dn("Mitarbeitende"))
    answer = pair.product.ask("run", "--json")
    assert answer.code in (1, 3), answer
    assert "is gone" in answer.err + answer.out, "an OU that is gone is told, and nobody leaves by it"
    assert sorted(pair.fabrikam.names("Imported")) == ["Anna", "Berta"]


def test_privileged_accounts_are_neither_matched_nor_written(pair: Forests) -> None:
    """Until they are named, one by one (law 3)."""
    for name in ("Anna", "Admin"):
        pair.contoso.user(name)
    admin = pair.fabrikam.user("Admin", ou="GAL", mail=f"admin@{pair.contoso.tag}.example", adminCount=1, displayName="Operator")
    before = pair.fabrikam.names("GAL")
    pair.load(STAFF)
    assert [name for _, name in pair.cycle()] == ["Anna"]
    assert pair.fabrikam.names("GAL") == before
    told = " ".join(one["text"] for one in pair.product("problems"))
    assert "privileged" in told, told
    pair.load(STAFF, fabrikam=f'    allow privileged: ["{admin}"]\n')
    assert pair.cycle() == [("update", "Operator")]


def test_a_joiner_whom_nobody_can_place_stops_nobody_else(pair: Forests) -> None:
    """Two candidates in the other forest: a problem that names both, and nobody is touched (law 2)."""
    pair.contoso.user("Anna"), pair.contoso.user("Twice")
    for number in (1, 2):
        pair.fabrikam.user(f"Twice {number}", ou="GAL", mail=f"twice@{pair.contoso.tag}.example")
    before = pair.fabrikam.names("GAL")
    pair.load(STAFF)
    early = pair.product.ask("plan", "--json")
    assert early.json["plans"] == [] and "never imported completely" in early.err, "nothing before the first import (law 1)"
    assert pair.cycle() == [("create", "Anna")]
    assert pair.fabrikam.names("GAL") == before
    (problem,) = pair.product("problems", "--severity", "error")
    assert "Twice 1" in problem["text"] and "Twice 2" in problem["text"]


def test_an_address_that_somebody_has_is_refused_in_the_plan(pair: Forests) -> None:
    """Active Directory itself would take it: each of several addresses stands only once, whatever its case (law 6)."""
    for name, addresses in (("Anna", ["smtp:POST@shared.example"]), ("Berta", ["SMTP:b@shared.example", "smtp:both@shared.example"])):
        pair.contoso.user(name, proxyAddresses=addresses)
    pair.contoso.user("Clara", proxyAddresses=["SMTP:Both@shared.example"])
    there = pair.fabrikam.user("Native", ou="GAL", proxyAddresses=["SMTP:post@shared.example", "smtp:native@shared.example"])
    pair.load(STAFF.replace("      mail: source.mail\n", "      mail: source.mail\n      proxyAddresses: source.proxyAddresses\n"))
    ((operation, first),) = pair.cycle()
    assert operation == "create" and first in ("Berta", "Clara")
    told = " ".join(one["text"] for one in pair.product("problems", "--severity", "error"))
    assert "is taken by the user Native; correct one of the two" in told and f"is taken by the user {first}" in told
    pair.fabrikam.change(there, proxyAddresses="smtp:native@shared.example")
    assert pair.cycle() == [("create", "Anna")]
