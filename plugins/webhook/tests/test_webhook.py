"""A POST for each notification, signed, tried again within the deadline, to the one server that the document names."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError

from metasync.contract import Event, Notification, NotTrusted, OptionsError, SecretReference, Unavailable
from metasync_webhook import notifier as notifying
from metasync_webhook.messages import encoded, key_of, signature
from metasync_webhook.notifier import WebhookNotifier
from metasync_webhook.options import WebhookOptions

from .conftest import Receiver

FAILED = Notification(
    event=Event.FAILED,
    engagement="contoso",
    at=datetime(2026, 1, 31, 8, 5, tzinfo=UTC),
    kind="run",
    run=7,
    profiles=("staff",),
    text="hr: <!channel> cannot be reached & “Zoë” [here](https://evil.test)",
    counts=(("create", 1200),),
)
KEY = "a key that only two know"


@dataclass
class Given:
    """A notifier's context."""

    secrets: dict[str, str]
    deadline: float = 10.0
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("test"))

    def secret(self, reference: SecretReference) -> str:
        return self.secrets[reference.name]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "FIRST_PAUSE", 0.01)


@pytest.fixture
def trusted(certificate: tuple[Path, Any]) -> str:
    return str(certificate[0])


def notifier(url: str, *, deadline: float = 10.0, key: str | None = KEY, **more: Any) -> WebhookNotifier:
    given: dict[str, Any] = {"url": {"secret": "url"}, **({"secret": {"secret": "key"}} if key else {}), **more}
    return WebhookNotifier(WebhookOptions().load(given), Given({"url": url, "key": key or ""}, deadline=deadline))


def test_it_is_posted_as_json_and_signed(receiver: Receiver, trusted: str) -> None:
    notifier(receiver.url, **{"ca file": trusted}).notify(FAILED)
    (posted,) = receiver.posted
    assert posted.path == "/hook/very-secret-path"
    assert posted.headers["content-type"] == "application/json"
    said = json.loads(posted.body)
    assert said["type"] == "metasync.failed" and said["timestamp"] == "2026-01-31T08:05:00.000000Z"
    assert said["data"] == {
        "engagement": "contoso",
        "event": "failed",
        "kind": "run",
        "run": 7,
        "plan": None,
        "profiles": ["staff"],
        "counts": {"create": 1200},
        "text": FAILED.text,
        "subject": FAILED.subject,
    }
    number, at = posted.headers["webhook-id"], posted.headers["webhook-timestamp"]
    assert abs(time.time() - int(at)) < 60
    expected = hmac.new(KEY.encode(), f"{number}.{at}.".encode() + posted.body, hashlib.sha256).digest()
    assert posted.headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """What the libraries of https://github.com/standard-webhooks/standard-webhooks are tested with."""
    key = key_of("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
    said = signature(key, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553, b'{"email":"test@example.com","username":"test_user"}')
    assert said == "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="


def test_a_key_that_is_no_base64_is_refused_and_not_shown() -> None:
    with pytest.raises(OptionsError, match="not Base64") as caught:
        key_of("whsec_!geheim!")
    assert "geheim" not in str(caught.value)


def test_without_a_secret_nothing_is_signed(receiver: Receiver, trusted: str) -> None:
    notifier(receiver.url, key=None, **{"ca file": trusted}).notify(FAILED)
    assert "webhook-signature" not in receiver.posted[0].headers


def test_it_is_tried_again_with_the_same_id(receiver: Receiver, trusted: str) -> None:
    receiver.answers = [(503, {}), (0, {}), (429, {"Retry-After": "1"}), (200, {})]
    notifier(receiver.url, **{"ca file": trusted}).notify(FAILED)
    assert len(receiver.posted) == 4
    assert len({one.headers["webhook-id"] for one in receiver.posted}) == 1
    assert len({one.body for one in receiver.posted}) == 1
    third, fourth = (int(one.headers["webhook-timestamp"]) for one in receiver.posted[2:])
    assert fourth >= third + 1, "as late as it was asked to"


def test_it_is_not_tried_beyond_the_deadline(receiver: Receiver, trusted: str) -> None:
    receiver.answers = [(503, {"Retry-After": "3600"})]
    with pytest.raises(Unavailable, match="answered 503"):
        notifier(receiver.url, **{"ca file": trusted}).notify(FAILED)
    assert len(receiver.posted) == 1
    receiver.answers = [(503, {})]
    with pytest.raises(Unavailable, match="answered 503"):
        notifier(receiver.url, deadline=3, **{"ca file": trusted}).notify(FAILED)
    assert len(receiver.posted) >= 2, "tried again, and given up"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, trusted: str, code: int) -> None:
    receiver.answers = [(code, {"Location": receiver.url + "/elsewhere"}), (200, {})]
    with pytest.raises(Unavailable, match="redirects are not followed"):
        notifier(receiver.url, **{"ca file": trusted}).notify(FAILED)
    assert len(receiver.posted) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(receiver: Receiver, trusted: str, code: int) -> None:
    receiver.answers = [(code, {})]
    with pytest.raises(Unavailable, match=f"answered {code}") as caught:
        notifier(receiver.url, **{"ca file": trusted}).notify(FAILED)
    assert len(receiver.posted) == 1
    assert "very-secret-path" not in str(caught.value)


