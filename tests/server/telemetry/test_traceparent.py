"""W3C's traceparent, as its specification has it."""

from __future__ import annotations

import pytest

from server.telemetry.traceparent import TraceParent, log_fields, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("02", False)])
def test_whose_it_is_and_whether_it_is_recorded(flags: str, sampled: bool) -> None:
    found = parse(f"00-{TRACE}-{SPAN}-{flags}".encode())
    assert found == TraceParent(int(TRACE, 16), int(SPAN, 16), sampled)
    assert str(found) == f"00-{TRACE}-{SPAN}-{int(sampled):02x}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
    ],
)
def test_what_is_none_begins_a_trace(text: str) -> None:
    assert parse(text) is None


def test_versions_to_come_may_say_more() -> None:
    assert parse(f" 01-{TRACE}-{SPAN}-01-what ever ") == TraceParent(int(TRACE, 16), int(SPAN, 16), True)


def test_the_log_is_told_the_trace_and_the_span() -> None:
    assert log_fields(f"00-{TRACE}-{SPAN}-01") == {"trace_id": TRACE, "span_id": SPAN}
    assert log_fields(b"none") == {}
