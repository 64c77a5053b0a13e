"""Served models without a loader: what the parts of a repository are tried with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.base import ModelDir
from server.inference.batching.queue import Limits
from server.inference.tensor_model import TensorModel
from server.loading.catalog import Found
from server.repository.state import ModelState, State
from server.telemetry.counters import ModelMetrics
from tests.server.stand_ins import EchoAdapter

EXECUTOR = ThreadPoolExecutor(2, "kit")


def found(name: str = "m", version: str = "") -> Found:
    return Found(name, ModelDir.of(Path("nowhere")), version=version)


def model(name: str = "m", version: str = "") -> TensorModel:
    adapter = EchoAdapter("echo", {})
    return TensorModel(name, adapter, EXECUTOR, Limits(), ModelMetrics(), merges=True, version=version)


def ready(name: str = "m", version: str = "") -> ModelState:
    """A version that serves."""
    return ModelState(found(name, version), State.READY, model=model(name, version))
