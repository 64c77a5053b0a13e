"""All models at a glance, in numbers that only grow: the page makes rates and percentiles of two answers.

{"server": {...}, "bounds": [seconds], "models": [{"name", "adapter", "versions": [...], "requests", "errors", ...}]}
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

from server.repository.repository import Repository
from server.repository.state import ModelState, State
from server.runtime.lifeline import resident_bytes
from server.telemetry.counters import SECONDS, ModelMetrics, now

_AT_ONCE = 32  #: models
#: this is read when the server starts
_BEGUN = now()


async def overview(repository: Repository, about: Mapping[str, Any]) -> dict[str, Any]:
    """What there is; `about` says what does not change.

    Of hundreds of models it takes some milliseconds, in which requests come between.

    `clock` is in seconds and never goes back: it dates the counters, whenever the answer arrives.
    """
    queues = repository.queues()
    clock = now()
    models = []
    for number, name in enumerate(sorted(queues)):
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        if name in repository.store.models:  # it may have gone meanwhile
            models.append(_model(repository, name, queues[name][1]))
    return {
        "server": {
            **about,
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "memory": resident_bytes(os.getpid()),
            "uptime": now() - _BEGUN,
            "not_ready": repository.why_not_ready(named=True),
        },
        "clock": clock,
        "bounds": SECONDS,
        "models": models,
    }


def _model(repository: Repository, name: str, waiting: int) -> dict[str, Any]:
    versions = [_version(state) for state in repository.store.models[name].states.values()]
    by_version = repository.metrics.versions(name)
    for version in versions:
        if version["shadow"] and version["version"] in by_version:
            version["compared"] = _compared(by_version[version["version"]])
    beside = {version["version"] for version in versions if version["shadow"]}  # they answer nobody
    counts = [_counted(metrics) for number, metrics in by_version.items() if number not in beside]
    ready = [each for each in versions if each["state"] == State.READY]
    shown = next((each for each in reversed(ready) if not each["shadow"]), ready[-1] if ready else versions[-1])
    return {
        "name": name,
        "adapter": shown["adapter"],
        "state": shown["state"],
        "reason": "; ".join(
            dict.fromkeys(_reason(each, alone=len(versions) == 1) for each in versions if each["reason"])
        ),
        "memory": sum(each["memory"] for each in versions if each["state"] == State.READY),
        "waiting": waiting,
        "versions": versions,
        **(_sum(counts) if len(counts) != 1 else counts[0]),
    }


def _reason(version: dict[str, Any], *, alone: bool) -> str:
    return str(version["reason"]) if alone else f"version {version['version']}: {version['reason']}"


def _version(state: ModelState) -> dict[str, Any]:
    told, reason = state.now
    return {
        "version": state.found.version,
        "state": str(told),
        "reason": reason,
        "adapter": state.model.adapter.name if state.model is not None else "",
        "own_process": state.model is not None and state.model.pool is not None,
        "memory": _memory(state),
        "seconds": round(state.seconds, 3),
        "shadow": state.found.shadow is not None,
    }


def _memory(state: ModelState) -> int:
    """Of processes of its own, what they take now: who looks at it would like to see it grow."""
    pool = state.model.pool if state.model is not None else None
    return (sum(pool.memory) if pool is not None else 0) or state.memory


def _compared(counts: ModelMetrics) -> dict[str, Any]:
    """How a version that runs beside another answers, and the mean seconds of both for the same requests."""
    answers = counts.shadow_agreed + counts.shadow_differed
    return {
        "agreed": counts.shadow_agreed,
        "differed": counts.shadow_differed,
        "failed": counts.shadow_failed,
        "skipped": counts.shadow_skipped,
        "shadow_seconds": counts.shadow_seconds / answers if answers else None,
        "served_seconds": counts.served_seconds / answers if answers else None,
    }


def _sum(counts: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all versions together."""
    whole = dict(_NOTHING)
    for each in counts:
        tokens = None if whole["tokens"] is each["tokens"] is None else (whole["tokens"] or 0) + (each["tokens"] or 0)
        buckets = [ours + theirs for ours, theirs in zip(whole["buckets"], each["buckets"], strict=True)]
        plain = {name: whole[name] + each[name] for name in whole if name not in ("tokens", "buckets")}
        whole = {**plain, "buckets": buckets, "tokens": tokens}
    return whole


def _counted(counts: ModelMetrics) -> dict[str, Any]:
    """Sums since the start: requests, errors by whose fault, rows, calls, seconds, and a histogram of the seconds."""
    verbs = list(counts.verbs().values())
    statuses: dict[int, int] = {}
    buckets, total = [0] * (len(SECONDS) + 1), 0.0
    for verb in verbs:
        for (_, status), count in verb.requests.items():
            statuses[status] = statuses.get(status, 0) + count
        for latency in verb.latency.values():
            buckets = [ours + theirs for ours, theirs in zip(buckets, latency.counts, strict=True)]
            total += latency.total
    batch = counts.histograms["batch"]
    return {
        "requests": sum(statuses.values()),
        "client_errors": sum(count for status, count in statuses.items() if 400 <= status < 500),
        "server_errors": sum(count for status, count in statuses.items() if status >= 500),
        "rows": counts.rows,
        "calls": sum(batch.counts),
        "queue_seconds": counts.histograms["queue"].total,
        "seconds": total,
        "buckets": buckets,
        "restarts": counts.restarts,
        "swaps": counts.swaps,
        "evictions": counts.evictions,
        "failed_reloads": counts.failed_reloads,
        "tokens": counts.tokens.generated if counts.tokens is not None else None,
    }


#: what is counted of a model that nobody has asked
_NOTHING = _counted(ModelMetrics())
