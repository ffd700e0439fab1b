"""Following a tenant: what Graph tells in its own order, twice, or in parts, becomes what a full read would show."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from metasync.contract import CursorExpired, Entry, Gone, ImportIncomplete, Kind, Operation, Patch, Reference, Unavailable
from metasync_entra.lab import Lab
from metasync_entra.merging import Round
from metasync_entra.pace import Pace

from .conftest import Directory

ANN = "00000000-0000-0000-0000-00000000000a"
TEAM = "00000000-0000-0000-0000-0000000000ff"
USER = "#microsoft.graph.user"


def member(number: int, **more: object) -> dict[str, object]:
    return {"id": f"00000000-0000-0000-0000-{number:012d}", "@odata.type": USER, **more}


def test_a_groups_changes_are_merged_over_pages_never_replaced() -> None:
    told = Round(("members",))
    told.add({"id": TEAM, "displayName": "Team", "members@delta": [member(1), member(2)]})
    told.add({"id": TEAM, "members@delta": [member(3), member(1, **{"@removed": {"reason": "deleted"}})]})
    one = told.objects[TEAM]
    assert one.fields["displayName"] == "Team"
    assert one.linked["members"] == {member(2)["id"]: True, member(3)["id"]: True, member(1)["id"]: False}


def test_the_last_word_counts() -> None:
    told = Round(())
    told.add({"id": ANN, "displayName": "Ann"})
    told.add({"id": ANN, "@removed": {"reason": "changed"}})
    assert told.objects[ANN].removed == "changed"
    told.add({"id": ANN, "displayName": "Ann again"})
    assert told.objects[ANN].removed is None and told.objects[ANN].fields["displayName"] == "Ann again"


def test_members_that_are_no_objects_of_ours_are_left_out() -> None:
    told = Round(("members",))
    told.add({"id": TEAM, "members@delta": [member(1), {**member(2), "@odata.type": "#microsoft.graph.device"}]})
    assert told.objects[TEAM].linked["members"] == {member(1)["id"]: True}


@pytest.fixture
def known(directory: Directory, lab: Lab) -> list[str]:
    """Five users who have been there for long."""
    made = lab.control.seed(users=5)["users"]
    for one in made:
        lab.control.change(one, {"createdDateTime": "2020-01-01T00:00:00Z", "jobTitle": "Engineer"})
    return list(made)


def test_who_is_known_is_patched_and_who_is_new_comes_whole(directory: Directory, lab: Lab, known: list[str]) -> None:
    cursor = directory.start("users", "displayName", "jobTitle")
    lab.control.change(known[0], {"displayName": "Changed", "jobTitle": None})
    new = lab.control.seed(users=1, number=77)["users"][0]
    told, _ = directory.follow(cursor, "users", "displayName", "jobTitle")
    patch, entry = told[known[0]], told[new]
    assert isinstance(patch, Patch) and patch.attributes == {"displayName": "Changed", "jobTitle": None}
    assert isinstance(entry, Entry) and entry.kind is Kind.USER


def test_an_attribute_that_was_never_set_and_one_that_was_cleared_are_both_absent(directory: Directory, lab: Lab, known: list[str]) -> None:
    cursor = directory.start("users", "displayName", "jobTitle", "department")
    lab.control.change(known[0], {"jobTitle": None})
    told, _ = directory.follow(cursor, "users", "displayName", "jobTitle", "department")
    patch = told[known[0]]
    assert isinstance(patch, Patch)
    assert patch.attributes["jobTitle"] is None


@pytest.mark.parametrize("purged", [False, True])
def test_who_is_deleted_is_gone_and_who_is_restored_comes_whole(directory: Directory, lab: Lab, known: list[str], purged: bool) -> None:
    cursor = directory.start()
    lab.control.delete(known[0])
    if purged:
        lab.control.purge(known[0])
    told, cursor = directory.follow(cursor)
    assert isinstance(told[known[0]], Gone)
    if purged:
        return
    (result,) = directory.write(directory.change(Operation.RESTORE, known[0]))
    assert not result.already, result.detail
    told, _ = directory.follow(cursor)
    assert isinstance(told[known[0]], Entry)


def test_who_lay_in_the_bin_before_the_first_read_comes_whole(directory: Directory, lab: Lab, known: list[str]) -> None:
    lab.control.delete(known[0])
    cursor = directory.start()
    directory.write(directory.change(Operation.RESTORE, known[0]))
    told, _ = directory.follow(cursor)
    assert isinstance(told[known[0]], Entry)


def test_a_guest_who_becomes_a_member_changes_kind(directory: Directory, lab: Lab, known: list[str]) -> None:
    cursor = directory.start()
    lab.control.change(known[0], {"userType": "Guest"})
    told, _ = directory.follow(cursor)
    patch = told[known[0]]
    assert isinstance(patch, Patch) and patch.kind is Kind.GUEST


def test_one_joiner_of_a_large_group_is_one_member(directory: Directory, lab: Lab) -> None:
    (group,) = lab.control.seed(users=600, groups=1, members=500)["groups"]
    lab.control.change(group, {"createdDateTime": "2020-01-01T00:00:00Z"})
    cursor = directory.start("groups", "displayName", "members")
    there = lab.control.read(group)
    assert there is not None
    inside = set(there["members"])
    joiner = next(one for one in lab.control.ids("user") if one not in inside)
    leaver = next(iter(inside))
    lab.control.relate("members", group, [joiner])
    lab.control.unrelate("members", group, [leaver])
    told, _ = directory.follow(cursor, "groups", "displayName", "members")
    patch = told[group]
    assert isinstance(patch, Patch)
    assert patch.added == {"members": (Reference(value=joiner),)}
    assert patch.removed == {"members": (Reference(value=leaver),)}
    assert patch.attributes.get("displayName", there["fields"]["displayName"]) == there["fields"]["displayName"]


def test_a_new_group_over_several_pages_comes_whole(directory: Directory, lab: Lab) -> None:
    lab.control.set(delta_members=50)
    people = lab.control.seed(users=300)["users"]
    cursor = directory.start("groups", "displayName", "members")
    group = lab.control.create("group", {"displayName": "Team", "securityEnabled": True, "mailEnabled": False, "mailNickname": "team"})
    lab.control.relate("members", group, people)
    told, _ = directory.follow(cursor, "groups", "displayName", "members")
    entry = told[group]
    assert isinstance(entry, Entry)
    assert set(entry.attributes["members"]) == {Reference(value=one) for one in people}  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["duplicate-rows", "reorder-rows", "empty-page", "unknown-properties"])
def test_pages_that_repeat_or_mix_themselves_lead_to_the_same(directory: Directory, lab: Lab, known: list[str], action: str) -> None:
    cursor = directory.start()
    for number, one in enumerate(known):
        lab.control.change(one, {"displayName": f"Changed {number}"})
    lab.control.fault(action, path="delta", times=2)
    told, _ = directory.follow(cursor)
    assert {anchor: one.attributes["displayName"] for anchor, one in told.items() if isinstance(one, Patch)} == {
        one: f"Changed {number}" for number, one in enumerate(known)
    }


def test_replays_of_older_states_do_not_win(directory: Directory, lab: Lab, known: list[str]) -> None:
    cursor = directory.start()
    for one in known:
        lab.control.change(one, {"displayName": "Newest"})
    lab.control.set(replay=1.0)
    told, _ = directory.follow(cursor)
    assert {one.attributes["displayName"] for one in told.values() if isinstance(one, Patch | Entry)} == {"Newest"}


def test_a_removal_of_somebody_unknown_does_no_harm(directory: Directory, lab: Lab, known: list[str]) -> None:
    cursor = directory.start()
    lab.control.fault("removed-row", path="delta")
    told, _ = directory.follow(cursor)
    assert all(isinstance(one, Gone) for one in told.values()) and not set(told) & set(known)


@pytest.mark.parametrize("how", ["resync", "sync-state", "days", "days410", "epoch"])
def test_every_form_of_resync_asks_for_a_full_import(directory: Directory, lab: Lab, known: list[str], how: str) -> None:
    cursor = directory.start()
    if how == "epoch":
        lab.control.reset_delta()
    elif how.startswith("days"):
        lab.control.set(expired_status=410 if how == "days410" else 400, delta_days=1 / 86400)
        lab.control.clock(advance=60)
    else:
        lab.control.fault(how, path="delta")
    with pytest.raises(CursorExpired):
        directory.follow(cursor)
    assert set(directory.read()) == set(known)


def test_a_cursor_of_another_tenant_or_question_does_not_hold(directory: Directory, lab: Lab, known: list[str]) -> None:
    cursor = directory.start()
    with pytest.raises(CursorExpired, match="other attributes"):
        directory.follow(cursor, "users", "displayName", "department")
    with pytest.raises(CursorExpired, match="other attributes"):
        directory.follow(cursor, "groups")
    foreign = json.loads(cursor)
    foreign[1] = "another"
    with pytest.raises(CursorExpired, match="another tenant"):
        directory.follow(json.dumps(foreign))


@pytest.mark.parametrize("action", ["truncate", "html", "reset"])
def test_a_delta_that_never_comes_ends_in_words(directory: Directory, lab: Lab, known: list[str], action: str) -> None:
    cursor = directory.start()
    lab.control.change(known[0], {"displayName": "Changed"})
    lab.control.fault(action, path="delta", times=None)
    with pytest.raises((Unavailable, ImportIncomplete)):
        directory.follow(cursor)
    lab.control.clear_faults()
    assert set(directory.follow(cursor)[0]) == {known[0]}


def test_who_the_delta_tells_of_before_a_read_shows_it_comes_whole(directory: Directory, lab: Lab) -> None:
    people = lab.control.seed(users=4)["users"]
    cursor, of_groups = directory.start("users", "displayName", "manager"), directory.start("groups", "displayName", "members")
    lab.control.set(lag_get=60.0, lag_list=60.0)
    boss = people[0]
    new = lab.control.create("user", {"userPrincipalName": "new@contoso.com", "displayName": "New", "userType": "Member"})
    lab.control.relate("manager", new, [boss])
    group = lab.control.create("group", {"displayName": "Team", "securityEnabled": True, "mailEnabled": False, "mailNickname": "team"})
    lab.control.relate("members", group, people)
    told, _ = directory.follow(cursor, "users", "displayName", "manager")
    entry = told[new]
    assert isinstance(entry, Entry) and entry.attributes == {"displayName": "New", "manager": Reference(value=boss)}
    told, _ = directory.follow(of_groups, "groups", "displayName", "members")
    entry = told[group]
    assert isinstance(entry, Entry) and set(entry.attributes["members"]) == {Reference(value=one) for one in people}  # type: ignore[arg-type]


def test_who_takes_the_name_of_somebody_in_the_bin_is_another_one(directory: Directory, lab: Lab) -> None:
    name = {"userPrincipalName": "ann@contoso.com", "displayName": "Ann"}
    first = lab.control.create("user", name)
    cursor = directory.start("users", "displayName", "userPrincipalName")
    lab.control.delete(first)
    second = lab.control.create("user", name)
    told, _ = directory.follow(cursor, "users", "displayName", "userPrincipalName")
    assert isinstance(told[first], Gone)
    entry = told[second]
    assert isinstance(entry, Entry) and entry.attributes == {"displayName": "Ann", "userPrincipalName": "ann@contoso.com"}
    assert set(directory.read()) == {second}


@pytest.mark.parametrize("minutes", [-20, 20])
def test_clocks_that_differ_hide_nobody_who_is_new(directory: Directory, lab: Lab, minutes: int) -> None:
    """When somebody was made is told by the tenant's clock, and when the cursor was taken by ours."""
    here = datetime.now(UTC) + timedelta(minutes=minutes)
    directory.connector.session.pace = Pace(directory.connector.context, published=True, clock=lambda: here)
    cursor = directory.start()
    ann = lab.control.create("user", {"userPrincipalName": "ann@contoso.com", "displayName": "Ann"})
    told, _ = directory.follow(cursor)
    assert isinstance(told[ann], Entry)
