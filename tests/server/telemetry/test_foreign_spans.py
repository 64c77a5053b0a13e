"""Spans of models' processes are exported as ours, marked as theirs; what is no span is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind, StatusCode

from server.telemetry.foreign_spans import read_spans

FIELDS: dict[str, Any] = {
    "name": "inner",
    "trace_id": 0xABC,
    "span_id": 2,
    "parent_id": 1,
    "start": 10,
    "end": 20,
    "kind": "CLIENT",
    "status": "ERROR",
    "description": "boom",
    "scope": "mine",
    "attributes": {"rows": 2, "of": ["a"], "polyserve.model": "another"},
    "events": [["halfway", 15, {}]],
}
RESOURCE = Resource({"service.name": "polyserve"})


def read(*lines: Any) -> list[Any]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return list(read_spans(text.encode(), RESOURCE, {"polyserve.model": "m"}))


def test_a_span_is_as_it_was_but_for_whose_it_is() -> None:
    (span,) = read(FIELDS)
    assert (span.name, span.context.trace_id, span.context.span_id, span.parent.span_id) == ("inner", 0xABC, 2, 1)
    assert (span.start_time, span.end_time, span.kind) == (10, 20, SpanKind.CLIENT)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "boom")
    assert dict(span.attributes) == {"rows": 2, "of": ["a"], "polyserve.model": "m"}
    assert [(each.name, each.timestamp) for each in span.events] == [("halfway", 15)]
    assert span.resource is RESOURCE
    assert span.instrumentation_scope.name == "mine"
    assert span.context.trace_flags.sampled


@pytest.mark.parametrize(
    "changed",
    [
        {"trace_id": 0},
        {"trace_id": 1 << 128},
        {"span_id": "2"},
        {"start": -1},
        {"end": 1 << 63},
        {"kind": "FRIENDLY"},
        {"status": 2},
        {"name": None},
        {"attributes": ["a"]},
        {"attributes": {"a": {"b": 1}}},
        {"attributes": {"a": ["x", 1]}},
        {"attributes": {"a": 1 << 64}},
        {"events": [["halfway"]]},
        {"events": 5},
    ],
    ids=str,
)
def test_what_is_no_span_is_left_out_and_others_are_not(changed: dict[str, Any]) -> None:
    assert [span.name for span in read({**FIELDS, **changed}, "no json", "[]", {}, {**FIELDS, "name": "other"})] == [
        "other"
    ]


def test_what_is_long_is_cut() -> None:
    attributes = {str(number): "y" * 5000 for number in range(200)}
    (span,) = read({**FIELDS, "name": "x" * 1000, "attributes": attributes})
    assert (len(span.name), len(span.attributes)) == (256, 129)
    assert len(span.attributes["0"]) == 4096
