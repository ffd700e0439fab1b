"""Values between Graph's JSON and the contract, and what the schema says of them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from metasync.contract import Allow, Kind, Operation, Reference, Type
from metasync_entra import schema
from metasync_entra.codec import Codec, allowed, decoded, encoded, is_guid, members, same, time
from metasync_entra.cursor import Cursor
from metasync_entra.merging import Told, whole

BADGE = f"extension_{'0' * 32}_badge"
SEEN = f"extension_{'0' * 32}_seen"
PHOTO = f"extension_{'0' * 32}_photo"
LIST = f"extension_{'0' * 32}_list"
CODEC = Codec({BADGE: "integer", SEEN: "time", PHOTO: "bytes", LIST: "strings"})


@pytest.mark.parametrize(
    ("name", "plain", "value"),
    [
        ("displayName", "Zoë", "Zoë"),
        ("enabled", False, False),
        ("businessPhones", ["+41 44 000 00 00"], "+41 44 000 00 00"),
        ("otherMails", ["a@x.test", "b@x.test"], ("a@x.test", "b@x.test")),
        ("employeeHireDate", "2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (BADGE, 4711, 4711),
        (SEEN, "2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (PHOTO, base64.b64encode(b"\x00\xff").decode(), b"\x00\xff"),
        (LIST, ["one", "two"], ("one", "two")),
    ],
)
def test_a_value_survives_there_and_back(name: str, plain: Any, value: Any) -> None:
    known = CODEC.known(Kind.USER, name)
    assert encoded(known, value) == plain
    assert CODEC.decode(Kind.USER, {str(known.select): plain}, [name]) == {name: value}


def test_what_lies_inside_of_a_property_is_found_and_selected_as_a_whole() -> None:
    raw = {"onPremisesExtensionAttributes": {"extensionAttribute1": "one", "extensionAttribute2": None}}
    assert CODEC.decode(Kind.USER, raw, ["extensionAttribute1", "extensionAttribute2", "extensionAttribute3"]) == {
        "extensionAttribute1": "one"
    }
    assert "onPremisesExtensionAttributes" in CODEC.select([Kind.USER], {Kind.USER: ["extensionAttribute1"]})


@pytest.mark.parametrize("plain", [None, "", [], [None], ["", None]])
def test_nothing_is_absent(plain: Any) -> None:
    for name in ("displayName", "otherMails", "businessPhones"):
        known = CODEC.known(Kind.USER, name)
        if isinstance(plain, list) == (name != "displayName"):
            assert CODEC.decode(Kind.USER, {str(known.select): plain}, [name]) == {}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("displayName", 17, "string"),
        ("displayName", "a\0b", "NUL"),
        ("displayName", "a\ud800b", "surrogate"),
        ("displayName", "x" * 257, "256 characters"),
        ("displayName", "", "empty"),
        ("displayName", ("one",), "one value"),
        ("otherMails", "one", "several values"),
        ("enabled", "yes", "boolean"),
        ("employeeId", "x" * 17, "16 characters"),
        (BADGE, True, "integer"),
    ],
)
def test_a_value_that_cannot_be_says_why(name: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CODEC.encode(Kind.USER, name, value)


@pytest.mark.parametrize("plain", [17, ["x"], {"a": 1}])
def test_a_value_of_graphs_that_is_something_else_is_no_text(plain: Any) -> None:
    with pytest.raises(ValueError, match="displayName"):
        decoded(CODEC.known(Kind.USER, "displayName"), plain)


def test_an_attribute_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="noSuchAttribute"):
        CODEC.known(Kind.USER, "noSuchAttribute")


@pytest.mark.parametrize(
    ("text", "micro"),
    [("2030-01-02T03:04:05Z", 0), ("2030-01-02T03:04:05.1234567Z", 123456), ("2030-01-02T03:04:05.5Z", 500000)],
)
def test_times_have_any_number_of_digits(text: str, micro: int) -> None:
    assert time(text) == datetime(2030, 1, 2, 3, 4, 5, micro, tzinfo=UTC)


def test_case_counts_where_it_counts() -> None:
    assert same(CODEC.known(Kind.USER, "userPrincipalName"), "Ann@X.test", "ann@x.test")
    assert not same(CODEC.known(Kind.USER, "displayName"), "Ann", "ann")
    assert same(CODEC.known(Kind.USER, "otherMails"), ("a", "B"), ("b", "a"))
    assert not same(CODEC.known(Kind.USER, "displayName"), None, "ann")


@pytest.mark.parametrize("text", ["", "x", "../users", "11111111-2222-3333-4444-55555555555g", "11111111222233334444555555555555"])
def test_what_is_no_identifier_never_stands_in_a_path(text: str) -> None:
    assert not is_guid(text)


def test_devices_are_no_members_of_ours() -> None:
    one = {"id": "1", "@odata.type": "#microsoft.graph.user"}
    assert list(members([one, {"id": "2", "@odata.type": "#microsoft.graph.device"}, {"id": 3}, "x"])) == ["1"]


@pytest.mark.parametrize(
    ("kind", "never"),
    [
        (
            Kind.USER,
            ["id", "proxyAddresses", "imAddresses", "userType", "onPremisesSyncEnabled", "createdDateTime"],
        ),
        (Kind.GUEST, ["id", "proxyAddresses", "userPrincipalName", "externalUserState"]),
        (Kind.GROUP, ["id", "mail", "proxyAddresses", "uniqueName", "onPremisesSyncEnabled", "securityIdentifier", "createdDateTime"]),
    ],
)
def test_what_graph_never_writes_is_read_only(kind: Kind, never: list[str]) -> None:
    attributes = schema.describe(CODEC).kinds[kind].attributes
    for name in never:
        assert attributes[name].allow == {Allow.READ}, name
        with pytest.raises(ValueError, match=name):
            allowed(CODEC.known(kind, name), Allow.UPDATE)


def test_no_contact_is_written() -> None:
    contact = schema.describe(CODEC).kinds[Kind.CONTACT]
    assert contact.operations == frozenset()
    assert all(one.allow == {Allow.READ} for one in contact.attributes.values())


def test_names_that_cannot_be_empty_cannot_be_cleared() -> None:
    attributes = schema.describe(CODEC).kinds[Kind.USER].attributes
    assert all(Allow.CLEAR not in attributes[name].allow for name in ("displayName", "userPrincipalName", "accountEnabled", "mailNickname"))


def test_members_come_one_by_one() -> None:
    group = schema.describe(CODEC).kinds[Kind.GROUP]
    assert {Operation.MEMBER_ADD, Operation.MEMBER_REMOVE} <= group.operations
    assert group.attributes["members"].type is Type.REFERENCE


def test_a_cursor_is_read_as_it_was_written() -> None:
    for since in (datetime(2030, 1, 2, tzinfo=UTC), datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)):
        cursor = Cursor(tenant="t", stream="users", tracked=("id",), kinds=("user",), link="https://x.test/delta", since=since)
        assert Cursor.of(cursor.text()) == cursor


def test_what_was_never_set_is_empty() -> None:
    assert whole(Told(fields={"displayName": "Ann"}), ("displayName", "jobTitle")) == {"displayName": "Ann", "jobTitle": None}


def test_a_reference_by_another_key_is_no_identifier() -> None:
    from metasync_entra.codec import reference

    with pytest.raises(ValueError, match="another key"):
        reference(Reference(value="ann@contoso.com", key="mail"))
