"""What stands in the server for a model in workers: all that it is asked goes to the pool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from adapters.base import ModelDir, Reply, ReplyStream, Request, Signature, TensorSpec
from server.workers.adapter import RemoteAdapter, pool_of
from server.workers.messages import Hello
from server.workers.worker_pool import WorkerPool

SIGNATURE = Signature((TensorSpec("x", "FP64", (-1,)),), ())
X = {"x": np.ones(2)}
HELLO = Hello(SIGNATURE, "scikit-learn", False, 1.0, 1000, X)


class Pool:
    """Remembers what it is asked."""

    def __init__(self, answer: Reply | ReplyStream) -> None:
        self.asked: list[Any] = []
        self._answer = answer

    def call(self, verb: str, inputs: Any, parameters: Any) -> str:
        self.asked.append(verb)
        return f"outputs of {verb}"

    def begin(self, inputs: Any, parameters: Any, done: Any) -> bool:
        self.asked.append("begin")
        return True

    async def answer(self, request: Request) -> Reply | ReplyStream:
        self.asked.append(request)
        return self._answer

    def close(self) -> None:
        self.asked.append("close")


def test_it_is_the_model_by_what_its_worker_says() -> None:
    adapter = RemoteAdapter("sklearn", HELLO, cast(WorkerPool, pool := Pool(Reply(b"", {}))))
    assert (adapter.name, adapter.platform, adapter.traits.batchable) == ("sklearn", "scikit-learn", False)
    assert (adapter.signature, adapter.memory_bytes, adapter.example()) == (SIGNATURE, 1000, X)
    assert pool_of(adapter) is cast(WorkerPool, pool)
    assert adapter.predict(X, {}) == "outputs of predict"  # type: ignore[comparison-overlap]
    assert adapter.explain(X, {}) == "outputs of explain"  # type: ignore[comparison-overlap]
    assert adapter.begin(X, {}, print)
    adapter.close()
    assert pool.asked == ["predict", "explain", "begin", "close"]


@pytest.mark.parametrize("streams", [False, True])
def test_answers_and_streams_pass_as_they_are(streams: bool) -> None:
    answer = ReplyStream(cast(Any, "parts"), {}) if streams else Reply(b"", {})
    adapter = RemoteAdapter("custom", HELLO, cast(WorkerPool, Pool(answer)))
    assert asyncio.run(adapter.answer(Request("predict", "v1", b"", {}))) is answer


def test_it_claims_and_loads_nothing(tmp_path: Path) -> None:
    assert RemoteAdapter.match(ModelDir.of(tmp_path)) is None
    with pytest.raises(NotImplementedError):
        RemoteAdapter.load(ModelDir.of(tmp_path), "", {})
