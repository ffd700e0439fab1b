"""What the rows of `script/bench ad` measure, each beside the bare protocol in turn. Wall time: the server's part is on both sides."""

from __future__ import annotations

import csv
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.samba import Samba

import metasync_ad.plugin
import metasync_ad.session
import metasync_csv.plugin
from metasync.contract import Change, DirectorySettings, Kind, Operation, Outcome, ReadRequest, Reference
from metasync.engagement.secrets import Secrets
from metasync.runs import run as runs
from metasync.testing.context import TestContext
from metasync.testing.engine import Engine
from metasync_ad import dirsync, lookup
from metasync_ad.connector import ActiveDirectory
from metasync_ad.following import Follower
from metasync_ad.options import ADOptions

from . import ad_bare

ATTRIBUTES = (
    "objectGUID", "objectSid", "sAMAccountName", "userPrincipalName", "cn", "sn", "givenName", "displayName", "mail", "employeeID",
    "employeeNumber", "department", "company", "title", "description", "proxyAddresses", "telephoneNumber", "mobile", "streetAddress", "l",
    "st", "postalCode", "co", "physicalDeliveryOfficeName", "info", "userAccountControl", "manager", "whenCreated", "pwdLastSet",
    "uSNChanged",
)  # fmt: skip
"""Thirty."""
EDITED = 20
Found = dict[str, list[float]]
"""Step -> seconds (or a number) of each turn."""


class Domain:
    """The seeded forest, and ways into it."""

    def __init__(self, samba: Samba, folder: Path) -> None:
        self.samba, self.folder = samba, folder
        self.staff = f"OU=Staff,{samba.base}"
        self.part = f"OU=Part 0,{self.staff}"

    def options(self, *under: str) -> dict[str, Any]:
        """Of the document."""
        return {
            "servers": [self.samba.address], "base": self.samba.base, "bind": self.samba.service.name, "password": {"secret": "bind"},
            "ca file": str(self.samba.ca), "certificate name": self.samba.host, "under": list(under),
        }  # fmt: skip

    def connector(self, *under: str) -> ActiveDirectory:
        """Not connected yet."""
        context = TestContext("domain", secrets={"bind": self.samba.service.password}, settings=DirectorySettings(mark="adminDescription"))
        return ActiveDirectory(ADOptions().load(self.options(*under)), context)

    def engine(self, document: str) -> Engine:
        """A new database in a folder of its own."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        engine = Engine(folder, document, {}, plugins=[metasync_ad.plugin, metasync_csv.plugin])
        engine.workspace = replace(engine.workspace, secrets=Secrets.of({"bind": self.samba.service.password}))
        return engine

    def reading(self, *under: str) -> Engine:
        """An engine that imports the domain's people with 30 attributes."""
        mapped = "\n".join(f"      a{number}: source.{name}" for number, name in enumerate(ATTRIBUTES))
        empty = self.folder / "list.csv"
        columns = ["id", *(f"a{number}" for number in range(len(ATTRIBUTES)))]
        empty.write_text(",".join(columns) + "\n", encoding="utf-8")
        return self.engine(f"""
engagement: bench
plugins: {{standard: ">=0.1", csv: ">=0.1", ad: ">=0.1"}}
directories:
  domain: {{connector: ad, options: {json.dumps(self.options(*under))}}}
  list: {{connector: csv, options: {{path: "{empty}", anchor: id}}}}
profiles:
  people:
    kind: user
    source: domain
    target: list
    match: [{{source: employeeID, target: a0}}]
    map:
{mapped}
""")


def imported(engine: Engine, *, full: bool = False) -> None:
    """Import the domain. Raises `RuntimeError` where it did not come to its end."""
    outcome = runs.import_directories(engine.workspace, ["domain"], full=full)
    if outcome.unavailable or outcome.errors:
        raise RuntimeError(f"the import went wrong: {outcome} {engine.problems()[:3]}")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, used = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - wall, time.process_time() - used


def reading(domain: Domain, found: Found, size: int) -> None:
    """From the wire into a new database, beside ldapsearch into a file."""
    bare, came = ad_bare.ldapsearch(domain.samba, domain.staff, ATTRIBUTES, domain.folder)
    engine = domain.reading(domain.staff)
    wall, used = timed(lambda: imported(engine, full=True))
    engine.close()
    if came != size:
        raise RuntimeError(f"{came} people came where {size} were expected")
    _note(found, {"ldapsearch into a file": bare, "full import": wall, "full import, CPU of the client": used, "import": wall / bare})


def following(domain: Domain, found: Found) -> None:
    """Twenty changes, beside one DirSync answer from the same place; of everybody, and of a tenth."""
    whole, tenth = domain.reading(domain.staff), domain.reading(domain.part)
    poll = domain.connector()
    try:
        for engine in (whole, tenth):
            imported(engine, full=True)
            imported(engine)  # the first delta of a process loads what later ones have
        session = poll.session
        request = ReadRequest(stream="all", kinds=frozenset({Kind.USER}), attributes={Kind.USER: frozenset(ATTRIBUTES)})
        follower = Follower(session, poll.codec, poll.settings, poll.context, request)
        cookie = dirsync.start(session, domain.samba.base, secured=True)
        _edit(domain)
        bare, _ = timed(lambda: session.changes(domain.samba.base, follower.classes, follower.wire, dirsync.control(cookie, secured=True)))
        wall, used = timed(lambda: imported(whole))
        _, used_of_tenth = timed(lambda: imported(tenth))
    finally:
        poll.close()
        whole.close()
        tenth.close()
    _note(found, {"one DirSync answer": bare, "delta import of 20 changes": wall, "delta, CPU of the client": used})
    _note(found, {"delta of a tenth, CPU of the client": used_of_tenth, "delta": wall - bare, "delta-cpu": used / used_of_tenth})


