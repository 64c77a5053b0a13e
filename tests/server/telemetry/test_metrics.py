"""What Prometheus reads: the counts of all processes together, under the names that dashboards know."""

from __future__ import annotations

from typing import Any

import pytest
from kserve.metrics import EXPLAIN_HIST_TIME, POST_HIST_TIME, PRE_HIST_TIME, PREDICT_HIST_TIME
from prometheus_client import CollectorRegistry

from server.api.kserve.host import register
from server.telemetry.counters import ModelMetrics
from server.telemetry.metrics import Metrics, MetricsByModel, ModelDetails

RESULTS = ("sent", "dropped", "failed")
KSERVES = (PRE_HIST_TIME, PREDICT_HIST_TIME, POST_HIST_TIME, EXPLAIN_HIST_TIME)


def metrics(**options: Any) -> tuple[Metrics, CollectorRegistry]:
    """Of a server with one model, and the registry that it is read by."""
    registry = CollectorRegistry()
    for theirs in KSERVES:
        registry.register(theirs)
    made = Metrics(lambda: {"a": ("READY", 3)}, **options)
    register(made, registry)
    return made, registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_a_models_counts() -> None:
    made, registry = metrics()
    counts = made.of("a")
    counts.answered("v1", 0.0, 0.001, 0.2, 0.25)
    counts.explanations.failed("v2", 501, 0.1)
    counts.called(4, [0.5])
    counts.restarted()
    assert value(registry, "polyserve_requests_total", model="a", protocol="v1", verb="predict", status="200") == 1
    assert value(registry, "polyserve_requests_total", model="a", protocol="v2", verb="explain", status="501") == 1
    assert value(registry, "polyserve_request_seconds_sum", model="a", protocol="v1", verb="predict") == 0.25
    assert value(registry, "polyserve_rows_total", model="a") == 4
    assert value(registry, "polyserve_batch_rows_count", model="a") == 1
    assert value(registry, "polyserve_queue_seconds_sum", model="a") == 0.5
    assert value(registry, "polyserve_worker_restarts_total", model="a") == 1
    assert value(registry, "request_predict_seconds_count", model_name="a") == 1


def test_states_queues_and_memory() -> None:
    _, registry = metrics(memory=lambda: {"a": 4096}, budget=10_000)
    assert value(registry, "polyserve_model_state", model="a", state="READY") == 1
    assert value(registry, "polyserve_queue_length", model="a") == 3
    assert value(registry, "polyserve_model_memory_bytes", model="a") == 4096
    assert value(registry, "polyserve_memory_budget_bytes") == 10_000


def test_without_a_budget_there_is_none_and_nothing_is_measured() -> None:
    _, registry = metrics()
    assert value(registry, "polyserve_memory_budget_bytes") is None
    assert value(registry, "polyserve_model_memory_bytes", model="a") is None


def test_other_processes_are_added_and_nothing_is_added_twice() -> None:
    other = ModelMetrics()
    made, registry = metrics(other_processes=lambda: [{}, {"a": {"": other.snapshot()}, "b": {"2": other.snapshot()}}])
    made.of("a").answered("v1", 0.0, 1.0, 2.0, 3.0)
    other.answered("v1", 0.0, 1.0, 2.0, 3.0)
    other.swaps = 2
    for _ in range(2):
        for model, requests, version in (("a", 2, {}), ("b", 1, {"version": "2"})):
            labels = {"model": model, "protocol": "v1", "verb": "predict", **version}
            assert value(registry, "polyserve_requests_total", **labels, status="200") == requests
            assert value(registry, "polyserve_request_seconds_sum", **labels) == pytest.approx(3.0 * requests)
            assert value(registry, "polyserve_swaps_total", model=model) == 2


def test_models_with_versions_are_counted_by_version() -> None:
    counts = MetricsByModel()
    for version, seconds in (("1", 1.0), ("2", 3.0)):
        counts.of("a", version).answered("v1", 0.0, 0.1, 0.2, seconds)
        counts.of("a", version).called(2, [])
    _, registry = metrics(counts=counts)
    for version, seconds in (("1", 1.0), ("2", 3.0)):
        labels = {"model": "a", "protocol": "v1", "verb": "predict", "version": version}
        assert value(registry, "polyserve_requests_total", **labels, status="200") == 1
        assert value(registry, "polyserve_request_seconds_sum", **labels) == seconds
        assert value(registry, "polyserve_rows_total", model="a", version=version) == 2
    assert value(registry, "request_predict_seconds_count", model_name="a") == 2  # KServe's, of all


def test_what_is_in_memory_is_told() -> None:
    details = [
        ModelDetails("a", "2", {"adapter": "sklearn", "made_by": "scikit-learn 1.5"}, 1.5, 2, ()),
        ModelDetails("a", "3", {"adapter": "sklearn"}, 2.5, 1, (100, 200)),
        ModelDetails("b", "", {"adapter": "onnx"}, 0.5, 0, ()),
    ]
    elsewhere = {"a": 4}
    _, registry = metrics(
        details=lambda: details,
        in_flight_elsewhere=lambda model: elsewhere.get(model, 0),
        downloaded=lambda: {"a": 4096},
    )
    assert value(registry, "polyserve_in_flight", model="a") == 7
    assert value(registry, "polyserve_in_flight", model="b") == 0
    known = {"model": "a", "version": "2", "adapter": "sklearn", "made_by": "scikit-learn 1.5"}
    assert value(registry, "polyserve_model_info", **known) == 1
    assert value(registry, "polyserve_load_seconds", model="a", version="3") == 2.5
    assert value(registry, "polyserve_load_seconds", model="b") == 0.5
    assert value(registry, "polyserve_worker_memory_bytes", model="a", worker="1", version="3") == 200
    assert value(registry, "polyserve_download_bytes_total", model="a") == 4096


def test_payloads_are_counted_where_there_are_some() -> None:
    made, registry = metrics()
    assert value(registry, "polyserve_payloads_total", model="a", result="sent") is None
    counts = made.of("a")
    counts.payloads_sent, counts.payloads_dropped = 3, 1
    told = {result: value(registry, "polyserve_payloads_total", model="a", result=result) for result in RESULTS}
    assert told == {"sent": 3, "dropped": 1, "failed": 0}
