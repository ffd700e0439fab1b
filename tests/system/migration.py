"""One forest moves into another: what stands there at the beginning, what people do meanwhile on both sides, the document, and what must
be true afterwards, told from this model alone and compared with what both directories hold.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .forests import DOMAIN_LOCAL, ENABLED, Forests, Side, readable_sid
from .ldap_dump import Dump

if TYPE_CHECKING:
    from lab.samba import Samba

DISABLED = ENABLED | 2
SITES = ("Basel", "Zürich", "Leeds")
DEPARTMENTS = ("Sales", "Research", "Finance", "Logistics")
GIVEN = ("Anna", "Björn", "Chloé", "David", "Elif", "Fatima", "Łukasz", "Noël")
NAMES = ("Ærø", "Baker", "Çelik", "Dubois", "García", "Huber", "Müller", "O'Brien", "Strauß")
WAVES = ("first", "second", "third")
LIMITS = (
    "    limits: {"
    + ", ".join(
        f"{name}: {{count: 100000}}"
        for name in (
            "create",
            "update",
            "clear",
            "sign-in change",
            "rename",
            "move",
            "enable",
            "disable",
            "delete",
            "restore",
            "member add",
            "member remove",
        )
    )
    + "}\n"
)

METAVERSE = "metaverse: {group: {members: {union: [contoso.members, contoso.foreignMembers]}}}\n"
"""People of fabrikam are members of groups of contoso: by their SIDs, and where they are contacts there."""

CONTACT = """
    map:
      cn: {from: source.displayName, unique: ['{value}', '{value} ({n})']}
      displayName: source.displayName
      mail: source.mail
      proxyAddresses: {from: 'addresses(["SMTP:" + source.mail], source.legacyExchangeDN)', values: add}
"""
DOCUMENT = (
    """
  tree:
    kind: container
    source: contoso
    target: fabrikam
    scope: {under: ["OU=Staff,CONTOSO"], where: 'source.description != null'}
    match: [{source: description, target: description}]
    place: {mirror: {"OU=Staff,CONTOSO": "OU=Imported,FABRIKAM"}, existing: move}
    map: {name: source.name, description: source.description}
    leaving: {deleted: keep}
LIMITS  staff:
    kind: user
    source: contoso
    target: fabrikam
    replaces: gal-to-fabrikam
    scope: {under: ["OU=Staff,CONTOSO"], where: 'wave.state != "waiting"'}
    match: [{source: employeeID, target: employeeID}]
    place: {mirror: {"OU=Staff,CONTOSO": "OU=Imported,FABRIKAM"}, existing: move}
    map:
      employeeID: source.employeeID
      cn: {from: source.displayName, unique: ['{value}', '{value} ({n})']}
      displayName: source.displayName
      givenName: source.givenName
      sn: source.sn
      title: {from: source.title, when: 'wave.state != "cut over"'}
      department: source.department
      telephoneNumber: source.telephoneNumber
      mail: {from: source.mail, unique: ['{value}', '{local}.{n}@{domain}']}
      proxyAddresses: {from: 'addresses(source.proxyAddresses, source.legacyExchangeDN)', values: add}
      sAMAccountName: {from: source.sAMAccountName, rewrite: [{truncate: 18}], once: true, unique: ['{value}', '{value}{n}']}
      userPrincipalName:
        {from: 'join("@", [source.sAMAccountName, "FABRIKAM-TAG.fabrikam.test"])', once: true, unique: ['{value}', '{local}{n}@{domain}']}
      manager: source.manager
      enabled: source.enabled
    leaving: {disabled: disable, deleted: [disable, {move: '"OU=Leavers,FABRIKAM"'}], out of scope: keep}
LIMITS  teams:
    kind: group
    source: contoso
    target: fabrikam
    scope: {under: ["OU=Teams,CONTOSO"]}
    match: [{source: info, target: info}]
    place: '"OU=Teams,FABRIKAM"'
    map:
      cn: {from: source.cn, unique: ['{value}', '{value} ({n})']}
      sAMAccountName: {from: source.sAMAccountName, once: true, unique: ['{value}', '{value}-{n}']}
      info: source.info
      members: mv.members
    leaving: {deleted: delete}
