"""Reading a tenant: whole, in parts, and never complete when it was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasync.contract import Entry, ImportIncomplete, Kind, Page, Patch, ReadRequest, Reference, Reject, RightMissing, Unavailable
from metasync_entra import shards
from metasync_entra.lab import Lab
from metasync_entra.places import Place

from .conftest import Connect, Directory


@pytest.mark.parametrize("count", [1000, 1_000_000])
def test_every_name_begins_with_exactly_one_prefix(count: int) -> None:
    parts = shards.prefixes(count)
    assert len(set(parts)) == len(parts)
    for first in shards.FIRST:
        for second in f"{shards.FIRST}@":
            assert len([one for one in parts if f"{first}{second}contoso.com".startswith(one)]) == 1


@pytest.mark.parametrize("large", [200, 250_000])
def test_a_large_tenant_is_read_in_parts_and_nobody_is_lost(
    connect: Connect, lab: Lab, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    lab.control.seed(users=300)
    for odd in ("'quote", "~wave", "_under", "a", "#hash", "9nine", "Zed"):
        lab.control.create(
            "user", {"userPrincipalName": f"{odd}@contoso.com", "displayName": odd, "userType": "Member", "accountEnabled": True}
        )
    monkeypatch.setattr(shards, "LARGE", large)
    directory = Directory(connect(**{"shard above": 100, "page size": 50}), lab)
    whole = directory.read("users", "displayName", "userPrincipalName")
    assert set(whole) == set(lab.control.ids("user"))
    assert {"'quote", "a", "#hash"} <= {one.attributes["displayName"] for one in whole.values()}


def test_what_the_parts_do_not_show_is_looked_for_in_one_list(connect: Connect, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.control.seed(users=200)
    monkeypatch.setattr(shards, "FIRST", "abc")
    directory = Directory(connect(**{"shard above": 100}), lab)
    assert set(directory.read()) == set(lab.control.ids("user"))


def test_only_what_is_asked_for_is_selected(directory: Directory, lab: Lab) -> None:
    lab.control.seed(users=3)
    lab.control.trace(on=True)
    (first, *_) = directory.read("users", "department").values()
    assert first.attributes.keys() <= {"department"}
    lists = [one for one in lab.control.trace() if one["path"].endswith("/users")]
    assert lists and all("proxyAddresses" not in str(one) and "mobilePhone" not in str(one) for one in lists)


def test_members_owners_and_managers_are_references(directory: Directory, lab: Lab) -> None:
    made = lab.control.seed(users=30, groups=3, members=25, owners=2, managers=True)
    groups = directory.read("groups", "displayName", "members", "owners")
    people = directory.read("users", "displayName", "manager")
    for group in made["groups"]:
        there = lab.control.read(group)
        assert there is not None
        assert set(groups[group].attributes["members"]) == {Reference(value=one) for one in there["members"]}  # type: ignore[arg-type]
        assert set(groups[group].attributes["owners"]) == {Reference(value=one) for one in there["owners"]}  # type: ignore[arg-type]
    managers = {one: entry.attributes["manager"] for one, entry in people.items() if "manager" in entry.attributes}
    assert managers
    for one, manager in managers.items():
        there = lab.control.read(one)
        assert there is not None and [manager] == [Reference(value=boss) for boss in there["manager"]]


def test_a_large_group_is_read_to_its_end(directory: Directory, lab: Lab) -> None:
    (group,) = lab.control.seed(users=2500, groups=1, members=2400)["groups"]
    assert len(directory.read("groups", "members")[group].attributes["members"]) == 2400  # type: ignore[arg-type]


def test_a_group_of_a_hundred_thousand_is_read_whole_and_one_joiner_is_one(directory: Directory, lab: Lab) -> None:
    lab.control.seed(users=100_000)
    named = {"displayName": "All", "mailNickname": "all", "createdDateTime": "2020-01-01T00:00:00Z"}
    group = lab.control.create("group", {**named, "mailEnabled": False, "securityEnabled": True})
    everybody = lab.control.ids("user")
    lab.control.relate("members", group, everybody[:-1])
    pages = directory.pages("groups", "members")
    (read,) = [item for page in pages for item in page.items if isinstance(item, Entry)]
    members = read.attributes["members"]
    assert isinstance(members, tuple) and len(members) == 99_999
    assert {one.value for one in members if isinstance(one, Reference)} == set(everybody[:-1])
    lab.control.relate("members", group, everybody[-1:])
    told, _ = directory.follow(pages[-1].cursor or "", "groups", "members")
    patch = told[group]
    assert isinstance(patch, Patch) and patch.added == {"members": (Reference(value=everybody[-1]),)} and not patch.removed


def test_guests_are_a_kind_of_their_own(directory: Directory, lab: Lab) -> None:
    member = lab.control.create("user", {"userPrincipalName": "m@contoso.com", "displayName": "M", "userType": "Member"})
    guest = lab.control.create("user", {"userPrincipalName": "g@contoso.com", "displayName": "G", "userType": "Guest"})
    old = lab.control.create("user", {"userPrincipalName": "o@contoso.com", "displayName": "O"})
    assert {one: entry.kind for one, entry in directory.read().items()} == {member: Kind.USER, guest: Kind.GUEST, old: Kind.USER}


def test_contacts_are_read(directory: Directory, lab: Lab) -> None:
    (contact,) = lab.control.seed(contacts=1)["contacts"]
    assert directory.read("contacts", "displayName", "mail")[contact].kind is Kind.CONTACT


def test_what_changes_while_it_is_read_is_told_afterwards(directory: Directory, lab: Lab) -> None:
    made = lab.control.seed(users=30)["users"]
    seen: dict[str, object] = {}
    cursor = None
    for page in directory.connector.read(directory.request(page_size=10)):
        seen |= {item.anchor: item.attributes["displayName"] for item in page.items}  # type: ignore[union-attr, misc]
        if len(seen) == 10:
            lab.control.change(next(iter(seen)), {"displayName": "Changed behind the reader"})
            lab.control.delete(made[-1] if made[-1] not in seen else made[0])
        cursor = page.cursor
    assert cursor
    told, _ = directory.follow(cursor)
    assert len(told) == 2


@pytest.mark.parametrize("action", ["truncate", "html", "reset"])
def test_a_page_that_never_comes_leaves_the_read_incomplete(directory: Directory, lab: Lab, action: str) -> None:
    lab.control.seed(users=30)
    lab.control.fault(action, method="GET", path="/users$", skip=1, times=None)
    pages = []
    with pytest.raises((Unavailable, ImportIncomplete)):
        for page in directory.connector.read(directory.request(page_size=10)):
            pages.append(page)
    assert not any(page.complete for page in pages)


@pytest.mark.parametrize("action", ["truncate", "html", "reset", "status"])
def test_a_page_that_fails_once_is_asked_for_again(directory: Directory, lab: Lab, action: str) -> None:
    made = lab.control.seed(users=30)["users"]
    lab.control.fault(action, method="GET", path="/users$", skip=1, times=1)
    assert set(directory.read(page_size=10)) == set(made)


@pytest.mark.parametrize("after", ["3", "2.128", "", "date:5", None])
def test_a_storm_of_refusals_loses_nobody(directory: Directory, lab: Lab, after: str | None) -> None:
    made = lab.control.seed(users=60)["users"]
    lab.control.fault("status", status=429, retry_after=after, probability=0.5, times=None)
    assert set(directory.read(page_size=10)) == set(made)


def test_a_list_that_leads_to_another_host_is_not_followed(directory: Directory, lab: Lab) -> None:
    lab.control.seed(users=30)
    lab.control.fault("foreign-link", path="/users$", times=None)
    with pytest.raises(Unavailable, match="another host"):
        list(directory.connector.read(directory.request(page_size=10)))


def test_a_permission_that_is_taken_away_ends_the_read_in_words(directory: Directory, lab: Lab) -> None:
    lab.control.seed(users=30)
    lab.control.fault("denied", path="/users$", skip=1, times=None)
    with pytest.raises(RightMissing, match="consent"):
        list(directory.connector.read(directory.request(page_size=10)))


def test_a_token_that_is_revoked_under_way_is_renewed(directory: Directory, lab: Lab) -> None:
    made = lab.control.seed(users=30)["users"]
    lab.control.fault("claims", path="/users$", skip=1, times=1)
    assert set(directory.read(page_size=10)) == set(made)


@pytest.fixture
def by_secret(connect: Connect, lab: Lab) -> Directory:
    """The tenant by a client secret, which holds whatever the tenant's clock shows."""
    return Directory(connect(secrets={"s": lab.client_secret}, certificate=None, secret={"secret": "s"}, **{"sign in": "secret"}), lab)


