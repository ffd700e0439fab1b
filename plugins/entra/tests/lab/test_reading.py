"""Lists, counts, single reads and the query options."""

from __future__ import annotations

from typing import Any

import pytest

from metasync_entra.lab import Lab, rules

EVENTUAL = {"ConsistencyLevel": "eventual"}
DEFAULTS = {
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
}


def test_a_user_has_its_eleven_default_properties(lab: Lab, graph: Any) -> None:
    lab.control.seed(users=1)
    (row,) = graph.rows("/users")
    assert set(row) == DEFAULTS, rules.DEFAULT_PROPERTIES
    assert row["businessPhones"] == []
    assert row["mobilePhone"] is None
    single = graph.get(f"/users/{row['userPrincipalName'].upper()}").json()
    assert set(single) == {*DEFAULTS, "@odata.context"}
    assert single["id"] == row["id"]


def test_pages_are_followed_by_their_link_which_repeats_the_request(lab: Lab, graph: Any, refused: Any) -> None:
    made = lab.control.seed(users=250)["users"]
    first = graph.get("/users").json()
    assert len(first["value"]) == 100, rules.PAGES
    page = graph.get("/users", top="99", select="id,displayName").json()
    assert "$top=99" in page["@odata.nextLink"]
    assert "$select=id,displayName" in page["@odata.nextLink"]
    assert sorted(row["id"] for row in graph.rows("/users", top="99", select="id")) == sorted(made)
    assert sorted(row["id"] for row in graph.rows("/users", top="999", select="id")) == sorted(made)
    for wrong in ("0", "1000", "x", "-1", "٣"):
        refused(graph.get("/users", top=wrong), rules.PAGE_SIZE, 400)
    refused(graph.get("/users", skiptoken="made-up"), rules.SKIP_TOKEN, 400)


def test_a_page_that_was_begun_loses_nobody_when_people_come_and_go(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=30)["users"]
    page = graph.get("/users", top="10", select="id").json()
    seen = [row["id"] for row in page["value"]]
    lab.control.delete(seen[0])
    lab.control.delete(seen[-1])
    seen += [row["id"] for row in graph.rows(page["@odata.nextLink"])]
    assert sorted(seen) == sorted(made)


def test_select(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.seed(users=1)
    (row,) = graph.rows("/users", select="id,accountEnabled,department,employeeType")
    assert set(row) == {"id", "accountEnabled", "department", "employeeType"}
    assert row["employeeType"] is None
    refused(graph.get("/users", select="id,nothing"), rules.SELECT, 400)
    refused(graph.get("/users", select="skills"), rules.DELTA_OUTSIDE, 501)
    refused(graph.get("/users", nonsense="1"), rules.QUERY_OPTION, 400)
    refused(graph.get("/users", expand="directReports"), rules.NOT_REACHED, 501)
    refused(graph.get("/groups", expand="members"), rules.NOT_REACHED, 501)
    refused(graph.get("/users", expand="nonsense("), rules.EXPAND, 400)
    lab.control.seed(users=150, number=1)
    assert len(graph.get("/users", select="id,signInActivity", top="999").json()["value"]) == 120, rules.SIGN_IN_ACTIVITY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("displayName eq 'ADA'", {"ada"}),
        ("displayName eq 'ada' or displayName eq 'bob'", {"ada", "bob"}),
        ("startsWith(userPrincipalName,'b')", {"bob"}),
        ("startswith(displayName,'a') and accountEnabled eq true", {"ada"}),
        ("accountEnabled eq false", {"bob"}),
        ("displayName in ('ada','cy')", {"ada", "cy"}),
        ("department eq null", {"ada", "cy"}),
        ("department eq 'O''Brien'", {"bob"}),
        ("(displayName eq 'ada' or displayName eq 'cy') and accountEnabled eq true", {"ada", "cy"}),
        ("displayName ge 'b'", {"bob", "cy"}),
        ("createdDateTime ge 2020-01-01T00:00:00Z", {"ada", "bob", "cy"}),
        ("proxyAddresses/any(p:p eq 'SMTP:ada@contoso.com')", {"ada"}),
        ("proxyAddresses/any(p:startsWith(p,'smtp:ada'))", {"ada"}),
    ],
)
def test_filters(graph: Any, text: str, expected: set[str]) -> None:
    graph.user("ada", mail="ada@contoso.com")
    graph.user("bob", accountEnabled=False, department="O'Brien")
    graph.user("cy")
    assert {row["displayName"] for row in graph.rows("/users", filter=text)} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("displayName ne 'ada'", {"bob"}),
        ("not startsWith(displayName,'a')", {"bob"}),
        ("endsWith(userPrincipalName,'b@contoso.com')", {"bob"}),
    ],
)
def test_advanced_filters_need_their_header_and_the_count(graph: Any, refused: Any, text: str, expected: set[str]) -> None:
    graph.user("ada")
    graph.user("bob")
    refused(graph.get("/users", filter=text), rules.FILTER_ADVANCED, 400, "Request_UnsupportedQuery")
    refused(graph.get("/users", EVENTUAL, filter=text), rules.FILTER_ADVANCED, 400)
    assert {row["displayName"] for row in graph.rows("/users", EVENTUAL, filter=text, count="true")} == expected


