"""Writing to a tenant: once, in few requests, and nothing that Graph would refuse."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from metasync.contract import DirectorySettings, Kind, Operation, Outcome, Presence, Reference
from metasync_entra.lab import Lab
from metasync_entra.naming import nickname

from .conftest import Connect, Directory


def calls(lab: Lab) -> dict[str, int]:
    return dict(lab.control.stats()["calls"])


def batches(lab: Lab) -> list[dict[str, Any]]:
    return [one for one in lab.control.trace() if one["path"].endswith("/$batch")]


def fields(lab: Lab, anchor: str) -> dict[str, Any]:
    there = lab.control.read(anchor)
    assert there is not None
    return dict(there["fields"])


def test_a_hundred_creates_are_five_batches(directory: Directory, lab: Lab) -> None:
    directory.make("first")
    lab.control.clear_stats()
    results = directory.write(*(directory.create(f"user{number}") for number in range(100)))
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 100
    assert len({result.anchor for result in results}) == 100
    counted = calls(lab)
    assert sum(number for route, number in counted.items() if "batch" in route) == 5


def test_a_new_account_has_a_password_that_nobody_saw_and_is_disabled_unless_it_is_said(directory: Directory, lab: Lab) -> None:
    off, on = directory.make("off"), directory.make("on", enabled=True)
    assert fields(lab, off)["accountEnabled"] is False
    assert fields(lab, on)["accountEnabled"] is True
    context = directory.connector.context
    assert context.passwords_given == 2  # type: ignore[attr-defined]
    assert not context.leaks()  # type: ignore[attr-defined]


def test_an_account_that_needs_no_new_password_at_the_first_sign_in(connect: Connect, lab: Lab) -> None:
    lab.control.trace(on=True)
    Directory(connect(settings=DirectorySettings(must_change=False)), lab).make("ann")
    made = next(one for one in lab.control.trace() if one["method"] == "POST" and one["path"].endswith("/users"))
    assert "forceChangePasswordNextSignIn" in str(made) and "True" not in str(made).partition("forceChangePasswordNextSignIn")[2][:10]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ann@nowhere.test", "no verified domain"),
        ("ann", "has no @"),
        ("änn@contoso.com", "does not take"),
        ("a b@contoso.com", "does not take"),
    ],
)
def test_a_sign_in_name_that_cannot_be_is_refused_before_it_is_sent(directory: Directory, lab: Lab, name: str, words: str) -> None:
    anchor = directory.make("bob")
    lab.control.clear_stats()
    create = directory.create("ann", userPrincipalName=name)
    before = {"userPrincipalName": "bob@contoso.com"}
    rename = directory.change(Operation.SIGN_IN, anchor, before=before, after={"userPrincipalName": name})
    for result in directory.write(create, rename):
        assert result.outcome is Outcome.REJECTED
        assert words in result.detail
    assert not any(route.startswith(("POST /users", "PATCH /users")) for route in calls(lab))


def test_federated_domains_need_an_anchor_and_allow_no_move(directory: Directory, lab: Lab) -> None:
    for domain in ("one.test", "two.test"):
        lab.control.domain(domain, federated=True)
    without = directory.create("ann", userPrincipalName="ann@one.test")
    with_it = directory.create("bob", userPrincipalName="bob@one.test", onPremisesImmutableId="Ym9i")
    refused, made = directory.write(without, with_it)
    assert refused.outcome is Outcome.REJECTED and "onPremisesImmutableId" in refused.detail
    assert made.outcome is Outcome.APPLIED, made.detail
    before, after = {"userPrincipalName": "bob@one.test"}, {"userPrincipalName": "bob@two.test"}
    (move,) = directory.write(directory.change(Operation.SIGN_IN, made.anchor, before=before, after=after))
    assert move.outcome is Outcome.REJECTED and "managed domain first" in move.detail


def test_who_is_mastered_on_premises_is_left_alone(directory: Directory, lab: Lab) -> None:
    anchor = directory.make("ann", jobTitle="Engineer")
    lab.control.change(anchor, {"onPremisesSyncEnabled": True})
    update = directory.change(Operation.UPDATE, anchor, before={"jobTitle": "Engineer"}, after={"jobTitle": "Manager"})
    delete = directory.change(Operation.DELETE, anchor)
    for change in (update, delete):
        (result,) = directory.write(change)
        assert result.outcome is Outcome.REJECTED and "Entra Connect" in result.detail
    assert fields(lab, anchor)["jobTitle"] == "Engineer"
    (result,) = directory.write(directory.change(Operation.UPDATE, anchor, after={"usageLocation": "CH"}))
    assert result.outcome is Outcome.APPLIED, result.detail


def test_what_exchange_or_a_rule_writes_is_left_alone(directory: Directory, lab: Lab) -> None:
    (person,) = lab.control.seed(users=1)["users"]
    common = {"displayName": "x", "mailNickname": "x", "securityEnabled": True, "mailEnabled": True}
    exchange = lab.control.create("group", {**common, "groupTypes": []})
    rule = lab.control.create("group", {**common, "mailNickname": "y", "mailEnabled": False, "groupTypes": ["DynamicMembership"]})
    add = [directory.change(Operation.MEMBER_ADD, one, kind=Kind.GROUP, member=Reference(value=person)) for one in (exchange, rule)]
    first, second = directory.write(*add)
    assert first.outcome is Outcome.REJECTED and "Exchange" in first.detail
    assert second.outcome is Outcome.REJECTED and "rule" in second.detail


def test_members_go_in_packs_of_twenty_and_five_packs_a_batch(directory: Directory, lab: Lab) -> None:
    people = lab.control.seed(users=100)["users"]
    group = directory.make("team", Kind.GROUP)
    lab.control.trace(on=True)
    adds = [directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in people]
    results = directory.write(*adds)
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 100
    trace = lab.control.trace()
    packs = [one for one in trace if one["method"] == "PATCH"]
    assert len(packs) == 5
    there = lab.control.read(group)
    assert there is not None and set(there["members"]) == set(people)


def test_a_pack_with_somebody_who_is_in_already_is_split(directory: Directory, lab: Lab) -> None:
    people = lab.control.seed(users=20)["users"]
    group = directory.make("team", Kind.GROUP)
    lab.control.relate("members", group, people[:3])
    adds = [directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in people]
    results = directory.write(*adds)
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 20
    assert [result.already for result in results] == [True] * 3 + [False] * 17


def test_a_pack_with_somebody_who_is_gone_loses_only_that_one(directory: Directory, lab: Lab) -> None:
    people = lab.control.seed(users=20)["users"]
    group = directory.make("team", Kind.GROUP)
    lab.control.delete(people[7])
    adds = [directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in people]
    directory.connector.young._made.clear()
    outcomes = [result.outcome for result in directory.write(*adds)]
    assert outcomes == [Outcome.CONFLICT if number == 7 else Outcome.APPLIED for number in range(20)]


@pytest.mark.parametrize("fault", [{"action": "reset"}, {"action": "status", "status": 504}, {"action": "already-there"}])
def test_members_whose_answer_was_lost_are_in_once(directory: Directory, lab: Lab, fault: dict[str, Any]) -> None:
    people = lab.control.seed(users=40)["users"]
    group = directory.make("team", Kind.GROUP)
    if fault["action"] == "reset":
        lab.control.fault(**fault, path="batch", method="POST", in_batch=False, after_commit=True, skip=1)
    else:
        lab.control.fault(**fault, path="groups", method="PATCH", in_batch=True, after_commit=True)
    adds = [directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in people]
    results = directory.write(*adds)
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 40, {result.detail for result in results}
    there = lab.control.read(group)
    assert there is not None and sorted(there["members"]) == sorted(people)


def test_owners_come_and_go_and_the_rest_is_left_alone(directory: Directory, lab: Lab) -> None:
    people = lab.control.seed(users=4)["users"]
    group = directory.make("team", Kind.GROUP, owners=references(people[:2]))
    before, after = references(people[:2]), references(people[1:])
    lab.control.clear_stats()
    update = {"kind": Kind.GROUP, "before": {"owners": before}, "after": {"owners": after}}
    (result,) = directory.write(directory.change(Operation.UPDATE, group, **update))
    assert result.outcome is Outcome.APPLIED, result.detail
    there = lab.control.read(group)
    assert there is not None and sorted(there["owners"]) == sorted(people[1:])
    called = lab.control.stats()["calls"]
    assert (called["POST /groups/{key}/owners/$ref"], called["DELETE /groups/{key}/owners/{member}/$ref"]) == (2, 1)
    assert set(directory.read("groups", "owners")[group].attributes["owners"]) == set(after)  # type: ignore[arg-type]
    (again,) = directory.write(directory.change(Operation.UPDATE, group, **update))
    assert again.already


def test_a_group_that_is_found_again_on_a_retry_gets_the_owners_that_it_lacks(directory: Directory, lab: Lab) -> None:
    (one, other, third) = lab.control.seed(users=3)["users"]
    create = directory.create("team", Kind.GROUP, owners=references([one, other]))
    (made,) = directory.write(replace(create, after={name: value for name, value in create.after.items() if name != "owners"}))
    assert made.anchor is not None
    lab.control.relate("owners", made.anchor, [one, third])
    (again,) = directory.write(replace(create, retried=True))
    assert (again.outcome, again.anchor, again.already) == (Outcome.APPLIED, made.anchor, False), again.detail
    there = lab.control.read(made.anchor)
    assert there is not None and sorted(there["owners"]) == sorted([one, other, third])


def test_all_owners_are_exchanged_at_once(directory: Directory, lab: Lab) -> None:
    """Those who come are there before those who go, so that nobody is the last."""
    one, other = lab.control.seed(users=2)["users"]
    groups = [directory.make(f"team{number}", Kind.GROUP, owners=references([one])) for number in range(30)]
    before, after = {"owners": references([one])}, {"owners": references([other])}
    lab.control.clear_stats()
    changes = [directory.change(Operation.UPDATE, group, kind=Kind.GROUP, before=before, after=after) for group in groups]
    assert {result.outcome for result in directory.write(*changes)} == {Outcome.APPLIED}
    assert lab.control.stats()["calls"]["POST /$batch"] <= 10
    for group in groups:
        there = lab.control.read(group)
        assert there is not None and there["owners"] == [other]


@pytest.mark.parametrize("answer", ["504", "already"])
def test_an_owner_whose_answer_was_lost_is_there_once(directory: Directory, lab: Lab, answer: str) -> None:
    (one, other) = lab.control.seed(users=2)["users"]
    group = directory.make("team", Kind.GROUP, owners=references([one]))
    lab.control.fault("status", status=504, method="POST", path="owners", in_batch=True, after_commit=True)
    if answer == "already":
        lab.control.fault("status", status=503, method="POST", path="owners", in_batch=True)
    both = {"owners": references([one, other])}
    update = directory.change(Operation.UPDATE, group, kind=Kind.GROUP, before={"owners": references([one])}, after=both)
    (result,) = directory.write(update)
    assert result.outcome is Outcome.APPLIED, result.detail
    there = lab.control.read(group)
    assert there is not None and sorted(there["owners"]) == sorted([one, other])


def test_the_last_owner_stays_and_it_is_said_why(directory: Directory, lab: Lab) -> None:
    (one, other) = lab.control.seed(users=2)["users"]
    group = directory.make("team", Kind.GROUP, owners=references([one]))
    (cleared,) = directory.write(
        directory.change(Operation.CLEAR, group, kind=Kind.GROUP, before={"owners": references([one])}, after={"owners": None})
    )
    assert cleared.outcome is Outcome.REJECTED and "The last one cannot be removed" in cleared.detail
    message = "The group must have at least one owner, hence this owner cannot be removed."
    lab.control.fault("status", status=400, message=message, method="DELETE", path="owners", in_batch=True, times=None)
    change = {"before": {"owners": references([one])}, "after": {"owners": references([other])}}
    (result,) = directory.write(directory.change(Operation.UPDATE, group, kind=Kind.GROUP, **change))
    assert result.outcome is Outcome.UNKNOWN and "name another one besides" in result.detail and "a part of it was written" in result.detail


def test_owners_that_changed_since_are_a_conflict(directory: Directory, lab: Lab) -> None:
    (one, other, third) = lab.control.seed(users=3)["users"]
    group = directory.make("team", Kind.GROUP, owners=references([one]))
    lab.control.relate("owners", group, [third])
    change = {"before": {"owners": references([one])}, "after": {"owners": references([other])}}
    (result,) = directory.write(directory.change(Operation.UPDATE, group, kind=Kind.GROUP, **change))
    assert result.outcome is Outcome.CONFLICT and "owners" in result.detail


def references(people: Sequence[str]) -> tuple[Reference, ...]:
    return tuple(Reference(value=one) for one in people)


def test_leaving_twice_is_leaving_once(directory: Directory, lab: Lab) -> None:
    (person,) = lab.control.seed(users=1)["users"]
    group = directory.make("team", Kind.GROUP)
    lab.control.relate("members", group, [person])
    leave = directory.change(Operation.MEMBER_REMOVE, group, kind=Kind.GROUP, member=Reference(value=person))
    assert [result.already for result in directory.write(leave)] == [False]
    assert [result.already for result in directory.write(leave)] == [True]


@pytest.mark.parametrize("kind", [Kind.USER, Kind.GROUP, Kind.GUEST])
@pytest.mark.parametrize("fault", ["504", "503", "reset", "missing", "truncate"])
def test_a_create_whose_answer_was_lost_makes_one_object(directory: Directory, lab: Lab, kind: Kind, fault: str) -> None:
    create = directory.create("ann", kind)
    route = {Kind.USER: "/users$", Kind.GROUP: "/groups", Kind.GUEST: "/invitations$"}[kind]
    method = "PATCH" if kind is Kind.GROUP else "POST"
    if fault.isdigit():
        lab.control.fault("status", status=int(fault), path=route, method=method, in_batch=True, after_commit=True)
    else:
        action = {"missing": "batch-missing"}.get(fault, fault)
        lab.control.fault(action, path="batch", method="POST", in_batch=False, after_commit=True)
    changes = [directory.create("other", kind), create] if fault == "missing" else [create]
    directory.connector.domains.federated  # noqa: B018 - asked for before the fault
    results = directory.write(*changes)
    for change, result in zip(changes, results, strict=True):
        if result.outcome is Outcome.UNKNOWN:
            (found,) = directory.connector.find([change])
            assert found.presence in (Presence.PRESENT, Presence.ABSENT)
        else:
            assert result.outcome is Outcome.APPLIED, result.detail
    again = directory.write(*(replace(change, retried=True) for change in changes))
    collection = "group" if kind is Kind.GROUP else "user"
    if kind is not Kind.GUEST:
        assert all(result.outcome is Outcome.APPLIED for result in again), [result.detail for result in again]
    assert len(lab.control.ids(collection)) == len(changes)


@pytest.mark.parametrize("after", ["2.128", "", None])
def test_a_storm_of_refusals_loses_no_write_and_doubles_none(directory: Directory, lab: Lab, after: str | None) -> None:
    lab.control.fault("status", status=429, retry_after=after, in_batch=True, probability=0.5, times=None)
    results = directory.write(*(directory.create(f"p{number}") for number in range(60)))
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 60
    group = directory.make("team", Kind.GROUP)
    people = [str(result.anchor) for result in results]
    adds = [directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one)) for one in people]
    assert {result.outcome for result in directory.write(*adds)} == {Outcome.APPLIED}
    lab.control.clear_faults()
    assert sorted(lab.control.ids("user")) == sorted(people)
    there = lab.control.read(group)
    assert there is not None and sorted(there["members"]) == sorted(people)


def test_a_permission_that_is_lost_under_way_refuses_the_rest_in_words(directory: Directory, lab: Lab) -> None:
    lab.control.fault("denied", path="/users$", method="POST", in_batch=True, skip=25, times=None)
    results = directory.write(*(directory.create(f"p{number}") for number in range(40)))
    made = [str(result.anchor) for result in results if result.outcome is Outcome.APPLIED]
    refused = [result for result in results if result.outcome is Outcome.REJECTED]
    assert len(made) == 25 and len(refused) == 15
    assert all("lacks the permission" in result.detail for result in refused)
    assert sorted(lab.control.ids("user")) == sorted(made)


def test_a_token_that_ends_between_two_writes_is_renewed(connect: Connect, lab: Lab) -> None:
    directory = Directory(connect(secrets={"s": lab.client_secret}, certificate=None, secret={"secret": "s"}, **{"sign in": "secret"}), lab)
    first = directory.make("ann")
    lab.control.clock(advance=7200)
    second = directory.make("bob")
    assert sorted(lab.control.ids("user")) == sorted([first, second])


def test_part_of_a_batch_is_refused_and_the_rest_is_done(directory: Directory, lab: Lab) -> None:
    lab.control.fault("status", status=429, retry_after="2.128", path="/users$", method="POST", in_batch=True, times=7)
    results = directory.write(*(directory.create(f"user{number}") for number in range(20)))
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 20
    assert len(lab.control.ids("user")) == 20


@pytest.mark.parametrize("status", [424, 429])
def test_an_outer_status_does_not_hide_what_was_done(directory: Directory, lab: Lab, status: int) -> None:
    directory.make("first")
    lab.control.fault("batch-outer", status=status, path="batch", times=1)
    results = directory.write(*(directory.create(f"user{number}") for number in range(5)))
    assert [result.outcome for result in results] == [Outcome.APPLIED] * 5
    assert not any(result.already for result in results)


def test_by_the_published_pace_nothing_is_refused_and_nothing_waits_for_longer_than_the_quota_says(directory: Directory, lab: Lab) -> None:
    directory.make("first")
    lab.control.seed(users=600)
    lab.control.set(throttle=True)
    number, start, began = 4000, lab.control.clock(), time.time()
    for at in range(0, number, 100):
        results = directory.write(*(directory.create(f"user{at + each}") for each in range(100)))
        assert [result.outcome for result in results] == [Outcome.APPLIED] * 100
    floor = (number - 3000) / 20
    took = lab.control.clock() - start - (time.time() - began)  # by its own clock, however busy the machine
    assert lab.control.stats()["statuses"].get("429", 0) == 0
    assert floor * 0.9 <= took <= floor * 1.05, took


def test_at_the_adaptive_pace_what_is_refused_is_written_all_the_same(connect: Connect, lab: Lab) -> None:
    directory = Directory(connect(pace="adaptive"), lab)
    directory.make("first")
    lab.control.set(throttle=True, size="S")
    for at in range(0, 3400, 100):
        results = directory.write(*(directory.create(f"user{at + each}") for each in range(100)))
        assert [result.outcome for result in results] == [Outcome.APPLIED] * 100
    assert lab.control.stats()["statuses"]["429"] > 0
    assert len(lab.control.ids("user")) == 3401


def test_answers_in_any_order_find_their_changes(directory: Directory, lab: Lab) -> None:
    lab.control.fault("batch-shuffle", path="batch", times=None)
    results = directory.write(*(directory.create(f"user{number}") for number in range(20)))
    for number, result in enumerate(results):
        assert fields(lab, str(result.anchor))["displayName"] == f"user{number}"


def test_what_was_just_made_and_is_not_shown_yet_is_tried_later(directory: Directory, lab: Lab) -> None:
    group = directory.make("team", Kind.GROUP)
    lab.control.set(lag_get=30.0, lag_reference=30.0)
    anchor = directory.make("ann")
    update = directory.change(Operation.UPDATE, anchor, after={"jobTitle": "Engineer"})
    add = directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=anchor))
    for result in directory.write(update, add):
        assert result.outcome is Outcome.RETRY and result.retry_after, result
    lab.control.clock(advance=60)
    assert [result.outcome for result in directory.write(update, add)] == [Outcome.APPLIED] * 2


def test_what_another_process_made_is_not_taken_for_gone(directory: Directory, lab: Lab) -> None:
    unknown = "11111111-2222-3333-4444-555555555555"
    (person,) = lab.control.seed(users=1)["users"]
    group = directory.make("team", Kind.GROUP)
    update = directory.change(Operation.UPDATE, unknown, after={"jobTitle": "Engineer"})
    add = directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=unknown))
    manager = directory.change(Operation.UPDATE, person, after={"manager": Reference(value=unknown)})
    assert [result.outcome for result in directory.write(update, add, manager)] == [Outcome.RETRY] * 3
    directory.connector.young._made.clear()
    again = [replace(change, retried=True) for change in (update, add, manager)]
    assert [result.outcome for result in directory.write(*again)] == [Outcome.CONFLICT] * 3


def test_a_name_that_is_free_only_in_the_bin_can_be_taken(directory: Directory, lab: Lab) -> None:
    first = directory.make("ann")
    directory.write(directory.change(Operation.DELETE, first))
    second = directory.make("ann")
    assert second != first
    (restore,) = directory.write(directory.change(Operation.RESTORE, first))
    assert restore.outcome is Outcome.CONFLICT and "another object" in restore.detail


def test_a_guest_is_invited_once_and_silently(directory: Directory, lab: Lab) -> None:
    lab.control.trace(on=True)
    anchor = directory.make("zoe", Kind.GUEST, department="Sales")
    invitation = next(one for one in lab.control.trace() if one["path"].endswith("/invitations"))
    assert "sendInvitationMessage" in str(invitation)
    there = fields(lab, anchor)
    assert (there["userType"], there["mail"], there["department"]) == ("Guest", "zoe@elsewhere.test", "Sales")
    (again,) = directory.write(directory.create("zoe", Kind.GUEST))
    assert again.outcome is Outcome.CONFLICT and "already" in again.detail
    assert len(lab.control.ids("user")) == 1


def test_a_guest_that_is_not_known_everywhere_yet_is_furnished_later(directory: Directory, lab: Lab) -> None:
    lab.control.set(lag_reference=0.0)
    lab.control.fault("status", status=404, method="PATCH", path="/users/", in_batch=True, times=3)
    anchor = directory.make("zoe", Kind.GUEST, department="Sales")
    assert fields(lab, anchor)["department"] == "Sales"


def test_contacts_cannot_be_created(directory: Directory) -> None:
    (result,) = directory.write(directory.change(Operation.CREATE, kind=Kind.CONTACT, after={"displayName": "C"}))
    assert result.outcome is Outcome.REJECTED


@pytest.mark.parametrize("name", ["proxyAddresses", "mail", "onPremisesSyncEnabled"])
def test_what_graph_does_not_write_of_a_group_is_no_write_at_all(directory: Directory, lab: Lab, name: str) -> None:
    group = directory.make("team", Kind.GROUP)
    value: Any = {"proxyAddresses": ("SMTP:x@contoso.com",), "mail": "x@contoso.com"}.get(name, True)
    (result,) = directory.write(directory.change(Operation.UPDATE, group, kind=Kind.GROUP, after={name: value}))
    assert result.outcome is Outcome.REJECTED and name in result.detail


def test_a_unified_group_gets_what_it_needs(directory: Directory, lab: Lab) -> None:
    group = directory.make("Team Zürich & Söhne", Kind.GROUP, groupTypes=("Unified",))
    there = fields(lab, group)
    assert there["mailEnabled"] is True and there["groupTypes"] == ["Unified"]
    assert there["mailNickname"].isascii()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Ann Lee", "AnnLee"), ("Zoë", "Zoe"), ("a@b(c)", "abc"), ("李", "unnamed"), ("x" * 80, "x" * 64)],
)
def test_a_nickname_holds_what_graph_takes(text: str, expected: str) -> None:
    assert nickname(text) == expected


def test_a_password_is_set_for_somebody_who_is_there(directory: Directory, lab: Lab) -> None:
    anchor = directory.make("ann")
    lab.control.trace(on=True)
    password = directory.connector.context.new_password()
    directory.connector.set_password(anchor, password, must_change=False)
    assert any(one["method"] == "PATCH" for one in lab.control.trace())


def test_a_directory_extension_marks_groups_too(connect: Connect, lab: Lab) -> None:
    name = lab.control.extension("mark", targets=("User", "Group"))
    directory = Directory(connect(settings=DirectorySettings(mark=name), extensions={name: "string"}), lab)
    for kind in (Kind.USER, Kind.GROUP, Kind.GUEST):
        create = directory.create(f"new-{kind.value}", kind)
        (result,) = directory.write(create)
        assert fields(lab, str(result.anchor))[name] == create.mark
        (found,) = directory.connector.find([create])
        assert found.by_mark and found.anchor == result.anchor


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.DELETE])
def test_who_became_a_guest_since_the_plan_is_not_written_to_as_a_user(directory: Directory, lab: Lab, operation: Operation) -> None:
    person = directory.make("ann", jobTitle="Clerk")
    lab.control.change(person, {"userType": "Guest"})
    after = {"jobTitle": "Head"} if operation is Operation.UPDATE else {}
    (result,) = directory.write(directory.change(operation, person, before={"jobTitle": "Clerk"}, after=after))
    assert result.outcome is Outcome.CONFLICT and "a guest by now" in result.detail
    there = lab.control.read(person)
    assert there is not None and not there["deleted"] and there["fields"]["jobTitle"] == "Clerk"


def test_owners_of_whom_an_attempt_wrote_some_are_written_whole_by_the_next(directory: Directory, lab: Lab) -> None:
    ann, bob, cem = (directory.make(name) for name in ("ann", "bob", "cem"))
    group = directory.make("team", Kind.GROUP, owners=(Reference(value=ann),))
    before, after = (Reference(value=ann),), (Reference(value=bob), Reference(value=cem))
    change = directory.change(Operation.UPDATE, group, kind=Kind.GROUP, before={"owners": before}, after={"owners": after})
    lab.control.fault("status", status=404, method="POST", path="owners", in_batch=True, skip=1)
    (first,) = directory.write(change)
    assert first.outcome is Outcome.RETRY, "who was made a moment ago is not known everywhere yet"
    (second,) = directory.write(replace(change, retried=True))
    assert second.outcome is Outcome.APPLIED, second.detail
    there = lab.control.read(group)
    assert there is not None and sorted(there["owners"]) == sorted([bob, cem])


def test_owners_that_somebody_else_gave_stay_a_conflict(directory: Directory, lab: Lab) -> None:
    ann, bob, cem = (directory.make(name) for name in ("ann", "bob", "cem"))
    group = directory.make("team", Kind.GROUP, owners=(Reference(value=ann), Reference(value=cem)))
    before, after = (Reference(value=ann),), (Reference(value=bob),)
    change = directory.change(Operation.UPDATE, group, kind=Kind.GROUP, before={"owners": before}, after={"owners": after})
    assert [result.outcome for result in directory.write(change)] == [Outcome.CONFLICT]


def test_microsoft_365_groups_whose_names_have_no_letter_of_ours_have_addresses_of_their_own(directory: Directory, lab: Lab) -> None:
    names = ["営業部", "開発部", "開発部 2024", "営業部 2024", "🎉"]
    changes = [directory.create(name, Kind.GROUP, groupTypes=("Unified",)) for name in names]
    results = directory.write(*(replace(change, tag=change.tag[::-1]) for change in changes))
    assert [result.outcome for result in results] == [Outcome.APPLIED] * len(names), [result.detail for result in results]


def test_members_whose_group_another_request_writes_to_are_written_again(directory: Directory, lab: Lab) -> None:
    group, person = directory.make("team", Kind.GROUP), directory.make("ann")
    lab.control.fault("status", status=409, method="PATCH", path="/groups/", in_batch=True, times=3)
    (result,) = directory.write(directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=person)))
    assert result.outcome is Outcome.APPLIED, result.detail
