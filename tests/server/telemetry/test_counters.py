"""Requests are counted in bulk, later: as if each had been counted when it ended."""

from __future__ import annotations

import random
from bisect import bisect_left

import numpy as np
import pytest

from server.telemetry.counters import KSERVE_SECONDS, SECONDS, ModelMetrics


def marks(generator: random.Random) -> tuple[float, float, float, float]:
    """Of a request whose steps last anything between nothing and a minute; many just as long as a bucket is wide."""
    start = generator.uniform(0, 1e6)
    steps = [generator.choice((0.0, 10 ** generator.uniform(-6, 2), *KSERVE_SECONDS)) for _ in range(3)]
    return start, start + steps[0], start + sum(steps[:2]), start + sum(steps)


def expected(seconds: list[float], bounds: tuple[float, ...]) -> list[int]:
    counts = [0] * (len(bounds) + 1)
    for value in seconds:
        counts[bisect_left(bounds, value)] += 1
    return counts


@pytest.mark.parametrize("requests", [1, 15, 16, 17, 47, 48, 1023, 1024, 5000])
def test_every_request_is_counted_once_in_the_bucket_of_its_time(requests: int) -> None:
    generator = random.Random(requests)
    found: dict[str, list[tuple[float, float, float, float]]] = {"v1": [], "v2": [], "grpc": []}
    metrics = ModelMetrics()
    for _ in range(requests):
        protocol = generator.choice(list(found))
        found[protocol].append(marks(generator))
        metrics.answered(protocol, *found[protocol][-1])
        if generator.random() < 0.01:
            assert metrics.requests.total() == sum(map(len, found.values()))
    for protocol, ended in found.items():
        assert metrics.requests[protocol, 200] == len(ended)
        if ended:
            seconds = [end - start for start, _, _, end in ended]
            assert metrics.latency[protocol].counts == expected(seconds, SECONDS)
            assert metrics.latency[protocol].total == pytest.approx(sum(seconds))
    everything = [each for ended in found.values() for each in ended]
    for place, step in enumerate(("preprocess", "predict", "postprocess")):
        seconds = [each[place + 1] - each[place] for each in everything]
        assert metrics.histograms[step].counts == expected(seconds, KSERVE_SECONDS)
        assert metrics.histograms[step].total == pytest.approx(sum(seconds), abs=1e-6)


def test_predictions_and_explanations_share_the_steps_that_they_have_in_common() -> None:
    metrics = ModelMetrics()
    metrics.answered("v1", 0, 1, 3, 6)
    metrics.explanations.answered("v1", 0, 10, 30, 60)
    totals = {step: each.total for step, each in metrics.histograms.items()}
    assert totals == {"preprocess": 11, "predict": 2, "postprocess": 33, "explain": 20, "queue": 0, "batch": 0}
    assert dict(metrics.requests) == dict(metrics.explanations.requests) == {("v1", 200): 1}


def test_calls_and_how_long_their_requests_waited() -> None:
    metrics = ModelMetrics()
    waits = np.random.default_rng(0).exponential(0.01, 3000).tolist()
    for first in range(0, len(waits), 3):
        metrics.called(6, waits[first : first + 3])
    assert metrics.rows == 6000
    assert metrics.histograms["queue"].counts == expected(waits, SECONDS)
    assert metrics.histograms["batch"].counts[3] == 1000  # of at most 8 rows


def test_what_is_told_to_another_process_holds_those_that_ended_just_now() -> None:
    here, there = ModelMetrics(), ModelMetrics()
    here.answered("v2", 0, 1, 2, 3)
    here.called(4, [0.5])
    here.failed("v2", 429, 0.1)
    there.answered("v2", 0, 1, 2, 3)
    assert here.has_requests
    there.merge(here.snapshot())
    assert dict(there.requests) == {("v2", 200): 2, ("v2", 429): 1}
    assert there.latency["v2"].total == pytest.approx(6.1)
    assert (there.histograms["predict"].total, there.histograms["queue"].total, there.rows) == (2, 0.5, 4)
    there.merge(here.snapshot())
    assert there.requests["v2", 200] == 3


def test_a_model_that_was_asked_nothing_has_no_counts() -> None:
    assert not ModelMetrics().has_requests
    assert not ModelMetrics().requests
