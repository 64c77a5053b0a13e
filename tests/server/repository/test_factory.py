"""What was loaded becomes a model: its kind, and how far its folder or the server limit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from server.config.model_config import ModelConfig
from server.inference.batching.queue import Limits
from server.inference.passthrough_model import PassthroughModel
from server.inference.tensor_model import TensorModel
from server.loading.loader import Loaded
from server.repository import factory
from server.repository.factory import ModelFactory
from server.telemetry.counters import ModelMetrics
from tests.server.repository.kit import EXECUTOR, found
from tests.server.stand_ins import EchoAdapter

LIMITS = Limits(max_rows=64, concurrency=4)


def loaded(adapter: EchoAdapter | None = None, **config: int) -> Loaded:
    return Loaded(adapter or EchoAdapter("echo", {}), ModelConfig(**config), batchable=True, seconds=0.0)  # type: ignore[arg-type]


@pytest.fixture
def make() -> Callable[[Loaded], object]:
    return lambda loaded: ModelFactory(EXECUTOR, LIMITS).make(found("m", "3"), loaded, ModelMetrics())


def test_a_model_of_tensors(make: Callable[[Loaded], object], caplog: pytest.LogCaptureFixture) -> None:
    model = make(replace(loaded(), warning="it is old"))
    assert isinstance(model, TensorModel)
    assert (model.name, model.version, model.enable_latency_logging) == ("m", "3", False)
    assert "model m: it is old" in caplog.text
    patient = ModelFactory(EXECUTOR, LIMITS, log_latency=True).make(found(), loaded(), ModelMetrics())
    assert isinstance(patient, TensorModel)
    assert patient.enable_latency_logging


def test_one_that_reads_whole_requests(make: Callable[[Loaded], object]) -> None:
    adapter = EchoAdapter("echo", {})
    adapter.signature = replace(adapter.signature, whole=True)
    assert isinstance(make(loaded(adapter)), PassthroughModel)


def test_the_folder_limits_more_than_the_server() -> None:
    assert factory._limits(loaded(), LIMITS) == LIMITS
    assert factory._limits(loaded(max_batch_rows=8), LIMITS).max_rows == 8
    assert factory._limits(loaded(lanes=2), LIMITS).concurrency == 2


def test_one_that_is_not_thread_safe_gets_one_call_at_a_time() -> None:
    adapter = EchoAdapter("echo", {})
    adapter.traits = replace(adapter.traits, thread_safe=False)
    assert factory._limits(loaded(adapter, lanes=2), LIMITS).concurrency == 1
