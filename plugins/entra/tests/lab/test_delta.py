"""Delta queries: rounds, what is tracked, how objects look, and every way of being told to begin again."""

from __future__ import annotations

import random
from typing import Any

import pytest

from metasync_entra.lab import Lab, rules

DAY = 86_400.0


def test_an_initial_round_is_the_directory_and_the_next_is_what_changed(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=450)["users"]
    first = graph.get("/users/delta", select="displayName").json()
    assert len(first["value"]) == 200, rules.DELTA_PAGE
    assert "$skiptoken=" in first["@odata.nextLink"]
    rows, link = graph.round("/users/delta", select="displayName")
    assert sorted(row["id"] for row in rows) == sorted(made), rules.DELTA_ROUND
    assert "$deltatoken=" in link
    assert graph.round(link)[0] == []
    graph.call("PATCH", f"/users/{made[0]}", json={"displayName": "New"})
    rows, link = graph.round(link)
    assert rows == [{"id": made[0], "displayName": "New"}]
    assert graph.round(link)[0] == []


def test_the_same_link_answers_the_same_again(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=3)["users"]
    _, link = graph.round("/users/delta", select="displayName")
    graph.call("PATCH", f"/users/{made[0]}", json={"displayName": "New"})
    assert graph.round(link)[0] == graph.round(link)[0] != []


def test_latest_begins_from_now(lab: Lab, graph: Any) -> None:
    lab.control.seed(users=3)
    rows, link = graph.round("/users/delta", deltatoken="latest", select="displayName")
    assert rows == [], rules.DELTA_LATEST
    id_ = graph.user()
    assert [row["id"] for row in graph.round(link)[0]] == [id_]


def test_what_changes_during_a_round_comes_in_the_next(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=30)["users"]
    lab.control.set(delta_users=10)
    page = graph.get("/users/delta", select="displayName,department").json()
    early = page["value"][0]["id"]
    graph.call("PATCH", f"/users/{early}", json={"displayName": "Changed"})
    new = graph.user("new")
    graph.call("DELETE", f"/users/{sorted(made)[-1]}")
    rows, link = graph.round(page["@odata.nextLink"])
    later, _ = graph.round(link)
    state = {row["id"]: row for row in (*page["value"], *rows, *later)}
    assert state[early]["displayName"] == "Changed"
    assert new in state
    assert state[sorted(made)[-1]]["@removed"] == {"reason": "changed"}


def test_select_decides_what_is_tracked(lab: Lab, graph: Any) -> None:
    id_ = graph.user()
    _, link = graph.round("/users/delta", select="displayName,jobTitle")
    graph.call("PATCH", f"/users/{id_}", json={"department": "Sales"})
    assert graph.round(link)[0] == [], rules.DELTA_SELECT
    graph.call("PATCH", f"/users/{id_}", json={"jobTitle": "Boss"})
    assert graph.round(link)[0] == [{"id": id_, "displayName": "ada", "jobTitle": "Boss"}]
    _, everything = graph.round("/users/delta")
    graph.call("PATCH", f"/users/{id_}", json={"department": "Legal"})
    (row,) = graph.round(everything)[0]
    assert row["department"] == "Legal", "at least what changed"


def test_never_set_is_absent_and_cleared_is_null(graph: Any) -> None:
    id_ = graph.user(givenName="Ada", businessPhones=["1"])
    (row,), link = graph.round("/users/delta", select="displayName,givenName,surname,businessPhones")
    assert row == {"id": id_, "displayName": "ada", "givenName": "Ada", "businessPhones": ["1"]}, rules.DELTA_SHAPE
    graph.call("PATCH", f"/users/{id_}", json={"givenName": None, "businessPhones": []})
    (row,), _ = graph.round(link)
    assert row == {"id": id_, "displayName": "ada", "givenName": None, "businessPhones": []}


