"""The statistics extension: how often each version of a model was asked, and where the time went.

    {"model_stats": [{"name", "version", "last_inference", "inference_count", "execution_count", "inference_stats"}]}

Predictions and explanations together, of all processes; `ns` are sums. `last_inference` is in milliseconds since 1970.
`inference_count` are rows, `execution_count` calls of the model; of one that takes whole requests, both are requests.

Source: Triton's extension_statistics.md.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from server.errors import NotFound
from server.repository.repository import Repository
from server.telemetry.counters import ModelMetrics, now


def model_statistics(repository: Repository, name: str = "", version: str | None = None) -> dict[str, Any]:
    """Of one model, of one of its versions, or of all models ("").

    Raises:
        NotFound
    """
    if name:
        return {"model_stats": _entries(repository, name, version)}
    entries = []
    for each in repository.store.names():
        with contextlib.suppress(NotFound):  # it has gone meanwhile
            entries += _entries(repository, each, None)
    return {"model_stats": entries}


def _entries(repository: Repository, name: str, version: str | None) -> list[dict[str, Any]]:
    states = repository.states(name, version)
    counts = repository.metrics.versions(name)
    return [_entry(name, number, counts.get(state.found.version, ModelMetrics())) for number, state in states.items()]


def _entry(name: str, number: str, counts: ModelMetrics) -> dict[str, Any]:
    verbs = counts.verbs().values()
    succeeded = sum(n for verb in verbs for (_, status), n in verb.requests.items() if status < 400)
    failed = sum(n for verb in verbs for (_, status), n in verb.requests.items() if status >= 400)
    seconds = sum(latency.total for verb in verbs for latency in verb.latency.values())
    failed_seconds = sum(verb.failed_seconds for verb in verbs)
    times = counts.histograms
    waited = times["queue"]
    inside = times["predict"].total + times["explain"].total  # waiting and computing
    calls = sum(times["batch"].counts)
    last = max(verb.last for verb in verbs)
    return {
        "name": name,
        "version": number,
        "last_inference": int(1000 * (time.time() - (now() - last))) if last else 0,
        "inference_count": counts.rows if calls else succeeded,
        "execution_count": calls or succeeded,
        "inference_stats": {
            "success": _duration(succeeded, seconds - failed_seconds),
            "fail": _duration(failed, failed_seconds),
            "queue": _duration(sum(waited.counts) or succeeded, waited.total),
            "compute_input": _duration(succeeded, times["preprocess"].total),
            "compute_infer": _duration(succeeded, inside - waited.total),
            "compute_output": _duration(succeeded, times["postprocess"].total),
            "cache_hit": _duration(0, 0.0),
            "cache_miss": _duration(0, 0.0),
        },
        "batch_stats": [],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    """A sum; clocks that are read one after the other may give a little less than nothing."""
    return {"count": count, "ns": max(0, round(seconds * 1e9))}
