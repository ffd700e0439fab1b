"""Writing groups and references to their members and owners."""

from __future__ import annotations

from typing import Any

import pytest

from metasync_entra.lab import Lab, rules

THERE = "One or more added object references already exist for the following modified properties: 'members'."
UNIFIED = {"displayName": "Team", "mailNickname": "team", "mailEnabled": True, "securityEnabled": False, "groupTypes": ["Unified"]}


def test_security_groups_and_microsoft_365_groups_are_made(graph: Any) -> None:
    group = graph.get(f"/groups/{graph.group('staff')}").json()
    assert (group["mail"], group["proxyAddresses"], group["securityEnabled"]) == (None, [], True)
    made = graph.call("POST", "/groups", json=UNIFIED)
    assert made.status_code == 201
    assert made.json()["mail"] == "team@contoso.onmicrosoft.com"
    assert made.json()["proxyAddresses"] == ["SMTP:team@contoso.onmicrosoft.com"]
    assert made.json()["visibility"] == "Public"


@pytest.mark.parametrize("securityEnabled", [True, False])
def test_distribution_lists_and_mail_enabled_security_groups_are_read_only(
    lab: Lab, graph: Any, refused: Any, securityEnabled: bool
) -> None:
    body = {**UNIFIED, "groupTypes": [], "securityEnabled": securityEnabled}
    text = "Cannot Create a mail-enabled security groups and or distribution list."
    refused(graph.call("POST", "/groups", json=body), rules.GROUP_KIND, 400, "Request_BadRequest", text)
    id_ = lab.control.create("group", body)
    refused(graph.call("PATCH", f"/groups/{id_}", json={"description": "x"}), rules.GROUP_KIND, 400)
    refused(graph.call("DELETE", f"/groups/{id_}"), rules.GROUP_KIND, 400)


@pytest.mark.parametrize("nickname", ["a b", "a@b", "a.b", "a,b", "x" * 65, 'a"b', "[a]"])
def test_nicknames(graph: Any, refused: Any, nickname: str) -> None:
    answer = graph.call("POST", "/groups", json={**UNIFIED, "mailNickname": nickname})
    refused(answer, rules.TOO_LONG if len(nickname) > 64 else rules.MAIL_NICKNAME, 400)


def test_groups_refuse_what_is_read_only_missing_or_taken(graph: Any, refused: Any) -> None:
    graph.group("staff")
    refused(graph.call("POST", "/groups", json={**UNIFIED, "mailNickname": "STAFF"}), rules.UNIQUE, 400, text="mailNickname")
    refused(graph.call("POST", "/groups", json={"displayName": "x"}), rules.REQUIRED, 400)
    refused(graph.call("POST", "/groups", json={**UNIFIED, "mail": "x@contoso.com"}), rules.READ_ONLY, 400)
    id_ = graph.group("other")
    refused(graph.call("PATCH", f"/groups/{id_}", json={"proxyAddresses": []}), rules.READ_ONLY, 400)
    assert graph.call("PATCH", f"/groups/{id_}", json={"description": "new"}).status_code == 204
    assert graph.get(f"/groups/{id_}").json()["description"] == "new"


def test_what_exchange_keeps_is_written_alone(graph: Any, refused: Any) -> None:
    id_ = graph.call("POST", "/groups", json=UNIFIED).json()["id"]
    refused(graph.call("PATCH", f"/groups/{id_}", json={"hideFromAddressLists": True, "description": "x"}), rules.EXCHANGE_ONLY, 400)
    assert graph.call("PATCH", f"/groups/{id_}", json={"hideFromAddressLists": True}).status_code == 200


def test_a_group_by_its_unique_name_is_made_or_changed(graph: Any, refused: Any) -> None:
    path = "/groups(uniqueName='hr-all')"
    body = {"displayName": "HR", "mailNickname": "hr", "mailEnabled": False, "securityEnabled": True}
    refused(graph.call("PATCH", path, json=body), rules.NOT_FOUND, 404)
    made = graph.call("PATCH", path, json=body, headers={"Prefer": "create-if-missing"})
    assert (made.status_code, made.json()["uniqueName"]) == (201, "hr-all"), rules.UPSERT
    assert graph.call("PATCH", path, json={"displayName": "People"}, headers={"Prefer": "create-if-missing"}).status_code == 204
    assert graph.get(path).json()["displayName"] == "People"


def test_members_one_by_one(graph: Any, refused: Any) -> None:
    group, ada = graph.group(), graph.user()
    path = f"/groups/{group}/members"
    assert graph.call("POST", f"{path}/$ref", json=graph.ref(ada)).status_code == 204
    refused(graph.call("POST", f"{path}/$ref", json=graph.ref(ada)), rules.MEMBER_THERE, 400, "Request_BadRequest", THERE)
    assert [(row["@odata.type"], row["id"]) for row in graph.rows(path)] == [("#microsoft.graph.user", ada)]
    assert graph.rows(f"{path}/microsoft.graph.group") == []
    assert [row["id"] for row in graph.rows(f"{path}/microsoft.graph.user", select="id")] == [ada]
    assert graph.rows(f"{path}/$ref") == [graph.ref(ada)]
    assert [row["id"] for row in graph.rows(f"/users/{ada}/memberOf")] == [group]
    refused(graph.call("DELETE", f"{path}/ada@contoso.com/$ref"), rules.MEMBER_ID, 400)
    assert graph.call("DELETE", f"{path}/{ada}/$ref").status_code == 204
    refused(graph.call("DELETE", f"{path}/{ada}/$ref"), rules.MEMBER_MISSING, 404, text="do not exist")
    refused(graph.call("POST", f"{path}/$ref", json=graph.ref("ffffffff-0000-4000-8000-000000000000")), rules.NOT_FOUND, 404)
    refused(graph.call("POST", f"{path}/$ref", json=graph.ref(group)), rules.REFERENCE, 400)


