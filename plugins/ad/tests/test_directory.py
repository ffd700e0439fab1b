"""What is particular to Active Directory, against a real Samba domain, as the least privileged account."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from metasync.contract import (
    EVERYTHING,
    READ_ONLY,
    DirectorySettings,
    Equality,
    ImportIncomplete,
    Kind,
    Operation,
    Outcome,
    Presence,
    ReadRequest,
    Reference,
    Type,
)
from metasync_ad import schema
from metasync_ad.errors import Refused
from metasync_ad.session import ADD

PERSON = {"sn": "Doe", "givenName": "Jane", "displayName": "Jane Doe"}


@pytest.fixture
def account() -> str:
    """A sAMAccountName that nobody else has."""
    return f"t{uuid.uuid4().hex[:12]}"


def raw(samba: Any, dn: str, *attributes: str) -> dict[str, list[bytes]]:
    with samba.connect() as hands:
        hands.search(dn, "(objectClass=*)", "BASE", attributes=list(attributes))
        return dict(hands.response[0]["raw_attributes"])


# Accounts


def test_a_new_account_has_a_password_nobody_knows_and_must_change_it(directory: Any, samba: Any, account: str) -> None:
    anchor = directory.make("Jane", sAMAccountName=account, enabled=True, **PERSON)
    found = directory.one(anchor, "enabled", "mustChangePassword", "passwordNotRequired", "userAccountControl")
    assert (found["enabled"], found["mustChangePassword"], found["passwordNotRequired"]) == (True, True, False)
    assert found["userAccountControl"] == 512
    assert directory.connector.context.passwords_given == 2  # the bind's and this one
    assert not directory.connector.context.leaks(found)


def test_a_new_account_is_disabled_unless_it_is_to_be_enabled(directory: Any, account: str) -> None:
    assert directory.one(directory.make("Jane", sAMAccountName=account), "enabled")["enabled"] is False


def test_a_directory_that_does_not_ask_for_a_change_gives_lasting_passwords(connect: Any, samba_unit: str, account: str) -> None:
    from .conftest import Directory

    directory = Directory(connect(settings=DirectorySettings(must_change=False)), samba_unit)
    assert directory.one(directory.make("Jane", sAMAccountName=account), "mustChangePassword")["mustChangePassword"] is False


def test_a_refused_create_leaves_no_half_account(directory: Any, account: str) -> None:
    change = directory.change(
        Operation.CREATE, after={"name": "Jane", "path": directory.unit, "sAMAccountName": account, "department": "x" * 100}
    )
    (result,) = directory.write(change)
    assert result.outcome is Outcome.REJECTED
    assert len(directory.read()) == 1  # the unit itself


def test_enabling_touches_only_its_bit(directory: Any, samba: Any, account: str) -> None:
    anchor = directory.make("Jane", sAMAccountName=account)
    with samba.connect() as hands:
        hands.modify(f"<GUID={anchor}>", {"userAccountControl": [("MODIFY_REPLACE", [str(0x10000 | 0x200 | 0x2)])]})
    directory.write(directory.change(Operation.ENABLE, anchor, before={"enabled": False}, after={"enabled": True}))
    found = directory.one(anchor, "enabled", "passwordNeverExpires", "accountDisabled")
    assert (found["enabled"], found["passwordNeverExpires"], found["accountDisabled"]) == (True, True, False)


def by_hand(samba: Any, directory: Any, control: int, **more: Any) -> str:
    """The anchor of an account that somebody else made."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with samba.connect() as hands:
        hands.add(f"CN={name},{directory.unit}", ["user"], {"sAMAccountName": name, "userAccountControl": str(control), **more})
    (anchor,) = [anchor for anchor, one in directory.read().items() if one.attributes["name"] == name]
    return str(anchor)


def test_an_account_of_which_no_password_is_required_and_that_never_had_one_is_not_enabled(directory: Any, samba: Any) -> None:
    """Without a password, and disabled, as many tools make it: the domain itself would let it be enabled, open to everybody."""
    anchor = by_hand(samba, directory, 0x222)
    (result,) = directory.write(directory.change(Operation.ENABLE, anchor, before={"enabled": False}, after={"enabled": True}))
    assert result.outcome is Outcome.REJECTED and "may have no password" in result.detail
    assert directory.one(anchor, "enabled")["enabled"] is False


