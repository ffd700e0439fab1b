"""A message nudges and does nothing else, whoever sends it."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from lab.redis import Broker

from metasync_celery import consumer
from metasync_celery.app import TASK, make_app, queue_of

from .conftest import Listener, dispatcher

Listen = Callable[..., AbstractContextManager[Listener]]
QUEUE = queue_of("contoso")
GOOD = (7, 42, "a1b2c3d4")


def test_a_message_holds_run_batch_and_nonce_and_nothing_else(redis: Broker) -> None:
    dispatcher(redis.url).nudge(*GOOD)
    message = json.loads(redis.ask("LRANGE", QUEUE, "0", "-1"))
    assert (message["content-type"], message["properties"]["body_encoding"]) == ("application/json", "base64")
    arguments, keywords, embedded = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == (list(GOOD), {})
    assert set(embedded.values()) == {None}, "no callbacks, no chains"
    assert message["headers"]["task"] == TASK
    assert {name: message["headers"][name] for name in ("eta", "expires", "group", "ignore_result")} == {
        "eta": None,
        "expires": None,
        "group": None,
        "ignore_result": True,
    }
    assert redis.password not in json.dumps(message)


def test_what_was_nudged_is_worked_once_by_the_workers_of_its_engagement(redis: Broker, listen: Listen) -> None:
    for number in range(20):
        dispatcher(redis.url).nudge(1, number, "good")
    with listen(redis.url, "fabrikam") as others, listen(redis.url) as workers:
        workers.until(lambda: len(workers.told) == 20)
        dispatcher(redis.url, "fabrikam").nudge(2, 1, "theirs")
        others.until(lambda: others.told == ["2 1 theirs"])
        assert sorted(workers.told) == sorted(f"1 {number} good" for number in range(20))
        workers.until(lambda: redis.ask("KEYS", "unacked*") in (b"", b"*0\r\n"))  # each is acknowledged behind its work


FORGED: dict[str, Callable[[Broker], Any]] = {
    "too few": lambda redis: send(redis, args=(1,)),
    "too many": lambda redis: send(redis, args=(*GOOD, "rm -rf /")),
    "no numbers": lambda redis: send(redis, args=("7", "42", "a1b2c3d4")),
    "true is no number": lambda redis: send(redis, args=(True, 42, "a1b2c3d4")),
    "a list for a nonce": lambda redis: send(redis, args=(7, 42, ["a1b2c3d4"])),
    "by name": lambda redis: send(redis, kwargs={"served": 1, "self": 2}),
    "another task": lambda redis: send(redis, "os.system", args=("true",)),
    "a task of celery's own": lambda redis: send(redis, "celery.map", args=({"task": TASK, "args": (), "kwargs": {}}, [GOOD])),
    "pickle": lambda redis: send(redis, args=GOOD, serializer="pickle"),
    "a time to wait for": lambda redis: send(redis, args=GOOD, countdown=1),
    "a callback": lambda redis: send(redis, args=GOOD, link=make_app(redis.url).signature(TASK, args=GOOD)),
    "a body that is none": lambda redis: raw(redis, envelope(b"\xff\xfe")),
    "a body of another form": lambda redis: raw(redis, envelope(base64.b64encode(b'{"a": 1}'))),
    "a shutdown": lambda redis: make_app(redis.url).control.shutdown(),
    "another queue": lambda redis: make_app(redis.url).control.add_consumer("elsewhere"),
}


@pytest.mark.parametrize("forged", list(FORGED))
def test_a_message_that_is_forged_or_malformed_does_nothing_and_stops_nobody(redis: Broker, listen: Listen, forged: str) -> None:
    with listen(redis.url) as workers:
        dispatcher(redis.url).nudge(1, 1, "before")
        workers.until(lambda: workers.told == ["1 1 before"])
        FORGED[forged](redis)
        dispatcher(redis.url).nudge(1, 2, "behind")
        workers.until(lambda: workers.told[1:] == ["1 2 behind"])


@pytest.mark.parametrize("garbage", [b"\x00garbage", b'["a list"]', b"{}"])
def test_what_is_no_message_at_all_costs_a_start_at_most_and_does_not_come_back(redis: Broker, listen: Listen, garbage: bytes) -> None:
    """Celery's loop breaks of what its transport cannot unpack; whoever looks after the process starts another one."""
    with listen(redis.url) as workers:
        dispatcher(redis.url).nudge(1, 1, "before")
        workers.until(lambda: workers.told == ["1 1 before"])
        raw(redis, garbage)
        dispatcher(redis.url).nudge(1, 2, "behind")
        code = workers.ended(lambda: workers.told[1:] == ["1 2 behind"])
    assert code != 0
    with listen(redis.url) as workers:
        # What the one that broke had taken may be lost with it; the sweep tells it again.
        dispatcher(redis.url).nudge(1, 2, "behind")
        dispatcher(redis.url).nudge(1, 3, "later")
        workers.until(lambda: "1 3 later" in workers.told)
        assert sorted(set(workers.told)) == ["1 1 before", "1 2 behind", "1 3 later"]


@pytest.mark.parametrize(("error", "ends"), [(KeyError("properties"), True), (KeyError(17), False), (ConnectionError("gone"), False)])
def test_a_worker_does_not_live_on_deaf(monkeypatch: pytest.MonkeyPatch, error: Exception, ends: bool) -> None:
    """One message in eight that lacked its parts left a worker that heard nothing more; a line that was lost is connected anew."""
    anew: list[Exception] = []
    monkeypatch.setattr(consumer.consumer.Consumer, "on_connection_error_after_connected", lambda self, exc: anew.append(exc))
    one = object.__new__(consumer.Consumer)
    with pytest.raises(KeyError) if ends else nullcontext():
        one.on_connection_error_after_connected(error)
    assert anew == ([] if ends else [error])
    assert make_app("redis://127.0.0.1:1/0").conf.worker_consumer == "metasync_celery.consumer:Consumer"


def send(redis: Broker, task: str = TASK, **message: Any) -> None:
    """Somebody who can write to the broker does."""
    app = make_app(redis.url)
    if message.get("serializer") == "pickle":
        from kombu.serialization import enable_insecure_serializers

        enable_insecure_serializers(["pickle"])
        assert pickle
    app.send_task(task, queue=QUEUE, retry=False, **message)


def raw(redis: Broker, message: bytes) -> None:
    """The same, without Celery."""
    redis.ask("LPUSH", QUEUE, message)


def envelope(body: bytes) -> bytes:
    """What Celery packs a body into."""
    tag = {"exchange": "", "routing_key": QUEUE}
    properties = {"delivery_info": tag, "delivery_tag": "1", "body_encoding": "base64", "delivery_mode": 2, "priority": 0}
    headers = {"task": TASK, "id": "1", "lang": "py"}
    whole = {"body": body.decode("latin-1"), "content-encoding": "utf-8", "content-type": "application/json"}
    return json.dumps({**whole, "headers": headers, "properties": properties}).encode()
