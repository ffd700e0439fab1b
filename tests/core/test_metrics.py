"""What Prometheus is answered: numbers of the database, by engagement, and nothing of any object."""

from __future__ import annotations

import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lab.ports import reserved_port
from prometheus_client.parser import text_string_to_metric_families

from metasync import metrics
from metasync.contract import Kind, MetasyncError
from metasync.runs import run as running
from metasync.runs import scheduler
from metasync.runs.installation import Installation
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


def test_a_port_that_is_taken_is_said_before_anything_is_started_there_and_is_free_after_it_was_tried() -> None:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        address = f"127.0.0.1:{one.getsockname()[1]}"
        with pytest.raises(MetasyncError, match=f"metrics cannot be served at {address}: .*; give another port"):
            metrics.try_place(address)
    metrics.try_place(address)
    metrics.try_place(address)


def test_a_scheduler_that_is_looked_after_schedules_without_the_port_and_takes_it_once_it_is_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scheduler, "TICK", 0.01)
    looks = iter(range(200))
    stop = threading.Event()
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        address = f"127.0.0.1:{one.getsockname()[1]}"
        tried: list[bool] = []

        def looked(self: Installation) -> list[Any]:
            at = next(looks)
            if at == 20:
                one.close()
            if at == scheduler.METRICS_AGAIN + 5:
                with pytest.raises(MetasyncError, match="cannot be served"):
                    metrics.try_place(address)
                tried.append(True)
                stop.set()
            return []

        monkeypatch.setattr(Installation, "workspaces", looked)
        scheduler.serve([], stop, parent=os.getppid(), metrics=address)
    assert tried and "runs are scheduled all the same" in caplog.text


def test_a_scheduler_that_somebody_started_by_himself_ends_where_the_port_is_taken() -> None:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        with pytest.raises(MetasyncError, match="cannot be served"):
            scheduler.serve([], threading.Event(), metrics=f"127.0.0.1:{one.getsockname()[1]}")
