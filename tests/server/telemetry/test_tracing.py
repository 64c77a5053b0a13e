"""When traces are made, what keeps them from it, and that their spans arrive."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from server.telemetry.counters import now
from server.telemetry.sampling import Sampling
from server.telemetry.traceparent import TraceParent
from server.telemetry.tracing import Tracing
from tests.collector import attributes, collecting

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def test_spans_arrive_in_the_trace_they_belong_to() -> None:
    parent = TraceParent(0xABC, 0xDEF, sampled=True)
    with collecting() as collector:
        made = Tracing(Sampling(), BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces")))
        start = now()
        span = made.begin("asked", 0xABC, parent, start, {"polyserve.model": "iris"})
        made.step("decode", span, start, start + 0.5)
        span.end(made.clock(start + 1))
        made.begin("alone", 0x123, None, start, {}).end()
        made.close()
        (asked,), (alone,) = collector.named("asked"), collector.named("alone")
        assert (asked.trace_id, asked.parent_span_id) == (bytes(14) + b"\x0a\xbc", bytes(6) + b"\x0d\xef")
        assert attributes(asked) == {"polyserve.model": "iris"}
        assert asked.end_time_unix_nano - asked.start_time_unix_nano == pytest.approx(1e9, abs=1000)
        assert (alone.trace_id, alone.parent_span_id) == (bytes(14) + b"\x01\x23", b"")
        assert collector.children(asked).keys() == {"decode"}
        assert collector.services == {"polyserve"}
