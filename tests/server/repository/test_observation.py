"""What is not asked for is not there."""

from __future__ import annotations

from pathlib import Path

from server.config.settings import Settings
from server.inference.trace_tap import TraceTap
from server.repository.observation import Observation, sender
from server.repository.payloads.payload import Sender
from server.repository.payloads.payload_tap import PayloadTap
from server.telemetry.metrics import MetricsByModel


def test_nobody_looks_on_unless_asked_for() -> None:
    observation = Observation(Settings(), {}, MetricsByModel())
    assert not observation.taps
    observation.close()


def test_an_endpoint_asks_for_traces_and_a_target_for_payloads(tmp_path: Path) -> None:
    settings = Settings(payload_log=str(tmp_path / "log"))
    observation = Observation(settings, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, MetricsByModel())
    assert [type(tap) for tap in observation.taps] == [TraceTap, PayloadTap]
    observation.close()


def test_who_the_server_is_to_kubernetes(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    assert sender({}, file) == Sender("", "")
    file.write_text("space\n")
    assert sender({"INFERENCE_SERVICE_NAME": "mine"}, file) == Sender("mine", "space")
    assert sender({"POD_NAMESPACE": "other"}, file) == Sender("", "other")
