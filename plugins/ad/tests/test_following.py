"""Deltas of a real domain: each ends where a fresh full read stands, whichever way the changes are found."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metasync.contract import ELSEWHERE, CursorExpired, Entry, Gone, Item, Kind, Operation, Outcome, Patch, ReadRequest, Reference, Value
from metasync.testing.suite.bench import Image, image, overlay
from metasync_ad import primary
from metasync_ad.connector import ActiveDirectory
from metasync_ad.session import ADD, DELETE, REPLACE, SHOW_DELETED, RawEntry

from .conftest import Connect

KINDS = frozenset({Kind.USER, Kind.GROUP, Kind.CONTACT, Kind.CONTAINER})
ATTRIBUTES = frozenset({"name", "path", "dn", "displayName", "title", "manager", "members", "enabled", "sAMAccountName"})
Comparable = dict[str, dict[str, frozenset[Value]]]


def comparable(held: Image) -> Comparable:
    return {
        anchor: {name: frozenset(one if isinstance(one, tuple) else (one,)) for name, one in entry.attributes.items()}
        for anchor, entry in held.items()
    }


class Followed:
    """A connector that reads below one OU, the picture that it gave, and an administrator's hands to change what is there."""

    def __init__(self, connector: ActiveDirectory, hands: ActiveDirectory, unit: str, attributes: frozenset[str] = ATTRIBUTES) -> None:
        self.connector, self.unit, self.attributes = connector, unit, attributes
        self.hands = hands.session
        self.short = secrets.token_hex(4)
        self.image: Image = {}
        self.cursor = ""

    def request(self) -> ReadRequest:
        return ReadRequest(stream="all", kinds=KINDS, attributes=dict.fromkeys(KINDS, self.attributes), under=(f"OU=In,{self.unit}",))

    def full(self) -> Image:
        pages = list(self.connector.read(self.request()))
        assert pages[-1].complete
        self.cursor = pages[-1].cursor or ""
        return image(pages)

    def start(self) -> None:
        self.image = self.full()
        assert self.cursor, "the full read gave no cursor"

    def delta(self) -> list[Item]:
        """The items since the last look, once what they lead to equals what a full read shows."""
        pages = list(self.connector.follow(self.request(), self.cursor))
        assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
        items = [item for page in pages for item in page.items]
        overlay(self.image, items)
        following = pages[-1].cursor
        assert comparable(self.image) == comparable(self.full())
        self.cursor = following or ""
        return items

    # -- hands -------------------------------------------------------------------------------------------------------------------------

    def dn(self, *names: str) -> str:
        return ",".join([*names, self.unit])

    def ou(self, *names: str) -> str:
        self.hands.add(self.dn(*names), {"objectClass": ["organizationalUnit"]})
        return self.dn(*names)

    def user(self, *names: str) -> str:
        account = f"{self.short}{secrets.token_hex(4)}"
        self.hands.add(self.dn(*names), {"objectClass": ["user"], "sAMAccountName": [account], "userAccountControl": ["514"]})
        return self.dn(*names)

    def group(self, *names: str, members: list[str] | None = None) -> str:
        more: dict[str, Any] = {"member": members} if members else {}
        self.hands.add(self.dn(*names), {"objectClass": ["group"], "sAMAccountName": [f"{self.short}{secrets.token_hex(4)}"], **more})
        return self.dn(*names)

    def anchor(self, dn: str) -> str:
        (found,) = self.hands.search(dn, "(objectClass=*)", ["objectGUID"], "BASE")
        return str(found.guid)


@pytest.fixture(params=["dirsync", "dirsync as administrator", "usn"])
def followed(request: pytest.FixtureRequest, connect: Connect, samba: Any, samba_unit: str) -> Followed:
    """By each way that changes are found."""
    way, _, administrator = request.param.partition(" as ")
    made = Followed(connect(samba.administrator if administrator else None, changes=way), connect(samba.administrator), samba_unit)
    made.ou("OU=In")
    made.ou("OU=Out")
    made.hands.delete(made.ou("OU=Gone"))  # there is a deleted object to be seen
    return made