@pytest.mark.parametrize("control", [0x202, 0x222], ids=["required", "not required"])
def test_an_account_that_somebody_else_gave_a_password_is_enabled(directory: Any, samba: Any, control: int) -> None:
    anchor = by_hand(samba, directory, control, unicodePwd='"Lab-Passw0rd!9Z"'.encode("utf-16-le"))
    if control == 0x202:
        with samba.connect() as hands:
            hands.modify(f"<GUID={anchor}>", {"pwdLastSet": [("MODIFY_REPLACE", ["0"])]})  # must change it
    (result,) = directory.write(directory.change(Operation.ENABLE, anchor, before={"enabled": False}, after={"enabled": True}))
    assert result.outcome is Outcome.APPLIED, result.detail
    assert directory.one(anchor, "enabled")["enabled"] is True


def test_an_account_name_that_a_computer_has_is_a_conflict_that_names_the_cause(directory: Any, samba: Any, account: str) -> None:
    with samba.connect() as hands:
        hands.add(f"CN={account},{directory.unit}", ["computer"], {"sAMAccountName": account})
    (result,) = directory.write(
        directory.change(Operation.CREATE, after={"name": "Jane", "path": directory.unit, "sAMAccountName": account.upper()})
    )
    assert result.outcome is Outcome.CONFLICT and "sAMAccountName" in result.detail
    assert len(directory.read()) == 1  # the unit: computers are not imported


def test_names_of_whom_no_import_shows_are_taken_and_those_of_all_others_are_the_engines(
    directory: Any, connect: Any, samba: Any, account: str
) -> None:
    other, hidden = f"{account}o", f"{account}h"
    directory.make("Jane", sAMAccountName=account)
    directory.make("Hidden", sAMAccountName=hidden, info="hidden")
    directory.make("In", kind=Kind.CONTAINER)
    directory.make("Inside", sAMAccountName=other, path=f"OU=In,{directory.unit}")
    with samba.connect() as hands:
        hands.add(f"CN={account}c,{directory.unit}", ["computer"], {"sAMAccountName": f"{account}c"})
    asked = [account, other, hidden, f"{account}C", "(*)", " x ", *(f"{account}{number}" for number in range(60))]
    narrow = connect(under=[f"OU=In,{directory.unit}"], filter="(!(info=hidden))")
    assert directory.connector.taken("sAMAccountName", asked) == {f"{account}C"}
    assert narrow.taken("sAMAccountName", asked) == {f"{account}C", account, hidden}
    assert [narrow.taken("sAMAccountName", [one]) for one in (account, other)] == [{account}, frozenset()]
    assert narrow.taken("cn", ["Jane"]) == frozenset(), "it stands once within its container alone"


def test_where_nobody_can_be_asked_nothing_is_taken_and_it_is_said_once(connect: Any) -> None:
    silent = connect(servers=["127.0.0.77"], **{"connect timeout": 1})
    assert [silent.taken("sAMAccountName", ["jane"]) for _ in range(3)] == [frozenset()] * 3
    assert sum("who else has a name" in line for line in silent.context.logged) == 1


def test_an_expiry_is_a_time_and_clearing_it_means_never(directory: Any, samba: Any, account: str) -> None:
    from datetime import UTC, datetime

    when = datetime(2031, 5, 1, tzinfo=UTC)
    anchor = directory.make("Jane", sAMAccountName=account, accountExpires=when)
    assert directory.one(anchor, "accountExpires")["accountExpires"] == when
    directory.write(directory.change(Operation.CLEAR, anchor, before={"accountExpires": when}, after={"accountExpires": None}))
    assert "accountExpires" not in directory.one(anchor, "accountExpires")


# Groups


def test_a_group_has_scope_and_category(directory: Any, account: str) -> None:
    anchor = directory.make("Sales", kind=Kind.GROUP, sAMAccountName=account, groupScope="Universal", groupCategory="Distribution")
    found = directory.one(anchor, "groupType", "groupScope", "groupCategory")
    assert (found["groupType"], found["groupScope"], found["groupCategory"]) == (8, "Universal", "Distribution")


