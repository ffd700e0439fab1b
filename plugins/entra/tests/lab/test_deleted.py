"""The recycle bin."""

from __future__ import annotations

from typing import Any

from metasync_entra.lab import Lab, rules

DAY = 86_400.0


def test_a_deleted_user_is_found_restored_and_deleted_for_good(lab: Lab, graph: Any, refused: Any) -> None:
    id_ = graph.user(mail="ada@contoso.com")
    assert graph.call("DELETE", f"/users/{id_}").status_code == 204
    refused(graph.get(f"/users/{id_}"), rules.NOT_FOUND, 404)
    assert graph.rows("/users") == []
    (row,) = graph.rows("/directory/deletedItems/microsoft.graph.user")
    assert row["id"] == id_
    assert row["userPrincipalName"] == id_.replace("-", "") + "ada@contoso.com", rules.RECYCLE_BIN
    assert row["deletedDateTime"]
    answer = graph.call("POST", f"/directory/deletedItems/{id_}/restore")
    assert (answer.status_code, answer.json()["userPrincipalName"]) == (200, "ada@contoso.com")
    assert graph.get("/users/ada@contoso.com").json()["id"] == id_
    graph.call("DELETE", f"/users/{id_}")
    assert graph.call("DELETE", f"/directory/deletedItems/{id_}").status_code == 204
    refused(graph.get(f"/directory/deletedItems/{id_}"), rules.NOT_FOUND, 404)


def test_restoring_onto_a_name_that_is_taken_is_refused(graph: Any, refused: Any) -> None:
    first = graph.user()
    graph.call("DELETE", f"/users/{first}")
    graph.user()
    path = f"/directory/deletedItems/{first}/restore"
    refused(graph.call("POST", path), rules.RESTORE_CONFLICT, 400, text="userPrincipalName")
    answer = graph.call("POST", path, json={"newUserPrincipalName": "ada2@contoso.com"})
    assert (answer.status_code, answer.json()["userPrincipalName"]) == (200, "ada2@contoso.com")


def test_addresses_that_are_taken_are_dropped_where_that_is_asked_for(lab: Lab, graph: Any, refused: Any) -> None:
    first = graph.user(mail="shared@contoso.com")
    graph.call("DELETE", f"/users/{first}")
    graph.user("other", mail="shared@contoso.com")
    path = f"/directory/deletedItems/{first}/restore"
    refused(graph.call("POST", path), rules.RESTORE_CONFLICT, 400, text="proxyAddresses")
    assert graph.call("POST", path, json={"autoReconcileProxyConflict": True}).status_code == 200
    assert lab.control.read(first)["fields"]["proxyAddresses"] == []


def test_microsoft_365_groups_go_to_the_bin_and_security_groups_are_gone(graph: Any, refused: Any) -> None:
    security = graph.group("staff")
    unified = graph.group("team", mailEnabled=True, securityEnabled=False, groupTypes=["Unified"])
    for id_ in (security, unified):
        assert graph.call("DELETE", f"/groups/{id_}").status_code == 204
    assert [row["id"] for row in graph.rows("/directory/deletedItems/microsoft.graph.group")] == [unified]
    refused(graph.call("POST", f"/directory/deletedItems/{security}/restore"), rules.NOT_FOUND, 404)


def test_the_bin_is_emptied_after_thirty_days(lab: Lab, graph: Any) -> None:
    id_ = graph.user()
    graph.call("DELETE", f"/users/{id_}")
    lab.control.clock(advance=29 * DAY)
    graph.sign_in()
    assert len(graph.rows("/directory/deletedItems/microsoft.graph.user")) == 1
    lab.control.clock(advance=1.1 * DAY)
    graph.sign_in()
    assert graph.rows("/directory/deletedItems/microsoft.graph.user") == []


def test_memberships_drop_with_the_deletion_and_return_by_a_setting_alone(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=2, groups=1, members=2)
    ada, bob = made["users"]
    (group,) = made["groups"]
    graph.call("DELETE", f"/users/{ada}")
    assert lab.control.read(group)["members"] == [bob], rules.MEMBERSHIPS_DROP
    graph.call("POST", f"/directory/deletedItems/{ada}/restore")
    assert lab.control.read(group)["members"] == [bob]
    lab.control.set(restore_memberships=True)
    graph.call("DELETE", f"/users/{bob}")
    graph.call("POST", f"/directory/deletedItems/{bob}/restore")
    assert lab.control.read(group)["members"] == [bob]