def test_the_children_of_a_renamed_ou_have_another_path(followed: Followed) -> None:
    followed.ou("OU=A", "OU=In")
    followed.ou("OU=B", "OU=A", "OU=In")
    deep = followed.anchor(followed.user("CN=u", "OU=B", "OU=A", "OU=In"))
    followed.start()
    followed.hands.rename(followed.dn("OU=A", "OU=In"), "OU=A2")
    followed.delta()
    assert followed.image[deep].attributes["path"] == followed.dn("OU=B", "OU=A2", "OU=In")


def test_an_ou_that_is_moved_out_of_the_scope_takes_everything_along_and_brings_it_back(followed: Followed) -> None:
    followed.ou("OU=A", "OU=In")
    user = followed.anchor(followed.user("CN=u", "OU=A", "OU=In"))
    group = followed.anchor(followed.group("CN=g", "OU=A", "OU=In", members=[followed.dn("CN=u", "OU=A", "OU=In")]))
    followed.start()
    followed.hands.rename(followed.dn("OU=A", "OU=In"), "OU=A", followed.dn("OU=Out"))
    items = followed.delta()
    assert {Gone(anchor=user), Gone(anchor=group)} <= {item for item in items if isinstance(item, Gone)}
    followed.hands.rename(followed.dn("OU=A", "OU=Out"), "OU=A", followed.dn("OU=In"))
    followed.hands.modify(followed.dn("CN=g", "OU=A", "OU=In"), {"member": [(DELETE, [followed.dn("CN=u", "OU=A", "OU=In")])]})
    followed.delta()
    assert {user, group} <= followed.image.keys()


@pytest.mark.parametrize("again", ["deleted", "renamed", "moved out"])
def test_an_ou_that_is_gone_once_more_before_it_is_looked_into_is_told_of_by_the_next_delta(followed: Followed, again: str) -> None:
    followed.ou("OU=A", "OU=In")
    user = followed.anchor(followed.user("CN=u", "OU=A", "OU=In"))
    followed.start()
    followed.hands.rename(followed.dn("OU=A", "OU=In"), "OU=B")
    renamed = followed.dn("OU=B", "OU=In")
    pages_of = followed.connector.session.pages
    met: list[str] = []

    def pages(base: str, *more: Any) -> Iterator[list[RawEntry]]:
        if base == renamed and not met:
            met.append(base)
            if again == "deleted":
                followed.hands.delete(f"CN=u,{renamed}")
                followed.hands.delete(renamed)
            else:
                followed.hands.rename(renamed, "OU=C", followed.dn("OU=Out") if again == "moved out" else None)
        return pages_of(base, *more)

    followed.connector.session.pages = pages  # type: ignore[method-assign]
    first = list(followed.connector.follow(followed.request(), followed.cursor))
    assert met and first[-1].complete
    overlay(followed.image, [item for page in first for item in page.items])
    followed.cursor = first[-1].cursor or ""
    followed.delta()
    assert (user in followed.image) == (again == "renamed")


def test_whoever_is_moved_into_the_scope_or_out_of_it_comes_or_goes(followed: Followed) -> None:
    inside, outside = followed.anchor(followed.user("CN=in", "OU=In")), followed.anchor(followed.user("CN=out", "OU=Out"))
    followed.start()
    followed.hands.rename(followed.dn("CN=in", "OU=In"), "CN=in", followed.dn("OU=Out"))
    followed.hands.rename(followed.dn("CN=out", "OU=Out"), "CN=out", followed.dn("OU=In"))
    followed.delta()
    assert outside in followed.image and inside not in followed.image


