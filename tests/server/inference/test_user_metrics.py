"""Metrics of user code: labelled, without what is ours, and never in a scrape's way."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.base import Reply
from server.inference import user_metrics
from server.inference.user_metrics import UserMetrics, labelled

TEXT = """# HELP cats_total cats that were seen
# TYPE cats_total counter
cats_total{kind="tabby"} 3.0
# HELP polyserve_rows_total ours
# TYPE polyserve_rows_total counter
polyserve_rows_total{model="m"} 9.0
# TYPE python_info gauge
python_info{version="3"} 1.0
"""


class Pool:
    """Workers that answer so, after their gate is open."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = bodies
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer_each(self, request: Any) -> dict[int, Reply]:
        await self.gate.wait()
        return {number: Reply(body, {}, 200) for number, body in enumerate(self.bodies)}


def model(pool: Pool | None, name: str = "m", whole: bool = True) -> Any:
    return SimpleNamespace(name=name, pool=pool, signature=SimpleNamespace(whole=whole))


def shown(metrics: UserMetrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in metrics.families()
        for sample in family.samples
    }


def test_each_is_labelled_and_ours_are_left_out() -> None:
    (family,) = labelled(TEXT, {"model": "m", "worker": "0"})
    (sample,) = family.samples
    assert sample.labels == {"kind": "tabby", "model": "m", "worker": "0"}
    assert (family.name, family.documentation) == ("cats", "cats that were seen")


def test_those_of_all_workers_and_models_are_together() -> None:
    async def ask() -> None:
        models = [model(Pool(TEXT.encode(), TEXT.encode())), model(Pool(TEXT.encode()), "n"), model(None)]
        metrics = UserMetrics(lambda: [*models, model(Pool(b"x"), "tensors", whole=False)])
        await metrics.refresh()
        assert list(shown(metrics)) == [
            ("cats_total", "kind=tabby", "model=m", "worker=0"),
            ("cats_total", "kind=tabby", "model=m", "worker=1"),
            ("cats_total", "kind=tabby", "model=n", "worker=0"),
        ]

    asyncio.run(ask())


def test_what_is_none_or_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_metrics, "MOST_BYTES", 200)

    async def ask() -> None:
        metrics = UserMetrics(lambda: [model(Pool(b"what { is this", b"\xff", TEXT.encode()))])
        await metrics.refresh()
        assert not shown(metrics)

    asyncio.run(ask())


def test_who_is_late_is_shown_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_metrics, "_TIMEOUT", 0.05)

    async def ask() -> None:
        pool = Pool(TEXT.encode())
        metrics = UserMetrics(lambda: [model(pool)])
        monkeypatch.setattr(user_metrics, "_TIMEOUT", 60.0)
        await metrics.refresh()
        before = shown(metrics)
        pool.gate.clear()
        monkeypatch.setattr(user_metrics, "_TIMEOUT", 0.05)
        await metrics.refresh()
        assert shown(metrics) == before != {}

    asyncio.run(ask())
