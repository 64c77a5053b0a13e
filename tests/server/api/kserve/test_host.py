"""What is taken from KServe's package beside its routes."""

from __future__ import annotations

from prometheus_client import generate_latest

from tests.server.telemetry.test_metrics import metrics


def test_it_stands_in_for_kserves_histograms() -> None:
    _, registry = metrics()
    text = generate_latest(registry).decode()
    for name in ("preprocess", "predict", "postprocess", "explain"):
        assert text.count(f"# TYPE request_{name}_seconds histogram") == 1