LIMITS  gal-to-fabrikam:
    kind: {user: contact}
    source: contoso
    target: fabrikam
    disjoint: books
    scope: {under: ["OU=Staff,CONTOSO"], where: 'source.mail != null'}
    match: [{source: mail, target: mail, any kind: skip}]
    place: '"OU=GAL,FABRIKAM"'"""
    + CONTACT
    + """    leaving: {deleted: delete, out of scope: delete}
LIMITS  gal-to-contoso:
    kind: {user: contact}
    source: fabrikam
    target: contoso
    scope: {under: ["OU=Staff,FABRIKAM"], where: 'source.mail != null'}
    match: [{source: mail, target: mail, any kind: skip}]
    place: '"OU=GAL,CONTOSO"'"""
    + CONTACT
    + """    leaving: {deleted: delete, out of scope: delete}
LIMITS  partners:
    kind: {contact: contact}
    source: contoso
    target: fabrikam
    disjoint: books
    scope: {under: ["OU=Partners,CONTOSO"]}
    match: [{source: mail, target: mail}]
    place: '"OU=Partners,FABRIKAM"'
    map:
      cn: {from: source.displayName, unique: ['{value}', '{value} ({n})']}
      displayName: source.displayName
      mail: source.mail
      company: source.company
    leaving: {deleted: delete}
LIMITS"""
).replace("LIMITS", LIMITS)


@dataclass(kw_only=True)
class Person:
    """Somebody in contoso, as contoso shall hold him."""

    id: str
    account: str
    unit: str
    """Below Staff: `Site/Department`."""
    values: dict[str, Any]
    manager: str = ""
    enabled: bool = True
    gone: bool = False
    wave: str = ""
    moved: bool = False
    cut_over: bool = False
    extra: set[str] = field(default_factory=set)
    """Addresses that somebody in fabrikam gave to his contact."""
    taken: set[str] = field(default_factory=set)
    """What somebody of fabrikam's own has: `sAMAccountName`, `userPrincipalName`, `displayName`, `mail`, `proxyAddresses`."""

    @property
    def mail(self) -> str:
        return str(self.values["mail"])

    @property
    def in_book(self) -> bool:
        """He is to have a contact in fabrikam: who has his address there is taken for him."""
        return not self.moved and not self.gone and "mail" not in self.taken

    def numbered(self, name: str, value: str) -> str:
        """What he gets in fabrikam, where somebody may have it already."""
        if name not in self.taken:
            return value
        local, at, domain = value.partition("@")
        return f"{local}{'' if name in ('sAMAccountName', 'userPrincipalName') else '.'}2{at}{domain}"


