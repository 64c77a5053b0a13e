"""What user code traces by OpenTelemetry in its own process: told to the parent with answers, which exports it.

The process needs no way to the collector then, nor its secrets. A provider that user code has set up itself is its own
business; it, too, finds the server's span as the parent of what it makes. Nothing is imported that user code has not.

    a line each: {"name", "trace_id", "span_id", "parent_id", "start", "end", "kind", "status", "attributes", ...}
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import deque
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SPANS = "spans"  #: the tensor of a message that has them
#: variable by which the server tells a worker that it makes traces
ASKED = "POLYSERVE_SPANS"
#: spans that wait for an answer to travel with, and bytes of them in one
MOST, MOST_BYTES = 512, 2**20
_LONGEST = 1000  #: characters of one value
_PLAIN = (str, bool, int, float)


class OwnSpans:
    """The spans of one process."""

    def __init__(self) -> None:
        self._asked = os.environ.get(ASKED, "") == "true"
        self._made: deque[bytes] = deque(maxlen=MOST)
        self._lock = threading.Lock()
        self._looked = False

    def begin(self, traceparent: str) -> None:
        """From now on what this task traces is below that span; nothing where the server, or user code, makes none."""
        if not self._asked or not traceparent or "opentelemetry.trace" not in sys.modules:
            return
        if not self._looked:
            self._looked = True
            self._provide()
        from opentelemetry.context import Context, attach
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        attach(TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context()))

    def take(self) -> bytes:
        """Those that have ended since the last time, as lines; b"" for none."""
        taken, size = [], 0
        with self._lock:
            while self._made and size + len(self._made[0]) < MOST_BYTES:
                size += len(self._made[0]) + 1
                taken.append(self._made.popleft())
        return b"\n".join(taken)

    def ended(self, span: ReadableSpan) -> None:
        """Keep one for the next answer; the oldest give way."""
        line = json.dumps(_plain(span)).encode()
        if len(line) < MOST_BYTES:
            with self._lock:
                self._made.append(line)

    def _provide(self) -> None:
        """Set up the SDK where it is installed, and nobody has."""
        from opentelemetry import trace

        if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) or not _sdk_is_there():
            return
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

        ended = self.ended

        class Kept(SpanProcessor):
            def on_end(self, span: ReadableSpan) -> None:
                ended(span)

        provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
        provider.add_span_processor(Kept())
        trace.set_tracer_provider(provider)


def _sdk_is_there() -> bool:
    try:
        return find_spec("opentelemetry.sdk.trace") is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _plain(span: ReadableSpan) -> dict[str, Any]:
    """What the parent is told of a span."""
    assert span.context is not None
    return {
        "name": span.name[:_LONGEST],
        "trace_id": span.context.trace_id,
        "span_id": span.context.span_id,
        "parent_id": span.parent.span_id if span.parent else 0,
        "start": span.start_time or 0,
        "end": span.end_time or 0,
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        "description": (span.status.description or "")[:_LONGEST],
        "scope": span.instrumentation_scope.name[:_LONGEST] if span.instrumentation_scope else "",
        "attributes": _values(span.attributes),
        "events": [[each.name[:_LONGEST], each.timestamp, _values(each.attributes)] for each in span.events],
    }


def _values(attributes: Any) -> dict[str, Any]:
    return {str(name)[:_LONGEST]: _value(value) for name, value in (attributes or {}).items()}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, _PLAIN):
        return value
    return [_value(each) for each in value] if isinstance(value, tuple | list) else str(value)[:_LONGEST]
