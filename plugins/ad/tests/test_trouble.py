"""What goes wrong in real domains between two of our looks at them: clocks, limits, other people's hands, values that look like syntax."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab import kerberos, packages

from metasync.contract import CursorExpired, ImportIncomplete, Kind, Operation, Outcome, ReadRequest, Reference
from metasync_ad.cursor import Cursor

from .conftest import options_for

# Clocks

AT_ANOTHER_TIME = """
import json, sys
from metasync.contract import MetasyncError
from metasync.testing.context import TestContext
from metasync_ad.connector import ActiveDirectory
from metasync_ad.options import ADOptions

given = json.loads(sys.argv[1])
try:
    print(ActiveDirectory(ADOptions().load(given["options"]), TestContext("contoso", secrets=given["secrets"])).check().identity)
except MetasyncError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="session")
def library() -> Path:
    """What shows a process another time."""
    try:
        return packages.faketime(print)
    except packages.LabError as error:
        pytest.skip(str(error))


def checked_at(library: Path, clock: str, options: dict[str, Any], password: str, **environment: str) -> str:
    """What a check says where the clock goes wrong by that much."""
    import json

    given = json.dumps({"options": options, "secrets": {"bind": password}})
    faked = {"LD_PRELOAD": str(library), "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "METASYNC_DEVELOPMENT": "1"}
    command = [sys.executable, "-c", AT_ANOTHER_TIME, given]
    done = subprocess.run(command, env={**os.environ, **faked, **environment}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(
    any(importlib.util.find_spec(one) is None for one in ("spnego", "gssapi", "krb5")), reason="Kerberos needs pyspnego, gssapi and krb5"
)
def test_a_clock_that_is_six_minutes_off_is_corrected_or_named_as_the_cause(samba: Any, tmp_path: Path, library: Path) -> None:
    """MIT Kerberos takes the controller's time, unless it is told not to; then five minutes are too many (RFC 4120, 7.5.1)."""
    if (reason := kerberos.why_not()) is not None:
        pytest.skip(reason)
    configuration = kerberos.configure(samba, tmp_path)
    strict = tmp_path / "strict.conf"
    strict.write_text(configuration.read_text().replace("[libdefaults]", "[libdefaults]\n kdc_timesync = 0"))
    more = {"servers": None, "domain": samba.domain, "name servers": [samba.address], "certificate name": None}
    options = options_for(samba, samba.service, **more, **{"sign in": "kerberos", "bind": kerberos.principal(samba, samba.service)})
    assert checked_at(library, "+6m", options, samba.service.password, KRB5_CONFIG=str(configuration)).startswith("S-1-5-21-")
    told = checked_at(library, "+6m", options, samba.service.password, KRB5_CONFIG=str(strict))
    assert told.startswith("SignInRefused") and "differ by more than five minutes" in told
    assert samba.service.password not in told


def test_a_password_does_not_care_for_the_clock(samba: Any, library: Path) -> None:
    assert checked_at(library, "+6m", options_for(samba, samba.service), samba.service.password).startswith("S-1-5-21-")


# Cursors


def test_a_cookie_of_another_domains_controller_is_not_taken(connect: Any, two_sambas: Any) -> None:
    """Samba would answer it with everything, and with no deletion."""
    ours, other = two_sambas
    request = ReadRequest(stream="all", kinds=frozenset({Kind.USER}), attributes={Kind.USER: frozenset({"name"})})
    *_, last = connect(
        ours.administrator, servers=[other.address], base=other.base, bind=other.administrator.name, password=other.administrator.password,
        **{"ca file": str(other.ca), "certificate name": other.host},
    ).read(request)  # fmt: skip
    assert last.cursor
    home = connect(ours.administrator)
    with pytest.raises(CursorExpired, match=f"the last import read {other.address}, and {ours.address} answers now"):
        list(home.follow(request, last.cursor))
    renamed = replace(Cursor.of(last.cursor), controller=ours.address).text()
    with pytest.raises(CursorExpired, match="restored from a backup, or replaced"):
        list(home.follow(request, renamed))


# Other people's hands, between the plan and the export


@pytest.mark.parametrize("done", ["deleted", "moved", "renamed"])
def test_whoever_was_deleted_moved_or_renamed_meanwhile_goes_back_to_review(directory: Any, samba: Any, done: str) -> None:
    anchor = directory.make("Jane", sAMAccountName=f"t{uuid.uuid4().hex[:12]}", title="old", enabled=True)
    directory.make("Elsewhere", kind=Kind.CONTAINER)
    elsewhere = f"OU=Elsewhere,{directory.unit}"
    with samba.connect() as hands:
        if done == "deleted":
            hands.delete(f"CN=Jane,{directory.unit}")
        elif done == "moved":
            hands.modify_dn(f"CN=Jane,{directory.unit}", "CN=Jane", new_superior=elsewhere)
        else:
            hands.modify_dn(f"CN=Jane,{directory.unit}", "CN=Jane by hand")
    changes = [
        directory.change(Operation.RENAME, anchor, before={"name": "Jane"}, after={"name": "Jane Doe"}),
        directory.change(Operation.MOVE, anchor, before={"path": directory.unit}, after={"path": elsewhere}),
        directory.change(Operation.UPDATE, anchor, before={"title": "old", "name": "Jane", "path": directory.unit}, after={"title": "new"}),
        directory.change(Operation.DISABLE, anchor, before={"enabled": True}, after={"enabled": False}),
    ]
    outcomes = [result.outcome for result in directory.write(*changes)]
    if done == "deleted":
        assert outcomes == [Outcome.CONFLICT] * 4
        assert anchor not in directory.read()
        (gone,) = directory.write(directory.change(Operation.DELETE, anchor, before={"title": "old"}))
        assert (gone.outcome, gone.already) == (Outcome.APPLIED, True)
        return
    found = directory.one(anchor, "title", "enabled")
    if done == "moved":
        assert (outcomes[1], found["path"]) == (Outcome.APPLIED, elsewhere)  # that is where it was to be
    else:
        assert (outcomes[0], found["name"]) == (Outcome.CONFLICT, "Jane by hand")
    # The name, the place and the title were looked at together; the account's state is by itself.
    assert (outcomes[2], found["title"]) == (Outcome.CONFLICT, "old")
    assert (outcomes[3], found["enabled"]) == (Outcome.APPLIED, False)


def test_a_member_who_was_deleted_meanwhile_is_a_conflict_and_all_others_are_added(directory: Any, samba: Any) -> None:
    group = directory.make("Group", kind=Kind.GROUP)
    people = [directory.make(name, kind=Kind.CONTACT) for name in ("One", "Two", "Three")]
    with samba.connect() as hands:
        hands.delete(f"CN=Two,{directory.unit}")
    changes = [directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in people]
    assert [result.outcome for result in directory.write(*changes)] == [Outcome.APPLIED, Outcome.CONFLICT, Outcome.APPLIED]
    assert set(directory.one(group, "members")["members"]) == {Reference(value=people[0]), Reference(value=people[2])}


# Values that look like syntax, in every place where a value meets a filter or a name

SYNTAX = ["*", "*)(objectClass=*", "\\2a", "(|(cn=*))", "x,DC=evil", "a+b=c", "#04024869", "<GUID=0>", "x\\", " x ", "a\0b", "‮cba", "👩‍💻"]


@pytest.mark.parametrize("text", SYNTAX, ids=range(len(SYNTAX)))
def test_a_value_never_reaches_beyond_its_own_place(directory: Any, text: str) -> None:
    bystander = directory.make("bystander", kind=Kind.CONTACT, title="untouched")
    group = directory.make("group", kind=Kind.GROUP)
    account = f"t{uuid.uuid4().hex[:12]}"
    changes = [
        directory.change(
            Operation.CREATE, after={"name": text, "path": directory.unit, "sAMAccountName": account}, mark=text, retried=True
        ),
        directory.change(Operation.CREATE, kind=Kind.CONTACT, after={"name": "c", "path": f"OU={text},{directory.unit}"}),
        directory.change(Operation.MOVE, bystander, kind=Kind.CONTACT, before={"path": directory.unit}, after={"path": text}),
        directory.change(Operation.UPDATE, text, kind=Kind.CONTACT, after={"title": "reached"}),
        directory.change(Operation.DELETE, text, kind=Kind.CONTACT),
        directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=text)),
        directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=text, key="dn")),
        directory.change(Operation.MEMBER_REMOVE, group, kind=Kind.GROUP, member=Reference(value=text, key="dn")),
    ]
    results = directory.write(*changes)
    assert all(result.outcome is not Outcome.APPLIED or result.already for result in results[1:]), results
    assert directory.connector.restorable([text]) == {}
    found = directory.read("title", "members")
    assert found[bystander].attributes["title"] == "untouched" and "members" not in found[group].attributes
    made = [one.attributes["name"] for anchor, one in found.items() if one.kind is Kind.USER]
    assert made == ([text] if results[0].outcome is Outcome.APPLIED else [])


@pytest.mark.parametrize("text", SYNTAX, ids=range(len(SYNTAX)))
def test_a_scope_or_an_account_that_looks_like_syntax_is_no_other_one(directory: Any, connect: Any, text: str) -> None:
    kinds = frozenset({Kind.USER})
    request = ReadRequest(stream="all", kinds=kinds, attributes={Kind.USER: frozenset()}, under=(f"OU={text},{directory.unit}",))
    with pytest.raises(ImportIncomplete):
        list(directory.connector.read(request))
