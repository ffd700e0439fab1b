"""Between wire and Metasync."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metasync.contract import Kind, Reference
from metasync_ad import accounts
from metasync_ad.attributes import Codec, check_length, encode_reference, kind_of, privileged, same
from metasync_ad.schema import Attribute, DirectorySchema, Syntax
from metasync_ad.session import RawEntry

GUID = "98546fd3-ef86-40c3-bd07-d2bd25d6e6b0"


def attribute(name: str, syntax: Syntax = Syntax.TEXT, multi: bool = False, writable: bool = True) -> Attribute:
    return Attribute(name=name, syntax=syntax, multi=multi, max_length=None, writable=writable)


KNOWN = [
    attribute("sn"),
    attribute("proxyAddresses", multi=True),
    attribute("member", Syntax.DN, multi=True),
    attribute("manager", Syntax.DN),
    attribute("accountExpires", Syntax.FILETIME),
    attribute("whenCreated", Syntax.GENERALIZED, writable=False),
    attribute("countryCode", Syntax.INTEGER),
    attribute("msNPAllowDialin", Syntax.BOOLEAN),
    attribute("thumbnailPhoto", Syntax.BYTES),
    attribute("objectSid", Syntax.SID, writable=False),
    attribute("userAccountControl", Syntax.INTEGER, writable=False),
]
CODEC = Codec(DirectorySchema(attributes={one.name.lower(): one for one in KNOWN}, of_class={}))


def entry(dn: str = "CN=Doe\\, Jane,OU=Staff,DC=x", **attributes: list[bytes]) -> RawEntry:
    return RawEntry(dn=dn, guid=GUID, attributes={name.lower(): held for name, held in attributes.items()})


def test_name_and_path_come_from_the_distinguished_name() -> None:
    found = CODEC.decode(entry(name=[b"Doe, Jane"]), ["cn", "path", "distinguishedName"])
    assert found == {"name": "Doe, Jane", "path": "OU=Staff,DC=x", "dn": "CN=Doe\\, Jane,OU=Staff,DC=x"}


def test_a_multi_valued_attribute_is_a_tuple_also_with_one_value() -> None:
    assert CODEC.decode(entry(proxyAddresses=[b"SMTP:a@x"]), ["proxyAddresses"]) == {"proxyAddresses": ("SMTP:a@x",)}


def test_what_is_absent_stays_absent() -> None:
    assert CODEC.decode(entry(), ["sn", "proxyAddresses", "members", "enabled", "nosuch"]) == {}


def test_references_are_anchors_and_deleted_objects_are_left_out() -> None:
    raw = [
        f"<GUID={GUID.upper()}>;<SID=S-1-5-21-1-2-3-4>;CN=a,DC=x".encode(),
        f"<GUID={GUID}>;CN=b\\0ADEL:{GUID},CN=Deleted Objects,DC=x".encode(),
        b"CN=elsewhere,DC=y",
    ]
    found = CODEC.decode(entry(member=raw), ["members"])
    assert found == {"members": (Reference(value=GUID), Reference(value="CN=elsewhere,DC=y", key="dn"))}


def test_of_several_values_where_one_counts_it_is_the_same_in_every_import() -> None:
    for held in ([b"b", b"a"], [b"a", b"b"]):
        assert CODEC.decode(entry(sn=held), ["sn"]) == {"sn": "a"}


def test_an_account_that_never_expires_has_no_expiry() -> None:
    assert CODEC.decode(entry(accountExpires=[b"9223372036854775807"]), ["accountExpires"]) == {}
    assert CODEC.decode(entry(accountExpires=[b"133485408000000000"]), ["accountExpires"]) == {
        "accountExpires": datetime(2024, 1, 1, tzinfo=UTC)
    }


@pytest.mark.parametrize(
    ("control", "enabled", "never", "smartcard"), [(512, True, False, False), (66050, False, True, False), (262656, True, False, True)]
)
def test_the_bits_of_user_account_control_read_as_booleans(control: int, enabled: bool, never: bool, smartcard: bool) -> None:
    found = CODEC.decode(
        entry(userAccountControl=[b"%d" % control]), ["enabled", "accountDisabled", "passwordNeverExpires", "smartcardRequired"]
    )
    assert found == {"enabled": enabled, "accountDisabled": not enabled, "passwordNeverExpires": never, "smartcardRequired": smartcard}


def test_a_value_that_is_not_text_is_an_error_that_names_its_attribute() -> None:
    with pytest.raises(ValueError, match="a value of sn is not a valid text"):
        CODEC.decode(entry(sn=[b"\xff\xfe"]), ["sn"])


def test_values_are_encoded_by_their_syntax() -> None:
    assert CODEC.encode("sn", "Ærø") == ["Ærø".encode()]
    assert CODEC.encode("proxyAddresses", ("a", "b")) == [b"a", b"b"]
    assert CODEC.encode("members", (Reference(value=GUID),)) == [f"<GUID={GUID}>".encode()]
    assert CODEC.encode("accountExpires", datetime(2024, 1, 1, tzinfo=UTC)) == [b"133485408000000000"]
    assert CODEC.encode("countryCode", 41) == CODEC.encode("countryCode", "41") == [b"41"]
    assert CODEC.encode("msNPAllowDialin", True) == CODEC.encode("msNPAllowDialin", "true") == [b"TRUE"]
    assert CODEC.encode("thumbnailPhoto", b"\0") == [b"\0"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("sn", ("a", "b"), "holds one value"),
        ("sn", True, "must be of the type text, not bool"),
        ("sn", "half \ud83d", "lone surrogate"),
        ("countryCode", "many", "is no integer"),
        ("countryCode", True, "must be of the type integer, not bool"),
        ("manager", "CN=a,DC=x", "must be of the type distinguished name"),
        ("manager", Reference(value="jane@x", key="mail"), "takes an anchor or a dn"),
        ("manager", Reference(value="HR/17", key="created for"), "takes an anchor or a dn"),
        ("whenCreated", datetime(2024, 1, 1, tzinfo=UTC), "does not let whenCreated be written"),
        ("nosuch", "x", "no attribute nosuch"),
    ],
)
def test_what_cannot_be_written_is_refused_with_its_reason(name: str, value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        CODEC.encode(name, value)  # type: ignore[arg-type]


def test_a_reference_cannot_smuggle_another_name() -> None:
    with pytest.raises(ValueError):
        encode_reference(Reference(value=f"{GUID}>;CN=admin"))


def test_only_what_is_needed_is_asked_for() -> None:
    assert CODEC.wire(["cn", "path", "enabled", "members", "sn", "nosuch"]) == ["name", "userAccountControl", "member", "sn"]


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        (["top", "person", "organizationalPerson", "user"], Kind.USER),
        (["top", "person", "organizationalPerson", "user", "inetOrgPerson"], Kind.USER),
        (["top", "person", "organizationalPerson", "user", "computer"], None),
        (["top", "person", "organizationalPerson", "user", "computer", "msDS-GroupManagedServiceAccount"], None),
        (["top", "group"], Kind.GROUP),
        (["top", "person", "organizationalPerson", "contact"], Kind.CONTACT),
        (["top", "organizationalUnit"], Kind.CONTAINER),
        (["top", "printQueue"], None),
    ],
)
def test_kinds_are_told_by_class_and_machines_are_none(classes: list[str], kind: Kind | None) -> None:
    assert kind_of(entry(objectClass=[one.encode() for one in classes])) == kind


@pytest.mark.parametrize(
    ("sid", "admin_count", "critical", "is_privileged"),
    [
        ("S-1-5-21-1-2-3-500", None, False, True),
        ("S-1-5-21-1-2-3-512", None, False, True),
        ("S-1-5-32-544", None, False, True),
        ("S-1-5-21-1-2-3-1104", 1, False, True),
        ("S-1-5-21-1-2-3-1104", None, True, True),
        ("S-1-5-21-1-2-3-1104", 0, False, False),
        ("S-1-5-21-1-2-3-50000", None, False, False),
        (None, None, False, False),
    ],
)
def test_privileged_objects_are_known(sid: str | None, admin_count: int | None, critical: bool, is_privileged: bool) -> None:
    assert accounts.is_privileged(sid, admin_count, critical) is is_privileged


@pytest.mark.parametrize(
    ("control", "last_set", "signed_in", "may_lack"),
    [
        (0x222, 0, False, True),
        (0x222, None, False, True),
        (0x202, 0, False, False),
        (0x222, 133485408000000000, False, False),
        (0x222, 0, True, False),
        (0x40222, 0, False, False),
    ],
    ids=["as made by hand", "nothing set", "policy holds", "had one", "signed in, must change", "smart card"],
)
def test_an_account_that_may_lack_a_password_is_told_from_one_that_must_change_it(
    control: int, last_set: int | None, signed_in: bool, may_lack: bool
) -> None:
    assert accounts.may_lack_password(control, last_set, signed_in) is may_lack


def test_privilege_is_read_from_the_entry() -> None:
    assert privileged(entry(isCriticalSystemObject=[b"TRUE"]))
    assert not privileged(entry())


def test_the_order_of_values_and_the_spelling_of_names_carry_no_meaning() -> None:
    assert same("proxyAddresses", ("a", "b"), ("b", "a"))
    assert not same("proxyAddresses", ("SMTP:a",), ("smtp:a",))
    assert same("path", "OU=A, DC=x", "ou=a,dc=X")
    assert same("sn", None, None)
    assert not same("sn", "a", None)


def test_a_users_account_name_has_at_most_20_characters() -> None:
    check_length(Kind.USER, "sAMAccountName", "x" * 20)
    check_length(Kind.GROUP, "sAMAccountName", "x" * 40)
    with pytest.raises(ValueError, match="at most 20 characters"):
        check_length(Kind.USER, "samaccountname", "x" * 21)


def test_group_types_are_numbers_with_a_sign() -> None:
    assert accounts.group_type() == -2147483646
    assert accounts.group_type("Universal", "Distribution") == 8
    assert (accounts.group_scope(-2147483644), accounts.group_category(-2147483644)) == ("DomainLocal", "Security")
    with pytest.raises(ValueError, match="Global, DomainLocal, Universal"):
        accounts.group_type("Galactic")
