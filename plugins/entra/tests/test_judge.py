"""The judge by an OpenAPI description: what fits is left alone, and each thing that does not is told. The description here is our own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from metasync_entra.lab import tenant

from .cassette import STRUCK, Exchange, cassette, record, without_secrets
from .judge import Judge, load, main
from .scenario import play_lab

ROOT = Path(__file__).resolve().parents[3]
DESCRIPTION = Path(__file__).with_name("description.yaml")
USER = "/users/16d592d5-0f6b-4373-a921-83278840ab0a"


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    """The scenario, once."""
    return record()


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(load(DESCRIPTION))


def told(judge: Judge, method: str, path: str, **more: Any) -> list[str]:
    """What is said of one exchange."""
    plain = {"query": {}, "request": None, "status": 200, "response": None}
    return [f"{one.where}: {one.what}" for one in judge.of(Exchange(method=method, path=path, **{**plain, **more}))]


def test_the_whole_scenario_fits(judge: Judge, exchanges: list[Exchange]) -> None:
    assert judge.all(exchanges) == {}
    assert {one.method for one in exchanges} == {"GET", "POST", "PATCH", "PUT", "DELETE"}
    assert all(judge.knows(one) for one in exchanges)


@pytest.mark.parametrize(
    ("method", "path", "more", "words"),
    [
        ("GET", "/people", {}, "GET /people: no such path is described"),
        ("GET", f"{USER}/manager/more", {}, "no such path"),
        ("PUT", USER, {"request": {}}, "PUT /users/{user-id}: the path is described, the method is not"),
        ("GET", "/users", {"query": {"$selct": "id"}, "response": {"value": []}}, "query: $selct is not described"),
        ("GET", "/users", {"query": {"$top": "many"}, "response": {"value": []}}, "query: $top=many is no integer"),
        ("GET", "/users", {"query": {"$top": "1000"}, "response": {"value": []}}, "query: $top: the whole: 1000 is greater"),
        ("GET", "/users", {"query": {"$expand": "boss($select=id)"}, "response": {"value": []}}, "'boss' is not one of"),
        ("GET", "/users", {"query": {"$select": "id,id"}, "response": {"value": []}}, "non-unique"),
        ("POST", "/users", {"status": 201, "response": {}}, "request: a body is required"),
        ("POST", "/users", {"request": {"jobTitel": "x"}, "status": 201, "response": {}}, "request: jobTitel is not described"),
        ("POST", "/users", {"request": {"jobTitle": 1}, "status": 201, "response": {}}, "request: jobTitle: 1 is not of type"),
        (
            "PATCH",
            USER,
            {"request": {"onPremisesExtensionAttributes": {"extensionAttribute16": "x"}}, "status": 204},
            "request: onPremisesExtensionAttributes.extensionAttribute16 is not described",
        ),
        ("PUT", f"{USER}/manager/$ref", {"request": {"@odata.type": "x"}, "status": 204}, "'@odata.id' is a required property"),
        ("DELETE", USER, {"request": {"id": "x"}, "status": 204}, "request: no body is described"),
        ("DELETE", USER, {"status": 202}, "answer: the status 202 is not described, but 204, 4XX"),
        ("DELETE", USER, {"status": 204, "response": {}}, "answer 204: no body is described, and one came"),
        ("GET", USER, {"status": 404, "response": {"error": {"code": "x"}}}, "answer 404: error: 'message' is a required property"),
        ("GET", USER, {"status": 503}, "the status 503 is not described"),
        ("GET", USER, {}, "answer 200: a body is described, and none came"),
        ("GET", USER, {"response": {"accountEnabled": "yes"}}, "answer 200: accountEnabled: 'yes' is not of type"),
        ("GET", USER, {"response": {"id": None}}, "answer 200: id: None"),
        ("GET", USER, {"response": {"createdDateTime": "yesterday"}}, "'yesterday' is not a 'date-time'"),
        ("GET", "/users", {"response": {"value": [{}, {"shoeSize": 45}]}}, "answer 200: value[].shoeSize is not described"),
        ("GET", f"{USER}/manager", {"response": {"@odata.type": "#microsoft.graph.user", "shoeSize": 45}}, "shoeSize is not described"),
    ],
)
def test_what_does_not_fit_is_told(judge: Judge, method: str, path: str, more: Mapping[str, Any], words: str) -> None:
    found = told(judge, method, path, **more)
    assert len(found) == 1 and words in found[0], found


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/users/delta", {"query": {"$deltatoken": "latest", "$select": "id"}, "response": {"value": []}}),
        ("GET", "/users/microsoft.graph.delta()", {"query": {"$skiptoken": STRUCK, "$more": "x"}, "response": {"value": []}}),
        ("GET", "/groups/delta", {"response": {"value": [{"id": "x", "members@delta": []}]}}),
        ("GET", "/directory/deletedItems/microsoft.graph.user", {"response": {"value": [{"displayName": "x"}]}}),
        ("GET", "/users", {"query": {"$expand": "manager($select=id,mail)"}, "response": {"value": [{"manager": None}]}}),
        ("GET", USER, {"response": {f"extension_{'0' * 32}_badge": "7", "@odata.context": "x"}}),
        ("GET", f"{USER}/manager", {"response": {"@odata.type": "#microsoft.graph.user", "jobTitle": None}}),
        ("GET", "/users/$count", {}),
    ],
)
def test_what_the_description_says_in_words_or_in_another_spelling_is_left_alone(
    judge: Judge, method: str, path: str, more: Mapping[str, Any]
) -> None:
    assert told(judge, method, path, **more) == []


def test_the_most_exact_path_counts(judge: Judge) -> None:
    """`/users/delta()` is also a user whose name is delta."""
    assert told(judge, "GET", "/users/delta", response={"jobTitle": 1}) == ["GET /users/delta(): answer 200: jobTitle is not described"]


def test_an_answer_that_is_changed_anywhere_is_found(judge: Judge, exchanges: list[Exchange]) -> None:
    """Each answer of the scenario, with one property that nobody described."""
    open_objects = ("/organization", "/groups")  # their schemas in the small description are open
    bodies = [one for one in exchanges if isinstance(one.response, dict) and not one.path.startswith(open_objects)]
    assert len(bodies) > 10
    for one in bodies:
        assert judge.all([replace(one, response={**one.response, "shoeSize": 45})]), one


def test_a_cassette_holds_no_secret() -> None:
    with tenant() as lab:
        lab.control.trace(on=True)
        play_lab(lab, lambda words: None)
        trace = lab.control.trace()
    raw = orjson.dumps(trace).decode()
    passwords = [one["request"]["passwordProfile"]["password"] for one in trace if "passwordProfile" in (one["request"] or {})]
    kept = orjson.dumps(list(cassette(trace))).decode()
    assert len(passwords) == 2 and STRUCK not in passwords
    for secret in (*passwords, lab.client_secret, lab.control_key):
        assert json.dumps(secret)[1:-1] not in kept
    tokens = [one["query"]["$deltatoken"] for one in trace if one["query"].get("$deltatoken", "latest") != "latest"]
    assert tokens and all(token in raw and token not in kept for token in tokens)
    assert "Bearer" not in kept and "eyJ" not in kept and "_lab" not in kept
    assert '"inviteRedeemUrl":"***"' in kept


def test_secrets_are_struck_out_at_any_depth() -> None:
    body = {"a": [{"Password": "x", "password": None}], "link": "https://g/users?$skiptoken=abc&$top=1", "note": "$deltatoken=latest"}
    struck = {"a": [{"Password": STRUCK, "password": None}], "link": f"https://g/users?$skiptoken={STRUCK}&$top=1", "note": body["note"]}
    assert without_secrets(body) == struck


def test_it_ends_with_nought_where_everything_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "exchanges.jsonl"
    assert main([str(DESCRIPTION), "--cassette", str(kept)]) == 0
    assert "everything fits description.yaml" in capsys.readouterr().out
    lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 30 and set(lines[0]) == {"method", "path", "query", "request", "status", "response"}


def test_it_ends_with_one_and_names_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    del described["paths"]["/invitations"]
    described["components"]["parameters"]["top"]["schema"]["maximum"] = 100
    file = tmp_path / "other.json"
    file.write_text(json.dumps(described, default=str), encoding="utf-8")
    assert main([str(file)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "POST /invitations: no such path is described" in said
    assert any(line.startswith("GET /users: query: $top: the whole: 999 is greater than the maximum of 100") for line in said)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("openapi: 3.0.1\npaths: {/pets: {get: {responses: {'200': {description: x}}}}}\n", 1, "is that Graph's v1.0?"),
        ("swagger: '2.0'\n", 2, "no OpenAPI description of version 3.0"),
        ("a: [\n", 2, "cannot be judged by"),
    ],
)
def test_another_file_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, words: str) -> None:
    file = tmp_path / "openapi.yaml"
    file.write_text(text, encoding="utf-8")
    assert main([str(file)]) == code
    assert words in capsys.readouterr().err


def test_the_script_says_where_to_get_the_file() -> None:
    done = subprocess.run([sys.executable, "script/judge-graph", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "msgraph-metadata" in done.stdout
    done = subprocess.run([sys.executable, "script/judge-graph", "absent.yaml"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--help says where to get it" in done.stderr


def test_it_is_started_as_the_script_does() -> None:
    command = [sys.executable, "-m", "plugins.entra.tests.judge", str(DESCRIPTION)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
