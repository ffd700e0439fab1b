"""Every fault that can be armed, as a client meets it."""

from __future__ import annotations

import base64
import json
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from metasync_entra.lab import Lab, rules
from metasync_entra.lab.faults import ACTIONS
from metasync_entra.lab.rules import name_of


@pytest.mark.parametrize("sent", ["3", "2.128", "", None])
def test_throttling_with_every_form_of_retry_after(lab: Lab, graph: Any, refused: Any, sent: str | None) -> None:
    lab.control.fault("status", status=429, retry_after=sent, path="/users$")
    answer = graph.get("/users")
    refused(answer, rules.FAULT, 429, "TooManyRequests")
    assert answer.headers.get("Retry-After") == sent
    assert graph.get("/users").status_code == 200, "once"


def test_retry_after_as_a_date(lab: Lab, graph: Any) -> None:
    lab.control.fault("status", status=429, retry_after="date:5")
    assert parsedate_to_datetime(graph.get("/users").headers["Retry-After"])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("after_commit", [False, True])
def test_server_errors_before_and_after_the_write(lab: Lab, graph: Any, refused: Any, status: int, after_commit: bool) -> None:
    lab.control.fault("status", status=status, method="POST", path="/users$", after_commit=after_commit)
    assert graph.call("POST", "/users", json=refused.new_user()).status_code == status
    assert (lab.control.find("ada@contoso.com") is not None) == after_commit


def test_a_connection_that_ends_in_the_middle(lab: Lab, graph: Any) -> None:
    lab.control.seed(users=50)
    lab.control.fault("reset", path="/users$")
    with pytest.raises(requests.RequestException):
        graph.get("/users")
    assert graph.get("/users").status_code == 200


def test_json_that_is_cut_and_pages_of_html(lab: Lab, graph: Any) -> None:
    lab.control.seed(users=5)
    lab.control.fault("truncate", path="/users$")
    answer = graph.get("/users")
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)
    lab.control.fault("html", status=503)
    assert graph.get("/users").headers["Content-Type"] == "text/html"


def test_a_claims_challenge(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.fault("claims")
    answer = graph.get("/users")
    refused(answer, rules.ACCESS_TOKEN, 401, "InvalidAuthenticationToken")
    claims = answer.headers["WWW-Authenticate"].split('claims="')[1].rstrip('"')
    assert "access_token" in json.loads(base64.b64decode(claims))


def test_rights_lost_and_states_lost(lab: Lab, graph: Any, refused: Any) -> None:
    _, link = graph.round("/users/delta")
    lab.control.fault("denied")
    refused(graph.get("/users"), rules.PERMISSION, 403)
    lab.control.fault("resync", path="/delta$")
    answer = graph.get(link)
    refused(answer, rules.DELTA_RESYNC, 410)
    assert answer.headers["Location"] == f"{graph.base}/users/delta?$deltatoken="
    for status in (400, 410):
        lab.control.fault("sync-state", status=status, path="/delta$")
        refused(graph.get(link), rules.DELTA_EXPIRED, status)


def test_a_pack_that_had_been_written_is_told_to_be_there(lab: Lab, graph: Any) -> None:
    ada, group = graph.user(), graph.group()
    lab.control.fault("already-there", method="PATCH", path="/groups/")
    answer = graph.call("PATCH", f"/groups/{group}", json={"members@odata.bind": [f"{graph.base}/users/{ada}"]})
    assert (answer.status_code, "already exist" in answer.text) == (400, True)
    assert lab.control.read(group)["members"] == [ada]


def test_pages_that_are_not_as_they_should_be(lab: Lab, graph: Any) -> None:
    lab.control.seed(users=20)
    whole = graph.get("/users/delta", select="displayName").json()["value"]
    lab.control.fault("duplicate-rows", path="/delta$")
    assert len(graph.round("/users/delta")[0]) == 40
    lab.control.fault("reorder-rows", path="/delta$")
    rows = graph.round("/users/delta", select="displayName")[0]
    assert rows != whole
    assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in whole)
    lab.control.fault("empty-page", path="/delta$")
    page = graph.get("/users/delta", select="displayName").json()
    assert page["value"] == []
    assert graph.round(page["@odata.nextLink"])[0] == whole
    lab.control.fault("removed-row", path="/delta$")
    assert graph.round("/users/delta")[0][-1]["@removed"] == {"reason": "deleted"}
    lab.control.fault("unknown-properties", path="/users$")
    assert "aPropertyOfTomorrow" in graph.get("/users").json()["value"][0]
    lab.control.fault("foreign-link", path="/users$")
    assert graph.get("/users", top="5").json()["@odata.nextLink"].startswith("https://graph.attacker.example/")


def test_batches_in_which_parts_fail_are_shuffled_or_missing(lab: Lab, graph: Any, refused: Any) -> None:
    parts = [{"method": "GET", "url": "/users"} for _ in range(10)]
    lab.control.fault("status", status=429, retry_after="7", in_batch=True, times=None, probability=0.5)
    answers = graph.batch(*parts)
    assert {one["status"] for one in answers.values()} == {200, 429}
    assert {one["headers"].get("Retry-After") for one in answers.values()} == {None, "7"}
    assert graph.get("/users").status_code == 200, "in batches alone"
    lab.control.clear_faults()
    lab.control.fault("batch-shuffle", path="batch$")
    assert list(graph.batch(*parts)) != [str(number) for number in range(1, 11)]
    lab.control.fault("batch-missing", path="batch$")
    writes = [{"method": "POST", "url": "/users", "body": refused.new_user(f"n{number}")} for number in range(4)]
    assert set(graph.batch(*writes)) == {"1", "3"}
    assert lab.control.stats()["objects"]["user"] == 4, "all were served"
    lab.control.fault("batch-outer", path="batch$", status=424)
    graph.batch(*parts, status=424)


def test_skipping_and_counting(lab: Lab, graph: Any) -> None:
    id_ = lab.control.fault("status", status=503, skip=2, times=3)
    assert [graph.get("/users").status_code for _ in range(7)] == [200, 200, 503, 503, 503, 200, 200]
    assert lab.control.stats()["faults"][id_] == 3


def test_the_token_service_fails_too(lab: Lab, graph: Any) -> None:
    lab.control.fault("status", listener="login", status=503, retry_after="1", path="/token$")
    assert graph.token().status_code == 503
    assert graph.token().status_code == 200
    assert graph.get("/users").status_code == 200


def test_an_answer_that_takes_its_time(lab: Lab, graph: Any) -> None:
    lab.control.fault("slow", seconds=0.3)
    with pytest.raises(requests.Timeout):
        graph.session.get(f"{graph.base}/users", timeout=0.05)
    assert graph.get("/users").elapsed.total_seconds() < 0.3, "others are served meanwhile"


def test_a_fault_that_is_not_known_is_refused(lab: Lab) -> None:
    with pytest.raises(ValueError, match="is no fault"):
        lab.control.fault("nonsense")
    with pytest.raises(ValueError, match="is no listener"):
        lab.control.fault("status", listener="elsewhere")
    assert "status" in ACTIONS
    assert name_of(rules.FAULT) == "FAULT"
