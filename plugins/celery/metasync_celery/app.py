"""The Celery application, and each of its settings with its reason.

Redis may lose messages (one that was popped and is not yet noted as unacknowledged dies with its worker) and may deliver them twice. Both
do no harm: a message holds the numbers of a run and a batch and a nonce, nothing else, the ledger lets a batch be worked once, and what
nobody was told of is told again by the sweep.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from celery import Celery

TASK = "metasync.batch"
VISIBILITY = 300
"""Seconds after which a message that a worker took and did not acknowledge is given to another one. An export is worked for 30 s and laid
aside; an import may take longer: whoever is given its message then finds its lease held, and does nothing."""
SOFT_SHUTDOWN = 30
"""Seconds for which a worker that was asked to end may finish what it has in hand."""
CONNECT = 5
"""Seconds that a connection, and an answer, may take: a broker that vanished without a word must hold nobody up."""
VERIFIED = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
"""What an URL says where a certificate, and the name in it, are verified."""


def make_app(broker: str) -> Celery:
    """An application for this broker, by an URL such as `redis://127.0.0.1:6379/0` or `rediss://user:password@host:6380/0`."""
    app = Celery("metasync", broker=verifying(broker), set_as_current=False)
    transport = {
        "visibility_timeout": VISIBILITY,
        # What a dead worker took is looked for each second, not at every tenth turn of every tenth second: 10 s instead of 102.
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": CONNECT * 2,
        "socket_connect_timeout": CONNECT,
        "socket_keepalive": True,
        # A connection that hangs is dropped after twice as long.
        "health_check_interval": 10,
    }
    app.conf.update(
        # Acknowledged when it was worked, and given to another one where the process died of it: a lost worker loses nothing.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # Whoever is busy holds no messages that others could work.
        worker_prefetch_multiplier=1,
        broker_transport_options=transport,
        # The shortest of three places wins; nothing is kept in a result backend, but were one set by mistake, it would have a say.
        result_backend_transport_options={"visibility_timeout": VISIBILITY},
        visibility_timeout=VISIBILITY,
        # What a batch comes to stands in the database, in the transaction of the work itself.
        task_ignore_result=True,
        # Never pickle: a message must not be able to run anything.
        accept_content=["json"],
        task_serializer="json",
        # A worker outlives its broker, at its start and later, for as long as that takes; the default gives up after 100 attempts.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Without its broker a task can go on: its lease is in the database. Cancelled, it would be begun again for nothing.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN,
        worker_enable_soft_shutdown_on_idle=False,
        # A publisher that cannot reach the broker says so within seconds; the sweep tells it again.
        task_publish_retry=False,
        broker_connection_timeout=CONNECT,
        # It would go on after a message that it cannot unpack, and hear nothing more.
        worker_consumer="metasync_celery.consumer:Consumer",
        # Whoever can write to the broker could else end the workers, or have them listen elsewhere.
        worker_enable_remote_control=False,
        # Nobody else's business, and one thing less that can be down.
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        task_create_missing_queues=True,
        task_default_queue="metasync",
    )
    return app


def verifying(broker: str) -> str:
    """The same URL, which says that the certificate is verified, and the name in it: where none says so, kombu encrypts to anybody, and
    redis-py before 6.0 takes any name. Several URLs, one for each server of which another may stand in, are parted by `;`."""
    return ";".join(map(_verifying, broker.split(";")))


def _verifying(url: str) -> str:
    # What stands behind `#` means nothing to a broker, and would hide what is added.
    parts = urlsplit(url)._replace(fragment="")
    if parts.scheme != "rediss":
        return url
    said = parse_qs(parts.query)
    missing = urlencode({name: value for name, value in VERIFIED.items() if name not in said})
    return parts._replace(query="&".join(filter(None, (parts.query, missing)))).geturl()


def queue_of(engagement: str) -> str:
    """The queue of an engagement: a worker that does not work for it must not take its messages."""
    return f"metasync.{engagement}"
