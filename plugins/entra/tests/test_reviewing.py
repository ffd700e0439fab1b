"""What Graph would refuse is known before anything is written, in few requests, and is what the export refuses, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metasync.contract import Change, Kind, Objection, Operation, Outcome, Reference, RightMissing, Unavailable
from metasync_entra.lab import Lab

from .conftest import Connect, Directory

PERSON = Reference(value="11111111-2222-4333-8444-555555555555")


def review(directory: Directory, *changes: Change) -> dict[str, Objection]:
    found = list(directory.connector.review(changes))
    assert len({one.change for one in found}) == len(found)
    return {one.change: one for one in found}


def requests(lab: Lab) -> dict[str, int]:
    return {route: number for route, number in lab.control.stats()["calls"].items() if "token" not in route}


def group(lab: Lab, **fields: Any) -> str:
    common = {"displayName": "x", "mailNickname": "x", "securityEnabled": True, "mailEnabled": False, "groupTypes": []}
    return str(lab.control.create("group", {**common, **fields}))


def mastered(directory: Directory, lab: Lab) -> Change:
    anchor = directory.make("ann")
    lab.control.change(anchor, {"onPremisesSyncEnabled": True})
    return directory.change(Operation.UPDATE, anchor, after={"jobTitle": "Head"})


def deleted(directory: Directory, lab: Lab) -> Change:
    anchor = directory.make("ann")
    lab.control.change(anchor, {"onPremisesSyncEnabled": True})
    return directory.change(Operation.DELETE, anchor)


def unverified(directory: Directory, lab: Lab) -> Change:
    return directory.create("ann", userPrincipalName="ann@nowhere.test")


def renamed(directory: Directory, lab: Lab) -> Change:
    before, after = {"userPrincipalName": "ann@contoso.com"}, {"userPrincipalName": "ann@nowhere.test"}
    return directory.change(Operation.SIGN_IN, directory.make("ann"), before=before, after=after)


def federated(directory: Directory, lab: Lab) -> Change:
    for domain in ("one.test", "two.test"):
        lab.control.domain(domain, federated=True)
    anchor = directory.make("ann", userPrincipalName="ann@one.test", onPremisesImmutableId="YW5u")
    before, after = {"userPrincipalName": "ann@one.test"}, {"userPrincipalName": "ann@two.test"}
    return directory.change(Operation.SIGN_IN, anchor, before=before, after=after)


def unanchored(directory: Directory, lab: Lab) -> Change:
    lab.control.domain("one.test", federated=True)
    return directory.create("ann", userPrincipalName="ann@one.test")


def exchange(directory: Directory, lab: Lab) -> Change:
    return directory.change(Operation.UPDATE, group(lab, mailEnabled=True), kind=Kind.GROUP, after={"description": "x"})


def exchange_member(directory: Directory, lab: Lab) -> Change:
    return directory.change(
        Operation.MEMBER_ADD, group(lab, mailEnabled=True), kind=Kind.GROUP, member=PERSON, after={"members": (PERSON,)}
    )


def rule(directory: Directory, lab: Lab) -> Change:
    anchor = group(lab, groupTypes=["DynamicMembership"])
    return directory.change(Operation.MEMBER_REMOVE, anchor, kind=Kind.GROUP, member=PERSON, before={"members": (PERSON,)})


def mail_enabled(directory: Directory, lab: Lab) -> Change:
    return directory.create("sales", Kind.GROUP, mailEnabled=True)


def read_only(directory: Directory, lab: Lab) -> Change:
    return directory.change(Operation.UPDATE, directory.make("ann"), after={"proxyAddresses": ("smtp:a@contoso.com",)})


def too_long(directory: Directory, lab: Lab) -> Change:
    return directory.create("ann", employeeId="12345678901234567")


def nameless(directory: Directory, lab: Lab) -> Change:
    return directory.change(Operation.CREATE, after={"displayName": "ann"})


def uninvited(directory: Directory, lab: Lab) -> Change:
    return directory.create("gus", Kind.GUEST, mail=None)


def spaced(directory: Directory, lab: Lab) -> Change:
    return directory.create("Domain Users", Kind.GROUP, mailNickname="Domain Users")


def respaced(directory: Directory, lab: Lab) -> Change:
    return directory.change(
        Operation.UPDATE, group(lab), kind=Kind.GROUP, before={"mailNickname": "x"}, after={"mailNickname": "Vertrieb@Süd"}
    )


def wrong_anchor(directory: Directory, lab: Lab) -> Change:
    return directory.create("ann", onPremisesImmutableId="hr_17")


def nowhere(directory: Directory, lab: Lab) -> Change:
    return directory.create("ann", usageLocation="1")


def no_address(directory: Directory, lab: Lab) -> Change:
    return directory.create("gus", Kind.GUEST, mail="gus.elsewhere.test")


def plus(directory: Directory, lab: Lab) -> Change:
    return directory.create("gus", Kind.GUEST, mail="gus+list@elsewhere.test")


def owned_by_a_group(directory: Directory, lab: Lab) -> Change:
    inner = group(lab, displayName="Admins", mailNickname="admins")
    return directory.change(Operation.UPDATE, group(lab), kind=Kind.GROUP, after={"owners": (Reference(value=inner),)})


def made_for_a_group(directory: Directory, lab: Lab) -> Change:
    inner = group(lab, displayName="Admins", mailNickname="admins")
    return directory.create("sales", Kind.GROUP, owners=(Reference(value=inner),))


def nested(directory: Directory, lab: Lab) -> Change:
    member = Reference(value=group(lab, displayName="Admins", mailNickname="admins"))
    team = group(lab, groupTypes=["Unified"], mailEnabled=True, securityEnabled=False)
    return directory.change(Operation.MEMBER_ADD, team, kind=Kind.GROUP, member=member, after={"members": (member,)})


REASONS = [
    (spaced, "mailNickname", "'Domain Users' holds a space", "take it out"),
    (respaced, "mailNickname", "'Vertrieb@Süd' holds @ ü", "take it out"),
    (wrong_anchor, "onPremisesImmutableId", "'hr_17' holds _", "take it out"),
    (nowhere, "usageLocation", "'1' is no country of two letters", "correct it in the mapping"),
    (no_address, "", "'gus.elsewhere.test' is no address", "correct it in the mapping"),
    (plus, "", "'gus+list@elsewhere.test' holds +", "take it out"),
    (owned_by_a_group, "owners", "Admins is a group, and owners are users", "leave groups out"),
    (made_for_a_group, "owners", "Admins is a group, and owners are users", "leave groups out"),
    (nested, "", "Admins is a group, and the members of a Microsoft 365 group are users", "make a security group of this one"),
    (mastered, "", "mastered by an Active Directory", "change it there"),
    (deleted, "", "mastered by an Active Directory", "change it there"),
    (unverified, "userPrincipalName", "nowhere.test is no verified domain", "verify it there"),
    (renamed, "userPrincipalName", "nowhere.test is no verified domain", "verify it there"),
    (federated, "userPrincipalName", "from one federated domain to another", "rename to a managed domain first"),
    (unanchored, "userPrincipalName", "needs onPremisesImmutableId", "add it to the mapping"),
    (exchange, "", "which Exchange writes and Graph does not", "leave it out of the scope"),
    (exchange_member, "", "which Exchange writes and Graph does not", "leave it out of the scope"),
    (rule, "", "follow from a rule of the tenant", "change the rule"),
    (mail_enabled, "", "no mail-enabled security group", "leave it out of the scope"),
    (read_only, "proxyAddresses", "does not let proxyAddresses be changed", "remove it from the mapping"),
    (too_long, "employeeId", "takes 16 characters, and the value has 17", "shorten it"),
    (nameless, "", "needs userPrincipalName and displayName", "add them to the mapping"),
    (uninvited, "", "needs mail", "add it to the mapping"),
]


@pytest.mark.parametrize(("make", "attribute", "reason", "remedy"), REASONS, ids=[make.__name__ for make, *_ in REASONS])
def test_each_reason_is_told_before_and_is_the_one_of_the_export(
    directory: Directory, lab: Lab, make: Callable[[Directory, Lab], Change], attribute: str, reason: str, remedy: str
) -> None:
    change = make(directory, lab)
    sound = directory.create("sound")
    lab.control.clear_stats()
    found = review(directory, change, sound)
    assert list(found) == [change.id]
    objection = found[change.id]
    assert objection.attribute == attribute and reason in objection.reason and remedy in objection.remedy
    assert not any(route.startswith(("POST /users", "POST /groups", "PATCH", "DELETE", "POST /invitations")) for route in requests(lab))
    refused, made = directory.write(change, sound)
    assert refused.outcome is Outcome.REJECTED
    assert objection.reason in refused.detail and objection.remedy in refused.detail
    assert made.outcome is Outcome.APPLIED, made.detail


def test_what_the_cloud_keeps_of_everybody_is_not_objected_to(directory: Directory, lab: Lab) -> None:
    change = mastered(directory, lab)
    assert change.anchor is not None
    lab.control.clear_stats()
    usage = directory.change(Operation.UPDATE, change.anchor, after={"usageLocation": "CH"})
    assert review(directory, usage) == {} and requests(lab) == {}


def test_what_is_yet_to_be_created_is_no_reason(directory: Directory, lab: Lab) -> None:
    planned = Reference(value="hr/17", key="created for")
    team = group(lab)
    asked = [
        directory.change(Operation.UPDATE, directory.make("ann"), after={"manager": planned}),
        directory.change(Operation.UPDATE, None, after={"manager": planned}),
        directory.change(Operation.MEMBER_ADD, team, kind=Kind.GROUP, member=planned, after={"members": (planned,)}),
        directory.change(Operation.MEMBER_ADD, None, kind=Kind.GROUP, member=planned, after={"members": (planned,)}),
        directory.change(Operation.DELETE, PERSON.value),
    ]
    assert review(directory, *asked) == {}


def test_many_are_read_in_few_requests_and_the_domains_once(directory: Directory, lab: Lab) -> None:
    people = lab.control.seed(users=650)["users"]
    team = group(lab, groupTypes=["DynamicMembership"])
    lab.control.change(people[7], {"onPremisesSyncEnabled": True})
    asked = [directory.change(Operation.UPDATE, one, after={"jobTitle": "Head"}) for one in people]
    asked += [directory.change(Operation.MEMBER_ADD, team, kind=Kind.GROUP, member=Reference(value=one)) for one in people[:50]]
    asked += [directory.create(f"new{number}") for number in range(50)]
    directory.connector.session.tokens.get()
    lab.control.clear_stats()
    found = review(directory, *asked)
    assert set(found) == {asked[7].id, *(one.id for one in asked[650:700])}
    counted = lab.control.stats()["calls"]
    batches = sum(number for route, number in counted.items() if "$batch" in route)
    lists = sum(number for route, number in counted.items() if route in ("GET /users", "GET /groups"))
    assert (batches, lists, counted.get("GET /organization")) == (3, 45, 1), counted
    lab.control.clear_stats()
    review(directory, *asked[700:])
    assert requests(lab) == {}


def test_where_no_filter_is_taken_each_is_read_by_itself(directory: Directory, lab: Lab) -> None:
    change = mastered(directory, lab)
    fine = directory.change(Operation.UPDATE, directory.make("bob"), after={"jobTitle": "Head"})
    lab.control.fault("status", method="GET", path=r"^/v1.0/users\?", status=400, times=None)
    assert set(review(directory, change, fine)) == {change.id}


def test_a_tenant_that_is_away_is_said_to_be(directory: Directory, lab: Lab) -> None:
    change = mastered(directory, lab)
    lab.control.fault("status", path="batch", status=503, times=None)
    with pytest.raises(Unavailable):
        review(directory, change)


def test_a_permission_that_lacks_is_named(connect: Connect, directory: Directory, lab: Lab) -> None:
    change = mastered(directory, lab)
    lab.control.grant(["Organization.Read.All"])
    fresh = Directory(connect(), lab)
    with pytest.raises(RightMissing):
        review(fresh, change)