def test_a_token_that_ends_under_way_is_renewed(by_secret: Directory, lab: Lab) -> None:
    directory = by_secret
    made = lab.control.seed(users=30)["users"]
    seen: set[str] = set()
    lab.control.trace(on=True)
    for page in directory.connector.read(directory.request(page_size=10)):
        if not seen:
            lab.control.clock(advance=7200)
        seen |= {str(item.anchor) for item in page.items}
    assert page.complete and seen == set(made)
    assert 401 in {one["status"] for one in lab.control.trace()}, "the token did not end"


def test_a_permission_that_the_next_token_lacks_ends_the_read_in_words(by_secret: Directory, lab: Lab) -> None:
    directory = by_secret
    lab.control.seed(users=30)
    pages: list[Page] = []
    with pytest.raises(RightMissing, match="consent"):
        for page in directory.connector.read(directory.request(page_size=10)):
            pages.append(page)
            lab.control.grant(["Group.Read.All"])
            lab.control.clock(advance=7200)
    assert pages and not any(page.complete for page in pages)


@pytest.mark.parametrize("action", ["duplicate-rows", "reorder-rows", "empty-page"])
def test_a_list_that_repeats_or_mixes_itself_shows_each_once(directory: Directory, lab: Lab, action: str) -> None:
    made = lab.control.seed(users=30)["users"]
    lab.control.fault(action, method="GET", path="/users$", skip=1, times=2)
    pages = directory.pages(page_size=10)
    assert pages[-1].complete
    assert sorted(str(item.anchor) for page in pages for item in page.items) == sorted(made)


