"""What user code traces in its process is kept for the parent; nothing is imported or set up that nobody uses."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from server.workers.own_spans import ASKED

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SENT = f"00-{TRACE}-{SPAN}-01"
_TAKE = "print(spans.take().decode())"


def told(code: str, asked: str = "true") -> list[dict[str, Any]]:
    """The spans of a process of its own, since OpenTelemetry's provider is one for all of it."""
    begin = f"from server.workers.own_spans import OwnSpans\nspans = OwnSpans()\nSENT = {SENT!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{begin}{code}"], env={ASKED: asked}, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line]


TRACED = f"""
from opentelemetry import trace
tracer = trace.get_tracer("mine")
spans.begin(SENT)
with tracer.start_as_current_span("outer", attributes={{"rows": 2, "of": ["a", "b"]}}) as outer:
    with tracer.start_as_current_span("inner") as inner:
        inner.add_event("halfway", {{"left": 1}})
        inner.set_status(trace.StatusCode.ERROR, "boom")
{_TAKE}
"""


def test_spans_hang_below_the_servers() -> None:
    inner, outer = told(TRACED)
    assert (outer["name"], outer["parent_id"], outer["trace_id"]) == ("outer", int(SPAN, 16), int(TRACE, 16))
    assert (outer["attributes"], outer["scope"]) == ({"rows": 2, "of": ["a", "b"]}, "mine")
    assert (inner["parent_id"], inner["status"], inner["description"]) == (outer["span_id"], "ERROR", "boom")
    assert [(name, values) for name, _, values in inner["events"]] == [("halfway", {"left": 1})]
    assert outer["start"] <= inner["start"] <= inner["end"] <= outer["end"]


def test_what_the_server_does_not_ask_for_is_not_made() -> None:
    assert told(TRACED, asked="") == []


def test_what_is_not_sampled_and_what_is_of_no_request_is_not_kept() -> None:
    quiet = TRACED.replace("begin(SENT)", "begin(SENT[:-1] + '0')")
    alone = TRACED.replace(
        "begin(SENT)", "begin(SENT); from opentelemetry import context as of; of.attach(of.Context())"
    )
    assert told(quiet) == told(alone) == []


def test_nothing_is_imported_for_code_that_traces_nothing() -> None:
    assert told("spans.begin(SENT)\nimport sys\nassert 'opentelemetry' not in sys.modules\n" + _TAKE) == []


def test_a_provider_of_user_codes_own_is_left_to_it() -> None:
    own = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
mine = TracerProvider()
trace.set_tracer_provider(mine)
spans.begin(SENT)
assert trace.get_tracer_provider() is mine
with trace.get_tracer("mine").start_as_current_span("own") as span:
    assert f"{span.get_span_context().trace_id:032x}" in SENT
"""
    assert told(own + _TAKE) == []


@pytest.mark.parametrize("most", ["MOST = 3", "MOST_BYTES = 1500"])
def test_what_waits_is_bounded(most: str) -> None:
    code = f"""
from server.workers import own_spans
own_spans.{most}
spans = OwnSpans()
from opentelemetry import trace
spans.begin(SENT)
for number in range(50):
    trace.get_tracer("mine").start_span(str(number)).end()
{_TAKE}
"""
    found = told(code)
    assert 1 <= len(found) < 10
    last = [each["name"] for each in found]
    assert last == (["47", "48", "49"] if "MOST = 3" in most else [str(number) for number in range(len(found))])