@pytest.mark.parametrize("category", ["Security", "Distribution"])
@pytest.mark.parametrize("now", ["Global", "DomainLocal", "Universal"])
@pytest.mark.parametrize("then", ["Global", "DomainLocal", "Universal"])
def test_a_group_changes_scope_and_category_in_the_steps_that_are_allowed(directory: Any, now: str, then: str, category: str) -> None:
    anchor = directory.make(f"{now} {then} {category}", kind=Kind.GROUP, groupScope=now)
    before, after = {"groupScope": now, "groupCategory": "Security"}, {"groupScope": then, "groupCategory": category}
    (result,) = directory.write(directory.change(Operation.UPDATE, anchor, kind=Kind.GROUP, before=before, after=after))
    assert (result.outcome, result.detail) == (Outcome.APPLIED, "")
    assert directory.one(anchor, "groupScope", "groupCategory") == {**directory.one(anchor), **after}


def test_a_scope_that_does_not_exist_is_refused_in_words(directory: Any) -> None:
    anchor = directory.make("Group", kind=Kind.GROUP)
    (result,) = directory.write(directory.change(Operation.UPDATE, anchor, kind=Kind.GROUP, after={"groupScope": "Galactic"}))
    assert result.outcome is Outcome.REJECTED and "Global, DomainLocal, Universal" in result.detail
    assert directory.one(anchor, "groupScope")["groupScope"] == "Global"


def test_members_of_every_kind_are_added_in_one_request_and_read_as_anchors(directory: Any, account: str) -> None:
    user, contact = directory.make("Jane", sAMAccountName=account), directory.make("Joe", kind=Kind.CONTACT)
    inner = directory.make("Inner", kind=Kind.GROUP)
    group = directory.make("Outer", kind=Kind.GROUP)
    add = [directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in (user, contact, inner)]
    assert {result.outcome for result in directory.write(*add)} == {Outcome.APPLIED}
    assert set(directory.one(group, "members")["members"]) == {Reference(value=one) for one in (user, contact, inner)}
    assert directory.one(user, "memberOf")["memberOf"] == (Reference(value=group),)


def test_one_bad_member_stops_none_of_the_others(directory: Any) -> None:
    good, there = directory.make("Good", kind=Kind.CONTACT), directory.make("There", kind=Kind.CONTACT)
    group = directory.make("Group", kind=Kind.GROUP, members=(Reference(value=there),))
    gone = str(uuid.uuid4())
    results = directory.write(
        *[directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in (good, there, gone)],
        directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value="jane@x", key="mail")),
    )
    assert [(one.outcome, one.already) for one in results] == [
        (Outcome.APPLIED, False),
        (Outcome.APPLIED, True),
        (Outcome.CONFLICT, False),
        (Outcome.REJECTED, False),
    ]
    assert gone in results[2].detail
    assert set(directory.one(group, "members")["members"]) == {Reference(value=good), Reference(value=there)}


def test_members_whom_somebody_else_put_in_are_read_all(directory: Any, samba: Any) -> None:
    group = directory.make("Large", kind=Kind.GROUP)
    with samba.connect() as hands:
        people = [f"CN=m{number},{directory.unit}" for number in range(60)]
        for dn in people:
            hands.add(dn, ["contact"])
        hands.modify(f"<GUID={group}>", {"member": [(ADD, people)]})
    assert len(directory.one(group, "members")["members"]) == 60


# Names and places


