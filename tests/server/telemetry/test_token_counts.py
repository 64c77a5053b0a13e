"""Tokens, and how fast they came: counted, summed over processes, and shown under the names that dashboards know."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from adapters.generation.answer_parts import GAP_BOUNDS
from server.telemetry.counters import ModelMetrics
from server.telemetry.token_counts import TokenCounts, families


def counted(*jobs: tuple[int, int, dict[str, float]]) -> TokenCounts:
    counts = TokenCounts()
    for prompt, made, seconds in jobs:
        counts.job({"usage": {"prompt_tokens": prompt, "completion_tokens": made}, "seconds": seconds})
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
    other.generation.job(
        {
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            "seconds": {"first_token": 0.25, "whole": 1.0},
            "gaps": [[1, *[0] * len(GAP_BOUNDS)], 0.004],
            "finished": {"stop": 1},
        }
    )
    other.generation.counted["prefix_hits"] = 5
    other.generation.held["running"] = 2
    for _ in range(2):
        total.merge(other.snapshot())
    assert total.tokens is not None
    assert (total.tokens.prompt, total.tokens.generated, total.tokens.first.total) == (6, 4, 0.5)
    assert total.snapshot()["tokens"][:2] == [6, 4]
    assert (total.tokens.gaps.counts[0], total.tokens.whole.total) == (2, 2.0)
    assert total.tokens.finished == {"stop": 2}
    assert total.tokens.counted == {"preemptions": 0, "prefix_queries": 0, "prefix_hits": 10}
    assert total.tokens.held == {"running": 4, "waiting": 0, "cache": 0}


def test_gaps_are_counted_in_the_same_bounds_where_they_are_made() -> None:
    assert TokenCounts().gaps.bounds == GAP_BOUNDS


def test_what_prometheus_reads() -> None:
    counts = counted((3, 2, {"first_token": 0.3, "per_token": 0.05, "whole": 0.4}))
    counts.job({"usage": {}, "gaps": [[2, *[0] * len(GAP_BOUNDS)], 0.01], "finished": {"length": 3}})
    counts.counted.update(preemptions=1, prefix_queries=20, prefix_hits=10)
    counts.held.update(running=2, waiting=1, cache=0.5)

    class Scraped(Collector):
        def collect(self):  # type: ignore[no-untyped-def]
            return families({"m": counts})

    registry = CollectorRegistry()
    registry.register(Scraped())
    values = {
        "polyserve_prompt_tokens_total": 3,
        "polyserve_generation_tokens_total": 2,
        "polyserve_time_to_first_token_seconds_sum": 0.3,
        "polyserve_request_time_per_output_token_seconds_count": 1,
        "polyserve_inter_token_latency_seconds_count": 2,
        "polyserve_e2e_request_latency_seconds_count": 1,
        "polyserve_num_requests_running": 2,
        "polyserve_num_requests_waiting": 1,
        "polyserve_kv_cache_usage_perc": 0.5,
        "polyserve_num_preemptions_total": 1,
        "polyserve_prefix_cache_queries_total": 20,
        "polyserve_prefix_cache_hits_total": 10,
    }
    assert {name: registry.get_sample_value(name, {"model": "m"}) for name in values} == values
    assert registry.get_sample_value("polyserve_time_to_first_token_seconds_bucket", {"model": "m", "le": "0.5"}) == 1
    reasons = {"model": "m", "finished_reason": "length"}
    assert registry.get_sample_value("polyserve_request_success_total", reasons) == 3
    assert list(families({})) == []
