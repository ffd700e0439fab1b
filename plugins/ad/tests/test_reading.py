"""A read is complete on positive evidence, or it says that it is not (I4)."""

from __future__ import annotations

from typing import Any

import pytest
from lab import ber
from ldap3.operation.search import parse_filter
from ldap3.protocol.convert import prepare_filter_for_sending

from metasync.contract import ImportIncomplete, Kind, Unavailable
from metasync.testing.context import TestContext
from metasync_ad import lookup
from metasync_ad.dirsync import control
from metasync_ad.options import ADOptions
from metasync_ad.ranges import complete_ranges
from metasync_ad.scope import bases, kind_filter, must_exist
from metasync_ad.session import DOMAIN_SCOPE, PAGED, RawEntry, Session
from metasync_ad.settings import Settings

BASE = "DC=contoso,DC=test"
GUID = "98546fd3-ef86-40c3-bd07-d2bd25d6e6b0"


def settings(**more: Any) -> Settings:
    options = {"servers": ["dc1"], "base": BASE, "bind": "svc@contoso.test", "password": {"secret": "p"}, "ca file": "ca.pem"}
    return Settings.of(ADOptions().load({**options, **more}))


class Answers:
    """An ldap3 connection that gives prepared answers: (result code, cookie or None for no paging control, entries). It is its own
    strategy."""

    def __init__(self, *answers: tuple[int, bytes | None, list[dict[str, Any]]]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.result: dict[str, Any] = {}
        self.response: list[dict[str, Any]] = []

    def search(self, base: str, query: str, scope: str, **rest: Any) -> bool:
        self.asked.append({"base": base, "query": query, "scope": scope, **rest})
        code, cookie, self.response = self.answers.pop(0)
        controls = {} if cookie is None else {PAGED: {"value": {"cookie": cookie}}}
        self.result = {"result": code, "description": "sizeLimitExceeded" if code else "success", "message": "", "controls": controls}
        return True

    @property
    def strategy(self) -> Answers:
        return self

    def ask(self, search: Any) -> int:
        search()
        return len(self.asked)

    def answer(self, number: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        return self.response, self.result


def session(*answers: tuple[int, bytes | None, list[dict[str, Any]]]) -> Session:
    made = Session(settings(), TestContext("contoso", secrets={"p": "x"}))
    made._connection = Answers(*answers)
    return made


def entry(number: int, **attributes: list[bytes]) -> dict[str, Any]:
    dn = f"<GUID={GUID[:-2]}{number:02x}>;CN=u{number},{BASE}"
    held = [ber.encode(ber.SEQUENCE, ber.octets(name), ber.values(values)) for name, values in attributes.items()]
    content = ber.encode(0x64, ber.octets(dn), ber.encode(ber.SEQUENCE, *held))
    return {"type": "searchResEntry", "message": ber.encode(ber.SEQUENCE, ber.integer(1), content)}


def test_pages_end_when_the_server_says_that_nothing_is_left() -> None:
    pages = list(session((0, b"more", [entry(1)]), (0, b"", [entry(2)])).pages(BASE, "(a=b)", ["cn"], 1))
    assert [one.dn for page in pages for one in page] == [f"CN=u1,{BASE}", f"CN=u2,{BASE}"]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ((4, b"", [entry(2)]), "limit"),
        ((3, b"", []), "limit"),
        ((10, b"", []), "in another domain"),
        ((0, None, [entry(2)]), "did not say"),
        ((0, b"", [{"type": "searchResRef", "uri": ["ldap://rogue"]}]), "refers to another server"),
    ],
)
def test_a_read_that_ends_in_any_other_way_is_incomplete(last: tuple[int, bytes | None, list[dict[str, Any]]], words: str) -> None:
    with pytest.raises(ImportIncomplete, match=words):
        list(session((0, b"more", [entry(1)]), last).pages(BASE, "(a=b)", ["cn"], 1))


def test_changes_are_asked_for_without_references_to_other_contexts() -> None:
    """Of the head of a forest there are always some, to its configuration (MS-ADTS 3.1.1.4.7): no delta could ever be whole."""
    line = session((0, None, []))
    with pytest.raises(ImportIncomplete, match="how far"):
        line.changes(BASE, "(a=b)", ["cn"], control(b"", secured=False))
    assert DOMAIN_SCOPE in line._connection.asked[0]["controls"]


def test_a_line_that_breaks_between_two_pages_is_unavailable_and_is_not_asked_again() -> None:
    class Broken(Answers):
        socket = None

        def search(self, base: str, query: str, scope: str, **rest: Any) -> bool:
            if self.asked:
                raise OSError("reset")
            return super().search(base, query, scope, **rest)

        def unbind(self) -> None:
            return None

    broken = session()
    broken._connection = Broken((0, b"more", [entry(1)]))
    with pytest.raises(Unavailable, match="broke"):
        list(broken.pages(BASE, "(a=b)", ["cn"], 1))
    assert broken._connection is None