def test_a_server_that_nobody_vouches_for_is_sent_nothing(receiver: Receiver) -> None:
    with pytest.raises(NotTrusted, match="`ca file`"):
        notifier(receiver.url).notify(FAILED)
    assert receiver.posted == []


def test_a_certificate_of_another_name_is_not_trusted(
    certificate: tuple[Path, ssl.SSLContext], trusted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    other = Receiver(certificate[1], host="127.0.0.2", address="127.0.0.2")
    try:
        with pytest.raises(NotTrusted):
            notifier(other.url, **{"ca file": trusted}).notify(FAILED)
        assert other.posted == []
    finally:
        other.close()


def test_a_server_that_is_not_there_is_said_without_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port} cannot be reached") as caught:
            notifier(f"https://127.0.0.1:{port}/very-secret-path", deadline=0.3).notify(FAILED)
    assert "very-secret-path" not in str(caught.value)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(Unavailable):
            notifier(f"https://127.0.0.1:{silent.getsockname()[1]}/", deadline=0.3).notify(FAILED)


@pytest.mark.parametrize(
    "url",
    [
        "http://x.test/a",
        "https://",
        "file:///etc/passwd",
        "https://a:b@x.test/",
        "https://x.test:99999/",
        "https://x.test/a b",
        "https://x/ö",
        "",
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(OptionsError, match="set its secret again") as caught:
        notifier(url).notify(FAILED)
    assert "x.test" not in str(caught.value) and "passwd" not in str(caught.value)


def test_a_ca_file_without_certificate_is_named(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(OptionsError, match="correct `ca file`"):
            notifier(receiver.url, **{"ca file": str(tmp_path / name)}).notify(FAILED)


def test_for_slack_nothing_becomes_a_mention() -> None:
    said = json.loads(encoded(FAILED, "slack"))
    assert said["text"] == FAILED.subject
    assert {one["text"]["type"] for one in said["blocks"]} == {"plain_text"}
    assert "<!channel>" in said["blocks"][1]["text"]["text"], "shown as it is, in plain text"
    odd = Notification(event=Event.FAILED, engagement="<!here>", at=FAILED.at, run=1)
    assert json.loads(encoded(odd, "slack"))["text"] == "Metasync &lt;!here&gt;: run 1 failed"


def test_for_teams_nothing_becomes_a_link() -> None:
    (attached,) = json.loads(encoded(FAILED, "teams"))["attachments"]
    blocks = attached["content"]["body"]
    assert {one["type"] for one in blocks} == {"RichTextBlock"}
    assert {run["type"] for one in blocks for run in one["inlines"]} == {"TextRun"}
    assert blocks[0]["inlines"][0]["text"] == FAILED.subject
    assert any("1,200 create" in run["text"] for one in blocks for run in one["inlines"])


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("form", ["json", "slack", "teams"])
def test_every_event_can_be_told_in_every_form(event: Event, form: str) -> None:
    assert json.loads(encoded(Notification(event=event, engagement="contoso", at=FAILED.at, run=1, plan=2), form))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "https://x.test/"}, "reference"),
        ({}, "Missing"),
        ({"url": {"secret": "u"}, "format": "xml"}, "slack"),
        ({"url": {"secret": "u"}, "format": "slack", "secret": {"secret": "k"}}, "leave it out"),
    ],
)
def test_options_that_do_not_do_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        WebhookOptions().load(given)
