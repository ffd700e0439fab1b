"""Each setting of the application, and what it is for where that can be shown on a real broker."""

from __future__ import annotations

import os
import re
import signal
import ssl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from kombu import Connection, pools
from kombu.exceptions import OperationalError
from lab import certificate
from lab import redis as lab
from lab.redis import Broker

from metasync.contract import Dispatcher, MetasyncError
from metasync_celery.app import CONNECT, SOFT_SHUTDOWN, VISIBILITY, make_app, queue_of, verifying
from metasync_celery.dispatcher import CeleryDispatcher
from metasync_celery.plugin import metasync_register_dispatchers

from .conftest import Listener, dispatcher

Listen = Callable[..., AbstractContextManager[Listener]]
NOWHERE = "redis://127.0.0.1:1/0"

SETTINGS = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "visibility_timeout": VISIBILITY,
    "result_backend_transport_options": {"visibility_timeout": VISIBILITY},
    "task_ignore_result": True,
    "accept_content": ["json"],
    "task_serializer": "json",
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_connection_timeout": CONNECT,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_soft_shutdown_timeout": SOFT_SHUTDOWN,
    "worker_enable_soft_shutdown_on_idle": False,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "task_send_sent_event": False,
    "task_publish_retry": False,
    "result_backend": None,
}
TRANSPORT = {
    "visibility_timeout": VISIBILITY,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_timeout": CONNECT * 2,
    "socket_connect_timeout": CONNECT,
    "socket_keepalive": True,
    "health_check_interval": 10,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_application_is_set_as_the_queue_needs_it(name: str) -> None:
    assert make_app(NOWHERE).conf[name] == SETTINGS[name]


def test_the_transport_is_set_as_the_queue_needs_it_and_knows_each_setting() -> None:
    from kombu.transport import redis

    assert make_app(NOWHERE).conf.broker_transport_options == TRANSPORT
    for name in TRANSPORT:
        assert hasattr(redis.Channel, name) or hasattr(redis.QoS, name), f"{name}: kombu ignores what it does not know"


def test_the_plugin_brings_one_dispatcher_with_workers_of_its_own() -> None:
    assert list(metasync_register_dispatchers()) == [CeleryDispatcher]
    assert (CeleryDispatcher.name, CeleryDispatcher.serve is not Dispatcher.serve) == ("celery", True)


@pytest.mark.parametrize("broker", ["", "amqp://guest@127.0.0.1", "http://127.0.0.1", "127.0.0.1:6379", "memory://"])
def test_a_broker_that_is_none_is_refused_in_words_without_a_connection(broker: str) -> None:
    with pytest.raises(MetasyncError, match="needs `--broker URL`"):
        dispatcher(broker)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
def test_a_broker_is_not_connected_to_before_it_is_needed(scheme: str) -> None:
    dispatcher(f"{scheme}://127.0.0.1:1/0")


def test_two_engagements_have_two_queues() -> None:
    assert queue_of("contoso") != queue_of("fabrikam")


def test_a_nudge_that_nobody_takes_is_told_within_seconds(redis: Broker) -> None:
    """Down, a wrong password, full, and one that stands still; never with the password in its words."""
    began = time.monotonic()
    for url in (NOWHERE, redis.url_with("wrong-word"), redis.url_with("")):
        with pytest.raises(Exception) as raised:
            dispatcher(url).nudge(1, 2, "nonce")
        assert "wrong-word" not in str(raised.value)
    redis.fill()
    with pytest.raises(Exception, match="maxmemory"):
        dispatcher(redis.url).nudge(1, 2, "nonce")
    redis.empty()
    known = dispatcher(redis.url)
    known.nudge(1, 2, "nonce")
    redis.freeze()
    with pytest.raises(Exception, match=r"[Tt]im"):
        known.nudge(1, 3, "nonce")
    redis.thaw()
    assert time.monotonic() - began < 120, "seconds each, also on a machine that is busy"


def test_a_process_that_dies_of_a_batch_loses_none(redis: Broker, listen: Listen) -> None:
    """`task_acks_late` and `task_reject_on_worker_lost`: by default the message would be gone."""
    with listen(redis.url) as workers:
        dispatcher(redis.url).nudge(1, 1, "dies1")
        dispatcher(redis.url).nudge(1, 2, "good")
        workers.until(lambda: sorted(workers.told) == ["1 1 dies1", "1 2 good"])


def test_who_is_busy_holds_no_message_that_others_could_work(redis: Broker, listen: Listen) -> None:
    """`worker_prefetch_multiplier`: of eight, four more would wait behind the two that are slow."""
    with listen(redis.url) as busy:
        for number in range(8):
            dispatcher(redis.url).nudge(1, number, f"slow{number}")
        busy.until(lambda: len(busy.told) > 0)
        # Two are worked, and two taken for them; the rest is there for others.
        assert int(redis.ask("LLEN", queue_of("contoso"))[1:]) >= 1


def test_asked_to_end_it_ends_what_it_has_in_hand_and_leaves_the_rest(redis: Broker, listen: Listen) -> None:
    with listen(redis.url) as workers:
        for number in range(6):
            dispatcher(redis.url).nudge(1, number, f"slow{number}")
        workers.until(lambda: len(workers.told) > 0)
        children = workers.children()
        workers.process.send_signal(signal.SIGTERM)
        assert workers.process.wait(60) == 0, workers.log
        assert "leave" in workers.told
        done = len([one for one in workers.told if one != "leave"])
        assert 2 <= done < 6
        for child in children:
            with pytest.raises(ProcessLookupError):
                os.kill(child, 0)
    with listen(redis.url) as workers:
        workers.until(lambda: len([one for one in workers.told if one != "leave"]) == 6)


def test_workers_outlive_their_broker_at_their_start_and_later(redis: Broker, listen: Listen) -> None:
    redis.stop()
    with listen(redis.url) as workers:
        workers.until(lambda: "Connection refused" in workers.log or "Error 111" in workers.log)
        redis.start()
        dispatcher(redis.url).nudge(1, 1, "first")
        workers.until(lambda: workers.told == ["1 1 first"])
        for number in range(2, 5):
            redis.kill()
            redis.start()
            dispatcher(redis.url).nudge(1, number, "again")
            if (code := workers.ended(lambda: f"1 {number} again" in workers.told)) is not None:  # noqa: B023
                pytest.fail(f"ended with {code}: {workers.log}")
        assert redis.password not in workers.log


def test_a_line_by_tls_goes_to_a_server_that_is_trusted_and_to_no_other(tmp_path: Path, listen: Listen) -> None:
    trusted, _ = certificate.make(tmp_path)
    with lab.broker(certificate=tmp_path / "server.pem") as server:
        with listen(server.secure_url(trusted)) as workers:
            dispatcher(server.secure_url(trusted)).nudge(1, 1, "good")
            workers.until(lambda: workers.told == ["1 1 good"])
            assert server.password not in workers.log
        for url, said in (
            (server.secure_url(None), "certificate verify failed"),
            (server.secure_url(trusted, "127.0.0.2"), "IP address mismatch"),
        ):
            pools.reset()  # kombu's own, of one process: one for each address, whoever is trusted there
            with pytest.raises(OperationalError, match=said) as refused:
                dispatcher(url).nudge(1, 2, "nobody")
            assert server.password not in str(refused.value)
        pools.reset()
        assert server.ask("LLEN", "metasync.contoso").strip() == b":0"


@pytest.mark.parametrize("lax", ["ssl_cert_reqs=none", "ssl_cert_reqs=CERT_OPTIONAL", "ssl_ca_certs=x&ssl_check_hostname=false"])
def test_a_line_by_tls_to_whoever_answers_is_refused(lax: str) -> None:
    with pytest.raises(MetasyncError, match=r"verified.*`ssl_ca_certs`") as refused:
        dispatcher(f"rediss://:geheim@127.0.0.1:1/0?{lax}")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["rediss://a:1/0;rediss://b:1/0", "redis://a:1/0;REDISS://b:1/0?ssl_ca_certs=x", "rediss://a:1/0?ssl_cert_reqs=", "rediss://a:1/0#x"],
)
def test_every_server_that_a_url_names_is_verified_and_its_name_too(url: str) -> None:
    settings = [Connection(one).ssl for one in verifying(url).split(";") if not one.startswith("redis:")]
    assert settings
    for one in settings:
        assert (one["ssl_cert_reqs"], one["ssl_check_hostname"]) == (ssl.CERT_REQUIRED, True)


def test_one_of_several_servers_may_not_be_left_unverified() -> None:
    with pytest.raises(MetasyncError, match="verified"):
        dispatcher("rediss://a:1/0?ssl_cert_reqs=none;rediss://b:1/0")


def test_a_user_with_the_rights_that_the_readme_names_is_enough(redis: Broker, listen: Listen) -> None:
    readme = Path(__file__).resolve().parents[1].joinpath("README.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^    (ACL SETUSER metasync .*)$", readme, re.MULTILINE)
    redis.ask(*line.replace("PASSWORD", "a-word-for-it").split())
    url = f"redis://metasync:a-word-for-it@127.0.0.1:{redis.port}/0"
    with listen(url) as workers:
        dispatcher(url).nudge(1, 1, "good")
        dispatcher(url).nudge(1, 2, "dies")
        workers.until(lambda: sorted(workers.told) == ["1 1 good", "1 2 dies"])
        assert "NOPERM" not in workers.log and "permission" not in workers.log, workers.log
        assert "a-word-for-it" not in workers.log
