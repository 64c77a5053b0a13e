"""A served model through KServe's own hooks: what its data plane hands over, in whatever form."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from server.api.kserve.models import kserve_model
from server.errors import NotReady, NotSupported
from server.inference.batching.merging import BatchCaller
from server.inference.batching.queue import Limits
from server.inference.tensor_model import TensorModel
from server.telemetry.metrics import Metrics
from tests.server.asking import v1
from tests.server.stand_ins import EchoAdapter


@pytest.fixture
def model() -> Iterator[TensorModel]:
    with ThreadPoolExecutor(2) as executor:
        yield TensorModel("m", EchoAdapter("echo", {}), executor, Limits(), Metrics(dict).of("m"), merges=True)


@pytest.mark.parametrize("size", [1, 20_000])
def test_large_bodies_and_answers_are_the_same_off_the_loop(model: TensorModel, size: int) -> None:
    rows = [[float(i), 0.1] for i in range(size)]
    answer: Any = asyncio.run(kserve_model(model).predict({"instances": rows}))
    assert answer["predictions"] == [[2 * a, 2 * b] for a, b in rows]


@pytest.mark.parametrize("rows", [1, 20_000])
def test_an_answered_request_leaves_its_tensors_to_no_collection(model: TensorModel, rows: int) -> None:
    seen: list[weakref.ref[Any]] = []

    def predict(inputs: Any, parameters: Any) -> Any:
        seen.append(weakref.ref(inputs["x"]))
        return {"y": inputs["x"].copy()}

    model._batcher.calls.caller = BatchCaller(predict)
    body = orjson.dumps({"instances": [[1.0, 2.0]] * rows})

    async def ask() -> bool:
        await v1(model, body)
        for _ in range(500):  # the thread that ran the call may be about to let go of it
            if seen[0]() is None:
                return True
            await asyncio.sleep(0.01)
        return False

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(ask())
    finally:
        gc.enable()


def test_a_model_that_is_stopped_refuses_and_is_closed_once(model: TensorModel) -> None:
    adapter: Any = model.adapter
    model.stop()
    assert adapter.closed == 1
    assert not model.ready
    with pytest.raises(NotReady, match="model 'm' is being unloaded"):
        asyncio.run(kserve_model(model).predict({"instances": [[1, 2]]}))
    with pytest.raises(NotReady):
        kserve_model(model).load()


def test_explanations_are_not_offered(model: TensorModel) -> None:
    with pytest.raises(NotSupported, match=r"model 'm' \(echo\) does not explain"):
        asyncio.run(kserve_model(model).explain({"instances": [[1, 2]]}))


@pytest.mark.parametrize("wanted", [True, False])
def test_latencies_are_logged_where_that_is_asked_for(
    model: TensorModel, wanted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model.log_latency = wanted
    with caplog.at_level("INFO", "kserve.trace"):
        logging.getLogger("kserve").propagate = logging.getLogger("kserve.trace").propagate = True
        asyncio.run(v1(model, b'{"instances": [[1, 2]]}'))
    assert ("v1 m: preprocess_ms: " in caplog.text) is wanted