def test_the_rest_of_a_large_group_is_fetched_range_by_range() -> None:
    first = RawEntry(dn="CN=g", guid=GUID, attributes={"member;range=0-1": [b"a", b"b"], "cn": [b"g"]})
    line = session(
        (0, None, [entry(1, **{"member;range=1-3": [b"b", b"c", b"d"]})]), (0, None, [entry(1, **{"member;range=3-*": [b"d", b"e"]})])
    )
    assert complete_ranges(line, first).attributes == {"cn": [b"g"], "member": [b"a", b"b", b"c", b"d", b"e"]}
    assert [asked["attributes"] for asked in line._connection.asked] == [["member;range=1-*"], ["member;range=3-*"]]


def test_a_range_that_does_not_continue_is_incomplete() -> None:
    first = RawEntry(dn="CN=g", guid=GUID, attributes={"member;range=0-1": [b"a", b"b"]})
    for answer in ([entry(1)], [], [entry(1, **{"member;range=5-*": [b"x"]})]):
        with pytest.raises(ImportIncomplete):
            complete_ranges(session(*[(0, None, answer)] * 20), first)


def test_whoever_leaves_a_large_group_while_it_is_read_takes_nobody_along() -> None:
    """`a` goes after the first range was read: all others move up, and by positions alone `c` would be missed."""
    first = RawEntry(dn="CN=g", guid=GUID, attributes={"member;range=0-1": [b"a", b"b"]})
    line = session(
        (0, None, [entry(1, **{"member;range=1-*": [b"c", b"d"]})]),
        (0, None, [entry(1, **{"member;range=0-1": [b"b", b"c"]})]),
        (0, None, [entry(1, **{"member;range=1-*": [b"c", b"d"]})]),
    )
    assert complete_ranges(line, first).attributes == {"member": [b"b", b"c", b"d"]}


def test_whoever_is_renamed_while_a_large_group_is_read_is_the_same() -> None:
    old, new = (f"<GUID={GUID}>;<SID=S-1-5-21-1-2-3-4>;CN={name},{BASE}".encode() for name in ("old", "new"))
    first = RawEntry(dn="CN=g", guid=GUID, attributes={"member;range=0-1": [b"a", old]})
    line = session((0, None, [entry(1, **{"member;range=1-*": [new, b"c"]})]))
    assert complete_ranges(line, first).attributes == {"member": [b"a", old, b"c"]}


def test_a_place_of_which_nothing_may_be_read_is_not_empty_but_an_incomplete_import() -> None:
    """The base is there, and no filter matches what may not be read (MS-ADTS 3.1.1.3.1.3.4): not everybody has left."""
    with pytest.raises(ImportIncomplete, match="grant the right"):
        must_exist(session((0, None, [])), BASE)


@pytest.mark.parametrize("value", [" x", "x ", " ", "\u3000x", "a*(b)\\\0", "é"])
def test_a_filter_for_a_value_asks_for_all_of_it(value: str) -> None:
    (found,) = parse_filter(lookup.equals("cn", value), None, True, True, None, False).elements
    assert prepare_filter_for_sending(found.assertion["value"]) == value.encode()


def test_the_documents_filter_bounds_people_and_groups_but_not_containers() -> None:
    query = kind_filter({Kind.USER, Kind.CONTAINER}, settings(filter="(employeeID=*)"))
    assert query.startswith("(|(&(&(objectCategory=person)") and "(employeeID=*))(objectCategory=organizationalUnit)" in query
    assert kind_filter({Kind.GUEST}, settings()) == ""


@pytest.mark.parametrize(
    ("options", "asked", "read"),
    [
        ([], [], [BASE]),
        ([f"OU=A,{BASE}"], [], [f"OU=A,{BASE}"]),
        ([], [f"OU=A,{BASE}", f"OU=B,OU=A,{BASE}"], [f"OU=A,{BASE}"]),
        ([f"OU=A,{BASE}"], [f"OU=B,OU=A,{BASE}", f"OU=C,{BASE}"], [f"OU=B,OU=A,{BASE}"]),
        ([f"OU=B,OU=A,{BASE}"], [f"OU=A,{BASE}"], [f"OU=B,OU=A,{BASE}"]),
        ([f"OU=A,{BASE}"], [f"OU=C,{BASE}"], []),
    ],
)
def test_what_is_read_lies_below_what_options_and_request_both_name(options: list[str], asked: list[str], read: list[str]) -> None:
    assert bases(settings(under=options), asked) == read
