"""W3C's `traceparent`: which trace a request belongs to, and whether who sent it records that trace.

    00-<trace id: 32 hex digits>-<span id: 16>-<flags: 2, of which the last bit says that it is sampled>

Source: https://www.w3.org/TR/trace-context/. What is no traceparent is as none: the trace begins here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NAME = "traceparent"
HEADER = NAME.encode()
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1


class TraceParent(NamedTuple):
    """Who asks, in whose trace."""

    trace_id: int
    span_id: int
    sampled: bool

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.sampled):02x}"


def log_fields(value: str | bytes) -> dict[str, str]:
    """What a line of the log tells of a request with this header: OpenTelemetry's fields for logs; {} if it is none."""
    found = parse(value)
    return {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"} if found else {}


def parse(value: str | bytes) -> TraceParent | None:
    """What a header says; None: it is none."""
    text = value if isinstance(value, str) else value.decode("latin-1")
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id:
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))
