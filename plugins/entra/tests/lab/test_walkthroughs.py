"""Microsoft's published walkthroughs, replayed: delta-query-users, delta-query-groups and json-batching, and the shape of each answer.

Shapes are what the pages show: which names stand where, of which type. Values are the tenant's own.
"""

from __future__ import annotations

import re
from typing import Any

from metasync_entra.lab import Lab

CONTEXT = "@odata.context"


def shape(value: Any) -> Any:
    """Names and types, not values."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value]
    return type(value).__name__


def test_delta_query_users(lab: Lab, graph: Any) -> None:
    """docs/concepts/delta-query-users.md@135d001: initial request, nextLink, final nextLink, deltaLink without and with changes."""
    lab.control.set(delta_users=2)
    for name in ("cameron", "delia", "mallory", "diego", "lidia"):
        graph.user(name, givenName=name.title(), surname="White")
    room = graph.user("room")

    answer = graph.get("/users/delta", select="displayName,givenName,surname")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    pages = [answer.json()]
    assert pages[0][CONTEXT] == f"{graph.base}/$metadata#users(displayName,givenName,surname)"
    while "@odata.nextLink" in pages[-1]:
        link = pages[-1]["@odata.nextLink"]
        assert re.fullmatch(re.escape(graph.base) + r"/users/delta\?\$skiptoken=[A-Za-z0-9_-]+", link), "the select is encoded in the token"
        assert set(pages[-1]) == {CONTEXT, "@odata.nextLink", "value"}
        pages.append(graph.get(link).json())
    assert len(pages) == 3
    assert set(pages[-1]) == {CONTEXT, "@odata.deltaLink", "value"}
    link = pages[-1]["@odata.deltaLink"]
    assert re.fullmatch(re.escape(graph.base) + r"/users/delta\?\$deltatoken=[A-Za-z0-9_-]+", link)
    rows = {row["id"]: row for page in pages for row in page["value"]}
    person = {"displayName": "str", "givenName": "str", "surname": "str", "id": "str"}
    assert shape(rows.pop(room)) == {"displayName": "str", "id": "str"}, "a room without given name shows none"
    assert [shape(row) for row in rows.values()] == [person] * 5

    quiet = graph.get(link).json()
    assert shape(quiet) == {CONTEXT: "str", "@odata.deltaLink": "str", "value": []}
    changed, gone = list(rows)[:2]
    graph.call("PATCH", f"/users/{changed}", json={"displayName": "MOD Administrator"})
    graph.call("DELETE", f"/users/{gone}")
    after = graph.get(quiet["@odata.deltaLink"]).json()
    assert shape(after["value"]) == [person, {"id": "str", "@removed": {"reason": "str"}}]
    assert after["value"][1] == {"id": gone, "@removed": {"reason": "changed"}}
    graph.call("DELETE", f"/directory/deletedItems/{gone}")
    assert graph.get(after["@odata.deltaLink"]).json()["value"] == [{"id": gone, "@removed": {"reason": "deleted"}}]


def test_delta_query_groups(lab: Lab, graph: Any) -> None:
    """docs/concepts/delta-query-groups.md@007852a. Its `$expand=members` is `$select=...,members` in the overview of today."""
    people = [graph.user(name) for name in ("one", "two", "three", "four")]
    full, empty = graph.group("testgroup1", description="Employees"), graph.group("testgroup2", description="Employees")
    for id_ in people[:2]:
        graph.call("POST", f"/groups/{full}/members/$ref", json=graph.ref(id_))
    page = graph.get("/groups/delta", select="displayName,description,members").json()
    rows = {row["id"]: row for row in page["value"]}
    member = {"@odata.type": "str", "id": "str"}
    assert shape(rows[full]) == {"displayName": "str", "description": "str", "id": "str", "members@delta": [member, member]}
    assert shape(rows[empty]) == {"displayName": "str", "description": "str", "id": "str"}, "no members, no members@delta"
    assert rows[full]["members@delta"][0]["@odata.type"] == "#microsoft.graph.user"

    graph.call("PATCH", f"/groups/{full}", json={"description": "A test group for change tracking"})
    graph.call("DELETE", f"/groups/{full}/members/{people[0]}/$ref")
    graph.call("POST", f"/groups/{full}/members/$ref", json=graph.ref(people[2]))
    after = graph.get(page["@odata.deltaLink"]).json()
    removed = {**member, "@removed": {"reason": "str"}}
    assert shape(after["value"]) == [{"displayName": "str", "description": "str", "id": "str", "members@delta": [removed, member]}]
    assert after["value"][0]["displayName"] == "testgroup1", "unchanged properties are included too"
    assert after["value"][0]["members@delta"][0]["@removed"] == {"reason": "deleted"}

    lab.control.set(delta_members=2)
    graph.call("POST", f"/groups/{full}/members/$ref", json=graph.ref(people[3]))
    first = graph.get("/groups/delta", filter=f"id eq '{full}'", select="displayName,description,members").json()
    second = graph.get(first["@odata.nextLink"]).json()
    (one,), (other,) = first["value"], second["value"]
    assert (one["id"], one["displayName"], one["description"]) == (other["id"], other["displayName"], other["description"])
    assert not {row["id"] for row in one["members@delta"]} & {row["id"] for row in other["members@delta"]}
    assert "@odata.deltaLink" in second


def test_json_batching(lab: Lab, graph: Any) -> None:
    """docs/concepts/json-batching.md@028b8e3: a list by reference, a refusal, a method that is not known, an advanced query."""
    ada, group = graph.user(), graph.group()
    graph.call("POST", f"/groups/{group}/members/$ref", json=graph.ref(ada))
    lab.control.grant(["User.Read.All", "GroupMember.Read.All"])
    graph.sign_in()
    answer = graph.call(
        "POST",
        "/$batch",
        json={
            "requests": [
                {"id": "1", "method": "GET", "url": f"/users/{ada}/memberOf"},
                {"id": "3", "method": "DELETE", "url": f"/groups/{group}"},
                {"id": "4", "url": f"/users/{ada}", "method": "PUT", "body": {}, "headers": {"Content-Type": "application/json"}},
                {
                    "id": "5",
                    "url": "users?$select=id,displayName,userPrincipalName&$filter=city eq null&$count=true",
                    "method": "GET",
                    "headers": {"ConsistencyLevel": "eventual"},
                },
            ]
        },
    )
    assert answer.status_code == 200
    assert set(answer.json()) == {"responses"}
    responses = {one["id"]: one for one in answer.json()["responses"]}
    assert {id_: one["status"] for id_, one in responses.items()} == {"1": 200, "3": 403, "4": 405, "5": 200}
    for one in responses.values():
        assert set(one) == {"id", "status", "headers", "body"}
        assert one["headers"]["Cache-Control"] == "no-cache"
        assert one["headers"]["Content-Type"].startswith("application/json")
    assert responses["1"]["headers"]["x-ms-resource-unit"].isdigit()
    assert responses["1"]["headers"]["OData-Version"] == "4.0"
    assert responses["1"]["body"]["value"][0]["@odata.type"] == "#microsoft.graph.group"
    inner = {"date": "str", "request-id": "str", "client-request-id": "str"}
    for id_ in ("3", "4"):
        assert shape(responses[id_]["body"]) == {"error": {"code": "str", "message": "str", "innerError": inner}}
    assert responses["3"]["body"]["error"]["code"] == "Authorization_RequestDenied"
    assert responses["3"]["body"]["error"]["message"] == "Insufficient privileges to complete the operation."
    assert responses["4"]["body"]["error"]["message"] == "Specified HTTP method is not allowed for the request target."
    found = responses["5"]["body"]
    assert found[CONTEXT].endswith("/$metadata#users(id,displayName,userPrincipalName)")
    assert shape(found) == {
        CONTEXT: "str",
        "@odata.count": "int",
        "value": [{"id": "str", "displayName": "str", "userPrincipalName": "str"}],
    }


def test_a_throttled_answer(lab: Lab, graph: Any) -> None:
    """docs/concepts/throttling.md: 429, Retry-After, and an error with code and message."""
    lab.control.fault("status", status=429, retry_after="2.128")
    answer = graph.get("/users")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2.128")
    assert {"code", "message", "innerError"} <= set(answer.json()["error"])
