"""A model in worker processes, as an adapter like any other."""

from __future__ import annotations

from typing import Self

from adapters.base import Adapter, Match, ModelDir, Parameters, Reply, ReplyStream, Request, Tensors, Traits
from server.workers.channels import CallDone
from server.workers.messages import Hello
from server.workers.worker_pool import WorkerPool


def pool_of(adapter: Adapter) -> WorkerPool | None:
    """The workers of a model, or None when it runs in the server's process."""
    return adapter.pool if isinstance(adapter, RemoteAdapter) else None


class RemoteAdapter(Adapter):
    """What the server holds of a model that runs elsewhere: its contract, and the way there."""

    name = "remote"
    platform = "remote"

    def __init__(self, name: str, hello: Hello, pool: WorkerPool) -> None:
        super().__init__(hello.signature)
        # The model's own, in the place of this class's. Each worker has one call at a time, whatever the model bears.
        self.name, self.platform, self.traits = name, hello.platform, Traits(batchable=hello.batchable)
        self.pool = pool
        self.memory_bytes = hello.memory_bytes  #: resident, of one worker after loading
        self._example = hello.example

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        raise NotImplementedError("a worker loads models by their own adapters")

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return self.pool.call("predict", inputs, parameters)

    def begin(self, inputs: Tensors, parameters: Parameters, done: CallDone) -> bool:
        """`WorkerPool.begin`"""
        return self.pool.begin(inputs, parameters, done)

    def explain(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return self.pool.call("explain", inputs, parameters)

    async def answer(self, request: Request) -> Reply | ReplyStream:
        return await self.pool.answer(request)

    def example(self) -> Tensors:
        return self._example

    def close(self) -> None:
        self.pool.close()
