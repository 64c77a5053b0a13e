"""Tokens, and how fast they came: counted, summed over processes, and shown under the names that dashboards know."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from server.telemetry.counters import ModelMetrics
from server.telemetry.token_counts import TokenCounts, families


def counted(*jobs: tuple[int, int, dict[str, float]]) -> TokenCounts:
    counts = TokenCounts()
    for prompt, made, seconds in jobs:
        counts.job({"prompt_tokens": prompt, "completion_tokens": made}, seconds)
    return counts


def test_jobs_add_up() -> None:
    counts = counted((3, 2, {"first_token": 0.3, "per_token": 0.05}), (4, 1, {"first_token": 0.1}), (5, 0, {}))
    assert (counts.prompt, counts.generated) == (12, 3)
    assert (sum(counts.first.counts), counts.first.total) == (2, pytest.approx(0.4))
    assert (sum(counts.each.counts), counts.each.total) == (1, 0.05)


def test_processes_add_up() -> None:
    total, other = ModelMetrics(), ModelMetrics()
    total.merge(other.snapshot())
    assert total.tokens is None  # it is no language model
    other.generated({"prompt_tokens": 3, "completion_tokens": 2}, {"first_token": 0.25})
    for _ in range(2):
        total.merge(other.snapshot())
    assert total.tokens is not None
    assert (total.tokens.prompt, total.tokens.generated, total.tokens.first.total) == (6, 4, 0.5)
    assert total.snapshot()["tokens"][:2] == [6, 4]


def test_what_prometheus_reads() -> None:
    class Scraped(Collector):
        def collect(self):  # type: ignore[no-untyped-def]
            return families({"m": counted((3, 2, {"first_token": 0.3, "per_token": 0.05}))})

    registry = CollectorRegistry()
    registry.register(Scraped())
    values = {
        "polyserve_prompt_tokens_total": 3,
        "polyserve_generation_tokens_total": 2,
        "polyserve_time_to_first_token_seconds_sum": 0.3,
        "polyserve_request_time_per_output_token_seconds_count": 1,
    }
    assert {name: registry.get_sample_value(name, {"model": "m"}) for name in values} == values
    assert registry.get_sample_value("polyserve_time_to_first_token_seconds_bucket", {"model": "m", "le": "0.5"}) == 1
    assert list(families({})) == []