def test_a_write_that_changes_nothing_is_no_change(graph: Any) -> None:
    id_ = graph.user(givenName="Ada")
    _, link = graph.round("/users/delta", select="displayName,givenName,surname")
    for same in ({"givenName": "Ada"}, {"surname": None}, {"businessPhones": []}):
        assert graph.call("PATCH", f"/users/{id_}", json=same).status_code == 204
    assert graph.round(link)[0] == [], rules.NO_CHANGE


def test_minimal_leaves_what_changed_alone(graph: Any) -> None:
    id_ = graph.user(givenName="Ada")
    _, link = graph.round("/users/delta", select="displayName,givenName")
    graph.call("PATCH", f"/users/{id_}", json={"givenName": "Eve"})
    new = graph.user("new")
    rows, _ = graph.round(link, {"Prefer": "return=minimal"})
    assert rows == [{"id": id_, "givenName": "Eve"}, {"id": new, "displayName": "new"}], rules.DELTA_MINIMAL


def test_removed_says_whether_it_can_come_back(graph: Any) -> None:
    first, second = graph.user("one"), graph.user("two")
    _, link = graph.round("/users/delta", select="displayName")
    graph.call("DELETE", f"/users/{first}")
    graph.call("DELETE", f"/users/{second}")
    graph.call("DELETE", f"/directory/deletedItems/{second}")
    rows, link = graph.round(link)
    assert rows == [{"id": first, "@removed": {"reason": "changed"}}, {"id": second, "@removed": {"reason": "deleted"}}], (
        rules.DELTA_REMOVED
    )
    graph.call("POST", f"/directory/deletedItems/{first}/restore")
    assert graph.round(link)[0] == [{"id": first, "displayName": "one"}], "restored: no annotation"


def test_the_bins_end_is_told_as_deleted(lab: Lab, graph: Any) -> None:
    id_ = graph.user()
    graph.call("DELETE", f"/users/{id_}")
    lab.control.clock(advance=29 * DAY)
    graph.sign_in()
    _, link = graph.round("/users/delta", select="displayName")
    lab.control.clock(advance=2 * DAY)
    graph.sign_in()
    assert graph.round(link)[0] == [{"id": id_, "@removed": {"reason": "deleted"}}]


def test_members_come_as_changes_and_removed_ones_are_marked(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=3, groups=1, members=2)
    (group,) = made["groups"]
    before = lab.control.read(group)["members"]
    (row,), link = graph.round("/groups/delta", select="displayName,members")
    assert row["members@delta"] == [{"@odata.type": "#microsoft.graph.user", "id": id_} for id_ in before], rules.DELTA_MEMBERS
    (other,) = set(made["users"]) - set(before)
    graph.call("DELETE", f"/groups/{group}/members/{before[0]}/$ref")
    graph.call("POST", f"/groups/{group}/members/$ref", json=graph.ref(other))
    (row,), link = graph.round(link)
    assert row["members@delta"] == [
        {"@odata.type": "#microsoft.graph.user", "id": before[0], "@removed": {"reason": "deleted"}},
        {"@odata.type": "#microsoft.graph.user", "id": other},
    ]
    graph.call("POST", f"/groups/{group}/members/$ref", json=graph.ref(before[0]))
    graph.call("DELETE", f"/groups/{group}/members/{before[0]}/$ref")
    (row,), _ = graph.round(link)
    assert [one.get("@removed") for one in row["members@delta"]] == [{"reason": "deleted"}], "the last word on each"


def test_a_deleted_member_is_removed_from_its_groups(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=1, groups=1, members=1)
    _, link = graph.round("/groups/delta", select="displayName,members")
    graph.call("DELETE", f"/users/{made['users'][0]}")
    (row,), _ = graph.round(link)
    assert row["members@delta"][0]["@removed"] == {"reason": "deleted"}


def test_without_select_members_are_there_and_with_it_only_when_named(lab: Lab, graph: Any) -> None:
    lab.control.seed(users=1, groups=1, members=1)
    assert "members@delta" in graph.round("/groups/delta")[0][0]
    assert "members@delta" not in graph.round("/groups/delta", select="displayName")[0][0]


