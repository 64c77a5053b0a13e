"""What was loaded becomes a model that takes requests: one of tensors, or one that reads whole requests itself.

Loaded --> its limits: the server's, then those of its polyserve.yaml --> TensorModel | PassthroughModel
                                                                           | GenerationModel
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from server.inference.batching.queue import Limits
from server.inference.batching.threads import Executor
from server.inference.generation_model import GenerationModel
from server.inference.model import ServedModel
from server.inference.passthrough_model import PassthroughModel
from server.inference.taps import Tap, tap
from server.inference.tensor_model import TensorModel
from server.loading.catalog import Found
from server.loading.loader import Loaded
from server.telemetry.counters import ModelMetrics
from server.workers.adapter import pool_of

log = logging.getLogger("kserve")


@dataclass(frozen=True)
class ModelFactory:
    """Makes the models of one process."""

    executor: Executor  #: runs their predictions
    limits: Limits  #: where their polyserve.yaml says nothing else
    log_latency: bool = False  #: they log the steps of every request
    taps: Sequence[Tap] = ()  #: look on at what they answer

    def make(self, found: Found, loaded: Loaded, metrics: ModelMetrics) -> ServedModel:
        """The model that answers under this name and version."""
        model = self._made(found, loaded, metrics)
        tap(model, self.taps)
        return model

    def _made(self, found: Found, loaded: Loaded, metrics: ModelMetrics) -> ServedModel:
        pool = pool_of(loaded.adapter)
        if pool is not None:
            pool.when_restarted(metrics.restarted)
        if loaded.adapter.signature.whole:
            count = pool.count if pool is not None else 1
            lanes = loaded.config.lanes
            kind = GenerationModel if loaded.adapter.signature.generates else PassthroughModel
            served = kind(found.name, loaded.adapter, self.limits, metrics, lanes, found.version, count)
            served.made_by = loaded.made_by
            return served
        if loaded.warning:
            log.warning("model %s: %s", found.name, loaded.warning)
        merges = loaded.batchable and loaded.config.batching
        limits = _limits(loaded, self.limits)
        how = (self.executor, limits, metrics, merges)
        model = TensorModel(found.name, loaded.adapter, *how, found.version, self.log_latency)
        model.refuses_example = loaded.refuses_example
        model.made_by = loaded.made_by
        return model


def _limits(loaded: Loaded, limits: Limits) -> Limits:
    if loaded.config.max_batch_rows:
        limits = replace(limits, max_rows=loaded.config.max_batch_rows)
    pool = pool_of(loaded.adapter)
    if pool is not None:  # another process pays, and how many there are was the operator's choice
        return replace(limits, concurrency=pool.count, fixed_concurrency=True)
    concurrency = loaded.config.lanes or limits.concurrency
    return replace(limits, concurrency=concurrency if loaded.adapter.traits.thread_safe else 1)
