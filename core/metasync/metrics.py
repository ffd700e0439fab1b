"""What Prometheus may ask for: read from the database when it asks, so that it is the same whoever is asked, and holds after a restart.

Names of engagements, directories and profiles are labels; no object's name or value ever is. Needs the extra `metrics`.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from metasync.contract import MetasyncError
from metasync.store import measures, queue
from metasync.store.errors import StoreError
from metasync.workspace import Workspace

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

_log = logging.getLogger(__name__)

GAUGES = {
    "metasync_up": ("Can the engagement's database be read?", ("engagement",)),
    "metasync_workers": ("Processes that work what is on the queue.", ("engagement",)),
    "metasync_runs": ("Runs that the database knows, by how they stand.", ("engagement", "kind", "state")),
    "metasync_queue_oldest_seconds": ("For how long the first run on the queue waits; 0: none waits.", ("engagement",)),
    "metasync_last_run_timestamp_seconds": ("When the last run of a kind ended well, or was left to a person.", ("engagement", "kind")),
    "metasync_batches": ("Work that is not done.", ("engagement", "kind", "state")),
    "metasync_plans": ("Plans that wait: `planned` for approval, `approved` for an export.", ("engagement", "state")),
    "metasync_problems": ("Problems that stand.", ("engagement", "area", "severity")),
    "metasync_directory_last_import_timestamp_seconds": ("When a directory was last read completely.", ("engagement", "directory")),
    "metasync_step_done": ("How far a step that is worked now has come.", ("engagement", "run", "step", "of")),
    "metasync_step_total": ("How far it has to go, where that is known.", ("engagement", "run", "step", "of")),
}
"""Name -> what it means, and its labels."""


class Collector:
    """Asks the database of each engagement."""

    def __init__(self, workspaces: Callable[[], Sequence[Workspace]]) -> None:
        self._workspaces = workspaces
        self._lock = threading.Lock()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """What prometheus_client calls."""
        from prometheus_client.core import GaugeMetricFamily

        gauges = {name: GaugeMetricFamily(name, words, labels=labels) for name, (words, labels) in GAUGES.items()}
        with self._lock:
            for workspace in self._workspaces():
                name = workspace.engagement.name
                try:
                    found = list(_of(workspace))
                except StoreError as error:
                    _log.warning("%s cannot be measured now: %s", name, error)
                    found = [("metasync_up", (), 0.0)]
                for gauge, labels, value in found:
                    gauges[gauge].add_metric([name, *labels], value)
        return gauges.values()


def _of(workspace: Workspace) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """(gauge, labels behind the engagement's, value)."""
    with workspace.backend.read() as connection:
        now = workspace.backend.now(connection)
        found = measures.measure(connection, workspace.engagement_id)
        workers = queue.workers(connection, workspace.engagement_id, now)
    yield "metasync_up", (), 1
    yield "metasync_workers", (), len(workers)
    yield "metasync_queue_oldest_seconds", (), (now - found.oldest_queued).total_seconds() if found.oldest_queued else 0
    for (kind, state), number in found.runs.items():
        yield "metasync_runs", (kind, state), number
    for kind, at in found.last_done.items():
        yield "metasync_last_run_timestamp_seconds", (kind,), at.timestamp()
    for (kind, state), number in found.batches.items():
        yield "metasync_batches", (kind, state), number
    for state, number in found.plans.items():
        yield "metasync_plans", (state,), number
    for (area, severity), number in found.problems.items():
        yield "metasync_problems", (area, severity), number
    for directory, at in found.imported.items():
        yield "metasync_directory_last_import_timestamp_seconds", (directory,), at.timestamp()
    for (run, step, of), (done, total) in found.steps.items():
        yield "metasync_step_done", (str(run), step, of), done
        if total is not None:
            yield "metasync_step_total", (str(run), step, of), total


def place(address: str) -> tuple[str, int]:
    """(host, port) of `[HOST:]PORT`. Raises `MetasyncError` where it is none, or where nobody could answer there."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise MetasyncError("`--metrics` needs the extra of that name: pip install 'metasync[metrics]'")
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise MetasyncError(f"`--metrics {address}` is no address; give a port, such as 9464, or HOST:PORT")
    return host or "127.0.0.1", int(port)


def try_place(address: str) -> None:
    """Could we answer there now? Raises `MetasyncError`, as `serve` does."""
    serve(address, list)()


def serve(address: str, workspaces: Callable[[], Sequence[Workspace]]) -> Callable[[], Any]:
    """Answer at `[HOST:]PORT` in a thread; what ends it. Without a host, this machine alone is answered. Raises `MetasyncError`."""
    host, port = place(address)
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(workspaces))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise MetasyncError(
            f"metrics cannot be served at {address}: {error.strerror or error}; give another port to `--metrics`"
        ) from error

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end
