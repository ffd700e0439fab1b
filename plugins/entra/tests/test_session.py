"""Asking Graph: what is sent again, what is not, and where nothing is sent at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
import requests

from metasync.contract import Kind, NotTrusted, ReadRequest, RightMissing, SignInRefused, Unavailable
from metasync_entra import calls, session
from metasync_entra.errors import Sense
from metasync_entra.session import ATTEMPTS, Flight
from metasync_entra.tokens import challenge, claims_of

from .scripted import Asked, Reply, connector, error, token


def in_turn(replies: Iterable[Any]) -> Any:
    """One reply after the other; an exception is raised, as by a line that breaks."""
    waiting = iter(replies)

    def answer(asked: Asked) -> Reply:
        reply = next(waiting)
        if isinstance(reply, Exception):
            raise reply
        assert isinstance(reply, Reply)
        return reply

    return answer


FINE = Reply(200, {"value": []})


@pytest.mark.parametrize(
    "trouble",
    [
        error(429, "TooManyRequests", **{"Retry-After": "2.5"}),
        error(429, **{"Retry-After": ""}),
        error(429),
        error(503),
        error(504),
        Reply(200, b'{"value": ['),
        Reply(200, b"<html>A gateway's page</html>"),
        requests.ConnectionError("Connection aborted"),
        requests.exceptions.ChunkedEncodingError("IncompleteRead"),
        requests.ReadTimeout("timed out"),
    ],
)
def test_a_read_is_asked_again(trouble: Any) -> None:
    made, script, context = connector(in_turn([trouble, FINE]))
    assert made.session.ask(calls.get("/users")).body == {"value": []}
    assert len(script.asked) == 2
    assert context.waits


def test_a_read_that_never_comes_ends_in_words() -> None:
    made, script, _ = connector(lambda asked: error(503))
    with pytest.raises(Unavailable, match="out of order"):
        made.session.read("/users", doing="reading users")
    assert len(script.asked) == ATTEMPTS


@pytest.mark.parametrize("trouble", [error(504), requests.ConnectionError("Connection aborted")])
def test_a_create_without_an_answer_is_not_sent_again(trouble: Any) -> None:
    made, script, _ = connector(in_turn([trouble]))
    answer = made.session.ask(calls.write("POST", "/users", {}, repeatable=False))
    assert answer.sense in (Sense.BROKEN, Sense.LOST)
    assert len(script.asked) == 1


def test_a_create_that_was_refused_for_too_many_is_sent_again_after_the_pause() -> None:
    made, script, context = connector(in_turn([error(429, **{"Retry-After": "2.128"}), Reply(201, {"id": "x"})]))
    assert made.session.ask(calls.write("POST", "/users", {}, repeatable=False)).status == 201
    assert len(script.asked) == 2
    waited = context.waits[0][0] - context.now
    assert waited <= timedelta(0)


def test_a_line_that_never_came_about_carried_no_write() -> None:
    nothing = requests.ConnectionError("NewConnectionError: Connection refused")
    made, script, _ = connector(in_turn([nothing, Reply(201, {"id": "x"})]))
    assert made.session.ask(calls.write("POST", "/users", {}, repeatable=False)).status == 201
    assert len(script.asked) == 2


def test_an_untrusted_certificate_ends_it_at_once() -> None:
    made, script, _ = connector(in_turn([requests.exceptions.SSLError("certificate verify failed: self-signed certificate")]))
    with pytest.raises(NotTrusted, match="ca file"):
        made.session.ask(calls.get("/users"))
    assert len(script.asked) == 1


FOREIGN = ["https://evil.test/v1.0/users?$skiptoken=1", "http://graph.microsoft.com/v1.0/users"]
CONTACTS = ReadRequest(stream="contacts", kinds=frozenset({Kind.CONTACT}), attributes={})


@pytest.mark.parametrize("link", FOREIGN)
@pytest.mark.parametrize("name", ["@odata.nextLink", "@odata.deltaLink"])
def test_a_read_follows_no_link_to_another_host(link: str, name: str) -> None:
    made, script, _ = connector(lambda asked: Reply(200, {"value": [], name: link}))
    with pytest.raises(Unavailable, match="another host"):
        list(made.read(CONTACTS))
    assert [asked.path.startswith("/contacts/delta?") for asked in script.asked] == [True]


@pytest.mark.parametrize("link", FOREIGN)
@pytest.mark.parametrize("name", ["@odata.nextLink", "@odata.deltaLink"])
def test_a_delta_follows_no_link_to_another_host(link: str, name: str) -> None:
    made, script, _ = connector(lambda asked: Reply(200, {"value": [], name: link}))
    ours = "https://graph.microsoft.com/v1.0/contacts/delta?$deltatoken=1"
    cursor = json.dumps([1, made.tenant, "contacts", ["id", "displayName"], ["contact"], ours, "2030-01-01T00:00:00+00:00", []])
    with pytest.raises(Unavailable, match="another host"):
        list(made.follow(CONTACTS, cursor))
    assert len(script.asked) == 1


def test_no_redirect_is_followed() -> None:
    made, _, _ = connector(lambda asked: Reply(302, None, {"Location": "https://evil.test/"}))
    with pytest.raises(Unavailable):
        made.session.read("/users", doing="reading users")


def test_a_token_that_ended_is_renewed_once_with_the_claims_that_were_asked_for() -> None:
    claims = base64.b64encode(b'{"access_token":{}}').decode()
    refused = error(
        401, "InvalidAuthenticationToken", **{"WWW-Authenticate": f'Bearer realm="", claims="{claims}", error="insufficient_claims"'}
    )
    made, script, _ = connector(in_turn([refused, FINE]))
    assert made.session.ask(calls.get("/users")).status == 200
    assert [asked.headers["Authorization"] for asked in script.asked] == [f"Bearer {token(1)}", f"Bearer {token(2)}"]
    assert made.session.tokens.claims == ['{"access_token":{}}']  # type: ignore[attr-defined]


def test_tokens_that_are_refused_again_and_again_end_it() -> None:
    made, script, _ = connector(lambda asked: error(401))
    with pytest.raises(SignInRefused, match="not even a new one"):
        made.session.ask(calls.get("/users"))
    assert len(script.asked) <= 4


def test_many_requests_under_way_that_lose_their_token_are_all_sent_again() -> None:
    def answer(asked: Asked) -> Reply:
        return error(401) if asked.headers["Authorization"].endswith(token(1)) else FINE

    made, _, _ = connector(answer)
    answers = list(Flight(made.session, [calls.get(f"/users?n={number}") for number in range(30)]))
    assert [one.status for one in answers] == [200] * 30
    assert made.session.tokens.number == 2  # type: ignore[attr-defined]


def test_a_missing_permission_is_named() -> None:
    made, _, _ = connector(lambda asked: error(403, "Authorization_RequestDenied"))
    with pytest.raises(RightMissing, match="consent"):
        made.session.read("/users", doing="reading users")


def test_each_part_of_a_batch_is_repeated_by_itself() -> None:
    asked_for: dict[str, int] = {}

    def answer(asked: Asked) -> Reply:
        asked_for[asked.path] = asked_for.get(asked.path, 0) + 1
        if asked.path.endswith("3") and asked_for[asked.path] < 3:
            return error(429, **{"Retry-After": "1"})
        return Reply(200, {"id": asked.path})

    made, script, context = connector(answer)
    parts = [calls.get(f"/users/{number}", tag=number) for number in range(45)]
    answers = list(made.session.batched(parts))
    assert sorted(one.call.tag for one in answers) == list(range(45))
    assert all(one.status == 200 for one in answers)
    assert {count for path, count in asked_for.items() if not path.endswith("3")} == {1}
    assert {count for path, count in asked_for.items() if path.endswith("3")} == {3}
    assert max(len(one.body["requests"]) for one in script.asked) <= 20
    assert context.waits


def test_a_part_without_an_answer_is_unknown() -> None:
    made, script, _ = connector(lambda asked: FINE)
    script.request = lambda *_, **__: Reply(200, {"responses": [{"id": "1", "status": 204}]})  # type: ignore[method-assign]
    parts = [calls.write("POST", "/users", {}, repeatable=False, tag=number) for number in range(2)]
    found = {one.call.tag: one.sense for one in made.session.batched(parts)}
    assert found == {0: Sense.LOST, 1: Sense.FINE}


def test_a_value_leads_nowhere_else() -> None:
    assert calls.segment("a/../b?c#d") == "a%2F..%2Fb%3Fc%23d"
    assert calls.literal("O'Neil' or 1 eq 1") == "'O%27%27Neil%27%27%20or%201%20eq%201'"


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "a.!!.c", "a.W10.c"])
def test_a_token_that_says_nothing_says_nothing(text: str) -> None:
    assert claims_of(text) == {}


@pytest.mark.parametrize("header", [None, "", "Bearer", 'Bearer claims="*"', 'Bearer realm=""'])
def test_a_refusal_without_claims_asks_for_none(header: str | None) -> None:
    assert challenge(header) in (None, "")


def test_a_batch_that_is_refused_again_and_again_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for the batch, and as often again for its parts: these would wait for days."""
    monkeypatch.setattr(session, "PATIENCE", 4)
    made, script, _ = connector(lambda asked: Reply(200, {}))
    refused = error(429, "TooManyRequests", **{"Retry-After": "1"})
    sent: list[str] = []

    def request(method: str, url: str, **_: Any) -> Reply:
        sent.append(url)
        return refused

    monkeypatch.setattr(script, "request", request)
    answers = list(made.session.batched([calls.get(f"/users/{number}") for number in range(3)]))
    assert [answer.status for answer in answers] == [429] * 3
    assert len(sent) == 4


def test_what_is_sent_is_not_shown_by_its_name() -> None:
    """It may hold a new password, and a name ends up in a log sooner or later."""
    assert "secret" not in repr(calls.write("POST", "/users", {"passwordProfile": {"password": "secret"}}))