def test_whoever_is_moved_into_a_new_ou_is_seen_there(followed: Followed) -> None:
    user = followed.anchor(followed.user("CN=u", "OU=In"))
    followed.start()
    followed.ou("OU=New", "OU=In")
    followed.hands.rename(followed.dn("CN=u", "OU=In"), "CN=u2", followed.dn("OU=New", "OU=In"))
    followed.delta()
    assert followed.image[user].attributes["dn"] == followed.dn("CN=u2", "OU=New", "OU=In")


def test_deleted_and_restored_objects(followed: Followed) -> None:
    user = followed.anchor(followed.user("CN=u", "OU=In"))
    followed.start()
    followed.hands.delete(followed.dn("CN=u", "OU=In"))
    assert Gone(anchor=user, unlinked=True) in followed.delta()
    steps: Any = {"isDeleted": [(DELETE, [])], "distinguishedName": [(REPLACE, [followed.dn("CN=u", "OU=In").encode()])]}
    (tombstone,) = followed.hands.search(f"<GUID={user}>", "(objectClass=*)", ["name"], "BASE", (SHOW_DELETED,))
    followed.hands.modify(tombstone.dn, steps, controls=(SHOW_DELETED,))
    followed.delta()
    assert user in followed.image


def test_values_that_were_cleared_and_flags_that_were_switched(followed: Followed) -> None:
    one, two = followed.user("CN=one", "OU=In"), followed.user("CN=two", "OU=In")
    followed.hands.modify(one, {"title": [(REPLACE, ["Manager"])], "manager": [(REPLACE, [two])]})
    followed.start()
    followed.hands.modify(one, {"title": [(REPLACE, [])], "manager": [(REPLACE, [])], "userAccountControl": [(REPLACE, ["512"])]})
    followed.hands.modify(two, {"manager": [(REPLACE, [one])]})
    followed.delta()


def test_members_who_are_deleted_renamed_and_moved(followed: Followed) -> None:
    people = [followed.user(f"CN=u{number}", "OU=In") for number in range(4)]
    group = followed.anchor(followed.group("CN=g", "OU=In", members=people))
    followed.start()
    followed.hands.rename(people[0], "CN=renamed")
    followed.hands.rename(people[1], "CN=u1", followed.dn("OU=Out"))
    followed.hands.delete(people[2])  # the directory takes him out of the group, and says nothing of the group
    followed.delta()
    members = followed.image[group].attributes["members"]
    assert isinstance(members, tuple) and len(members) == 3
    followed.hands.modify(people[3], {"manager": [(REPLACE, [people[3].replace("u3", "renamed")])]})
    followed.delta()
    followed.hands.delete(followed.dn("CN=renamed", "OU=In"))
    followed.delta()


# -- what DirSync alone can ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def by_dirsync(connect: Connect, samba: Any, samba_unit: str) -> Iterator[Callable[..., Followed]]:
    def make(attributes: frozenset[str] = ATTRIBUTES, **options: Any) -> Followed:
        made = Followed(connect(**options), connect(samba.administrator), samba_unit, attributes)
        made.ou("OU=In")
        made.ou("OU=Out")
        made.hands.delete(made.ou("OU=Gone"))
        return made

    yield make
    hands = connect(samba.administrator).session
    for user in hands.search(samba_unit, "(&(primaryGroupID=*)(!(primaryGroupID=513)))", ["objectGUID"]):
        hands.modify(user.dn, {"primaryGroupID": [(REPLACE, ["513"])]})  # a group is not deleted while it is somebody's primary one


def test_one_joiner_in_a_large_group_costs_one_member(by_dirsync: Callable[..., Followed]) -> None:
    followed = by_dirsync()
    people = [followed.user(f"CN=u{number}", "OU=In") for number in range(30)]
    group = followed.anchor(followed.group("CN=g", "OU=In", members=people[:29]))
    followed.start()
    steps = [(DELETE, [people[0]]), (ADD, [people[29]])]
    followed.hands.modify(followed.dn("CN=g", "OU=In"), {"member": steps, "displayName": [(REPLACE, ["Everybody"])]})
    (patch,) = [item for item in followed.delta() if isinstance(item, Patch | Entry) and item.anchor == group]
    assert isinstance(patch, Patch)
    assert patch.added == {"members": (Reference(value=followed.anchor(people[29])),)}
    assert patch.removed == {"members": (Reference(value=followed.anchor(people[0])),)}
    assert patch.attributes["displayName"] == "Everybody" and "members" not in patch.attributes


