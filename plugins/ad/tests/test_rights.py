"""Which rights are there and which are missing, and that what is printed for a missing one grants it, and no more."""

from __future__ import annotations

import os
import shlex
import struct
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lab.samba import Account, Samba

from metasync.contract import Check, DirectorySettings, Kind, Operation, Outcome, Purpose, Right
from metasync_ad import descriptor as acl
from metasync_ad import values
from metasync_ad.delegation import CLASSES, Trustee

OURS, OTHERS = "S-1-5-21-1-2-3-1107", "S-1-5-21-1-2-3-1108"
USER, GROUP = CLASSES["user"], CLASSES["group"]


def ace(kind: int, mask: int, sid: str = OURS, *, flags: int = 0, about: str | None = None, of_class: str | None = None) -> bytes:
    """MS-DTYP 2.4.4.2 and 2.4.4.3."""
    body = b""
    if kind in (5, 6):
        body = struct.pack("<I", (about is not None) | 2 * (of_class is not None))
        body += b"".join(values.guid_bytes(one) for one in (about, of_class) if one is not None)
    body += values.sid_bytes(sid)
    return struct.pack("<BBHI", kind, flags, 8 + len(body), mask) + body


def descriptor(*entries: bytes) -> bytes:
    """MS-DTYP 2.4.6, self-relative, with nothing but a discretionary list."""
    held = b"".join(entries)
    return struct.pack("<BBHIIII", 1, 0, 0x8004, 0, 0, 0, 20) + struct.pack("<BBHHH", 4, 0, 8 + len(held), len(entries), 0) + held


def allows(*entries: bytes, mask: int = acl.CREATE_CHILD, about: str | None = USER, of_class: str | None = None) -> bool:
    return acl.allowed(acl.entries(descriptor(*entries)), {OURS}, mask, about=about, of_class=of_class)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], False),
        ([ace(0, acl.CREATE_CHILD)], True),
        ([ace(0, acl.CREATE_CHILD, OTHERS)], False),
        ([ace(5, acl.CREATE_CHILD, about=USER)], True),
        ([ace(5, acl.CREATE_CHILD, about=GROUP)], False),
        ([ace(0, acl.CREATE_CHILD, flags=0x0A)], False),
        ([ace(1, acl.CREATE_CHILD), ace(0, acl.CREATE_CHILD)], False),
        ([ace(0, acl.CREATE_CHILD), ace(1, acl.CREATE_CHILD)], True),
        ([ace(6, acl.CREATE_CHILD, about=GROUP), ace(0, acl.CREATE_CHILD)], True),
        ([ace(1, acl.CREATE_CHILD, OTHERS), ace(0, acl.CREATE_CHILD)], True),
        ([ace(2, acl.CREATE_CHILD), ace(0, acl.CREATE_CHILD)], True),
    ],
    ids=[
        "nothing", "all", "others", "of users", "of groups", "only below", "denied first", "denied later", "groups denied", "others denied",
        "audit",
    ],
)  # fmt: skip
def test_the_first_entry_that_speaks_of_it_decides(entries: list[bytes], expected: bool) -> None:
    assert allows(*entries) is expected


def test_what_lies_below_inherits_what_is_meant_for_its_class() -> None:
    of_users = ace(5, acl.WRITE_PROPERTY, flags=0x0A, of_class=USER)
    assert allows(of_users, mask=acl.WRITE_PROPERTY, about=None, of_class=USER)
    assert not allows(of_users, mask=acl.WRITE_PROPERTY, about=None, of_class=GROUP)
    assert not allows(ace(0, acl.WRITE_PROPERTY), mask=acl.WRITE_PROPERTY, about=None, of_class=USER), "not inherited"
    mail = "bf967961-0de6-11d0-a285-00aa003049e2"
    one_property = ace(5, acl.WRITE_PROPERTY, flags=0x0A, about=mail, of_class=USER)
    assert not allows(one_property, mask=acl.WRITE_PROPERTY, about=None, of_class=USER), "one property is not all"