def bind(graph: Any, ids: list[str]) -> dict[str, list[str]]:
    return {"members@odata.bind": [f"{graph.base}/directoryObjects/{id_}" for id_ in ids]}


def test_a_pack_of_members_is_all_or_nothing(lab: Lab, graph: Any, refused: Any) -> None:
    people = lab.control.seed(users=30)["users"]
    group = graph.group()
    path = f"/groups/{group}"
    assert graph.call("PATCH", path, json=bind(graph, people[:20])).status_code == 204
    refused(graph.call("PATCH", path, json=bind(graph, people[:21])), rules.MEMBER_PACK, 400)
    refused(graph.call("PATCH", path, json=bind(graph, people[19:25])), rules.MEMBER_THERE, 400, text=THERE)
    refused(graph.call("PATCH", path, json=bind(graph, [people[25], people[25]])), rules.MEMBER_TWICE, 400, text="can only be present once")
    refused(graph.call("PATCH", path, json=bind(graph, [people[25], "ffffffff-0000-4000-8000-000000000000"])), rules.NOT_FOUND, 404)
    assert set(lab.control.read(group)["members"]) == set(people[:20]), "nothing of what was refused is there"


def test_a_group_is_made_with_members_and_owners_or_not_at_all(lab: Lab, graph: Any, refused: Any) -> None:
    ada, boss = graph.user("ada"), graph.user("boss")
    references = {name: [f"{graph.base}/users/{id_}"] for name, id_ in (("members@odata.bind", ada), ("owners@odata.bind", boss))}
    made = graph.call("POST", "/groups", json={**UNIFIED, **references})
    assert made.status_code == 201
    read = lab.control.read(made.json()["id"])
    assert (read["members"], read["owners"]) == ([ada], [boss])
    missing = {**UNIFIED, "mailNickname": "second", **bind(graph, ["ffffffff-0000-4000-8000-000000000000"])}
    refused(graph.call("POST", "/groups", json=missing), rules.NOT_FOUND, 404)
    assert lab.control.stats()["objects"]["group"] == 1


def test_members_are_paged_by_id_and_nobody_is_lost_when_others_leave(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=25, groups=1, members=25)
    (group,) = made["groups"]
    page = graph.get(f"/groups/{group}/members", top="10", select="id").json()
    seen = [row["id"] for row in page["value"]]
    graph.call("DELETE", f"/groups/{group}/members/{seen[0]}/$ref")
    seen += [row["id"] for row in graph.rows(page["@odata.nextLink"])]
    assert sorted(seen) == sorted(made["users"])


def test_members_are_filtered_by_advanced_queries_alone(lab: Lab, graph: Any, refused: Any) -> None:
    made = lab.control.seed(users=150, groups=1, members=150)
    path, last = f"/groups/{made['groups'][0]}/members", sorted(made["users"])[-1]
    text = f"id eq '{last}'"
    refused(graph.get(path, filter=text), rules.FILTER_REFERENCES, 400, "Request_UnsupportedQuery")
    found = graph.get(path, {"ConsistencyLevel": "eventual"}, filter=text, count="true", select="id").json()
    assert (found["@odata.count"], [row["id"] for row in found["value"]]) == (1, [last])
    refused(graph.get(path, orderby="displayName"), rules.NOT_REACHED, 501)


def test_contacts_are_members_too(lab: Lab, graph: Any) -> None:
    (contact,) = lab.control.seed(contacts=1)["contacts"]
    group = graph.group()
    assert graph.call("POST", f"/groups/{group}/members/$ref", json=graph.ref(contact)).status_code == 204
    assert graph.rows(f"/groups/{group}/members")[0]["@odata.type"] == "#microsoft.graph.orgContact"


def test_a_synchronised_group_refuses_members(lab: Lab, graph: Any, refused: Any) -> None:
    body = {"displayName": "G", "mailNickname": "g", "mailEnabled": False, "securityEnabled": True, "onPremisesSyncEnabled": True}
    id_, ada = lab.control.create("group", body), graph.user()
    refused(graph.call("POST", f"/groups/{id_}/members/$ref", json=graph.ref(ada)), rules.MASTERED, 400)
    refused(graph.call("PATCH", f"/groups/{id_}", json=bind(graph, [ada])), rules.MASTERED, 400)


def test_the_last_owner_stays(lab: Lab, graph: Any, refused: Any) -> None:
    group, ada, boss = graph.group(), graph.user(), graph.user("boss")
    lab.control.relate("owners", group, [ada, boss])
    assert graph.call("DELETE", f"/groups/{group}/owners/{boss}/$ref").status_code == 204
    refused(graph.call("DELETE", f"/groups/{group}/owners/{ada}/$ref"), rules.LAST_OWNER, 400, "Request_BadRequest")


def test_a_microsoft_365_group_holds_users_alone(lab: Lab, graph: Any, refused: Any) -> None:
    team = graph.call("POST", "/groups", json=UNIFIED).json()["id"]
    inner = lab.control.create("group", {"displayName": "x", "mailNickname": "x", "securityEnabled": True, "mailEnabled": False})
    body = {"@odata.id": f"{graph.base}/directoryObjects/{inner}"}
    refused(graph.call("POST", f"/groups/{team}/members/$ref", json=body), rules.UNIFIED_MEMBERS, 400)
    assert lab.control.read(team).get("members", []) == []