@pytest.mark.parametrize(
    "text",
    [
        "displayName",
        "displayName eq",
        "displayName eq ada",
        "displayName eq 'a' x",
        "(displayName eq 'a'",
        "nothing eq 'a'",
        "accountEnabled eq 'x'",
        "'",
    ],
)
def test_filters_that_cannot_be_read(graph: Any, refused: Any, text: str) -> None:
    refused(graph.get("/users", filter=text), rules.FILTER, 400, "BadRequest")


def test_shards_by_the_beginning_of_the_name_add_up_to_the_count(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=300)["users"]
    shards = [
        graph.rows("/users", filter=f"startsWith(userPrincipalName,'{one}')", select="id", top="20") for one in "abcdefghijklmnopqrstuvwxyz"
    ]
    assert sorted(row["id"] for shard in shards for row in shard) == sorted(made)
    assert graph.get("/users/$count", EVENTUAL).text == "300"
    assert graph.get("/users/$count", EVENTUAL, filter="startsWith(userPrincipalName,'a')").text == str(len(shards[0]))


def test_counts(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.seed(users=5)
    refused(graph.get("/users/$count"), rules.COUNT, 400)
    assert graph.get("/users/$count", EVENTUAL).headers["Content-Type"] == "text/plain"
    first = graph.get("/users", EVENTUAL, count="true", top="2").json()
    assert first["@odata.count"] == 5
    assert "@odata.count" not in graph.get(first["@odata.nextLink"], EVENTUAL).json()
    assert "@odata.count" not in graph.get("/users", count="true").json(), "silently ignored without the header"


def test_search_and_order(graph: Any, refused: Any) -> None:
    for name in ("carl", "ada", "bob"):
        graph.user(name)
    refused(graph.get("/users", search='"displayName:a"'), rules.SEARCH, 400)
    found = graph.rows("/users", EVENTUAL, search='"displayName:a"', orderby="displayName desc", top="1")
    assert [row["displayName"] for row in found] == ["carl", "ada"]
    assert [row["displayName"] for row in graph.rows("/users", orderby="displayName", top="2")] == ["ada", "bob", "carl"]
    refused(graph.get("/users", orderby="displayName", filter="accountEnabled eq true"), rules.FILTER_ADVANCED, 400)
    refused(graph.get("/users", EVENTUAL, search="a"), rules.SEARCH, 400)


def test_managers_come_with_their_users_where_that_is_asked_for(graph: Any) -> None:
    ada, boss = graph.user("ada"), graph.user("boss")
    graph.call("PUT", f"/users/{ada}/manager/$ref", json=graph.ref(boss))
    rows = {row["id"]: row for row in graph.rows("/users", select="id,displayName", expand="manager($select=id)", top="1")}
    assert rows[ada]["manager"] == {"@odata.type": "#microsoft.graph.user", "id": boss}, rules.EXPAND
    assert "manager" not in rows[boss]
    assert set(graph.get(f"/users/{ada}", select="id", expand="manager").json()["manager"]) == {*DEFAULTS, "@odata.type"}
    shown = graph.get(f"/users/{ada}/manager", select="id,displayName").json()
    assert (shown["id"], shown["displayName"], "mail" in shown) == (boss, "boss", False)
    assert graph.get("/users", expand="manager").headers["x-ms-resource-unit"] == "3"


def test_what_is_not_there(graph: Any, refused: Any) -> None:
    answer = graph.get("/users/nobody@contoso.com")
    refused(answer, rules.NOT_FOUND, 404, "Request_ResourceNotFound")
    expected = "Resource 'nobody@contoso.com' does not exist or one of its queried reference-property objects are not present."
    assert answer.json()["error"]["message"] == expected
    refused(graph.get("/nonsense"), rules.SEGMENT, 400, "BadRequest", "Resource not found for the segment 'nonsense'.")
    refused(graph.get("/devices"), rules.NOT_REACHED, 501)
    refused(graph.call("PUT", "/users"), rules.METHOD, 405, "Request_BadRequest")


def test_the_tenant_its_domains_and_objects_of_any_type(lab: Lab, graph: Any) -> None:
    made = lab.control.seed(users=2, groups=1, contacts=1)
    (tenant,) = graph.get("/organization").json()["value"]
    assert tenant["id"] == lab.tenant_id
    assert {one["name"] for one in tenant["verifiedDomains"]} == set(lab.domains)
    lab.control.domain("new.example", verified=False)
    assert [one["isVerified"] for one in graph.get("/domains").json()["value"]] == [True, True, False]
    everybody = [id_ for ids in made.values() for id_ in ids]
    found = graph.call("POST", "/directoryObjects/getByIds", json={"ids": [*everybody, "ffffffff-0000-4000-8000-000000000000"]}).json()[
        "value"
    ]
    assert {(row["@odata.type"], row["id"]) for row in found} == {
        *(("#microsoft.graph.user", id_) for id_ in made["users"]),
        *(("#microsoft.graph.group", id_) for id_ in made["groups"]),
        *(("#microsoft.graph.orgContact", id_) for id_ in made["contacts"]),
    }
    only = graph.call("POST", "/directoryObjects/getByIds", json={"ids": everybody, "types": ["group"]}).json()["value"]
    assert [row["id"] for row in only] == made["groups"]


def test_a_body_that_is_no_json_is_refused(graph: Any, refused: Any) -> None:
    answer = graph.session.post(f"{graph.base}/users", data=b"{", headers={"Content-Type": "application/json"})
    refused(answer, rules.BODY, 400, "BadRequest")