def test_properties_of_tomorrow_do_no_harm(directory: Directory, lab: Lab) -> None:
    made = lab.control.seed(users=5)["users"]
    lab.control.fault("unknown-properties", path="/users", times=None)
    assert set(directory.read()) == set(made)


def test_a_directory_extension_is_read_and_written_by_name(connect: Connect, lab: Lab) -> None:
    name = lab.control.extension("badge")
    directory = Directory(connect(extensions={name: "string"}), lab)
    anchor = directory.make("ann", **{name: "4711"})
    assert directory.read("users", name)[anchor].attributes[name] == "4711"


def test_a_group_whose_members_cannot_be_read_is_neither_empty_nor_gone(directory: Directory, lab: Lab) -> None:
    made = lab.control.seed(users=5, groups=2, members=3)["groups"]
    lab.control.fault("status", status=404, method="GET", path=f"/groups/{made[0]}/members", times=None)
    pages = directory.pages("groups", "displayName", "members")
    items = {item.anchor: item for page in pages for item in page.items}
    assert pages[-1].complete
    assert isinstance(items[made[0]], Reject) and "next import" in items[made[0]].reason  # type: ignore[union-attr]
    assert isinstance(items[made[1]], Entry)


def cut(directory: Directory, request: ReadRequest, after: int) -> list[Page]:
    """The first pages of a read that is given up then."""
    pages = []
    for page in directory.connector.read(request):
        pages.append(page)
        if len(pages) == after:
            break
    return pages


@pytest.mark.parametrize("above", [100, 5000])
def test_a_read_that_was_cut_goes_on_there(connect: Connect, lab: Lab, above: int) -> None:
    made = lab.control.seed(users=300)["users"]
    directory = Directory(connect(**{"shard above": above, "page size": 20}), lab)
    request = directory.request(page_size=20)
    stored = cut(directory, request, 10)
    assert all(page.resume for page in stored)
    lab.control.change(str(stored[0].items[0].anchor), {"displayName": "Changed meanwhile"})
    new = lab.control.create("user", {"userPrincipalName": "a.newcomer@contoso.com", "displayName": "New"})
    lab.control.clear_stats()
    rest = list(directory.connector.read(replace(request, resume=stored[-1].resume)))
    assert rest[-1].complete and rest[-1].cursor
    again = sum(len(page.items) for page in rest)
    assert again <= 130, f"{again} of 300 were read again, 200 of which had been stored"
    assert {str(item.anchor) for page in (*stored, *rest) for item in page.items} >= set(made)
    told, _ = directory.follow(rest[-1].cursor)
    assert {stored[0].items[0].anchor, new} <= set(told)


def test_a_place_that_is_not_known_any_more_is_read_anew(directory: Directory, lab: Lab) -> None:
    made = lab.control.seed(users=60)["users"]
    request = directory.request(page_size=10)
    stored = cut(directory, request, 3)
    lab.control.fault("status", status=400, method="GET", path="/users$", times=1)
    rest = list(directory.connector.read(replace(request, resume=stored[-1].resume)))
    assert rest[-1].complete and rest[-1].cursor
    assert {str(item.anchor) for page in rest for item in page.items} == set(made)