def test_rename_and_move_of_one_object_are_one_request(directory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    anchor = directory.make("Doe, Jane", kind=Kind.CONTACT)
    directory.make("Sub", kind=Kind.CONTAINER)
    asked: list[tuple[Any, ...]] = []
    rename = directory.connector.session.rename
    monkeypatch.setattr(directory.connector.session, "rename", lambda *given: (asked.append(given), rename(*given)))
    place = f"OU=Sub,{directory.unit}"
    results = directory.write(
        directory.change(Operation.RENAME, anchor, kind=Kind.CONTACT, before={"name": "Doe, Jane"}, after={"name": "Roe, Jane"}),
        directory.change(Operation.MOVE, anchor, kind=Kind.CONTACT, before={"path": directory.unit}, after={"path": place}),
    )
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 2 and len(asked) == 1
    assert directory.one(anchor) == {"name": "Roe, Jane", "path": place}


def test_what_is_in_a_container_is_written_although_the_same_call_renames_it(directory: Any) -> None:
    """Everything is addressed by its GUID: by the names that were read, nothing would be there any more."""
    unit = directory.make("Old", kind=Kind.CONTAINER)
    inside = f"OU=Old,{directory.unit}"
    users = {
        name: directory.make(name, path=inside, enabled=True, sAMAccountName=f"t{uuid.uuid4().hex[:12]}") for name in ("Ann", "Bob", "Leo")
    }
    group = directory.make("Team", kind=Kind.GROUP, path=inside)
    results = directory.write(
        directory.change(Operation.RENAME, unit, kind=Kind.CONTAINER, before={"name": "Old"}, after={"name": "New"}),
        directory.change(Operation.UPDATE, users["Ann"], after={"title": "Chief"}),
        directory.change(Operation.DISABLE, users["Ann"], before={"enabled": True}, after={"enabled": False}),
        directory.change(Operation.RENAME, users["Bob"], before={"name": "Bob"}, after={"name": "Rob"}),
        directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=users["Ann"])),
        directory.change(Operation.DELETE, users["Leo"]),
    )
    assert [(result.outcome, result.already) for result in results] == [(Outcome.APPLIED, False)] * 6
    found = directory.read("title", "enabled", "members")
    assert users["Leo"] not in found
    assert {found[one].attributes["path"] for one in (users["Ann"], users["Bob"], group)} == {f"OU=New,{directory.unit}"}
    assert (found[users["Ann"]].attributes["title"], found[users["Ann"]].attributes["enabled"]) == ("Chief", False)
    assert found[users["Bob"]].attributes["name"] == "Rob"
    assert found[group].attributes["members"] == (Reference(value=users["Ann"]),)