def _edit(domain: Domain) -> None:
    text = uuid.uuid4().hex
    with domain.samba.connect() as hands:
        for number in range(EDITED):
            hands.modify(f"CN=Person {number:06d},{domain.part}" if number < 10 else f"CN=Person {number + 90:06d},{domain.part}",
                         {"description": [("MODIFY_REPLACE", [text])]})  # fmt: skip


def joining(domain: Domain, found: Found) -> None:
    """One joiner in the large group: what is written, and what the next delta tells."""
    connector = domain.connector(domain.staff, f"OU=Groups,{domain.samba.base}")
    try:
        with domain.samba.connect() as hands:
            name = f"Joiner {uuid.uuid4().hex[:8]}"
            hands.add(f"CN={name},{domain.part}", ["contact"], {})
        session = connector.session
        member = lookup.by_dn(session, f"CN={name},{domain.part}", ())
        group = lookup.by_dn(session, f"CN=Large,OU=Groups,{domain.samba.base}", ())
        assert member is not None and member.guid and group is not None and group.guid
        request = ReadRequest(stream="all", kinds=frozenset({Kind.GROUP}), attributes={Kind.GROUP: frozenset({"name", "members"})})
        *_, last = connector.read(request)
        written: list[int] = []
        modify = session.modify

        def counting(dn: str, changes: Mapping[str, Sequence[Any]], *more: Any) -> None:
            written.extend(len(values) for steps in changes.values() for _, values in steps)
            modify(dn, changes, *more)

        session.modify = counting  # type: ignore[method-assign]
        joins = Change(
            id="1", operation=Operation.MEMBER_ADD, kind=Kind.GROUP, anchor=group.guid, label="Large", tag="1" * 32,
            member=Reference(value=member.guid),
        )  # fmt: skip
        wall, _ = timed(lambda: [_applied(result.outcome, result.detail) for result in connector.write([joins])])
        told = [item for page in connector.follow(request, last.cursor or "") for item in page.items]
        references = sum(len(held) for item in told for held in getattr(item, "added", {}).values())
        whole = sum("members" in (getattr(item, "attributes", None) or {}) for item in told)
        session.delete(f"<GUID={member.guid}>")
    finally:
        connector.close()
    _note(found, {"adding one member of 5,000": wall, "joiner": float(sum(written) if len(written) == 1 else len(written) + sum(written))})
    _note(found, {"joiner-delta": float(references + 5000 * whole)})


def _applied(outcome: Outcome, detail: str) -> None:
    if outcome is not Outcome.APPLIED:
        raise RuntimeError(detail)


def creating(domain: Domain, found: Found, number: int) -> None:
    """An approved plan of so many new accounts, from the first to the last, beside the same adds on plain ldap3. Connecting and confirming
    are shown, and are no part of the rate."""
    unit = domain.samba.make_unit("bench")
    hr, short = domain.folder / "hr.csv", uuid.uuid4().hex[:6]
    with hr.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "given", "surname", "mail", "title", "phone"])
        writer.writerows(
            [f"{short}{one}", f"Anna {one}", "Müller", f"{short}{one}@contoso.test", "Clerk", "+41 44 0"] for one in range(number)
        )
    engine = domain.engine(f"""
engagement: bench
plugins: {{standard: ">=0.1", csv: ">=0.1", ad: ">=0.1"}}
directories:
  hr: {{connector: csv, options: {{path: "{hr}", anchor: id}}}}
  domain: {{connector: ad, mark: adminDescription, options: {json.dumps(domain.options(unit))}}}
profiles:
  people:
    kind: user
    source: hr
    target: domain
    match: [{{source: id, target: employeeID}}]
    place: '"{unit}"'
    limits: {{create: {{count: 1000000}}}}
    map:
      employeeID: source.id
      cn: source.id
      sAMAccountName: source.id
      userPrincipalName: source.mail
      givenName: source.given
      sn: source.surname
      displayName: source.given + " " + source.surname
      mail: source.mail
      title: source.title
      telephoneNumber: source.phone
""")
    asked: list[tuple[str, Mapping[str, Sequence[Any]]]] = []
    at: list[float] = []
    add = metasync_ad.session.Session.add

    def noting(self: Any, dn: str, attributes: Mapping[str, Sequence[Any]]) -> None:
        asked.append((dn, attributes))
        at.append(time.monotonic())
        add(self, dn, attributes)
        at.append(time.monotonic())

    try:
        engine.import_()
        engine.plan()
        engine.approve()
        metasync_ad.session.Session.add = noting  # type: ignore[method-assign]
        wall, used = timed(engine.export)
    finally:
        metasync_ad.session.Session.add = add  # type: ignore[method-assign]
        engine.close()
    if len(asked) != number:
        raise RuntimeError(f"{len(asked)} of {number} were created: {engine.problems()[:3]}")
    domain.samba.remove_tree(unit)
    again = domain.samba.make_unit("bench")
    bare = ad_bare.adds(domain.samba, [(dn.replace(unit, again), attributes) for dn, attributes in asked])
    domain.samba.remove_tree(again)
    ours = at[-1] - at[0]
    _note(found, {"creates, exported and confirmed": wall, "exported and confirmed, CPU of the client": used})
    _note(found, {"from the first create to the last": ours, "the same adds by ldap3": bare, "creates": bare / ours})


def _note(found: Found, more: Mapping[str, float]) -> None:
    for name, value in more.items():
        found.setdefault(name, []).append(value)
