"""Samplers decide as OpenTelemetry's own do."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from server.telemetry.sampling import ARGUMENT, SAMPLER, SamplerError, Sampling
from server.telemetry.traceparent import TraceParent

RECORDED, LEFT_OUT = TraceParent(7, 1, sampled=True), TraceParent(7, 1, sampled=False)


def sampling(name: str = "", argument: str = "") -> Sampling:
    return Sampling.of({SAMPLER: name, ARGUMENT: argument})


@pytest.mark.parametrize(
    ("name", "alone", "recorded", "left_out"),
    [
        ("", True, True, False),
        ("parentbased_always_on", True, True, False),
        ("parentbased_always_off", False, True, False),
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_traceidratio", True, True, False),
        ("traceidratio", True, True, True),
    ],
)
def test_the_standard_samplers(name: str, alone: bool, recorded: bool, left_out: bool) -> None:
    sampler = sampling(name)
    assert bool(sampler.trace_id(None)) == alone
    assert sampler.trace_id(RECORDED) == (7 if recorded else 0)
    assert sampler.trace_id(LEFT_OUT) == (7 if left_out else 0)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_a_share_is_that_of_the_sdk_for_every_trace(share: float) -> None:
    ours, theirs = sampling("traceidratio", str(share)), TraceIdRatioBased(share)
    numbers = random.Random(1)
    for _ in range(2000):
        trace = numbers.getrandbits(128) | 1
        wanted = theirs.should_sample(None, trace, "x").decision is Decision.RECORD_AND_SAMPLE
        assert bool(ours.trace_id(TraceParent(trace, 1, sampled=False))) == wanted


@pytest.mark.parametrize(
    ("name", "argument", "says"),
    [
        ("jaeger_remote", "", "OTEL_TRACES_SAMPLER=jaeger_remote is no sampler that is known here: always_on"),
        ("traceidratio", "2", "OTEL_TRACES_SAMPLER_ARG=2 must be a share from 0 to 1"),
        ("traceidratio", "some", "OTEL_TRACES_SAMPLER_ARG=some must be"),
    ],
)
def test_what_is_no_sampler_is_refused(name: str, argument: str, says: str) -> None:
    with pytest.raises(SamplerError, match=says):
        sampling(name, argument)