def test_bits_may_come_from_several_entries() -> None:
    both = acl.CREATE_CHILD | acl.DELETE_CHILD
    assert allows(ace(0, acl.CREATE_CHILD), ace(0, acl.DELETE_CHILD), mask=both)
    assert not allows(ace(0, acl.CREATE_CHILD), mask=both)


@pytest.mark.parametrize("length", [0, 10, 19, 25, 40])
def test_a_descriptor_that_is_cut_off_is_no_list(length: int) -> None:
    whole = descriptor(ace(0, acl.CREATE_CHILD), ace(5, acl.CREATE_CHILD, about=USER))
    with pytest.raises(ValueError, match="cut off"):
        acl.entries(whole[:length])


def test_names_are_quoted_in_what_is_to_be_run() -> None:
    commands = Trustee(name="svc@contoso.test", sid=OURS).create("OU=R&D 'old',DC=contoso,DC=test", "user")
    assert commands[0] == """dsacls "OU=R&D 'old',DC=contoso,DC=test" /I:T /G "svc@contoso.test:CCDC;user;\""""
    assert shlex.split(commands[1])[-2:] == ["--objectdn=OU=R&D 'old',DC=contoso,DC=test", f"--sddl=(OA;CI;CCDC;{USER};;{OURS})"]


@pytest.mark.parametrize("name", ['x\\" & calc & rem \\"', "$(calc)", "%COMSPEC%", "`calc`", "“ & calc & ”"])
def test_a_name_that_a_shell_could_take_for_its_own_is_in_no_dsacls_command(name: str) -> None:
    for commands in (
        Trustee(name="svc@contoso.test", sid=OURS).create(f"OU={name},DC=contoso,DC=test", "user"),
        Trustee(name=name, sid=OURS).write("DC=contoso,DC=test", "user"),
    ):
        assert commands[0].startswith("(no dsacls command") and "by hand" in commands[0]
        assert shlex.split(commands[1])[:3] == ["samba-tool", "dsacl", "set"] and len(shlex.split(commands[1])) == 6


# --- a real domain ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def newcomer(samba: Samba) -> Iterator[Account]:
    """An account that nothing was granted to yet."""
    name, password = f"svc-{uuid.uuid4().hex[:8]}", f"Pw-{uuid.uuid4().hex}"
    dn = f"CN={name},CN=Users,{samba.base}"
    with samba.connect() as connection:
        attributes = {"sAMAccountName": name, "userPrincipalName": f"{name}@{samba.domain}", "userAccountControl": "512"}
        quoted = f'"{password}"'.encode("utf-16-le")
        connection.add(dn, "user", {**attributes, "unicodePwd": quoted})
        yield Account(name=f"{name}@{samba.domain}", password=password)
        connection.delete(dn)


