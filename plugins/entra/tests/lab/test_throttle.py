"""Quotas on the tenant's clock: what calls cost, when they are refused, and when they are taken again."""

from __future__ import annotations

from typing import Any

import pytest

from metasync_entra.lab import Lab, rules


@pytest.fixture
def throttled(lab: Lab, graph: Any) -> Any:
    lab.control.clock(freeze=True)
    lab.control.set(throttle=True, size="S")
    return graph


@pytest.mark.parametrize(
    ("path", "query", "cost"),
    [
        ("/users", {}, 2),
        ("/users", {"select": "id"}, 1),
        ("/users", {"top": "10"}, 1),
        ("/users", {"top": "10", "select": "id"}, 1),
        ("/groups", {}, 1),
        ("/groups/GROUP/members", {}, 3),
        ("/groups/GROUP/members", {"select": "id"}, 2),
        ("/users/delta", {}, 1),
    ],
)
def test_costs(graph: Any, path: str, query: dict[str, str], cost: int) -> None:
    group = graph.group()
    assert graph.get(path.replace("GROUP", group), **query).headers["x-ms-resource-unit"] == str(cost), rules.COST


def test_units_run_out_and_come_back_with_time(lab: Lab, throttled: Any, refused: Any) -> None:
    served = 0
    while (answer := throttled.batch(*({"method": "GET", "url": "/users"} for _ in range(20)))) and all(
        one["status"] == 200 for one in answer.values()
    ):
        served += 20
    served += sum(one["status"] == 200 for one in answer.values())
    assert served == 3_500 // 2
    last = answer["20"]
    assert last["status"] == 429
    assert last["headers"]["Retry-After"] == "1"
    assert last["headers"]["x-ms-throttle-information"] == "ResourceUnitLimitExceeded"
    refusal = throttled.get("/users")
    refused(refusal, rules.THROTTLE, 429, "TooManyRequests", "category:aadgraph.app.tenant_small")
    lab.control.clock(advance=float(refusal.headers["Retry-After"]))
    assert throttled.get("/users").status_code == 200


def test_rejected_calls_count(lab: Lab, throttled: Any) -> None:
    while 429 not in {one["status"] for one in throttled.batch(*({"method": "GET", "url": "/users"} for _ in range(20))).values()}:
        pass
    lab.control.clock(advance=1.5 / 350)
    assert throttled.get("/users").status_code == 429, "it costs two, and there is one and a half"
    lab.control.clock(advance=0.75 / 350)
    assert throttled.get("/groups").status_code == 429, "the one that was refused took what there was"
    lab.control.clock(advance=1 / 350)
    assert throttled.get("/groups").status_code == 200


def test_writes_run_out_for_themselves(lab: Lab, throttled: Any) -> None:
    id_ = throttled.user()
    lab.control.set(size="L")
    statuses = []
    for number in range(151):
        parts = ({"method": "PATCH", "url": f"/users/{id_}", "body": {"givenName": f"{number}-{place}"}} for place in range(20))
        answers = throttled.batch(*parts)
        statuses += [one["status"] for one in answers.values()]
        if 429 in statuses:
            break
    assert statuses.count(204) == 2_999, "3,000 with the user's creation"
    late = next(one for one in answers.values() if one["status"] == 429)
    assert late["headers"]["x-ms-throttle-scope"] == f"Tenant_Application/Write/{lab.client_id}/{lab.tenant_id}"
    assert late["headers"]["x-ms-throttle-information"] == "WriteLimitExceeded"
    assert throttled.get("/users").status_code == 200, "reads go on"
    lab.control.clock(advance=10)
    statuses = [throttled.call("PATCH", f"/users/{id_}", json={"givenName": f"again-{number}"}).status_code for number in range(201)]
    assert statuses.count(204) == 200, "20 a second"


def test_the_answers_tell_how_near_the_limit_is(lab: Lab, throttled: Any) -> None:
    assert "x-ms-throttle-limit-percentage" not in throttled.get("/users").headers
    for _ in range(75):
        throttled.batch(*({"method": "GET", "url": "/users"} for _ in range(20)))
    assert 0.8 <= float(throttled.get("/users").headers["x-ms-throttle-limit-percentage"]) <= 1


def test_each_app_has_its_own(lab: Lab, throttled: Any) -> None:
    while 429 not in {one["status"] for one in throttled.batch(*({"method": "GET", "url": "/users"} for _ in range(20))).values()}:
        pass
    other = lab.control.add_app(["User.Read.All"])
    throttled.sign_in(client_id=other["client_id"], client_secret=other["secret"])
    assert throttled.get("/users").status_code == 200


def test_without_throttling_nothing_is_refused(lab: Lab, graph: Any) -> None:
    for _ in range(5):
        assert {one["status"] for one in graph.batch(*({"method": "GET", "url": "/users"} for _ in range(20))).values()} == {200}