def test_whoever_took_the_name_meanwhile_is_not_meant(directory: Any, samba: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (directory.make(name, enabled=True, sAMAccountName=f"t{uuid.uuid4().hex[:12]}") for name in ("Ann", "Other"))
    modify = directory.connector.session.modify

    def late(*given: Any) -> None:
        with samba.connect() as hands:
            hands.modify_dn(f"CN=Ann,{directory.unit}", "CN=Ann Smith")
            hands.modify_dn(f"CN=Other,{directory.unit}", "CN=Ann")
        modify(*given)

    monkeypatch.setattr(directory.connector.session, "modify", late)
    (result,) = directory.write(directory.change(Operation.DISABLE, ours, before={"enabled": True}, after={"enabled": False}))
    assert result.outcome is Outcome.APPLIED, result.detail
    found = directory.read("enabled")
    assert (found[ours].attributes["enabled"], found[theirs].attributes["enabled"]) == (False, True)


def test_whoever_is_renamed_by_hand_behind_our_look_keeps_that_name(directory: Any, samba: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = directory.make("First", kind=Kind.CONTACT), directory.make("Second", kind=Kind.CONTACT)
    modify = directory.connector.session.modify

    def late(*given: Any) -> None:
        with samba.connect() as hands:
            hands.modify_dn(f"CN=Second,{directory.unit}", "CN=By hand")
        modify(*given)

    monkeypatch.setattr(directory.connector.session, "modify", late)
    _, result = directory.write(
        directory.change(Operation.UPDATE, first, kind=Kind.CONTACT, after={"title": "x"}),
        directory.change(Operation.RENAME, second, kind=Kind.CONTACT, before={"name": "Second"}, after={"name": "Ours"}),
    )
    assert result.outcome is Outcome.CONFLICT and "By hand" in result.detail
    assert directory.one(second)["name"] == "By hand"


def test_a_rename_may_change_case_alone(directory: Any) -> None:
    anchor = directory.make("mcdonald", kind=Kind.CONTACT)
    (result,) = directory.write(
        directory.change(Operation.RENAME, anchor, kind=Kind.CONTACT, before={"name": "mcdonald"}, after={"name": "McDonald"})
    )
    assert result.outcome is Outcome.APPLIED and not result.already
    assert directory.one(anchor)["name"] == "McDonald"


def test_the_case_of_an_address_prefix_can_change_within_one_update(directory: Any) -> None:
    old, new = ("SMTP:a@x.test", "smtp:b@x.test"), ("smtp:a@x.test", "SMTP:b@x.test")
    anchor = directory.make("Jane", kind=Kind.CONTACT, proxyAddresses=old)
    (result,) = directory.write(
        directory.change(Operation.UPDATE, anchor, kind=Kind.CONTACT, before={"proxyAddresses": old}, after={"proxyAddresses": new})
    )
    assert result.outcome is Outcome.APPLIED, result.detail
    assert set(directory.one(anchor, "proxyAddresses")["proxyAddresses"]) == set(new)


def test_a_container_with_children_is_not_deleted(directory: Any) -> None:
    unit = directory.make("Sub", kind=Kind.CONTAINER)
    directory.make("Inside", kind=Kind.CONTACT, path=f"OU=Sub,{directory.unit}")
    (result,) = directory.write(directory.change(Operation.DELETE, unit, kind=Kind.CONTAINER))
    assert result.outcome is Outcome.REJECTED and "delete or move those first" in result.detail
    assert unit in directory.read()


@pytest.mark.parametrize("name", ["*)(objectClass=*", "a\\2ab", "(&(cn=*))", "x)(|(cn=*"])
def test_a_name_is_never_a_filter(directory: Any, name: str) -> None:
    directory.make("bystander", kind=Kind.CONTACT)
    (found,) = directory.connector.find(
        [
            directory.change(
                Operation.CREATE, kind=Kind.USER, after={"name": name, "path": directory.unit, "sAMAccountName": name}, mark=name
            )
        ]
    )
    assert found.presence is Presence.ABSENT


# Drift


def test_a_value_that_changes_between_look_and_write_is_not_overwritten(
    directory: Any, samba: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchor = directory.make("Jane", kind=Kind.CONTACT, title="old")
    modify = directory.connector.session.modify

    def late(*given: Any) -> None:
        with samba.connect() as hands:
            hands.modify(f"<GUID={anchor}>", {"title": [("MODIFY_REPLACE", ["theirs"])]})
        modify(*given)

    monkeypatch.setattr(directory.connector.session, "modify", late)
    (result,) = directory.write(
        directory.change(Operation.UPDATE, anchor, kind=Kind.CONTACT, before={"title": "old"}, after={"title": "ours"})
    )
    assert result.outcome is Outcome.CONFLICT
    assert directory.one(anchor, "title")["title"] == "theirs"


def test_a_certificate_that_comes_between_look_and_write_stays(directory: Any, samba: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    anchor = directory.make("Jane", kind=Kind.CONTACT, userCertificate=(b"one",))
    modify = directory.connector.session.modify

    def late(*given: Any) -> None:
        with samba.connect() as hands:
            hands.modify(f"<GUID={anchor}>", {"userCertificate": [("MODIFY_ADD", [b"theirs"])]})
        modify(*given)

    monkeypatch.setattr(directory.connector.session, "modify", late)
    before, after = {"userCertificate": (b"one",)}, {"userCertificate": (b"two",)}
    (result,) = directory.write(directory.change(Operation.UPDATE, anchor, kind=Kind.CONTACT, before=before, after=after))
    assert result.outcome is Outcome.APPLIED, result.detail
    assert set(directory.one(anchor, "userCertificate")["userCertificate"]) == {b"two", b"theirs"}


def test_of_several_descriptions_none_is_left_to_come_up_again(directory: Any, samba: Any) -> None:
    anchor = directory.make("Unit", kind=Kind.CONTAINER)
    with samba.connect() as hands:
        hands.modify(f"<GUID={anchor}>", {"description": [("MODIFY_ADD", ["second", "first"])]})
    assert directory.one(anchor, "description")["description"] == "first"
    change = directory.change(
        Operation.UPDATE, anchor, kind=Kind.CONTAINER, before={"description": "first"}, after={"description": "second"}
    )
    (result,) = directory.write(change)
    assert result.outcome is Outcome.APPLIED, result.detail
    assert raw(samba, f"OU=Unit,{directory.unit}", "description") == {"description": [b"second"]}


def test_an_object_that_cannot_be_read_stops_none_of_the_others(directory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, whole = directory.make("Broken", kind=Kind.CONTACT), directory.make("Whole", kind=Kind.CONTACT)
    codec = directory.connector.codec
    decode = codec.decode

    def decoding(entry: Any, names: Any) -> Any:
        if entry.guid == broken:
            raise ValueError("a value of title is not a valid text")
        return decode(entry, names)

    monkeypatch.setattr(codec, "decode", decoding)
    results = directory.write(
        *[directory.change(Operation.UPDATE, one, kind=Kind.CONTACT, after={"title": "x"}) for one in (broken, whole)]
    )
    assert [one.outcome for one in results] == [Outcome.REJECTED, Outcome.APPLIED]
    assert "CN=Broken" in results[0].detail and "not a valid text" in results[0].detail


def test_a_busy_controller_is_not_asked_once_more_for_each_change(directory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    anchor, group = directory.make("Jane", kind=Kind.CONTACT), directory.make("Group", kind=Kind.GROUP)
    asked: list[object] = []

    def busy(*given: Any) -> None:
        asked.append(given)
        raise Refused(51, "busy", "0000200E: SvcErr: DSID-02080490, problem 5001 (BUSY), data 0")

    monkeypatch.setattr(directory.connector.session, "modify", busy)
    values = [directory.change(Operation.UPDATE, anchor, kind=Kind.CONTACT, after={name: "x"}) for name in ("title", "department")]
    people = [directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in (anchor, group)]
    results = directory.write(*values, *people)
    assert [(one.outcome, one.retry_after is not None) for one in results] == [(Outcome.RETRY, True)] * 4 and len(asked) == 2


def test_a_member_whom_we_may_not_take_out_is_not_taken_for_gone(directory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lost the right to write may have lost that to read, too."""
    member, group = directory.make("Jane", kind=Kind.CONTACT), directory.make("Group", kind=Kind.GROUP)

    def refuse(*_: Any) -> None:
        raise Refused(50, "insufficientAccessRights", "00000005: SecErr: DSID-03152612, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0")

    monkeypatch.setattr(directory.connector.session, "modify", refuse)
    (result,) = directory.write(directory.change(Operation.MEMBER_REMOVE, group, kind=Kind.GROUP, member=Reference(value=member)))
    assert result.outcome is Outcome.REJECTED and "lacks the right" in result.detail


def test_a_container_that_is_missing_is_named_in_windows_words_too(directory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise Refused(32, "noSuchObject", "0000208D: NameErr: DSID-03100288, problem 2001 (NO_OBJECT), data 0, best match of: 'DC=x'")

    monkeypatch.setattr(directory.connector.session, "add", refuse)
    places = (f"OU=Missing,{directory.unit}", directory.unit)
    changes = [directory.change(Operation.CREATE, kind=Kind.CONTACT, after={"name": "Jane", "path": place}) for place in places]
    missing, other = directory.write(*changes)
    assert missing.outcome is Outcome.REJECTED and "container does not exist" in missing.detail
    assert other.outcome is Outcome.CONFLICT


def test_one_bad_value_stops_none_of_the_others(directory: Any) -> None:
    anchor = directory.make("Jane", kind=Kind.CONTACT)
    results = directory.write(
        directory.change(Operation.UPDATE, anchor, kind=Kind.CONTACT, after={"department": "x" * 100}),
        directory.change(Operation.UPDATE, anchor, kind=Kind.CONTACT, after={"title": "kept"}),
    )
    assert [result.outcome for result in results] == [Outcome.REJECTED, Outcome.APPLIED]
    assert "too long" in results[0].detail
    assert directory.one(anchor, "title", "department")["title"] == "kept"


# Protection


def test_privileged_objects_are_known_and_left_alone(connect: Any, samba: Any) -> None:
    connector = connect(samba.administrator)
    request = ReadRequest(
        stream="all",
        kinds=frozenset({Kind.USER, Kind.GROUP}),
        attributes=dict.fromkeys((Kind.USER, Kind.GROUP), frozenset({"privileged", "sAMAccountName", "objectSid"})),
        under=(f"CN=Users,{samba.base}",),
    )
    entries = {item.attributes["sAMAccountName"]: item for page in connector.read(request) for item in page.items}
    for name in ("Administrator", "Guest", "krbtgt", "Domain Admins", "Enterprise Admins", "Schema Admins"):
        assert entries[name].attributes["privileged"] is True, name
    assert entries["svc-metasync"].attributes["privileged"] is False
    from .conftest import Directory

    directory = Directory(connector, samba.tests)
    results = directory.write(
        directory.change(
            Operation.MEMBER_ADD, entries["Domain Admins"].anchor, kind=Kind.GROUP, member=Reference(value=entries["Guest"].anchor)
        ),
        directory.change(Operation.UPDATE, entries["krbtgt"].anchor, after={"description": "x"}),
    )
    assert [result.outcome for result in results] == [Outcome.REJECTED] * 2
    assert all("privileged" in result.detail for result in results)


@pytest.mark.parametrize("way", ["member", "through a group", "primary group"])
def test_whoever_administers_is_left_alone_before_admin_count_says_so(connect: Any, samba: Any, samba_unit: str, way: str) -> None:
    """Windows marks them once an hour, Samba never; until then the membership alone tells."""
    from .conftest import Directory

    directory = Directory(connect(samba.administrator), samba_unit)
    anchor, inner = directory.make("Jane", sAMAccountName=f"t{uuid.uuid4().hex[:12]}"), directory.make("Inner", kind=Kind.GROUP)
    admins = f"CN=Domain Admins,CN=Users,{samba.base}"
    member = f"CN=Inner,{samba_unit}" if way == "through a group" else f"CN=Jane,{samba_unit}"
    with samba.connect() as hands:
        hands.modify(admins, {"member": [("MODIFY_ADD", [member])]})
        if way == "through a group":
            hands.modify(member, {"member": [("MODIFY_ADD", [f"CN=Jane,{samba_unit}"])]})
        if way == "primary group":
            hands.modify(member, {"primaryGroupID": [("MODIFY_REPLACE", ["512"])]})
    assert "adminCount" not in directory.one(anchor, "adminCount")
    changes = [directory.change(Operation.UPDATE, anchor, after={"title": "x"}), directory.change(Operation.DELETE, anchor)]
    if way == "through a group":
        changes.append(directory.change(Operation.MEMBER_ADD, inner, kind=Kind.GROUP, member=Reference(value=inner)))
    results = directory.write(*changes)
    assert all(result.outcome is Outcome.REJECTED and "administrative group" in result.detail for result in results), results
    with samba.connect() as hands:
        if way == "primary group":
            hands.modify(member, {"primaryGroupID": [("MODIFY_REPLACE", ["513"])]})
        hands.modify(admins, {"member": [("MODIFY_DELETE", [member])]})
    assert [result.outcome for result in directory.write(changes[0])] == [Outcome.APPLIED]


def test_a_privileged_object_that_the_document_names_is_written(connect: Any, samba: Any) -> None:
    dn = f"CN=Guest,CN=Users,{samba.base}"
    from .conftest import Directory

    directory = Directory(connect(samba.administrator, settings=DirectorySettings(allow_privileged=frozenset({dn.lower()}))), samba.tests)
    old = raw(samba, dn, "comment", "objectGUID")
    anchor = str(uuid.UUID(bytes_le=old["objectGUID"][0]))
    (result,) = directory.write(directory.change(Operation.UPDATE, anchor, after={"comment": "allowed"}))
    assert result.outcome is Outcome.APPLIED
    directory.write(directory.change(Operation.CLEAR, anchor, before={"comment": "allowed"}, after={"comment": None}))
    assert "comment" not in raw(samba, dn, "comment")


def test_a_missing_right_names_what_to_do(directory: Any, samba: Any) -> None:
    change = directory.change(Operation.CREATE, kind=Kind.CONTACT, after={"name": "Jane", "path": f"CN=Users,{samba.base}"})
    (result,) = directory.write(change)
    assert result.outcome is Outcome.REJECTED and "delegate" in result.detail


# Reading


def test_a_scope_that_is_gone_is_an_incomplete_import_and_not_an_empty_one(directory: Any) -> None:
    request = ReadRequest(
        stream="all", kinds=frozenset({Kind.USER}), attributes={Kind.USER: frozenset()}, under=(f"OU=Renamed away,{directory.unit}",)
    )
    with pytest.raises(ImportIncomplete, match="Renamed away"):
        list(directory.connector.read(request))


def test_the_domain_is_read_without_computers_and_without_the_systems_containers(connect: Any, samba: Any) -> None:
    connector = connect()
    kinds = frozenset({Kind.USER, Kind.CONTAINER})
    request = ReadRequest(stream="all", kinds=kinds, attributes=dict.fromkeys(kinds, frozenset({"dn"})), page_size=10)
    found = {item.attributes["dn"] for page in connector.read(request) for item in page.items}
    assert f"CN=Users,{samba.base}" in found and f"OU=Staff,{samba.base}" in found
    assert not [dn for dn in found if "CN=System," in dn or dn.startswith("CN=DC1")]


def test_a_deleted_object_comes_back_with_its_sid_and_its_attributes(connect: Any, samba: Any, samba_unit: str, account: str) -> None:
    from .conftest import Directory

    directory = Directory(connect(), samba_unit)
    wanted = ("sAMAccountName", "sn", "title", "objectSid", "proxyAddresses", "enabled")
    anchor = directory.make("Jane", sAMAccountName=account, title="Chief", proxyAddresses=("SMTP:a@x",), enabled=True, **PERSON)
    before = directory.one(anchor, *wanted)
    directory.write(directory.change(Operation.DELETE, anchor, before={"title": "Chief"}))
    assert "password" in directory.connector.restorable([anchor])[anchor]
    (result,) = directory.write(directory.change(Operation.RESTORE, anchor, after=before))
    assert (result.outcome, result.detail) == (Outcome.APPLIED, "")
    assert directory.one(anchor, *wanted) == before


def test_check_names_the_domain_and_what_the_account_may_do(connect: Any, samba: Any) -> None:
    found = connect().check()
    assert found.identity.startswith("S-1-5-21-")
    assert found.missing == () and found.excessive == ()


def test_a_directory_without_a_mark_is_warned_of(connect: Any) -> None:
    assert any("mark" in warning for warning in connect(settings=DirectorySettings()).check().warnings)


def test_the_schema_is_read_again_only_when_it_changed(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []
    read = schema.read
    monkeypatch.setattr(schema, "_loaded", {})
    monkeypatch.setattr(schema, "read", lambda session: reads.append(session) or read(session))
    first = connect().discover()
    assert connect().discover() == first
    assert len(reads) == 1
    ((key, (usn, known)),) = schema._loaded.items()
    schema._loaded[key] = (1, known)  # as if everything had been written since
    connect().discover()
    assert len(reads) == 2
    assert schema._loaded[key][0] >= usn
    schema._loaded[key] = (1 << 40, known)  # as if the domain controller had been restored from a backup
    connect().discover()
    assert len(reads) == 3


def test_the_schema_comes_from_the_directory(connect: Any) -> None:
    user = connect().discover().kinds[Kind.USER].attributes
    assert "unicodePwd" not in user and "supplementalCredentials" not in user and "msDS-ManagedPassword" not in user
    assert (user["sAMAccountName"].max_length, user["department"].max_length, user["cn"].alias) == (20, 64, "name")
    assert user["proxyAddresses"].multi and not user["description"].multi
    assert "extensionAttribute1" not in user  # comes with Exchange's schema; Samba has none
    assert "msDS-cloudExtensionAttribute1" in user
    assert (user["manager"].type, user["manager"].multi, user["manager"].allow) == (Type.REFERENCE, False, EVERYTHING)
    assert (user["memberOf"].type, user["memberOf"].multi, user["memberOf"].allow) == (Type.REFERENCE, True, READ_ONLY), "the other end"
    assert user["objectSid"].allow == user["whenChanged"].allow == READ_ONLY
    assert not {"canonicalName", "tokenGroups", "allowedAttributes"} & user.keys(), "constructed: no filter finds them, and no change tells"
    assert [user[name].type for name in ("accountExpires", "thumbnailPhoto", "countryCode")] == [Type.TIME, Type.BYTES, Type.INTEGER]
    assert user["title"].equality is Equality.EXACT, "whoever changes nothing but the case changes something"