def test_the_other_end_of_a_link_changes_too(by_dirsync: Callable[..., Followed]) -> None:
    followed = by_dirsync(frozenset({"name", "memberOf", "directReports"}))
    people = [followed.user(f"CN=u{number}", "OU=In") for number in range(3)]
    group = followed.group("CN=g", "OU=In", members=people[:2])
    followed.start()
    followed.hands.modify(group, {"member": [(DELETE, [people[0]]), (ADD, [people[2]])]})
    followed.hands.modify(people[0], {"manager": [(REPLACE, [people[1]])]})
    followed.delta()


def test_members_from_other_domains_are_told_by_their_sid(by_dirsync: Callable[..., Followed], samba: Any) -> None:
    followed = by_dirsync(frozenset({"name", "members", "foreignMembers"}))
    user = followed.user("CN=u", "OU=In")
    everybody, network = (f"CN={sid},CN=ForeignSecurityPrincipals,{samba.base}" for sid in ("S-1-5-11", "S-1-5-4"))
    group = followed.group("CN=g", "OU=In", members=[everybody, user])
    anchor = followed.anchor(group)
    followed.start()
    assert followed.image[anchor].attributes["foreignMembers"] == (Reference(value="S-1-5-11", key=f"{ELSEWHERE}objectSid"),)
    followed.hands.modify(group, {"member": [(DELETE, [user])]})
    followed.delta()
    followed.hands.modify(group, {"member": [(ADD, [network])]})
    followed.delta()
    followed.hands.modify(group, {"member": [(DELETE, [everybody, network])]})
    followed.delta()
    assert "foreignMembers" not in followed.image[anchor].attributes


def test_what_begins_or_ceases_to_match_the_documents_filter_comes_or_goes(by_dirsync: Callable[..., Followed]) -> None:
    followed = by_dirsync(frozenset({"name", "members"}), filter="(!(info=service))")
    one, two = followed.user("CN=one", "OU=In"), followed.user("CN=two", "OU=In")
    group = followed.group("CN=g", "OU=In", members=[one])
    for dn in (two, group):
        followed.hands.modify(dn, {"info": [(REPLACE, ["service"])]})
    followed.start()
    followed.hands.modify(one, {"info": [(REPLACE, ["service"])]})
    for dn in (two, group):
        followed.hands.modify(dn, {"info": [(REPLACE, [])]})
    followed.delta()
    assert {followed.anchor(two), followed.anchor(group)} <= followed.image.keys()
    assert followed.anchor(one) not in followed.image


def test_a_delta_asks_no_more_of_a_large_domain_than_of_a_small_one(by_dirsync: Callable[..., Followed]) -> None:
    followed = by_dirsync()
    followed.user("CN=u", "OU=In")
    followed.start()
    followed.hands.modify(followed.dn("CN=u", "OU=In"), {"title": [(REPLACE, ["Once"])]})
    session = followed.connector.session
    asked: list[object] = []
    ask = session._ask
    session._ask = lambda request: (asked.append(request), ask(request))[1]  # type: ignore[method-assign,func-returns-value]
    pages = list(followed.connector.follow(followed.request(), followed.cursor))
    (changed,) = [item for page in pages for item in page.items if not isinstance(item, Gone)]
    assert isinstance(changed, Patch | Entry)
    # Number, sight of deleted objects, scope, number, DirSync, the one object; and what other tests moved or changed meanwhile.
    assert len(asked) <= 12


# -- when there is no delta, or none any more ----------------------------------------------------------------------------------------------


