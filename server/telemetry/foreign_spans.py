"""Spans that the processes of models have made (`workers.own_spans`), read with care: strangers' code runs there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan

_MOST_ATTRIBUTES, _MOST_EVENTS = 128, 128
_NAME, _LONGEST = 256, 4096  #: characters of a name, of a value
_PLAIN = (str, bool, int, float)


def read_spans(lines: bytes, resource: Resource, known: Mapping[str, str]) -> Iterator[ReadableSpan]:
    """The spans of a message; what is none is left out. `known` are attributes that are ours to say: whose they are."""
    for line in lines.split(b"\n"):
        try:
            yield _span(json.loads(line), resource, known)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue


def _span(fields: dict[str, Any], resource: Resource, known: Mapping[str, str]) -> ReadableSpan:
    """
    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is none.
    """
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    sampled = TraceFlags(TraceFlags.SAMPLED)
    trace_id, parent_id = _number(fields["trace_id"], 128), _number(fields["parent_id"], 64)
    context = SpanContext(trace_id, _number(fields["span_id"], 64), is_remote=False, trace_flags=sampled)
    if not context.is_valid:
        raise ValueError("no identifiers")
    status = StatusCode[_text(fields["status"], _NAME)]
    why = _text(fields["description"], _LONGEST) or None
    return ReadableSpan(
        _text(fields["name"], _NAME),
        context,
        SpanContext(trace_id, parent_id, is_remote=True, trace_flags=sampled) if parent_id else None,
        resource,
        {**_attributes(fields["attributes"]), **known},
        [_event(each) for each in fields["events"][:_MOST_EVENTS]],
        kind=SpanKind[_text(fields["kind"], _NAME)],
        instrumentation_scope=InstrumentationScope(_text(fields["scope"], _NAME)),
        status=Status(status, why if status is StatusCode.ERROR else None),
        start_time=_number(fields["start"], 63),
        end_time=_number(fields["end"], 63),
    )


def _event(fields: Any) -> Event:
    from opentelemetry.sdk.trace import Event

    name, moment, attributes = fields
    return Event(_text(name, _NAME), _attributes(attributes), _number(moment, 63))


def _attributes(found: Any) -> dict[str, Any]:
    few = list(found.items())[:_MOST_ATTRIBUTES]
    return {_text(name, _NAME): _value(value) for name, value in few}


def _value(value: Any) -> Any:
    """A plain value, or a list of values of one type."""
    if isinstance(value, list):
        if len({type(each) for each in value}) > 1:
            raise TypeError("a list of many types")
        return [_value(each) for each in value[:_MOST_ATTRIBUTES] if not isinstance(each, list)]
    if isinstance(value, str):
        return _text(value, _LONGEST)
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise ValueError("more than a number of OTLP holds")
    if not isinstance(value, _PLAIN):
        raise TypeError("no plain value")
    return value


def _text(value: Any, longest: int) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value[:longest].encode("utf-8", "replace").decode()


def _number(value: Any, bits: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError("no such number")
    return value