def test_a_big_group_recurs_over_pages_with_other_members(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=95, groups=3, members=80)
    lab.control.set(delta_members=25)
    pages = 0
    found: dict[str, set[str]] = {}
    answer = graph.get("/groups/delta", select="displayName,members").json()
    while True:
        pages += 1
        told = sum(len(row.get("members@delta", ())) for row in answer["value"])
        assert told <= 25
        for row in answer["value"]:
            new = {one["id"] for one in row.get("members@delta", ())}
            assert not new & found.setdefault(row["id"], set())
            found[row["id"]] |= new
        if "@odata.deltaLink" in answer:
            break
        answer = graph.get(answer["@odata.nextLink"]).json()
    assert pages >= 9
    assert {group: len(members) for group, members in found.items()} == dict.fromkeys(made["groups"], 80)


def test_many_changes_of_members_are_split_over_pages_too(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=60, groups=1)
    (group,) = made["groups"]
    _, link = graph.round("/groups/delta", select="members")
    lab.control.relate("members", group, made["users"])
    lab.control.set(delta_members=25)
    rows, _ = graph.round(link)
    assert [len(row["members@delta"]) for row in rows] == [25, 25, 10]


def test_managers_are_tracked_when_they_are_named(graph: Any) -> None:
    ada, boss = graph.user("ada"), graph.user("boss")
    _, plain = graph.round("/users/delta", select="displayName")
    _, link = graph.round("/users/delta", select="displayName,manager")
    graph.call("PUT", f"/users/{ada}/manager/$ref", json=graph.ref(boss))
    (row,), link = graph.round(link)
    assert row["manager@delta"] == [{"@odata.type": "#microsoft.graph.user", "id": boss}]
    assert graph.round(plain)[0] == []
    graph.call("DELETE", f"/users/{ada}/manager/$ref")
    (row,), _ = graph.round(link)
    assert row["manager@delta"][0]["@removed"] == {"reason": "deleted"}


def test_options_that_a_delta_query_takes_or_not(lab: Lab, graph: Any, refused: Any) -> None:
    made = lab.control.seed(users=60)["users"]
    assert len(graph.get("/users/delta", top="5").json()["value"]) == 60, "ignored"
    for option in ({"expand": "manager"}, {"orderby": "displayName"}):
        refused(graph.get("/users/delta", **option), rules.DELTA_OPTIONS, 400, "Request_UnsupportedQuery")
    refused(graph.get("/users/delta", filter="displayName eq 'x'"), rules.DELTA_FILTER, 400)
    refused(graph.get("/users/delta", filter=" or ".join(f"id eq '{id_}'" for id_ in made[:51])), rules.DELTA_FILTER, 400)
    refused(graph.get("/users/delta", select="skills"), rules.DELTA_OUTSIDE, 501)
    refused(graph.get("/users/delta", select="nothing"), rules.SELECT, 400)
    rows, link = graph.round("/users/delta", filter=" or ".join(f"id eq '{id_}'" for id_ in made[:50]), select="displayName")
    assert sorted(row["id"] for row in rows) == sorted(made[:50])
    for id_ in (made[0], made[55]):
        graph.call("PATCH", f"/users/{id_}", json={"displayName": "New"})
    assert [row["id"] for row in graph.round(link)[0]] == [made[0]]


def test_the_long_name_of_the_function(lab: Lab, graph: Any) -> None:
    lab.control.seed(users=1)
    for path in ("/users/microsoft.graph.delta", "/users/microsoft.graph.delta()", "/users/delta()"):
        assert len(graph.get(path).json()["value"]) == 1