def test_an_account_that_sees_no_deleted_objects_gets_no_cursor_for_it_would_miss_deletions(
    connect: Connect, samba: Any, samba_unit: str
) -> None:
    hands = connect(samba.administrator).session
    name, password = f"plain{secrets.token_hex(4)}", f"Plain-{secrets.token_hex(8)}!9Z"
    account = {"objectClass": ["user"], "sAMAccountName": [name], "userPrincipalName": [f"{name}@{samba.domain}"]}
    secret = {"unicodePwd": [f'"{password}"'.encode("utf-16-le")], "userAccountControl": ["512"]}
    hands.add(f"CN={name},{samba_unit}", {**account, **secret})
    connector = connect(bind=f"{name}@{samba.domain}", password=password)
    request = ReadRequest(stream="all", kinds=KINDS, attributes=dict.fromkeys(KINDS, frozenset({"name"})), under=(samba_unit,))
    *_, last = connector.read(request)
    assert last.complete and last.cursor is None
    assert any("Deleted Objects" in line for line in connector.context.logged)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("(memberOf=CN=g,{unit})", "memberOf"),
        ("(&(objectClass=*)(memberof:1.2.840.113556.1.4.1941:=CN=g,{unit}))", "memberOf"),
        ("(!(manager=*))", "manager"),
        ("(lastLogon>=1)", "lastLogon"),
        ("(anr=jane)", "anr"),
    ],
)
def test_a_filter_by_what_changes_without_the_object_is_followed_by_no_cursor(
    by_dirsync: Callable[..., Followed], connect: Connect, text: str, named: str
) -> None:
    """Whoever joins the group would come into the scope, and nothing of him changes."""
    followed = by_dirsync()
    followed.start()
    filtered = connect(filter=text.format(unit=followed.unit))
    *_, last = filtered.read(followed.request())
    assert last.complete and last.cursor is None
    said = f"`filter` looks at {named}"
    assert any(said in line for line in filtered.context.logged)  # type: ignore[attr-defined]
    assert any(said in warning for warning in filtered.check().warnings)
    with pytest.raises(CursorExpired, match=said):
        list(filtered.follow(followed.request(), followed.cursor))


def test_changes_full_reads_everything_and_takes_no_older_cursor(by_dirsync: Callable[..., Followed], connect: Connect) -> None:
    followed = by_dirsync()
    followed.start()
    reads_all = connect(changes="full")
    *_, last = reads_all.read(followed.request())
    assert last.complete and last.cursor is None
    with pytest.raises(CursorExpired, match="changes: full"):
        list(reads_all.follow(followed.request(), followed.cursor))


def test_a_controller_that_went_back_in_time_is_not_believed(by_dirsync: Callable[..., Followed]) -> None:
    from dataclasses import replace

    from metasync_ad.cursor import Cursor

    followed = by_dirsync()
    followed.start()
    known = Cursor.of(followed.cursor)
    for broken, words in (
        (replace(known, usn=known.usn + 1000), "back in time"),
        (replace(known, invocation="another"), "restored from a backup"),
        (replace(known, invocation="another", controller="dc9"), "the last import read dc9"),
        (replace(known, cookie=b"not a cookie"), "asking for changes"),
    ):
        with pytest.raises(CursorExpired, match=words):
            list(followed.connector.follow(followed.request(), broken.text()))


def test_what_metasync_wrote_comes_back_in_the_delta(by_dirsync: Callable[..., Followed], directory: Any) -> None:
    followed = by_dirsync()
    followed.start()
    directory.unit = followed.dn("OU=In")
    anchor = directory.make("Written", sAMAccountName=f"{followed.short}w")
    (renamed,) = directory.write(
        directory.change(Operation.RENAME, anchor, before={"name": "Written"}, after={"name": "Renamed"}),
    )
    assert renamed.anchor == anchor
    followed.delta()
    assert followed.image[anchor].attributes["name"] == "Renamed"


