"""Whole requests: who waits, who is refused, who is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest, ModelInferResponse

from adapters.base import Adapter, Match, ModelDir, Parameters, Reply, Request, Signature, Tensors, TensorSpec
from server import errors
from server.inference.answer import Answer
from server.inference.batching.queue import Limits
from server.inference.passthrough_model import PassthroughModel
from server.inference.request import never_disconnected
from server.telemetry.counters import ModelMetrics
from tests.server import asking


class Gate(Adapter):
    """Answers a request once the gate is open; its body says how."""

    name: ClassVar[str] = "gate"
    platform: ClassVar[str] = "test"

    def __init__(self, overlaps: bool = False) -> None:
        super().__init__(Signature((TensorSpec("x", "FP32", (-1,)),), (), whole=True, overlaps=overlaps))
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0
        self.closed = False

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Gate:
        return cls()

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        raise NotImplementedError

    async def answer(self, request: Request) -> Reply:
        assert not self.closed
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        if request.body == b"fail":
            raise ValueError("no")
        if request.protocol == "grpc":
            return Reply(ModelInferResponse(id=request.headers["id"]).SerializeToString(), {})
        status = int(request.headers.get("status", "200"))
        return Reply(request.verb.encode() + request.body, {"content-type": "text/plain"}, status)

    def close(self) -> None:
        self.closed = True


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 10))


def model(gate: Gate, most: int | None = None, **limits: Any) -> PassthroughModel:
    return PassthroughModel("gate", gate, Limits(**limits), ModelMetrics(), most)


def ask(
    served: PassthroughModel, body: bytes = b"", gone: Callable[[], bool] = never_disconnected, **headers: str
) -> asyncio.Task[Answer]:
    return asyncio.create_task(asking.ask(served, body, headers=headers, is_disconnected=gone))


async def over_grpc(served: PassthroughModel, metadata: dict[str, str]) -> ModelInferResponse:
    answer = await asking.ask(served, ModelInferRequest().SerializeToString(), "grpc", headers=metadata)
    return ModelInferResponse.FromString(answer.body)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_few_at_a_time_unless_it_gains() -> None:
    async def test() -> None:
        for gate, most, expected in ((Gate(), None, 2), (Gate(overlaps=True), None, 9), (Gate(overlaps=True), 3, 3)):
            served = model(gate, most)
            tasks = [ask(served, b"%d" % number) for number in range(9)]
            await settle()
            assert (gate.inside, served.waiting) == (expected, 9 - expected)
            gate.open.set()
            assert [reply.body for reply in await asyncio.gather(*tasks)] == [b"predict%d" % n for n in range(9)]
            assert (gate.most, served.waiting) == (expected, 0)

    run(test)


def test_a_full_queue_refuses() -> None:
    async def test() -> None:
        gate = Gate()
        served = model(gate, 1, max_queue=2)
        tasks = [ask(served) for _ in range(4)]
        await settle()
        with pytest.raises(errors.QueueFull, match="gate has 2 requests waiting"):
            await tasks[3]
        gate.open.set()
        await asyncio.gather(*tasks[:3])

    run(test)


def test_clients_that_are_gone_make_room_and_never_reach_the_model() -> None:
    async def test() -> None:
        gate = Gate()
        served = model(gate, 1, max_queue=1)
        left = False
        first, second = ask(served), ask(served, gone=lambda: left)
        await settle()
        left = True
        third = ask(served)
        await settle()
        gate.open.set()
        with pytest.raises(errors.ClientGone):
            await second
        await asyncio.gather(first, third)

    run(test)


def test_waiting_has_an_end_and_frees_the_place() -> None:
    async def test() -> None:
        gate = Gate()
        served = model(gate, 1, timeout=0.05)
        first, second = ask(served), ask(served)
        with pytest.raises(errors.DeadlineExceeded, match=r"0.05 s for gate"):
            await second
        assert (served.waiting, first.done()) == (0, False)  # what is with the model may take its time
        gate.open.set()
        await first
        await ask(served)

    run(test)


def test_cancelled_requests_free_their_places() -> None:
    async def test() -> None:
        gate = Gate()
        served = model(gate, 1)
        first, second, third = ask(served), ask(served), ask(served)
        await settle()
        second.cancel()
        first.cancel()
        await settle()
        assert gate.inside == 1
        gate.open.set()
        await third
        assert served.waiting == 0

    run(test)


def test_a_failure_frees_the_place() -> None:
    async def test() -> None:
        gate = Gate()
        gate.open.set()
        served = model(gate, 1)
        for _ in range(3):
            with pytest.raises(errors.ModelFailed, match="ValueError: no"):
                await ask(served, b"fail")
        assert (await ask(served)).status == 200

    run(test)


def test_stopping_answers_those_who_wait_and_closes_last() -> None:
    async def test() -> None:
        gate = Gate()
        served = model(gate, 1)
        first, second = ask(served), ask(served)
        await settle()
        await asyncio.to_thread(served.stop)
        with pytest.raises(errors.NotReady, match="being unloaded"):
            await second
        with pytest.raises(errors.NotReady, match="being unloaded"):
            await ask(served)
        assert not gate.closed
        gate.open.set()
        assert (await first).status == 200
        assert gate.closed

    run(test)


def test_a_model_that_was_never_asked_closes_at_once() -> None:
    gate = Gate()
    model(gate).stop()
    assert gate.closed


def test_the_models_own_errors_are_replies_and_counted() -> None:
    async def test() -> None:
        gate = Gate()
        gate.open.set()
        metrics = ModelMetrics()
        served = PassthroughModel("gate", gate, Limits(), metrics)
        assert (await ask(served, status="422")).status == 422
        assert (await asking.ask(served, b"!", verb="explain")).body == b"explain!"
        assert dict(metrics.requests) == {("v1", 422): 1, ("v1", 200): 1}

    run(test)


def test_grpc() -> None:
    async def test() -> None:
        gate = Gate()
        gate.open.set()
        assert (await over_grpc(model(gate), {"id": "7"})).id == "7"

    run(test)