@pytest.fixture
def administer(samba: Samba) -> Callable[[str], None]:
    """Run what was printed, as the administrator would."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}

    def run(command: str) -> None:
        where = [
            "-H",
            f"ldaps://{samba.address}",
            "--option=tls verify peer = no_check",
            "-U",
            f"{samba.administrator.name}%{samba.administrator.password}",
        ]
        done = subprocess.run([*shlex.split(command), *where], capture_output=True, text=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def lacking(found: Check, *purposes: Purpose) -> list[Right]:
    return [one for one in found.rights if not one.granted and one.purpose in purposes]


def test_the_service_account_lacks_nothing_for_an_export(connect: Any, samba: Samba) -> None:
    found = connect().check()
    assert lacking(found, Purpose.EXPORT) == []
    assert {one.purpose for one in found.rights} == set(Purpose)
    below = connect(under=[samba.tests]).check().rights
    assert any(one.right == f"create user below {samba.tests}" and one.granted for one in below)
    assert [one.right.partition(" on ")[0] for one in lacking(found, Purpose.SID_HISTORY)] == ["Migrate SID History"]


def test_an_administrator_lacks_nothing_and_has_more_than_is_needed(connect: Any, samba: Samba) -> None:
    found = connect(samba.administrator).check()
    assert lacking(found, *Purpose) == []
    assert any("Domain Admins" in right for right in found.excessive)


def test_what_is_printed_grants_what_is_missing(
    connect: Any, samba: Samba, samba_unit: str, directory: Any, newcomer: Account, administer: Callable[[str], None]
) -> None:
    before = connect(newcomer, under=[samba_unit]).check()
    missing = lacking(before, Purpose.EXPORT, Purpose.PASSWORDS)
    of_kinds = {f"{verb} {kind}" for kind in CLASSES for verb in ("create", "delete", "write, rename and move")}
    assert {one.right.partition(" below ")[0] for one in missing if " below " in one.right} == of_kinds | {"Reset Password of users"}
    assert before.excessive == ()
    for one in missing:
        if not one.optional:
            administer(next(command for command in one.commands if command.startswith("samba-tool")))
    connector = connect(newcomer, under=[samba_unit])
    after = connector.check()
    assert [one.right for one in lacking(after, Purpose.EXPORT, Purpose.PASSWORDS) if not one.optional] == []
    assert after.excessive == ()
    own = type(directory)(connector, samba_unit)
    anchor = own.make("Somebody", sAMAccountName=uuid.uuid4().hex[:12], enabled=False)
    results = own.write(
        own.change(Operation.UPDATE, anchor, after={"title": "Clerk"}, before={}),
        own.change(Operation.RENAME, anchor, after={"name": "Someone"}, before={"name": "Somebody"}),
        own.change(Operation.DELETE, anchor),
    )
    assert [one.outcome for one in results] == [Outcome.APPLIED] * 3


def places_of(found: Check, verb: str) -> dict[bool, str]:
    """granted -> the places of a right."""
    return {one.granted: one.right.partition(" below ")[2] for one in found.rights if one.right.startswith(verb)}


def test_rights_are_asked_of_the_kinds_and_places_of_the_document(
    connect: Any, samba: Samba, samba_unit: str, newcomer: Account, administer: Callable[[str], None]
) -> None:
    """The account may make users in one unit, the document makes them in another, too, and groups nowhere."""
    first, second = (samba.make_unit() for _ in range(2))
    try:
        for command in Trustee(name=newcomer.name, sid=sid_of(samba, newcomer)).create(first, "user")[1:]:
            administer(command)
        places = {Kind.USER: (first, f"OU=Later,{second}", f"OU=Nowhere,{samba.base}", "OU=", "Clerk")}
        written = frozenset({Kind.USER, Kind.GROUP})
        settings = DirectorySettings(mark="adminDescription", written=written, places=places)
        found = connect(newcomer, settings=settings).check()
        assert places_of(found, "create user") == {False: second}
        assert places_of(found, "write, rename and move user") == {False: f"{first}, {second}"}
        assert not any("contact" in one.right or "organizationalUnit" in one.right for one in found.rights)
        groups = [one for one in found.rights if one.right.startswith(("create group", "delete group"))]
        assert [(one.optional, one.commands) for one in groups] == [("no profile of the document makes any", ())] * 2
        assert [one for one in found.warnings if "OU=Nowhere" in one] and not any("OU=Later" in one for one in found.warnings)
        for one in found.rights:
            if one.right.startswith(("create user", "delete user", "write, rename and move user")):
                for command in one.commands:
                    if command.startswith("samba-tool"):
                        administer(command)
        after = connect(newcomer, settings=settings).check()
        assert lacking(after, Purpose.EXPORT) == [one for one in lacking(after, Purpose.EXPORT) if one.optional or "group" in one.right]
    finally:
        for unit in (first, second):
            samba.remove_tree(unit)


def sid_of(samba: Samba, account: Account) -> str:
    with samba.connect() as connection:
        connection.search(samba.base, f"(userPrincipalName={account.name})", attributes=["objectSid"])
        return values.sid(connection.response[0]["raw_attributes"]["objectSid"][0])


def test_a_domain_whose_lists_may_not_be_read_is_said(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = connect()
    search = connector.session.search

    def without_security(base: str, query: str, attributes: Any, *rest: Any, **more: Any) -> Any:
        asked = [one for one in attributes if one != "nTSecurityDescriptor"]
        return search(base, query, asked, *rest, **more)

    monkeypatch.setattr(connector.session, "search", without_security)
    found = connector.check()
    assert any("may not be read" in warning for warning in found.warnings)
    assert lacking(found, Purpose.PASSWORDS)