# -- members by primary group --------------------------------------------------------------------------------------------------------------


BY_PRIMARY = frozenset({"name", "members", "primaryMembers", "primaryGroupID"})


def number_of(followed: Followed, group: str) -> str:
    (found,) = followed.hands.search(group, "(objectClass=*)", ["objectSid"], "BASE")
    return str(primary.rid(RawEntry(dn=group, guid=None, attributes={**found.attributes, "objectclass": [b"group"]})))


@pytest.mark.parametrize("way", ["dirsync", "usn"])
def test_whoever_has_a_group_as_primary_group_is_its_member_whatever_becomes_of_him(by_dirsync: Callable[..., Followed], way: str) -> None:
    followed = by_dirsync(BY_PRIMARY, changes=way)
    people = [followed.user(f"CN=u{number}", place) for number, place in enumerate(("OU=In", "OU=In", "OU=Out", "OU=In"))]
    first, second = (followed.group(f"CN=g{number}", "OU=In", members=people[:3]) for number in (1, 2))
    anchors = [followed.anchor(one) for one in people]
    group, other = followed.anchor(first), followed.anchor(second)

    def give(dn: str, of: str) -> None:
        followed.hands.modify(dn, {"primaryGroupID": [(REPLACE, [number_of(followed, of)])]})

    def members(anchor: str, name: str = "members") -> set[str]:
        held = followed.image[anchor].attributes.get(name, ())
        assert isinstance(held, tuple)
        return {one.value for one in held if isinstance(one, Reference)}

    give(people[0], first)
    followed.start()
    assert (members(group), members(group, "primaryMembers")) == (set(anchors[:3]), {anchors[0]})
    give(people[1], first)  # the directory takes both out of `member`
    give(people[2], first)
    followed.delta()
    assert members(group) == members(group, "primaryMembers") == set(anchors[:3])
    give(people[0], second)  # and puts him back
    followed.hands.modify(first, {"member": [(ADD, [people[3]])]})
    followed.delta()
    assert (members(group), members(group, "primaryMembers")) == (set(anchors), set(anchors[1:3]))
    assert (members(other), members(other, "primaryMembers")) == (set(anchors[:3]), {anchors[0]})
    give(people[1], second)
    followed.hands.modify(first, {"member": [(DELETE, [people[1]])]})  # away from both in one delta
    followed.hands.delete(people[0])
    followed.delta()
    assert (members(group), members(other)) == ({anchors[2], anchors[3]}, {anchors[1], anchors[2]})
    followed.hands.rename(people[2], "CN=renamed")
    followed.delta()
    assert members(group) == {anchors[2], anchors[3]}


def test_nobody_is_taken_out_of_his_primary_group_or_put_into_it(by_dirsync: Callable[..., Followed], directory: Any) -> None:
    followed = by_dirsync(BY_PRIMARY)
    user = followed.user("CN=u", "OU=In")
    group = followed.group("CN=g", "OU=In", members=[user])
    followed.hands.modify(user, {"primaryGroupID": [(REPLACE, [number_of(followed, group)])]})
    anchor, member = followed.anchor(group), Reference(value=followed.anchor(user))
    (added,) = directory.write(directory.change(Operation.MEMBER_ADD, anchor, kind=Kind.GROUP, member=member))
    assert (added.outcome, added.already) == (Outcome.APPLIED, True)
    (removed,) = directory.write(directory.change(Operation.MEMBER_REMOVE, anchor, kind=Kind.GROUP, member=member))
    assert removed.outcome is Outcome.REJECTED and "primary group of u," in removed.detail
    (deleted,) = directory.write(directory.change(Operation.DELETE, anchor, kind=Kind.GROUP))
    assert deleted.outcome is Outcome.REJECTED and "give that another one first" in deleted.detail
    followed.start()
    assert followed.image[anchor].attributes["members"] == followed.image[anchor].attributes["primaryMembers"] == (member,)