class Migration:
    """Both forests and the model of what they hold."""

    def __init__(self, forests: Forests, *, people: int, groups: int, contacts: int, seed: int = 1) -> None:
        self.forests, self.contoso, self.fabrikam, self.product = forests, forests.contoso, forests.fabrikam, forests.product
        self.dice = random.Random(seed)
        self.times: list[tuple[str, float, Mapping[str, int]]] = []
        self.happened: Counter[str] = Counter()
        """What people did, or met with: a migration without it would prove nothing of it."""
        self.people: dict[str, Person] = {}
        self.teams: dict[str, set[str]] = {}
        """Group in contoso -> ids of its people."""
        self.elsewhere: dict[str, str] = {}
        """OU below Staff, as `Site/Department` -> where it went."""
        self.natives: dict[str, str] = {}
        """mail -> SID, of the people of fabrikam, but of those whose address somebody in contoso has."""
        self.guests: dict[str, set[str]] = {}
        """Group in contoso -> mail of the people of fabrikam who are members of it, by their SIDs."""
        self.alone: set[str] = set()
        """mail of those of fabrikam whose address somebody in contoso had until he left: from then on they have a contact there."""
        self.bearers: dict[str, str] = {}
        """id -> DN of who has one of his addresses in fabrikam."""
        self.let_go: dict[str, str] = {}
        """DN of who had it -> the address, once he gave it up for somebody who moves."""
        self.partners: dict[str, tuple[str, str]] = {}
        """mail -> (displayName, company), of the contacts of contoso's own."""
        self.lists: dict[str, set[str]] = {}
        """Group of fabrikam's own -> ids of people of contoso that somebody there put in."""
        self.seed(people, groups, contacts)

    # --- the beginning -------------------------------------------------------------------------------------------------------------------

    def seed(self, people: int, groups: int, contacts: int) -> None:
        """What both forests hold before anybody moves."""
        tag = self.contoso.tag
        with self.contoso.samba.connect(patience=300) as connection:
            connection.add(self.contoso.dn("Partners"), "organizationalUnit")
            for site in SITES:
                connection.add(self.contoso.dn(f"{site},OU=Staff"), "organizationalUnit", {"description": site})
                for department in DEPARTMENTS:
                    described = {"description": f"{site}/{department}"}
                    connection.add(self.contoso.dn(f"{department},OU={site},OU=Staff"), "organizationalUnit", described)
            for number in range(people):
                person = self._person(number, tag)
                self._hire(connection, person)
            everybody = list(self.people.values())
            for number in range(groups):
                chosen = self.dice.sample(everybody, min(len(everybody), self.dice.choice((3, 8, 20))))
                name = f"Team {number:04d}"
                self.teams[name] = {one.id for one in chosen}
                values = {"sAMAccountName": f"{tag}-{name}", "info": f"{tag}:{number}", "member": [self.dn(one) for one in chosen]}
                connection.add(self.contoso.dn(name, "Teams"), "group", {**values, "groupType": DOMAIN_LOCAL})
            for number in range(contacts):
                name = f"Partner {number % (contacts * 2 // 3)}"  # some bear one name
                values = {"displayName": name, "mail": f"partner{number}@{tag}.partners.example", "company": f"Company {number % 7}"}
                self.partners[values["mail"]] = (name, values["company"])
                connection.add(self.contoso.dn(f"{name} {number}", "Partners"), "contact", values)
        with self.fabrikam.samba.connect(patience=300) as connection:
            connection.add(self.fabrikam.dn("Partners"), "organizationalUnit")
            some = self.dice.sample(everybody, max(5, people // 20))
            for number, other in enumerate(some):
                # Each is in the way of one of contoso's people, in one of several ways.
                name = f"Native {number}"
                values = {
                    "sAMAccountName": f"{self.fabrikam.tag}-nat{number}", "displayName": name, "userAccountControl": ENABLED,
                    "mail": f"native{number}@{self.fabrikam.tag}.fabrikam.example", "title": "Native",
                }  # fmt: skip
                in_the_way = ("sAMAccountName", "userPrincipalName", "displayName", "mail", "proxyAddresses")[number % 5]
                other.taken.add(in_the_way)
                self.happened[f"{in_the_way} taken"] += 1
                match in_the_way:
                    case "sAMAccountName":
                        values["sAMAccountName"] = other.account
                    case "userPrincipalName":
                        values["userPrincipalName"] = f"{other.account}@{self.fabrikam.tag}.fabrikam.test"
                    case "displayName":
                        values["displayName"] = other.values["displayName"]
                    case "mail":
                        values["mail"] = other.mail
                    case _:
                        values["proxyAddresses"] = [f"SMTP:{values['mail']}", other.values["proxyAddresses"][1]]
                        self.bearers[other.id] = self.fabrikam.dn(name, "Staff")
                connection.add(self.fabrikam.dn(name, "Staff"), "user", values)
            # A group of fabrikam that has the name of one of contoso's.
            connection.add(self.fabrikam.dn("Team 0000", "Teams"), "group", {"sAMAccountName": f"{tag}-Team 0000", "description": "native"})
        mails = {one.mail for one in self.people.values()}
        self.natives = {
            text(one, "mail"): readable_sid(min(one["objectsid"]))
            for one in self.fabrikam.names("Staff").values()
            if text(one, "mail") not in mails
        }
        with self.contoso.samba.connect(patience=300) as connection:
            for name in list(self.teams)[::3]:
                self.invite(connection, name, self.dice.sample(sorted(self.natives), self.dice.choice((1, 1, 3))))

    def _person(self, number: int, tag: str) -> Person:
        given, name = GIVEN[number % len(GIVEN)], NAMES[(number // len(GIVEN)) % len(NAMES)]
        unit = f"{SITES[number % len(SITES)]}/{DEPARTMENTS[(number // 3) % len(DEPARTMENTS)]}"
        account = f"{tag}-{number:05d}"
        mail = f"p{number}@{tag}.contoso.example"
        boss = f"{tag}{number // 10 * 10:05d}" if number % 10 else ""
        values = {
            "displayName": f"{given} {name}", "givenName": given, "sn": name, "title": "Manager" if number % 10 == 0 else "Engineer",
            "department": unit.partition("/")[2], "telephoneNumber": f"+41 44 {number:07d}", "mail": mail,
            "proxyAddresses": [f"SMTP:{mail}", f"smtp:p{number}.alias@{tag}.contoso.example"],
            "legacyExchangeDN": f"/o=Contoso/ou={tag}/cn=P{number}",
        }  # fmt: skip
        return Person(
            id=f"{tag}{number:05d}",
            account=account,
            unit=unit,
            values=values,
            manager=boss,
            enabled=number % 17 != 0,
            wave=WAVES[number % len(WAVES)],
        )

    def _hire(self, connection: Any, person: Person) -> None:
        boss = self.people.get(person.manager)
        values = {
            **person.values, "sAMAccountName": person.account, "employeeID": person.id,
            "userAccountControl": ENABLED if person.enabled else DISABLED, **({"manager": self.dn(boss)} if boss else {}),
        }  # fmt: skip
        connection.add(self.dn(person), "user", values)
        self.people[person.id] = person

    def dn(self, person: Person) -> str:
        """In contoso. cn is the number: display names are of many."""
        site, department = person.unit.split("/")
        return self.contoso.dn(f"P {person.id}", f"{department},OU={site},OU=Staff")

    def invite(self, connection: Any, team: str, guests: Collection[str]) -> None:
        """People of fabrikam join a group of contoso, which makes foreign security principals of them."""
        members = [f"<SID={self.natives[one]}>" for one in sorted(guests)]
        connection.modify(self.contoso.dn(team, "Teams"), {"member": [("MODIFY_ADD", members)]})
        self.guests[team] = self.guests.get(team, set()) | set(guests)

    def dismiss(self, connection: Any, team: str, guest: str) -> None:
        """One of them leaves it."""
        principal = f"CN={self.natives[guest]},CN=ForeignSecurityPrincipals,{self.contoso.samba.base}"
        connection.modify(self.contoso.dn(team, "Teams"), {"member": [("MODIFY_DELETE", [principal])]})
        self.guests[team].discard(guest)

    def load(self) -> None:
        """Accept the document; nobody is in a wave that moves yet."""
        self.write_waves()
        waves = "\nwaves: {" + ", ".join(f"{wave}: {{file: {wave}.csv, key: employeeID}}" for wave in WAVES) + "}\n"
        self.forests.load(DOCUMENT, before=METAVERSE + waves)

    def write_waves(self) -> None:
        """Who is in which wave, as its file says; nobody takes out those who left."""
        for wave in WAVES:
            lines = ["employeeID", *(one.id for one in self.people.values() if one.wave == wave)]
            (self.product.folder / f"{wave}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")

    # --- the job -------------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def timed(self, what: str) -> Iterator[dict[str, int]]:
        """Note how long a step took, and what it counted."""
        began, counted = time.monotonic(), dict[str, int]()
        yield counted
        self.times.append((what, time.monotonic() - began, counted))
        print(f"{what}: {self.times[-1][1]:.1f} s {counted}", flush=True)

    def run(self, what: str, *, twice: bool = False) -> dict[str, int]:
        """Import, plan, export; all of it is confirmed, and the next plan is empty. `twice`: whoever leaves from an OU that is moved itself
        is moved out by the next run: he was not where the plan had seen him."""
        with self.timed(f"{what}: import and plan") as counted:
            plans = self.product.plan()
            for one in plans:
                for operation, number in one["counts"].items():
                    counted[operation] = counted.get(operation, 0) + number
        if plans:
            with self.timed(f"{what}: export and confirm") as written:
                written |= self.export(plans)
            if twice and "stale" in written:
                counted |= {"by a second run": sum(self.run(f"{what}, what was left").values())}
                return counted
            assert set(written) == {"confirmed"}, self.product("problems")
        with self.timed(f"{what}: the next plan"):
            again = self.product.plan_only()
        assert again == [], [(one["operation"], one["label"], one["after"]) for plan in again for one in plan["changes"]][:10]
        return counted

    def export(self, plans: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Approve and export; state -> number of changes."""
        for one in plans:
            self.product("approve", str(one["plan"]), "--reason", "a test")
        return dict(self.product("export", *(str(one["plan"]) for one in plans), code=(0, 1))["written"])

    def move(self, wave: str) -> dict[str, int]:
        """A wave's people become users in fabrikam, each in his contact's place."""
        self.product("wave", "move", wave, "--reason", "a test", "--ready", code=(0, 1))  # 1: all that is left are those who left
        done = self.run(f"wave {wave}")
        blocked = [one for one in self.people.values() if one.wave == wave and not one.gone and "proxyAddresses" in one.taken]
        for one in self.people.values():
            if one.wave == wave and not one.gone and one not in blocked:
                one.moved = True
        if blocked:
            # An address that somebody has is a problem that names him, and keeps nobody else; then he lets go of it.
            self.check()
            told = " ".join(one["text"] for one in self.product("problems", "--severity", "error"))
            for one in blocked:
                alias, bearer = one.values["proxyAddresses"][1], self.bearers[one.id]
                assert f"is taken by the user {bearer.partition(',')[0][3:]}" in told, told
                with self.fabrikam.samba.connect() as connection:
                    connection.modify(bearer, {"proxyAddresses": [("MODIFY_DELETE", [alias])]})
                one.taken.discard("proxyAddresses")
                self.let_go[bearer] = alias
                one.moved = True
            self.run(f"those of wave {wave} whose addresses are free now")
        return done

    def cut_over(self, wave: str) -> None:
        """From now on fabrikam decides about some of it; nothing is to be written."""
        self.product("wave", "cut-over", wave, "--reason", "a test", "--ready")
        for one in self.people.values():
            one.cut_over |= one.wave == wave and one.moved
        assert self.run(f"after the cut-over of wave {wave}") == {}

    def undo(self, wave: str, *, allowed: Collection[str] = ("update",)) -> None:
        """The way back from all that was written for the wave's people. `allowed`: what may follow it, by operation."""
        with self.timed(f"undo of wave {wave}: plan"):
            planned = self.product("undo", "--wave", wave)
            plans = [one for one in planned["plans"] if one["changes"]]
        with self.timed(f"undo of wave {wave}: export") as written:
            written |= self.export(plans)
        assert set(written) == {"confirmed"}, self.product("problems")
        for one in self.people.values():
            if one.wave == wave:
                one.moved = False
        # Whose manager is a contact again, and who was not of the wave, follows by himself.
        followed = self.run(f"after the undo of wave {wave}")
        assert set(followed) <= set(allowed), followed

    # --- what people do meanwhile --------------------------------------------------------------------------------------------------------

    def staying(self, number: int, *, moved: bool | None = None, enabled: bool | None = None) -> list[Person]:
        """Some people by chance; nobody's manager."""
        bosses = {one.manager for one in self.people.values()}
        every = [
            one
            for one in self.people.values()
            if not one.gone and one.id not in bosses and moved in (None, one.moved) and enabled in (None, one.enabled)
        ]
        return self.dice.sample(every, min(number, len(every)))

    def edit_contoso(self, number: int) -> None:
        """Titles and names change, people leave by either way, come back by either way, are hired, people of fabrikam join and leave
        groups; `number` of each."""
        back = [one for one in self.people.values() if one.gone]
        with self.contoso.samba.connect(patience=300) as connection:
            for one in self.staying(number):
                title = f"Senior {self.dice.randint(1, 99)}"
                connection.modify(self.dn(one), {"title": [("MODIFY_REPLACE", [title])]})
                if not one.cut_over:  # else fabrikam decides about it
                    one.values["title"] = title
            for one in self.staying(number):
                one.values["displayName"] += " Jr"
                connection.modify(self.dn(one), {"displayName": [("MODIFY_REPLACE", [one.values["displayName"]])]})
            for enabled in (True, False):
                # Who was disabled comes back, and others leave.
                for one in self.staying(number, enabled=enabled):
                    one.enabled = not enabled
                    connection.modify(self.dn(one), {"userAccountControl": [("MODIFY_REPLACE", [DISABLED if enabled else ENABLED])]})
            leavers = {one.id: one for one in (*self.staying(1, moved=True), *self.staying(max(1, number // 2)))}
            for one in leavers.values():
                connection.delete(self.dn(one))
                one.gone = True
                if "mail" in one.taken:
                    self.alone.add(one.mail)
                self.happened["left after he had moved" if one.moved else "left"] += 1
                for members in self.teams.values():
                    members.discard(one.id)
                for members in self.lists.values():
                    if not one.moved:  # else nobody decides about a list of fabrikam's but fabrikam
                        members.discard(one.id)
            for one in sorted(back, key=lambda one: not one.moved)[: max(1, number // 2)]:
                self.happened["returned after he had moved" if one.moved else "returned"] += 1
                self._return(connection, one)
            moved = {one.wave for one in self.people.values() if one.moved}
            left = [wave for wave in WAVES if wave not in moved]
            for _ in range(number):
                person = self._person(len(self.people), self.contoso.tag)
                person.wave = self.dice.choice(left) if left else ""
                person.unit = self.elsewhere.get(person.unit, person.unit)
                self._hire(connection, person)
            for team in self.dice.sample([name for name, guests in self.guests.items() if guests], number):
                self.dismiss(connection, team, min(self.guests[team]))
            for team in self.dice.sample(sorted(self.teams), number):
                if others := self.natives.keys() - self.guests.get(team, set()):
                    self.invite(connection, team, [self.dice.choice(sorted(others))])
        self.write_waves()

    def _return(self, connection: Any, person: Person) -> None:
        """Somebody who left is hired again: another account with the old number, in no group."""
        person.gone, person.enabled = False, True
        if not person.moved:
            person.extra = set()  # his contact went with him
        self._hire(connection, person)

    def reparent(self, department: str, site: str, other: str) -> None:
        """An OU goes from one site to another, with all who are in it."""
        self.contoso.rename(
            self.contoso.dn(f"{department},OU={site},OU=Staff"), f"OU={department} of {site}", self.contoso.dn(f"{other},OU=Staff")
        )
        self.elsewhere[f"{site}/{department}"] = f"{other}/{department} of {site}"
        for one in self.people.values():
            if one.unit == f"{site}/{department}":
                one.unit = f"{other}/{department} of {site}"

    def edit_fabrikam(self, number: int) -> None:
        """Somebody there gives contacts further addresses, puts them into groups, and changes what the migration decides about."""
        held = {text(one, "mail"): one for one in self.fabrikam.names("GAL").values()}
        name = f"List {len(self.lists)}"
        chosen = [one for one in self.staying(number * 2, moved=False) if one.mail in held]
        self.lists[name] = {one.id for one in chosen}
        with self.fabrikam.samba.connect(patience=300) as connection:
            dns = [text(held[one.mail], "dn") for one in chosen]
            connection.add(self.fabrikam.dn(name, "Teams"), "group", {"sAMAccountName": f"{self.fabrikam.tag}-{name}", "member": dns})
            for one in [one for one in chosen if not one.extra][:number]:
                further = {f"X500:/o=Fabrikam/cn={one.id}", f"smtp:{one.id}@{self.fabrikam.tag}.fabrikam.example"}
                one.extra |= further
                connection.modify(text(held[one.mail], "dn"), {"proxyAddresses": [("MODIFY_ADD", sorted(further))]})
            users = {text(one, "employeeid"): one for one in self.users().values()}
            for one in self.staying(number, moved=True):
                connection.modify(text(users[one.id], "dn"), {"telephoneNumber": [("MODIFY_REPLACE", ["by hand"])]})

    def given_up(self, before: Dump) -> dict[str, dict[str, tuple[Sequence[bytes], Sequence[bytes]]]]:
        """What people of fabrikam themselves gave up since then, as `restored` tells it."""
        found = {}
        for held in before.values():
            alias = self.let_go.get(text(held, "dn"), "").encode()
            addresses = held.get("proxyaddresses", frozenset())
            if alias in addresses:
                found[text(held, "dn")] = {"proxyaddresses": (sorted(addresses), sorted(addresses - {alias}))}
        return found

    # --- what must be true ---------------------------------------------------------------------------------------------------------------

    def users(self) -> dict[str, Mapping[str, frozenset[bytes]]]:
        """DN -> what was made for people of contoso."""
        return {text(one, "dn"): one for one in self.fabrikam.dump().values() if one.get("employeeid") and b"user" in one["objectclass"]}

    def check(self) -> dict[str, int]:
        """Compare both directories with the model, attribute by attribute; how many of what there are."""
        dump = self.fabrikam.dump()
        users = {text(one, "employeeid"): one for one in dump.values() if one.get("employeeid") and b"user" in one["objectclass"]}
        gal = {text(one, "mail"): one for one in dump.values() if text(one, "dn").endswith("," + self.fabrikam.dn("GAL")) and "mail" in one}
        wrong: list[str] = []

        def same(who: str, what: str, found: object, expected: object) -> None:
            if found != expected:
                wrong.append(f"{who}: {what} is {found!r}, expected {expected!r}")

        stands: dict[str, str] = {}
        for one in self.people.values():
            if one.moved:
                stands[one.id] = text(users.get(one.id, {}), "dn")
            elif one.in_book:
                stands[one.id] = text(gal.get(one.mail, {}), "dn")
        same("fabrikam", "users", users.keys(), {one.id for one in self.people.values() if one.moved})
        same("fabrikam", "contacts", gal.keys(), {one.mail for one in self.people.values() if one.in_book})
        for one in self.people.values():
            if not one.moved:
                contact = gal.get(one.mail)
                if contact is not None:
                    same(one.id, "displayName", text(contact, "displayname"), one.values["displayName"])
                    expected = {f"SMTP:{one.mail}", f"X500:{one.values['legacyExchangeDN']}", *one.extra}
                    same(one.id, "proxyAddresses of the contact", values(contact, "proxyaddresses"), expected)
                continue
            held = users.get(one.id)
            if held is None:
                continue
            enabled = not int(text(held, "useraccountcontrol")) & 2
            same(one.id, "enabled", enabled, one.enabled and not one.gone)
            if one.gone:
                same(one.id, "place", text(held, "dn").partition(",")[2], self.fabrikam.dn("Leavers"))
                continue
            for name in ("displayName", "givenName", "sn", "title", "department", "telephoneNumber"):
                same(one.id, name, text(held, name.lower()), one.values[name])
            same(one.id, "mail", text(held, "mail"), one.numbered("mail", one.mail))
            same(one.id, "sAMAccountName", text(held, "samaccountname"), one.numbered("sAMAccountName", one.account))
            principal = f"{one.account}@{self.fabrikam.tag}.fabrikam.test"
            same(one.id, "userPrincipalName", text(held, "userprincipalname"), one.numbered("userPrincipalName", principal))
            same(one.id, "cn", NUMBER.sub("", text(held, "cn")), one.values["displayName"])
            addresses = {*one.values["proxyAddresses"], f"X500:{one.values['legacyExchangeDN']}", *one.extra}
            same(one.id, "proxyAddresses", values(held, "proxyaddresses"), addresses)
            same(one.id, "manager", text(held, "manager"), stands.get(one.manager, "") if one.manager else "")
            site, department = one.unit.split("/")
            same(
                one.id,
                "place",
                text(held, "dn").partition(",OU=")[2],
                self.fabrikam.dn(f"{department},OU={site},OU=Imported").partition("OU=")[2],
            )
        # Entra Connect leaves out whom adminDescription calls User_, Group_ or Contact_.
        marks = {text(one, "admindescription").partition(":")[0] for one in dump.values() if "admindescription" in one}
        same("fabrikam", "marks", marks, {"metasync"})
        accounts = [text(one, "samaccountname").casefold() for one in dump.values() if "samaccountname" in one]
        same("fabrikam", "accounts of one name", len(accounts), len(set(accounts)))
        groups = {text(one, "info"): one for one in dump.values() if b"group" in one["objectclass"] and "info" in one}
        native = {text(one, "mail"): text(one, "dn") for one in dump.values() if text(one, "mail") in self.natives}
        for number, (name, members) in enumerate(self.teams.items()):
            held = groups.get(f"{self.contoso.tag}:{number}", {})
            guests = {native[one] for one in self.guests.get(name, ())}
            twice = name == "Team 0000"  # fabrikam has one of that name
            same(name, "cn", text(held, "cn"), f"{name} (2)" if twice else name)
            same(name, "sAMAccountName", text(held, "samaccountname"), f"{self.contoso.tag}-{name}{'-2' if twice else ''}")
            same(name, "members", values(held, "member"), {stands[one] for one in members if stands.get(one)} | guests)
        by_name = {text(one, "cn"): one for one in dump.values() if b"group" in one["objectclass"]}
        for name, members in self.lists.items():
            same(name, "members", values(by_name[name], "member"), {stands[one] for one in members if stands.get(one)})
        same("fabrikam", "the group of its own", text(by_name["Team 0000"], "description"), "native")
        partners = self.fabrikam.names("Partners").values()
        found = {text(one, "mail"): (text(one, "displayname"), text(one, "company")) for one in partners}
        same("fabrikam", "partners", found, self.partners)
        names = {NUMBER.sub("", text(one, "cn")) for one in partners}
        same("fabrikam", "names of partners", names, {name for name, _ in self.partners.values()})
        book = {text(one, "mail") for one in self.contoso.names("GAL").values()}
        same("contoso", "contacts", book, self.natives.keys() | self.alone)
        for name, one in self.contoso.names("Teams").items():
            principals = {member.partition(",")[0][3:] for member in values(one, "member") if ",CN=ForeignSecurityPrincipals," in member}
            same(name, "members from elsewhere", principals, {self.natives[guest] for guest in self.guests.get(name, ())})
        assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong[:20])
        guests = sum(map(len, self.guests.values()))
        assert guests, "nobody is a member by his SID"
        return {
            "users": len(users),
            "contacts": len(gal),
            "partners": len(found),
            "groups": len(by_name),
            "members from elsewhere": guests,
            "objects": len(dump),
        }


def text(held: Mapping[str, frozenset[bytes]], name: str) -> str:
    """The one value of an attribute, or nothing."""
    return min(held.get(name, frozenset({b""}))).decode()


def values(held: Mapping[str, frozenset[bytes]], name: str) -> set[str]:
    """All values of an attribute."""
    return {one.decode() for one in held.get(name, ())}


NUMBER = re.compile(r" \([0-9]+\)$")
"""What stands behind a name that another one bears."""

LEFT_BY_A_TOMBSTONE = frozenset({"lastknownparent", "admincount", "operatorcount", "isdeleted", "isrecycled"})


def restored(before: Dump, after: Dump, left: str) -> dict[str, dict[str, tuple[Sequence[bytes], Sequence[bytes]]]]:
    """dn -> attribute -> (before, after) of what an undo did not bring back, but for the marks of having been a tombstone. `left`: where
    those are who left: nobody keeps them in step, so that their manager goes with his contact."""
    found: dict[str, dict[str, tuple[Sequence[bytes], Sequence[bytes]]]] = {}
    nothing: Mapping[str, frozenset[bytes]] = {}
    ending = f",{left}".encode()
    for guid in before.keys() | after.keys():
        old, new = before.get(guid, nothing), after.get(guid, nothing)
        differs = {}
        for name in old.keys() | new.keys():
            was, now = old.get(name, frozenset()), new.get(name, frozenset())
            lost_manager = name == "manager" and not now and min(old.get("dn", {b""})).endswith(ending)
            lost_report = name == "directreports" and now <= was and all(one.endswith(ending) for one in was - now)
            if was != now and name not in LEFT_BY_A_TOMBSTONE and not lost_manager and not lost_report:
                differs[name] = (sorted(was), sorted(now))
        if differs:
            found[text(old or new, "dn")] = differs
    return found


@contextmanager
def migration(two: tuple[Samba, Samba], folder: Path, **size: int) -> Iterator[Migration]:
    """Both forests at the beginning; an OU in each, which go at the end."""
    made: list[tuple[Samba, str]] = []
    try:
        for samba in two:
            made.append((samba, samba.make_unit("moves")))
        began = time.monotonic()
        here = Migration(Forests(Side(*made[0]), Side(*made[1]), folder), **size)
        here.times.append(("seeding both forests", time.monotonic() - began, {}))
        yield here
        for samba, unit in made:
            samba.remove_tree(f"OU=Teams,{unit}")  # first, or each person who goes is taken out of groups one by one
    finally:
        for samba, unit in made:
            samba.remove_tree(unit)
