"""Traces by OpenTelemetry, set up by its standard variables; nothing of it is imported unless they ask for traces.

    OTEL_EXPORTER_OTLP_ENDPOINT (or _TRACES_ENDPOINT)    where a collector takes OTLP over HTTP: they ask for traces
    OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG         which requests (`sampling`)
    OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES          whose spans these are; "polyserve" unless it is said
    OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _CERTIFICATE, OTEL_BSP_*    as the SDK reads them
    OTEL_SDK_DISABLED=true, OTEL_TRACES_EXPORTER=none    no traces after all

Spans are kept in a queue of bounded length and sent by a thread of the SDK's; while the collector is away they are
dropped, and no request waits.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from server.telemetry.counters import now
from server.telemetry.sampling import Sampling
from server.telemetry.trace_environ import is_asked
from server.telemetry.traceparent import TraceParent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span

_SERVICE = "polyserve"
_COMPARE = 60.0  #: seconds after which the two clocks are compared again
_FLUSH = 3.0  #: seconds that the last spans may take to be sent


class Tracing:
    """Makes the spans of one process. Everything but `close` happens on the event loop."""

    def __init__(self, sampling: Sampling, processor: SpanProcessor) -> None:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        class Ids(RandomIdGenerator):
            """Gives a trace the identifier that it was chosen by."""

            trace_id = 0

            def generate_trace_id(self) -> int:
                return self.trace_id

        self.sampling = sampling
        self._epoch, self._compared = (
            0,
            -_COMPARE,
        )  #: nanoseconds from the epoch to the zero of `now()`, as of that mark
        self._ids = Ids()
        resource = Resource.create({"process.pid": os.getpid()})  # which of `--workers` it was
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False, id_generator=self._ids
        )
        self._provider.add_span_processor(processor)
        self._processor = processor
        self._tracer = self._provider.get_tracer(_SERVICE)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self | None:
        """As the environment says; None: it asks for none. `problem` has been asked before."""
        if not is_asked(environ):
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        return cls(Sampling.of(environ), BatchSpanProcessor(OTLPSpanExporter()))

    def begin(
        self, name: str, trace_id: int, parent: TraceParent | None, start: float, known: Mapping[str, Any]
    ) -> Span:
        """The span of a request that has come at the mark `start` of `now()`."""
        from opentelemetry.trace import SpanKind

        self._ids.trace_id = trace_id
        return self._tracer.start_span(name, _context(parent), SpanKind.SERVER, known, start_time=self.clock(start))

    def step(self, name: str, of: Span, start: float, end: float) -> None:
        """A part of a request, from one mark to another."""
        from opentelemetry.trace import set_span_in_context

        self._tracer.start_span(name, set_span_in_context(of), start_time=self.clock(start)).end(self.clock(end))

    def take(self, lines: bytes, known: Mapping[str, str]) -> None:
        """Spans of a model's own process, as they came; `known` says whose they are."""
        from server.telemetry.foreign_spans import read_spans

        for span in read_spans(lines, self._provider.resource, known):
            self._processor.on_end(span)

    def clock(self, mark: float) -> int:
        """Nanoseconds since the epoch of a mark of `now()`. Marks of one request keep their distances."""
        if (moment := now()) > self._compared + _COMPARE:
            self._compared, self._epoch = moment, time.time_ns() - int(1e9 * moment)
        return self._epoch + int(1e9 * mark)

    def close(self) -> None:
        """Send what was not sent yet, within some seconds."""
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(_FLUSH)


def _context(parent: TraceParent | None) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if parent is None:
        return Context()
    sent = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=TraceFlags(int(parent.sampled)))
    return set_span_in_context(NonRecordingSpan(sent), Context())
