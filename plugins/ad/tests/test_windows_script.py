"""What Windows does and Samba does not, by the lab's scripted server: ranges, limits, referrals, controllers that go away."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab.scripted import BUSY_NOW, REFERRAL, SIZE_LIMIT, UNAVAILABLE_NOW, Cut, Refer, Refuse, ScriptedController, ScriptedDomain, Stall

from metasync.contract import (
    Change,
    CursorExpired,
    Entry,
    ImportIncomplete,
    Kind,
    NotTrusted,
    Operation,
    Page,
    Presence,
    ReadRequest,
    Reference,
    SignInRefused,
    Unavailable,
)
from metasync.testing.context import TestContext
from metasync_ad import controllers, readback, schema, values
from metasync_ad.connector import ActiveDirectory
from metasync_ad.cursor import Cursor
from metasync_ad.following import Follower
from metasync_ad.options import ADOptions
from metasync_ad.rights import READ_ONLY
from metasync_ad.schema import Syntax
from metasync_ad.session import RawEntry, Session

from .certificates import authority

BASE = "DC=contoso,DC=test"
SCHEMA = f"CN=Schema,CN=Configuration,{BASE}"
ATTRIBUTES = {
    "objectGUID": "2.5.5.10", "objectClass": "2.5.5.2", "name": "2.5.5.12", "displayName": "2.5.5.12", "member": "2.5.5.1",
    "sAMAccountName": "2.5.5.12",
}  # fmt: skip
HOST = "dc.contoso.test"


def guid(number: int) -> uuid.UUID:
    return uuid.UUID(int=number + 1)


def person(number: int) -> tuple[str, dict[str, list[bytes]]]:
    dn = f"CN=u{number:05d},OU=Staff,{BASE}"
    held = {"objectCategory": [b"person"], "objectClass": [b"top", b"person", b"user"], "objectGUID": [guid(number).bytes_le]}
    return dn, {**held, "name": [f"u{number:05d}".encode()], "displayName": [f"Person {number}".encode()]}


@pytest.fixture
def domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedDomain:
    """25 people, and the little of a schema that reading them takes."""
    monkeypatch.setattr(controllers, "_answered", {})
    issued = authority("Scripted", host=HOST)
    made = ScriptedDomain(certificate=issued.write(tmp_path / "server.pem"), base=BASE)
    (tmp_path / "ca.pem").write_bytes(issued.pem)
    made.objects[BASE] = {"objectClass": [b"top", b"domainDNS"], "objectGUID": [guid(1 << 40).bytes_le]}
    for name, syntax in ATTRIBUTES.items():
        single = b"FALSE" if name in ("member", "objectClass") else b"TRUE"
        link = {"linkID": [b"2"]} if name == "member" else {}
        made.objects[f"CN={name},{SCHEMA}"] = {
            "objectClass": [b"attributeSchema"], "lDAPDisplayName": [name.encode()], "attributeSyntax": [syntax.encode()],
            "isSingleValued": [single], **link,
        }  # fmt: skip
    made.objects.update(person(number) for number in range(25))
    return made


@pytest.fixture
def controller(domain: ScriptedDomain) -> Iterator[ScriptedController]:
    """Its only controller."""
    with domain.serve("127.0.0.1") as made:
        yield made


def connector(domain: ScriptedDomain, *served: ScriptedController, **more: Any) -> ActiveDirectory:
    options = {
        "servers": [one.address for one in served],
        "port": served[0].port,
        "base": BASE,
        "bind": domain.account[0],
        "password": {"secret": "bind"},
        "ca file": str(domain.certificate.with_name("ca.pem")),
        "certificate name": HOST,
        "page size": 10,
        "receive timeout": 3,
        **more,
    }
    return ActiveDirectory(ADOptions().load(options), TestContext("scripted", secrets={"bind": domain.account[1]}))


def request(resume: str | None = None) -> ReadRequest:
    kinds = frozenset({Kind.USER, Kind.GROUP})
    return ReadRequest(stream="all", kinds=kinds, attributes=dict.fromkeys(kinds, frozenset({"name", "members"})), resume=resume)


def read(directory: ActiveDirectory, resume: str | None = None) -> list[Page]:
    try:
        return list(directory.read(request(resume)))
    finally:
        directory.close()


def anchors(pages: list[Page]) -> list[str]:
    return [item.anchor for page in pages for item in page.items if isinstance(item, Entry)]


def test_a_group_of_more_than_1500_members_comes_in_ranges_and_is_whole(domain: ScriptedDomain, controller: ScriptedController) -> None:
    people = dict(person(number) for number in range(25, 4025))
    domain.objects.update(people)
    group = {"objectCategory": [b"group"], "objectClass": [b"top", b"group"], "objectGUID": [guid(9999).bytes_le], "name": [b"g"]}
    domain.objects[f"CN=g,{BASE}"] = {**group, "member": [dn.encode() for dn in people]}
    pages = read(connector(domain, controller, **{"page size": 1000}))
    (found,) = [item for page in pages for item in page.items if isinstance(item, Entry) and item.kind is Kind.GROUP]
    assert found.attributes["members"] == tuple(Reference(value=str(guid(number))) for number in range(25, 4025))
    assert controller.searches.count(f"<GUID={guid(9999)}>") == 2  # 1,500 came at once, then 1,500 and 1,000


def test_a_page_that_is_smaller_than_asked_for_is_no_loss(domain: ScriptedDomain, controller: ScriptedController) -> None:
    domain.max_page = 4
    assert len(anchors(read(connector(domain, controller)))) == 25


def test_a_line_that_is_cut_between_pages_is_made_anew_and_nothing_comes_twice(
    domain: ScriptedDomain, controller: ScriptedController
) -> None:
    directory = connector(domain, controller, changes="full")
    directory.codec  # noqa: B018 - read before the plan begins
    controller.plan(None, None, Cut(), None, Cut())  # the scope; two pages, of which the second; and once more
    found = anchors(read(directory))
    assert sorted(found) == sorted(str(guid(number)) for number in range(25)) and len(controller.bound) >= 3


def test_another_controller_does_not_go_on_where_one_stopped(domain: ScriptedDomain, controller: ScriptedController) -> None:
    with domain.serve("127.0.0.2", controller.port) as other:
        directory = connector(domain, controller, other)
        stored: list[Page] = []
        with pytest.raises(ImportIncomplete, match=r"127\.0\.0\.1 went away after \d+ objects, and 127\.0\.0\.2 cannot go on"):
            for page in directory.read(request()):
                stored.append(page)
                controller.close()
        assert stored and not any(page.complete for page in stored)
        assert len(anchors(read(directory))) == 25  # the next import is whole, by the other one


def test_a_controller_that_is_gone_before_the_read_is_replaced_by_the_next(domain: ScriptedDomain, controller: ScriptedController) -> None:
    with domain.serve("127.0.0.2", controller.port) as other:
        controller.close()
        assert len(anchors(read(connector(domain, controller, other)))) == 25


def numbered(domain: ScriptedDomain) -> None:
    """Let changes be followed by uSNChanged: the scripted server has no DirSync."""
    for number, held in enumerate(domain.objects.values()):
        held["uSNChanged"] = held["uSNCreated"] = [str(number + 1).encode()]
    deleted = {"isDeleted": [b"TRUE"], "objectClass": [b"user"], "objectGUID": [guid(77777).bytes_le], "uSNChanged": [b"1001"]}
    domain.objects[f"CN=gone\\0ADEL:x,CN=Deleted Objects,{BASE}"] = deleted


def test_a_read_of_several_places_goes_on_with_the_place_that_it_stopped_in(domain: ScriptedDomain, controller: ScriptedController) -> None:
    for number in range(25, 40):
        dn, held = person(number)
        domain.objects[dn.replace("OU=Staff", "OU=Guests")] = held
    for name in ("Staff", "Guests"):
        domain.objects[f"OU={name},{BASE}"] = {"objectClass": [b"organizationalUnit"], "objectGUID": [uuid.uuid4().bytes_le]}
    numbered(domain)
    under = [f"OU=Staff,{BASE}", f"OU=Guests,{BASE}"]
    directory = connector(domain, controller, under=under)
    stored: list[Page] = []
    for page in directory.read(request()):
        stored.append(page)
        if page.resume:
            break
    directory.close()
    controller.searches.clear()
    rest = read(connector(domain, controller, under=under), stored[-1].resume)
    assert under[0] not in controller.searches and under[1] in controller.searches
    assert len({*anchors(stored), *anchors(rest)}) == 40
    assert rest[-1].complete and rest[-1].cursor


def test_whoever_is_moved_within_one_place_while_it_is_read_is_not_missed(domain: ScriptedDomain, controller: ScriptedController) -> None:
    """Pages are no picture of one moment (MS-ADTS 3.1.1.3.4.1.1): who stands before the next page by then was met in none."""
    numbered(domain)
    directory = connector(domain, controller)
    pages = directory.read(request())
    stored = [next(pages)]  # the next page is asked for already
    dn, moved = person(24)
    domain.objects = {dn.replace("OU=Staff", "OU=Guests"): {**moved, "uSNChanged": [b"1002"], "uSNCreated": [b"25"]}, **domain.objects}
    del domain.objects[dn]
    stored += pages
    assert sorted(anchors(stored)) == sorted(str(guid(number)) for number in range(25))
    assert stored[-1].complete
    directory.close()


def test_where_nobody_can_tell_who_was_moved_meanwhile_the_import_is_incomplete(
    domain: ScriptedDomain, controller: ScriptedController, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered(domain)
    directory = connector(domain, controller)

    def expired(*_: Any) -> Iterator[Page]:
        raise CursorExpired("its place is not seen")
        yield

    monkeypatch.setattr(Follower, "follow", expired)
    found: list[Page] = []
    with pytest.raises(ImportIncomplete, match="its place is not seen; nothing was deleted"):
        found.extend(directory.read(request()))
    assert not any(one.complete for one in found)
    directory.close()


def test_an_import_that_is_told_to_stop_while_it_looks_for_the_moved_is_not_complete(
    domain: ScriptedDomain, controller: ScriptedController
) -> None:
    numbered(domain)
    for number in range(3):
        domain.objects[person(number)[0]]["uSNChanged"] = [b"1002"]
    directory = connector(domain, controller)
    follow, pages = Follower.follow, []

    def stopping(follower: Follower, cursor: Cursor) -> Iterator[Page]:
        directory.context.ask_to_stop()  # type: ignore[attr-defined]
        yield from follow(follower, cursor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Follower, "follow", stopping)
        pages += directory.read(request())
    assert len(anchors(pages)) == 25 and not any(page.complete for page in pages)
    directory.close()


def test_what_cannot_be_read_back_is_unknown_and_stops_none_of_the_others(
    domain: ScriptedDomain, controller: ScriptedController, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(_: Session, entry: RawEntry) -> RawEntry:
        if entry.guid == str(guid(1)):
            raise ImportIncomplete("it changed again and again")
        return entry

    monkeypatch.setattr(readback, "complete_ranges", changing)
    directory = connector(domain, controller)
    changes = [
        Change(id=str(number), operation=Operation.UPDATE, kind=Kind.USER, anchor=str(guid(number)), label="x", tag="t")
        for number in (1, 2)
    ]
    found = list(directory.find(changes))
    assert [one.presence for one in found] == [Presence.UNKNOWN, Presence.PRESENT] and "again and again" in found[0].detail
    directory.close()


def test_a_controller_that_does_not_show_which_it_is_gives_no_cursor(domain: ScriptedDomain, controller: ScriptedController) -> None:
    """Restored from a backup, it would be taken for what it was."""
    numbered(domain)
    controller.invocation = None
    directory = connector(domain, controller)
    *_, last = directory.read(request())
    assert last.complete and last.cursor is None
    assert any("invocationId" in line for line in directory.context.logged)  # type: ignore[attr-defined]
    directory.close()


def test_a_name_that_a_defunct_attribute_had_means_the_one_that_has_it_now(
    domain: ScriptedDomain, controller: ScriptedController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_loaded", {})
    now = {"objectClass": [b"attributeSchema"], "lDAPDisplayName": [b"badge"], "attributeSyntax": [b"2.5.5.9"], "isSingleValued": [b"TRUE"]}
    once = {**now, "attributeSyntax": [b"2.5.5.12"], "isDefunct": [b"TRUE"]}
    domain.objects |= {f"CN=badge2,{SCHEMA}": now, f"CN=badge,{SCHEMA}": once}
    directory = connector(domain, controller)
    known = directory.codec.schema.get("badge")
    assert known is not None and known.syntax is Syntax.INTEGER
    directory.close()


def test_the_next_controller_is_asked_where_the_certificate_of_one_is_not_trusted(
    domain: ScriptedDomain, controller: ScriptedController, tmp_path: Path
) -> None:
    stranger = ScriptedDomain(certificate=authority("Stranger", host=HOST).write(tmp_path / "stranger.pem"), base=BASE)
    with stranger.serve("127.0.0.2", controller.port) as other:
        directory = connector(domain, other, controller)
        assert len(anchors(read(directory))) == 25
        assert other.bound == [] and any("certificate of 127.0.0.2" in line for line in directory.context.logged)  # type: ignore[attr-defined]
        with pytest.raises(NotTrusted, match=r"certificate of 127\.0\.0\.2"):
            read(connector(domain, other, servers=["127.0.0.2", "127.0.0.3"]))  # where nobody listens


def test_a_read_only_controller_is_said(domain: ScriptedDomain, controller: ScriptedController) -> None:
    domain.objects[BASE]["objectSid"] = [values.sid_bytes("S-1-5-21-1-2-3")]
    directory = connector(domain, controller)
    assert not any("read-only" in one for one in directory.check().warnings)
    controller.capabilities = [READ_ONLY.encode()]
    directory.close()
    assert any("read-only" in one for one in directory.check().warnings)
    directory.close()


def test_by_number_a_deletion_is_seen_and_an_object_without_a_readable_number_forbids_the_way(
    domain: ScriptedDomain, controller: ScriptedController
) -> None:
    numbered(domain)
    directory = connector(domain, controller)
    *_, last = directory.read(request())
    assert last.cursor
    (page, end) = directory.follow(request(), last.cursor)
    assert [item.anchor for item in page.items] == [str(guid(77777))] and end.complete
    del domain.objects[person(3)[0]]["uSNChanged"]
    *_, last = directory.read(request())
    assert last.complete and last.cursor is None
    directory.close()


@pytest.mark.parametrize("step", [BUSY_NOW, UNAVAILABLE_NOW], ids=["busy", "unavailable"])
def test_a_controller_that_is_busy_for_a_moment_is_asked_again(
    domain: ScriptedDomain, controller: ScriptedController, step: Refuse
) -> None:
    directory = connector(domain, controller, changes="full")
    directory.codec  # noqa: B018 - read before the plan begins
    controller.plan(None, None, step)
    assert len(anchors(read(directory))) == 25


def test_a_controller_that_stays_busy_or_stalls_ends_the_read_in_words(domain: ScriptedDomain, controller: ScriptedController) -> None:
    directory = connector(domain, controller, changes="full", **{"receive timeout": 1})
    directory.codec  # noqa: B018 - read before the plan begins
    controller.plan(None, *[BUSY_NOW] * 9)
    with pytest.raises(Unavailable, match="busy"):
        read(directory)
    controller.plan(None, *[Stall()] * 9)
    with pytest.raises(Unavailable, match="broke"):
        read(directory)


@pytest.mark.parametrize("way", ["reference", "referral"])
def test_a_referral_is_never_followed_and_the_host_that_it_names_hears_nothing(
    domain: ScriptedDomain, controller: ScriptedController, way: str
) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as rogue:
        rogue.settimeout(0.3)

        def listen() -> None:
            try:
                line, _ = rogue.accept()
                heard.append(line.recv(100) or b"came")
            except OSError:
                return

        listener = threading.Thread(target=listen)
        listener.start()
        uri = f"ldap://127.0.0.1:{rogue.getsockname()[1]}/{BASE}"
        text = "0000202B: RefErr: DSID-03100781, data 0, 1 access points"
        directory = connector(domain, controller, changes="full")
        directory.codec  # noqa: B018 - read before the plan begins
        controller.plan(None, Refer(uris=[uri]) if way == "reference" else Refuse(code=REFERRAL, text=text, uris=[uri]))
        with pytest.raises(ImportIncomplete):
            read(directory)
        listener.join()
    assert heard == []


def test_a_wrong_password_is_told_from_windows_words(domain: ScriptedDomain, controller: ScriptedController) -> None:
    directory = connector(domain, controller)
    domain.account = (domain.account[0], "another")
    with pytest.raises(SignInRefused, match="password is wrong"):
        read(directory)
    assert len(controller.bound) == 1


def test_the_next_page_is_asked_for_before_this_one_is_given_and_other_questions_come_through(
    domain: ScriptedDomain, controller: ScriptedController
) -> None:
    session = connector(domain, controller).session
    pages = session.pages(BASE, "(objectCategory=person)", ["name"], 10)
    found = [entry.text("name") for entry in next(pages)]
    assert len(session.search(f"OU=Staff,{BASE}", "(objectCategory=person)", ["name"])) == 25  # while a page is under way
    assert controller.searches.count(BASE) == 2
    found += [entry.text("name") for page in pages for entry in page]
    assert sorted(str(name) for name in found) == [f"u{number:05d}" for number in range(25)]
    next(session.pages(BASE, "(objectCategory=person)", ["name"], 10))  # given up in the midst of it
    assert session.search(BASE, "(objectClass=*)", ["objectGUID"], "BASE")
    session.close()


@pytest.mark.parametrize("code", [SIZE_LIMIT, 3, 11], ids=["size", "time", "administrative"])
@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_limit_that_is_met_at_any_page_is_an_incomplete_import(
    domain: ScriptedDomain, controller: ScriptedController, code: int, page: int
) -> None:
    directory = connector(domain, controller, changes="full")
    directory.codec  # noqa: B018 - read before the plan begins
    controller.plan(None, *[None] * page, Refuse(code=code, text="00002024: SvcErr: DSID-02050CE7, problem 5008 (ADMIN_LIMIT_EXCEEDED)"))
    found: list[Page] = []
    with pytest.raises(ImportIncomplete, match="limit"):
        found.extend(directory.read(request()))
    assert not any(one.complete for one in found)
    directory.close()
