"""A served model through KServe's own hooks: what its data plane hands over, in whatever form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse

from adapters.base import Reply, ReplyStream, Request
from server.api.kserve.models import kserve_model
from server.errors import InvalidInput, NotSupported
from server.inference.batching.queue import Limits
from server.inference.passthrough_model import PassthroughModel
from server.inference.stream_parts import SinglePart
from server.inference.tensor_model import TensorModel
from server.telemetry.counters import ModelMetrics
from server.telemetry.metrics import Metrics
from tests.server.inference.test_passthrough_model import Gate
from tests.server.stand_ins import EchoAdapter


@pytest.fixture
def model() -> Iterator[TensorModel]:
    with ThreadPoolExecutor(2) as executor:
        yield TensorModel("m", EchoAdapter("echo", {}), executor, Limits(), Metrics(dict).of("m"), merges=True)


FORMS = [
    {"instances": [[1, 2]]},
    b'{"instances": [[1, 2]]}',
    [1, 2],
    {"inputs": {"b": [2], "a": [1]}},
]


@pytest.mark.parametrize("payload", FORMS, ids=str)
def test_v1_payloads(model: TensorModel, payload: Any) -> None:
    assert asyncio.run(kserve_model(model).predict(payload)) == {"predictions": [[2.0, 4.0]]}


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[", b'{"instances": [[NaN, 1]]}', "text", None, 3, {}, []], ids=str
)
def test_what_is_no_request_is_the_clients_fault(model: TensorModel, payload: Any) -> None:
    with pytest.raises(InvalidInput):
        asyncio.run(kserve_model(model).predict(payload))


@pytest.mark.parametrize("binary", [True, False])
def test_v2_payloads(model: TensorModel, binary: bool) -> None:
    tensor = InferInput("x", [1, 2], "FP64")
    tensor.set_data_from_numpy(np.array([[1.5, -0.0]]), binary_data=binary)
    parameters = {"binary_data_output": binary}
    response = asyncio.run(kserve_model(model).predict(InferRequest("m", [tensor], parameters=parameters)))
    assert isinstance(response, InferResponse)
    np.testing.assert_array_equal(response.outputs[0].as_numpy(), [[3.0, -0.0]])


class Yielding(Gate):
    """Answers in parts."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = SinglePart(b"1")

    async def answer(self, request: Request) -> Reply | ReplyStream:  # type: ignore[override]
        return ReplyStream(self.parts, {})


def test_an_event_to_a_model_that_answers_in_parts_is_refused_by_name() -> None:
    async def test() -> None:
        served = PassthroughModel("gate", Yielding(), Limits(), ModelMetrics())
        with pytest.raises(NotSupported, match="model 'gate' answers in parts"):
            await kserve_model(served)({"instances": [1]})
        assert served.in_flight.count == 0

    asyncio.run(test())


def test_a_model_that_reads_events_gets_them_without_their_own_headers() -> None:
    async def test() -> None:
        gate = Gate()
        gate.open.set()
        served = PassthroughModel("gate", gate, Limits(), ModelMetrics())
        body, headers = await kserve_model(served)(b"{}", {"ce-id": "1", "content-length": "2", "x": "y"})
        assert (body, headers) == (b"predict{}", {})

    asyncio.run(test())
