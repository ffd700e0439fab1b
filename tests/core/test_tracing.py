"""A span for each run and its steps, in one trace on whichever machine; nothing of it where nobody asked for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed (the extra `tracing`)")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from metasync import tracing
from metasync.contract import Kind, MetasyncError
from metasync.runs import working
from metasync.runs.queue import order
from metasync.runs.record import recorded
from metasync.store import queue
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    yield
    tracing.end()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    made = InMemorySpanExporter()
    tracing.begin(SimpleSpanProcessor(made))
    return made


@pytest.fixture
def hr() -> MemoryDirectory:
    directory = MemoryDirectory()
    person(directory, "Ann Lee")
    return directory


@pytest.fixture
def engine(tmp_path: Path, hr: MemoryDirectory) -> Iterator[Engine]:
    ad = MemoryDirectory()
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad})
    yield made
    made.close()


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return {key.removeprefix("metasync."): value for key, value in (span.attributes or {}).items()}


def one(spans: tuple[ReadableSpan, ...], name: str) -> ReadableSpan:
    (found,) = (span for span in spans if span.name == name)
    return found


def test_a_run_is_a_span_with_its_steps_below(engine: Engine, exporter: InMemorySpanExporter) -> None:
    engine.run("people", approve=True)
    spans = exporter.get_finished_spans()
    run = one(spans, "run run")
    assert attributes(run) == {"engagement": "pipeline", "run": 1, "kind": "run", "of": "people", "state": "done"}
    steps = [span for span in spans if span is not run]
    assert {span.name for span in steps} >= {"import", "synchronise", "plan", "export", "confirm"}
    for span in steps:
        assert span.parent is not None and run.context is not None and span.context is not None
        assert (span.context.trace_id, span.parent.span_id) == (run.context.trace_id, run.context.span_id)
        assert attributes(span)["run"] == 1 and attributes(span)["state"] == "done"
    assert run.parent is None
    assert run.start_time is not None and run.end_time is not None and run.start_time <= run.end_time


def test_who_works_a_batch_elsewhere_joins_the_same_trace(engine: Engine, exporter: InMemorySpanExporter) -> None:
    workspace = replace(engine.workspace, dispatch="database")
    order(workspace, "run", ["people"], {"approve": True})
    for _ in range(50):
        with workspace.backend.read() as connection:
            found = queue.runnable(connection, workspace.engagement_id, now=workspace.backend.now(connection))
        if not found:
            break
        tracing.begin(SimpleSpanProcessor(exporter))  # another process: nothing is left of what the one before knew
        working.work(workspace, found[0].id, found[0].nonce)
    spans = exporter.get_finished_spans()
    run = one(spans, "run run")
    assert run.context is not None
    assert {span.context.trace_id for span in spans if span.context} == {run.context.trace_id}
    batches = [attributes(span)["batch"] for span in spans if span is not run]
    assert len(batches) >= 5 and len(set(batches)) == len(batches)
    assert {span.parent.span_id for span in spans if span.parent} == {run.context.span_id}


def test_a_failure_is_marked_and_says_nothing(engine: Engine, exporter: InMemorySpanExporter, hr: MemoryDirectory) -> None:
    hr.faults.unavailable = "ann.lee@x.test"
    engine.run("people")
    spans = exporter.get_finished_spans()
    failed = [span for span in spans if span.status.status_code is StatusCode.ERROR]
    assert {span.name for span in failed} == {"run run", "import"}
    with pytest.raises(MetasyncError), recorded(engine.workspace, "run", ["people"]) as run, run.step("plan", "people"):
        raise MetasyncError("ann.lee@x.test")
    text = " ".join(span.to_json() for span in exporter.get_finished_spans())
    assert "ann.lee" not in text and "Ann" not in text, "neither an error's words nor a value"
    assert all(not span.events for span in exporter.get_finished_spans())


def test_every_run_is_a_trace_of_its_own() -> None:
    made = {tracing.ids(engagement, number) for engagement in ("a", "b", "a1") for number in range(1, 50)}
    assert len({trace for trace, _ in made}) == len({span for _, span in made}) == 3 * 49
    assert tracing.ids("contoso", 7) == tracing.ids("contoso", 7)
    assert all(0 < trace < 2**128 and 0 < span < 2**64 for trace, span in made)


@pytest.mark.parametrize(("ratio", "number"), [("0", 0), ("1", 2)])
def test_a_sampler_keeps_all_of_a_run_or_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch, ratio: str, number: int) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    exporter = InMemorySpanExporter()
    tracing.begin(SimpleSpanProcessor(exporter))
    with recorded(engine.workspace, "run", ["people"]) as run, run.step("plan", "people"):
        pass
    assert len(exporter.get_finished_spans()) == number


PROGRAM = """
import sys
from metasync import tracing
with tracing.step("contoso", 1, kind="import", of="hr") as ended:
    ended("done")
print("opentelemetry" in {name.partition(".")[0] for name in sys.modules})
"""


def program(**environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, "NO_PROXY": "*", **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done


def test_unasked_nothing_of_it_is_imported() -> None:
    assert program().stdout == "False\n"


def test_asked_for_and_not_installed_it_is_said_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ImportError\n", encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    said = program(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", PYTHONPATH=path)
    assert "pip install 'metasync[tracing]'" in said.stderr


def test_spans_arrive_at_a_collector_before_the_process_ends() -> None:
    paths: list[str] = []
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing beside the test's own output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        assert program(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.server_port}").stdout == "True\n"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert paths == ["/v1/traces"]
    assert b"metasync.engagement" in bodies[0] and b"contoso" in bodies[0] and tracing.ids("contoso", 1)[0].to_bytes(16) in bodies[0]


def test_a_collector_that_is_not_there_ends_nothing() -> None:
    assert program(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9").stdout == "True\n"


def test_a_span_in_its_own_words(engine: Engine, exporter: InMemorySpanExporter) -> None:
    """What docs/tracing.md lists is all there is."""
    engine.run("people", approve=True)
    page = (Path(__file__).resolve().parents[2] / "docs/tracing.md").read_text(encoding="utf-8")
    used = {name for span in exporter.get_finished_spans() for name in json.loads(span.to_json())["attributes"]}
    assert [name for name in sorted(used) if f"`{name}`" not in page] == []
