"""A large call in parts answers what the whole call answers, errors included."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidInput as Refusal
from adapters.base import Parameters, Tensors, Traits
from server.codec.decoded_request import DecodedRequest
from server.errors import InvalidInput, ModelFailed
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits
from server.inference.batching.threads import ThreadPool, spare
from server.inference.batching.tuning import TUNING
from server.inference.tensor_model import TensorModel
from server.telemetry.metrics import Metrics
from tests.asking import submit
from tests.server.stand_ins import EchoAdapter

LARGE = TUNING.split_rows

Predict = Callable[[Tensors, Parameters], Tensors]


def asked(rows: int) -> DecodedRequest:
    return DecodedRequest({"x": np.arange(rows, dtype=np.float64)}, rows, {})


def ask(predict: Predict, rows: int, cores: int = 3, *, merges: bool = True) -> Any:
    async def answer() -> Any:
        batcher = Batcher(predict, ThreadPool(8, "test", cores), merges=merges, cores=lambda: cores)
        return await submit(batcher, asked(rows))

    return asyncio.run(answer())


class Recorder:
    def __init__(self, *, together: int = 0) -> None:
        self.sizes: list[int] = []
        self.barrier = threading.Barrier(together, timeout=60) if together else None

    def __call__(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        self.sizes.append(len(inputs["x"]))
        if self.barrier:
            self.barrier.wait()
        return {"y": inputs["x"] * 2, "t": np.array([str(x) for x in inputs["x"]], dtype=np.object_)}


@pytest.mark.parametrize("rows", [LARGE, LARGE + 1, 3001])
def test_the_parts_make_the_whole(rows: int) -> None:
    model = Recorder(together=3)
    outputs = ask(model, rows)
    assert outputs["y"].tolist() == [2.0 * x for x in range(rows)]
    assert outputs["t"].tolist() == [str(float(x)) for x in range(rows)]
    assert sum(model.sizes) == rows
    assert max(model.sizes) - min(model.sizes) <= 1


@pytest.mark.parametrize(("rows", "cores", "merges"), [(LARGE - 1, 3, True), (LARGE, 1, True), (LARGE, 3, False)])
def test_what_stays_whole(rows: int, cores: int, merges: bool) -> None:
    model = Recorder()
    ask(model, rows, cores, merges=merges)
    assert model.sizes == [rows]


def test_errors_are_those_of_the_whole_call() -> None:
    def refuse(inputs: Tensors, parameters: Parameters) -> Tensors:
        bad = np.flatnonzero(inputs["x"] == LARGE - 1)
        if len(bad):
            raise Refusal(f"x[{bad[0]}] is odd")
        return {"y": inputs["x"]}

    with pytest.raises(InvalidInput, match=rf"x\[{LARGE - 1}\] is odd"):
        ask(refuse, LARGE)


def test_a_part_of_the_wrong_length_is_told() -> None:
    with pytest.raises(ModelFailed, match=f"1 rows in 'y' for {LARGE} rows"):
        ask(lambda inputs, _: {"y": inputs["x"][:1]}, LARGE)


def test_parts_that_do_not_fit_together_are_asked_as_a_whole() -> None:
    def widths(inputs: Tensors, parameters: Parameters) -> Tensors:
        rows = len(inputs["x"])
        return {"y": np.zeros((rows, rows % 7 + int(inputs["x"][0]) % 5))}

    assert ask(widths, LARGE + 1)["y"].shape == (LARGE + 1, (LARGE + 1) % 7)


def test_spare_cores() -> None:
    gate, entered = threading.Event(), threading.Semaphore(0)
    threads = ThreadPool(8, "test", cores=2)

    def work() -> None:
        entered.release()
        gate.wait(60)

    assert spare(threads) == 2
    threads.submit(work)
    assert entered.acquire(timeout=60)
    assert spare(threads) == 1
    for _ in range(3):
        threads.submit(work)
    assert spare(threads) == 0
    gate.set()


class Counted(EchoAdapter):
    """Tells how many rows each of its calls had."""

    traits = Traits(parallel=True)

    def __init__(self) -> None:
        super().__init__("echo", {})
        self.sizes: list[int] = []

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        self.sizes.append(len(inputs["x"]))
        return {"y": inputs["x"]}


@pytest.mark.parametrize(("concurrency", "sizes"), [(1, [LARGE]), (2, [LARGE // 2] * 2)])
def test_a_model_has_as_many_parts_as_calls_at_a_time_at_most(concurrency: int, sizes: list[int]) -> None:
    """`lanes: 1` in a polyserve.yaml leaves calls whole."""
    adapter = Counted()
    metrics = Metrics(dict).of("m")
    model = TensorModel("m", adapter, ThreadPool(8, "test", 4), Limits(concurrency=concurrency), metrics, merges=True)
    asyncio.run(submit(model._batcher, DecodedRequest({"x": np.zeros((LARGE, 2))}, LARGE, {})))
    assert adapter.sizes == sizes
