"""A steady stream of requests to one model over REST and gRPC, and what came of each."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
import httpx
import numpy as np
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.e2e.process import Server

MOST = 400  #: requests in flight: a machine that is too slow for the rate is asked less, and not ever more
CHANNELS = 4  #: connections of gRPC; REST has as many as there are requests in flight


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent and answered (monotonic seconds), and with which number, or why not."""

    sent: float
    answered: float
    value: float
    error: str = ""


@dataclass
class Load:
    """Asks for the prediction of one row of ones while it is entered: `rate` requests/s on each transport."""

    server: Server
    model: str
    rate: float
    grpc: bool = True
    answers: list[Answer] = field(default_factory=list)
    _flying: int = 0

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join(240)
        assert not self._thread.is_alive()

    @property
    def newest(self) -> float:
        """The highest number that was answered."""
        return max((answer.value for answer in list(self.answers)), default=0.0)

    def check(self) -> None:
        """Nothing failed, and whoever asked after a version had answered got that one or a newer one."""
        failed = [answer for answer in self.answers if answer.error]
        assert not failed, f"{len(failed)} of {len(self.answers)}: {failed[:3]}"
        done = sorted(self.answers, key=lambda answer: answer.answered)
        newest, seen = 0.0, 0
        for answer in sorted(self.answers, key=lambda answer: answer.sent):
            while done[seen].answered < answer.sent:
                newest = max(newest, done[seen].value)
                seen += 1
            assert answer.value >= newest, f"{answer} although {newest} had answered"

    async def _run(self) -> None:
        rest = httpx.AsyncClient(base_url=self.server.url, timeout=httpx.Timeout(240, pool=None))
        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection each: a server may have several processes
        async with rest as client, contextlib.AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(grpc.aio.insecure_channel(self.server.grpc, options=options))
                for _ in range(CHANNELS)
            ]
            infer = itertools.cycle([GRPCInferenceServiceStub(channel).ModelInfer for channel in channels])
            ways = [lambda: self._rest(client), lambda: self._infer(next(infer))]
            await self._pour(ways if self.grpc else ways[:1])

    async def _pour(self, ways: Sequence[Callable[[], Awaitable[float]]]) -> None:
        """Send at an even pace, whether or not the answers keep up (within reason)."""
        async with asyncio.TaskGroup() as group:
            begin, count = time.monotonic(), 0
            while not self._stopped.is_set():
                for way in ways if self._flying < MOST else ():
                    self._flying += 1
                    group.create_task(self._one(way))
                count += 1
                await asyncio.sleep(max(0.0, begin + count / self.rate - time.monotonic()))

    async def _one(self, ask: Callable[[], Awaitable[float]]) -> None:
        sent, value, error = time.monotonic(), 0.0, ""
        try:
            value = await ask()
        except Exception as failure:
            error = repr(failure)
        self._flying -= 1
        self.answers.append(Answer(sent, time.monotonic(), value, error))

    async def _rest(self, client: httpx.AsyncClient) -> float:
        answer = await client.post(f"/v1/models/{self.model}:predict", json={"instances": [[1.0, 1.0]]})
        assert answer.status_code == 200, answer.text
        return float(answer.json()["predictions"][0])

    async def _infer(self, infer: Callable[[ModelInferRequest], Awaitable[Any]]) -> float:
        request = ModelInferRequest(model_name=self.model)
        tensor = request.inputs.add(name="x", datatype="FP64", shape=[1, 2])
        tensor.contents.fp64_contents.extend([1.0, 1.0])
        answer = await infer(request)
        (output,) = answer.outputs
        if answer.raw_output_contents:
            return float(np.frombuffer(answer.raw_output_contents[0], np.float64)[0])
        return float(output.contents.fp64_contents[0])
