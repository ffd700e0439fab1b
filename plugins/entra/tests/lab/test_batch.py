"""$batch: what cannot be read, and what becomes of each part."""

from __future__ import annotations

from typing import Any

import pytest

from metasync_entra.lab import Lab, rules
from metasync_entra.lab.rules import Rule, name_of


def test_parts_have_their_own_status(lab: Lab, graph: Any, refused: Any) -> None:
    ada = graph.user()
    answers = graph.batch(
        {"method": "GET", "url": f"/users/{ada}?$select=id"},
        {"method": "POST", "url": "/users", "body": refused.new_user("bob")},
        {"method": "DELETE", "url": "/users/nobody@contoso.com"},
        {"method": "PATCH", "url": f"users/{ada}", "body": {"givenName": "Ada"}},
        {"method": "GET", "url": "/users/$count", "headers": {"ConsistencyLevel": "eventual"}},
    )
    assert {id_: one["status"] for id_, one in answers.items()} == {"1": 200, "2": 201, "3": 404, "4": 204, "5": 200}
    assert answers["1"]["body"]["id"] == ada
    assert answers["3"]["body"]["error"]["code"] == "Request_ResourceNotFound"
    assert "body" not in answers["4"]
    assert answers["5"]["body"] == "2"
    assert answers["1"]["headers"]["Content-Type"].startswith("application/json")
    assert lab.control.stats()["calls"]["POST /$batch"] == 1


def part(number: int = 1, **further: Any) -> dict[str, Any]:
    return {"id": str(number), "method": "GET", "url": "/users", **further}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ({}, rules.BATCH),
        ({"requests": []}, rules.BATCH),
        ({"requests": "x"}, rules.BATCH),
        ({"requests": [{"method": "GET", "url": "/users"}]}, rules.BATCH),
        ({"requests": [{"id": "1", "url": "/users"}]}, rules.BATCH),
        ({"requests": [part(url="https://graph.microsoft.com/v1.0/users")]}, rules.BATCH),
        ({"requests": [part(number) for number in range(21)]}, rules.BATCH_SIZE),
        ({"requests": [part(id="a"), part(id="A")]}, rules.BATCH_ID),
        ({"requests": [part(1, dependsOn=["2"])]}, rules.BATCH),
        ({"requests": [part(1, dependsOn=["2"]), part(2, dependsOn=["1"])]}, rules.BATCH),
    ],
)
def test_batches_that_cannot_be_read(graph: Any, refused: Any, content: dict[str, Any], rule: Rule) -> None:
    refused(graph.call("POST", "/$batch", json=content), rule, 400)


def test_a_body_needs_its_content_type_inside_of_the_part(lab: Lab, graph: Any, refused: Any) -> None:
    answers = graph.batch({"method": "POST", "url": "/users", "body": refused.new_user(), "headers": {}})
    assert (answers["1"]["status"], answers["1"]["headers"]["x-lab-rule"]) == (400, name_of(rules.BATCH_BODY))
    assert lab.control.stats()["objects"]["user"] == 0


def test_a_batch_holds_no_batch(graph: Any) -> None:
    answers = graph.batch({"method": "POST", "url": "/$batch", "body": {"requests": []}})
    assert (answers["1"]["status"], answers["1"]["headers"]["x-lab-rule"]) == (400, name_of(rules.BATCH_NESTED))


def test_what_depends_on_a_failed_part_fails_with_it(lab: Lab, graph: Any, refused: Any) -> None:
    answers = graph.batch(
        {"method": "POST", "url": "/users", "body": refused.new_user("late"), "dependsOn": ["2"]},
        {"method": "GET", "url": "/users/nobody@contoso.com"},
        {"method": "POST", "url": "/users", "body": refused.new_user("fine")},
        {"method": "GET", "url": "/users/fine@contoso.com", "dependsOn": ["3"]},
    )
    assert {id_: one["status"] for id_, one in answers.items()} == {"1": 424, "2": 404, "3": 201, "4": 200}
    assert answers["1"]["headers"]["x-lab-rule"] == name_of(rules.BATCH_DEPENDS)
    assert lab.control.find("late@contoso.com") is None


def test_twenty_creates(lab: Lab, graph: Any, refused: Any) -> None:
    answers = graph.batch(*({"method": "POST", "url": "/users", "body": refused.new_user(f"n{number}")} for number in range(20)))
    assert {one["status"] for one in answers.values()} == {201}
    assert lab.control.stats()["objects"]["user"] == 20
