"""What Prometheus is answered: numbers of the database, by engagement, and nothing of any object."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lab.ports import reserved_port
from prometheus_client.parser import text_string_to_metric_families

from metasync import metrics
from metasync.contract import Kind, MetasyncError
from metasync.runs import run as running
from metasync.runs.queue import order
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    hr, ad = MemoryDirectory(), MemoryDirectory()
    person(hr, "Ann Lee")
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad})
    yield made
    made.close()


def asked(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert "Ann" not in text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_are_those_of_the_database(engine: Engine) -> None:
    running.run(engine.workspace, ["people"])
    order(engine.workspace, "run", ["people"], {})
    with reserved_port() as port:
        end = metrics.serve(str(port), lambda: [engine.workspace])
        try:
            found = asked(port)
        finally:
            end()
    name = ("engagement", engine.workspace.engagement.name)
    assert found["metasync_up", (name,)] == 1
    assert found["metasync_runs", (name, ("kind", "run"), ("state", "waiting"))] == 1
    assert found["metasync_runs", (name, ("kind", "run"), ("state", "queued"))] == 1
    assert found["metasync_plans", (name, ("state", "planned"))] == 1
    assert found["metasync_batches", (name, ("kind", "run"), ("state", "ready"))] == 1
    assert found["metasync_queue_oldest_seconds", (name,)] >= 0
    assert found["metasync_directory_last_import_timestamp_seconds", (("directory", "hr"), name)] > 1e9
    assert found["metasync_workers", (name,)] == 0


def test_every_number_is_described_in_the_documentation() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
    assert [name for name in metrics.GAUGES if f"`{name}`" not in page] == []


def test_an_address_that_is_none_is_refused_in_words() -> None:
    for wrong in ("nine", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:0"):
        with pytest.raises(MetasyncError, match="give a port"):
            metrics.serve(wrong, list)
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        with pytest.raises(MetasyncError, match="cannot be served"):
            metrics.serve(f"127.0.0.1:{one.getsockname()[1]}", list)
