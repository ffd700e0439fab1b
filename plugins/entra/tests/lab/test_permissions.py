"""The gate: each call with the least permission, with another, and with none."""

from __future__ import annotations

from typing import Any

import pytest

from metasync_entra.lab import Lab, rules

READ = [
    ("/users?$select=id,displayName", "User.ReadBasic.All", "Group.Read.All"),
    ("/users?$select=department", "User.Read.All", "User.ReadBasic.All"),
    ("/users/delta", "User.Read.All", "User.ReadBasic.All"),
    ("/groups", "Group.ReadBasic.All", "User.Read.All"),
    ("/groups/delta", "GroupMember.Read.All", "OrgContact.Read.All"),
    ("/groups/GROUP/members", "GroupMember.Read.All", "User.Read.All"),
    ("/contacts", "OrgContact.Read.All", "User.Read.All"),
    ("/contacts/delta", "OrgContact.Read.All", "Group.Read.All"),
    ("/organization", "Organization.Read.All", "User.Read.All"),
    ("/domains", "Domain.Read.All", "User.Read.All"),
]


@pytest.mark.parametrize(("path", "enough", "wrong"), READ)
def test_reads(lab: Lab, graph: Any, refused: Any, path: str, enough: str, wrong: str) -> None:
    path = path.replace("GROUP", graph.group())
    for role in (wrong, "", enough):
        lab.control.grant([role] if role else [])
        graph.sign_in()
        answer = graph.get(path)
        if role == enough:
            assert answer.status_code == 200
        else:
            refused(answer, rules.PERMISSION, 403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def test_narrow_permissions_on_users_cover_their_own_properties_alone(lab: Lab, graph: Any, refused: Any) -> None:
    id_ = graph.user()
    lab.control.grant(["User.EnableDisableAccount.All", "User.Read.All"])
    graph.sign_in()
    assert graph.call("PATCH", f"/users/{id_}", json={"accountEnabled": False}).status_code == 204
    refused(graph.call("PATCH", f"/users/{id_}", json={"accountEnabled": True, "givenName": "x"}), rules.PERMISSION, 403)
    refused(graph.call("DELETE", f"/users/{id_}"), rules.PERMISSION, 403)
    lab.control.grant(["User.DeleteRestore.All"])
    graph.sign_in()
    assert graph.call("DELETE", f"/users/{id_}").status_code == 204
    assert graph.call("POST", f"/directory/deletedItems/{id_}/restore").status_code == 200


def test_members_are_written_without_the_right_to_change_groups(lab: Lab, graph: Any, refused: Any) -> None:
    group, ada = graph.group(), graph.user()
    lab.control.grant(["GroupMember.ReadWrite.All"])
    graph.sign_in()
    assert graph.call("PATCH", f"/groups/{group}", json={"members@odata.bind": [f"{graph.base}/users/{ada}"]}).status_code == 204
    assert graph.call("DELETE", f"/groups/{group}/members/{ada}/$ref").status_code == 204
    refused(graph.call("PATCH", f"/groups/{group}", json={"description": "x"}), rules.PERMISSION, 403)
    refused(graph.call("POST", f"/groups/{group}/owners/$ref", json=graph.ref(ada)), rules.PERMISSION, 403)


def test_a_permission_that_is_lost_is_lost_with_the_next_token(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.grant([])
    assert graph.get("/users").status_code == 200
    graph.sign_in()
    refused(graph.get("/users"), rules.PERMISSION, 403)
