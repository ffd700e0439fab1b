"""Traces of runs for OpenTelemetry: a span for each run, and below it one for each of its steps, on whichever machine it was worked.

Which trace a run is follows from its engagement and number, so nothing has to be carried to those who work its batches. Spans hold names
of engagements, directories and profiles, numbers and states; never a value of an object, nor the words of an error. Needs the extra
`tracing`, and OTEL_EXPORTER_OTLP_ENDPOINT; without either nothing of it is imported, and a step costs one look.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from metasync.store import runs as rows
from metasync.words import failure
from metasync.workspace import Workspace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables, any of which says where spans go."""
LEAVING = 3.0
"""Seconds that the end of a process waits for its last spans to be sent."""
PREFIX = "metasync."
_FAILED = "failed"

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_looked = False
_tracing: Tracing | None = None


class Tracing:
    """Makes spans, with ids that anybody can work out."""

    def __init__(self, processor: SpanProcessor) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        wanted = self._wanted = _Wanted()

        class Ids(RandomIdGenerator):
            """Random ones, unless a run's are asked for."""

            def generate_span_id(self) -> int:
                return wanted.span_id or super().generate_span_id()

            def generate_trace_id(self) -> int:
                return wanted.trace_id or super().generate_trace_id()

            def is_trace_id_random(self) -> bool:
                return False

        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": "metasync"})
        self.provider: TracerProvider = TracerProvider(resource=resource, id_generator=Ids(), shutdown_on_exit=False)
        self.provider.add_span_processor(processor)
        self.tracer: Tracer = self.provider.get_tracer("metasync")

    @contextmanager
    def step(self, engagement: str, run_id: int, *, kind: str, of: str, batch_id: int | None) -> Iterator[Callable[[str], None]]:
        """A span below that of its run."""
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        trace_id, span_id = ids(engagement, run_id)
        sampled = self.provider.sampler.should_sample(None, trace_id, "run").decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        run = set_span_in_context(NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)))
        attributes: dict[str, str | int] = {
            f"{PREFIX}engagement": engagement,
            f"{PREFIX}run": run_id,
            f"{PREFIX}kind": kind,
            f"{PREFIX}of": of,
        }
        if batch_id is not None:
            attributes[f"{PREFIX}batch"] = batch_id
        with self.tracer.start_as_current_span(
            kind, context=run, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            yield lambda state: _ended(span, state)

    def run(self, engagement: str, row: rows.RunRow) -> None:
        """The span of a run that ended. It is made at its end alone, because processes take turns at telling it."""
        from opentelemetry.context import Context

        assert row.finished is not None
        attributes: dict[str, str | int] = {
            f"{PREFIX}engagement": engagement,
            f"{PREFIX}run": row.id,
            f"{PREFIX}kind": row.kind,
            f"{PREFIX}of": ", ".join(row.what),
        }
        with self._wanted.being(*ids(engagement, row.id)):
            # Below nothing, whatever this thread is in.
            span = self.tracer.start_span(
                f"run {row.kind}", Context(), attributes=attributes, start_time=_nanoseconds(row.started.timestamp())
            )
        _ended(span, row.state)
        span.end(_nanoseconds(row.finished.timestamp()))

    def flush(self, seconds: float) -> None:
        """Send what is left, but wait no longer than that, whatever the collector does."""
        sending = threading.Thread(target=self.provider.force_flush, name="last spans", daemon=True)
        sending.start()
        sending.join(seconds)


class _Wanted(threading.local):
    """The ids that this thread's next span shall have; 0: any."""

    trace_id = 0
    span_id = 0

    @contextmanager
    def being(self, trace_id: int, span_id: int) -> Iterator[None]:
        self.trace_id, self.span_id = trace_id, span_id
        try:
            yield
        finally:
            self.trace_id = self.span_id = 0


def ids(engagement: str, run_id: int) -> tuple[int, int]:
    """(trace id of 128 bits, span id of 64) of a run, the same for everybody."""
    digest = hashlib.sha256(f"metasync run\0{engagement}\0{run_id}".encode()).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])


@contextmanager
def step(engagement: str, run_id: int, *, kind: str, of: str, batch_id: int | None = None) -> Iterator[Callable[[str], None]]:
    """Trace what happens inside as a step of a run. Say at its end how it ended: `done`, `failed` or `stopped`."""
    tracing = _get()
    if tracing is None:
        yield _nobody
        return
    with tracing.step(engagement, run_id, kind=kind, of=of, batch_id=batch_id) as ended:
        yield ended


def run_ended(workspace: Workspace, run_id: int) -> None:
    """After a run was recorded as ended. Never raises: a trace holds nobody up."""
    tracing = _get()
    if tracing is None:
        return
    try:
        with workspace.backend.read() as connection:
            row = rows.get(connection, workspace.engagement_id, run_id)
        if row is not None and row.finished is not None:
            tracing.run(workspace.engagement.name, row)
    except Exception as error:
        _log.warning("run %s could not be traced: %s", run_id, failure(error))


def begin(processor: SpanProcessor) -> Tracing:
    """Trace from now on, and hand all spans to this processor."""
    global _looked, _tracing
    with _lock:
        _looked, _tracing = True, Tracing(processor)
        return _tracing


def end() -> None:
    """Forget it: the environment is looked at again."""
    global _looked, _tracing
    with _lock:
        if _tracing is not None:
            _tracing.flush(LEAVING)
        _looked, _tracing = False, None


def _get() -> Tracing | None:
    if not _looked:
        _look()
    return _tracing


def _look() -> None:
    """Once for each process: is it asked for, and can it be done?"""
    global _looked, _tracing
    with _lock:
        if _looked:
            return
        if any(os.environ.get(name) for name in ENDPOINTS):
            try:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
                from opentelemetry.sdk.trace.export import BatchSpanProcessor

                _tracing = Tracing(BatchSpanProcessor(OTLPSpanExporter()))
                atexit.register(_tracing.flush, LEAVING)
            except ImportError:
                _log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, and nothing is traced: pip install 'metasync[tracing]'")
            except Exception as error:
                _log.warning("nothing is traced: %s; look at the variables OTEL_*", failure(error))
        _looked = True


def _ended(span: Span, state: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute(f"{PREFIX}state", state)
    if state == _FAILED:
        span.set_status(Status(StatusCode.ERROR))


def _nobody(state: str) -> None:
    """Nothing is traced."""


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1000