def test_parts_that_do_not_add_up_are_noticed_behind_a_cut_too(connect: Connect, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lab.control.seed(users=200)["users"]
    monkeypatch.setattr(shards, "FIRST", "abc")
    directory = Directory(connect(**{"shard above": 100, "page size": 10}), lab)
    request = directory.request(page_size=10)
    rest = list(directory.connector.read(replace(request, resume=cut(directory, request, 2)[-1].resume)))
    assert rest[-1].complete and {str(item.anchor) for page in rest for item in page.items} == set(made)


def test_a_tenant_that_takes_no_parts_is_read_in_one(connect: Connect, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lab.control.seed(users=50)["users"]
    monkeypatch.setattr(shards, "filters", lambda parts: ["nothing%20eq%201" for _ in parts])
    directory = Directory(connect(**{"shard above": 10, "page size": 20}), lab)
    assert set(directory.read()) == set(made)


@pytest.mark.parametrize("stopped", [False, True])
def test_who_moves_between_the_parts_unseen_comes_whole_with_what_changed(connect: Connect, lab: Lab, stopped: bool) -> None:
    """Another sign-in name, while names are read by their first letters: of a patch the engine could make nothing, for it had nobody."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    old = {"createdDateTime": "2020-01-01T00:00:00Z"}
    made = {one: lab.control.create("user", {"userPrincipalName": f"{one}.x@contoso.com", "displayName": one, **old}) for one in letters}
    lab.control.relate("manager", made["z"], [made["a"]])
    directory = Directory(connect(**{"shard above": 10, "page size": 2, "threads": 1}), lab)
    request = directory.request("users", ("displayName", "manager"), page_size=2)
    pages = directory.connector.read(request)
    shown = [next(pages) for _ in range(3)]
    lab.control.change(made["z"], {"userPrincipalName": "a.moved@contoso.com"})
    if stopped:
        pages.close()  # type: ignore[attr-defined]
        pages = directory.connector.read(replace(request, resume=shown[-1].resume))
    else:
        newcomer = lab.control.create("user", {"userPrincipalName": "y.new@contoso.com", "displayName": "new"})
        lab.control.delete(made["a"])
    shown += pages
    seen = {str(item.anchor) for page in shown for item in page.items}
    assert shown[-1].complete and shown[-1].cursor and made["z"] not in seen
    told, cursor = directory.follow(shown[-1].cursor, "users", "displayName", "manager")
    moved = told[made["z"]]
    assert isinstance(moved, Entry) and moved.attributes["displayName"] == "z"
    if stopped:
        assert moved.attributes["manager"] == Reference(value=made["a"])
    else:
        assert newcomer in seen
    lab.control.change(made["c"], {"displayName": "C"})
    again, _ = directory.follow(cursor, "users", "displayName", "manager")
    assert isinstance(again[made["c"]], Patch)


@pytest.mark.parametrize("text", ["", "x", "[]", "[1,null,[],null]", "[2,null,{},null]", '[1,null,{"":5},null]'])
def test_a_place_of_another_sort_is_none(text: str) -> None:
    assert Place.of(text) is None


@pytest.mark.parametrize("comes", [True, False])
def test_whoever_comes_or_goes_meanwhile_does_not_make_the_parts_be_read_again(connect: Connect, lab: Lab, comes: bool) -> None:
    """A large tenant hires and leaves at any minute: what came is told by the delta, and the parts are whole all the same."""
    made = lab.control.seed(users=400)["users"]
    directory = Directory(connect(**{"shard above": 100, "page size": 20, "threads": 1}), lab)
    directory.pages(page_size=20)
    undisturbed = lab.control.stats()["calls"]["GET /users"]
    lab.control.clear_stats()
    seen: set[str | None] = set()
    new, cursor = "", None
    for page in directory.connector.read(directory.request(page_size=20)):
        seen |= {one.anchor for one in page.items}
        cursor = page.cursor
        if comes and not new and len(seen) > 350:
            new = lab.control.create("user", {"userPrincipalName": "a.new@contoso.com", "displayName": "New", "accountEnabled": True})
        elif not comes and not new:
            new = next(one for one in reversed(made) if one not in seen)
            lab.control.delete(new)
    assert new and cursor is not None
    assert lab.control.stats()["calls"]["GET /users"] <= undisturbed + 2
    assert new in directory.follow(cursor)[0]
