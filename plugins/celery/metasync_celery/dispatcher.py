"""`--dispatch celery`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from celery import Celery
from celery.signals import worker_shutting_down

from metasync.contract import Dispatcher, MetasyncError, RunBatch, Served
from metasync_celery.app import TASK, make_app, queue_of

STRICT = {"ssl_cert_reqs": ("required", "cert_required"), "ssl_check_hostname": ("true", "1")}
"""What a URL may say of how a certificate is verified: only what is done in any case."""
SCHEMES = ("redis://", "rediss://", "redis+socket://", "sentinel://")


class CeleryDispatcher(Dispatcher):
    """Messages over a broker, to workers on any machine."""

    name: ClassVar[str] = "celery"
    title: ClassVar[str] = "Celery workers, with Redis between them"

    def __init__(self, run_batch: RunBatch, settings: Mapping[str, Any]) -> None:
        super().__init__(run_batch, settings)
        self._broker = str(settings.get("broker") or "")
        if not self._broker.startswith(SCHEMES):
            raise MetasyncError(
                "`--dispatch celery` needs `--broker URL` (or METASYNC_BROKER), such as redis://127.0.0.1:6379/0, or rediss:// for TLS"
            )
        queries = [parse_qsl(urlsplit(url).query) for url in self._broker.split(";")]
        lax = {name for query in queries for name, value in query if name in STRICT and value.lower() not in STRICT[name]}
        if lax:
            raise MetasyncError(
                "the broker's certificate is always verified; take "
                f"{' and '.join(sorted(lax))} out of its URL, and name the authority's PEM file there as `ssl_ca_certs`"
            )
        self._made: Celery | None = None

    def nudge(self, run: int, batch: int, nonce: str) -> None:
        """Publish (run, batch, nonce)."""
        queue = queue_of(str(self.settings["engagement"]))
        self._app.send_task(TASK, args=(run, batch, nonce), queue=queue, retry=False, ignore_result=True)

    def serve(self, served: Served) -> bool:
        """Prefork: each child works one batch at a time. SIGTERM ends it warmly."""
        app = self._app

        def batch(run: int, batch: int, nonce: str) -> None:
            served.run_batch(run, batch, nonce)

        app.finalize()
        for name in list(app.tasks):
            app.tasks.unregister(name)  # Celery's own, which would take others to run
        app.task(name=TASK, ignore_result=True, Strategy="metasync_celery.messages:strategy")(batch)

        def leaving(**_: object) -> None:
            served.leave()

        worker_shutting_down.connect(leaving, weak=False)
        try:
            worker = app.Worker(
                pool="prefork",
                concurrency=served.processes,
                queues=[queue_of(one) for one in served.engagements],
                hostname=None,
                loglevel="WARNING",
                without_gossip=True,
                without_mingle=True,
                quiet=True,
            )
            worker.start()
        finally:
            worker_shutting_down.disconnect(leaving)
        if worker.exitcode:
            # Its loop broke: what it had in hand comes back, and whoever looks after this process starts another one.
            raise SystemExit(worker.exitcode)
        return True

    @property
    def _app(self) -> Celery:
        if self._made is None:
            self._made = make_app(self._broker)
        return self._made