def test_tokens_that_are_made_up_old_or_of_another_epoch(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.seed(users=1)
    refused(graph.get("/users/delta", deltatoken="made-up"), rules.DELTA_TOKEN, 400)
    _, link = graph.round("/users/delta")
    refused(graph.get(link.replace("/users/", "/groups/")), rules.DELTA_TOKEN, 400)
    lab.control.clock(advance=7.1 * DAY)
    graph.sign_in()
    refused(graph.get(link), rules.DELTA_EXPIRED, 400, "syncStateNotFound")
    lab.control.set(expired_status=410)
    refused(graph.get(link), rules.DELTA_EXPIRED, 410, "SyncStateNotFound")
    _, link = graph.round("/users/delta")
    lab.control.reset_delta()
    answer = graph.get(link)
    refused(answer, rules.DELTA_RESYNC, 410)
    assert answer.headers["Location"].endswith("/v1.0/users/delta?$deltatoken=")
    assert len(graph.round(answer.headers["Location"])[0]) == 1, "the empty token begins again"


def test_contacts_have_delta_too(lab: Lab, graph: Any) -> None:
    (contact,) = lab.control.seed(contacts=1)["contacts"]
    rows, link = graph.round("/contacts/delta", select="displayName,mail")
    assert rows == [{"id": contact, "displayName": "Contact 0", "mail": "contact0@partner.example"}]
    lab.control.change(contact, {"displayName": "New"})
    assert graph.round(link)[0][0]["displayName"] == "New"


def test_replays_show_the_old_state_first(lab: Lab, graph: Any) -> None:
    lab.control.set(replay=1.0)
    id_ = graph.user()
    _, link = graph.round("/users/delta", select="displayName")
    graph.call("PATCH", f"/users/{id_}", json={"displayName": "New"})
    rows, _ = graph.round(link)
    assert [row["displayName"] for row in rows] == ["ada", "New"]


@pytest.mark.parametrize("seed", range(3))
def test_a_client_that_applies_every_round_has_what_the_directory_has(lab: Lab, graph: Any, seed: int) -> None:
    """Whatever happens between pages and rounds: the copy and the directory are alike in the end."""
    chance = random.Random(seed)
    lab.control.seed(users=40, groups=6, members=10, number=seed)
    lab.control.set(delta_users=7, delta_groups=2, delta_members=9, replay=0.2)
    people, groups = lab.control.ids("user"), lab.control.ids("group")
    copy: dict[str, dict[str, Any]] = {}
    members: dict[str, set[str]] = {}

    def apply(row: dict[str, Any]) -> None:
        if "@removed" in row:
            copy.pop(row["id"], None)
            members.pop(row["id"], None)
            return
        copy[row["id"]] = {name: value for name, value in row.items() if "@" not in name}
        for one in row.get("members@delta", ()):
            (set.discard if "@removed" in one else set.add)(members.setdefault(row["id"], set()), one["id"])

    def disturb() -> None:
        id_ = chance.choice(people)
        if lab.control.read(id_) is None or lab.control.read(id_)["deleted"]:
            return
        group = chance.choice(groups)
        what = chance.randrange(4)
        if what == 0:
            lab.control.change(id_, {"displayName": f"n{chance.random()}"})
        elif what == 1 and len(lab.control.ids("user")) > 20:
            lab.control.delete(id_)
        elif id_ in lab.control.read(group).get("members", ()):
            lab.control.unrelate("members", group, [id_])
        else:
            lab.control.relate("members", group, [id_])

    links = {"/users/delta": "displayName", "/groups/delta": "displayName,members"}
    following = {path: graph.get(path, select=select) for path, select in links.items()}
    for quiet in [*[False] * 6, True, True]:
        for path in links:
            answer = following[path].json()
            while True:
                for row in answer["value"]:
                    apply(row)
                if not quiet:
                    disturb()
                if "@odata.deltaLink" in answer:
                    break
                answer = graph.get(answer["@odata.nextLink"]).json()
            following[path] = graph.get(answer["@odata.deltaLink"])
    assert set(copy) == {*lab.control.ids("user"), *lab.control.ids("group")}
    for id_ in copy:
        read = lab.control.read(id_)
        assert copy[id_]["displayName"] == read["fields"]["displayName"]
        assert members.get(id_, set()) == set(read.get("members", ()))
