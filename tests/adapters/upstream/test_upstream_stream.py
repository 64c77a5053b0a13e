"""One sequence of a program's, by itself: refused, failed, or given up. `test_adapter` has them side by side."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.base import StreamFailed
from adapters.generation.refusal import RefusedJob
from adapters.upstream.adapter import UpstreamAdapter
from adapters.upstream.upstream_request import COMPLETION
from adapters.upstream.upstream_stream import Patience, UpstreamStream
from tests.adapters.upstream.conftest import Start


def stream_of(model: UpstreamAdapter, prompt: str, **fields: Any) -> UpstreamStream:
    body = {"model": model.served_name, "prompt": prompt, **fields}
    return UpstreamStream("vllm", model.process.socket, COMPLETION, body, Patience())


def test_its_chunks(start: Start) -> None:
    model = start()

    async def run() -> list[str]:
        stream = stream_of(model, "hello", max_tokens=2)
        try:
            return [event.text async for event in stream]
        finally:
            await stream.aclose()
            await stream.aclose()

    assert asyncio.run(run()) == ["", " 0", " 1", "", ""]


@pytest.mark.parametrize(
    ("prompt", "status", "error", "told"),
    [
        ("400", 400, RefusedJob, "too long by 3"),
        ("429", 429, RefusedJob, "no room for more requests: busy"),
        ("500", 500, StreamFailed, "vllm failed at this request: it answered 500: the engine is out of blocks"),
    ],
)
def test_a_refusal_is_known_before_the_first_chunk(
    start: Start, prompt: str, status: int, error: type[Exception], told: str
) -> None:
    model = start()

    async def run() -> None:
        stream = stream_of(model, prompt)
        assert stream.refusal == 0
        await stream.opened(60)
        assert stream.refusal == status
        with pytest.raises(error, match=told):
            await anext(stream)
        await stream.aclose()

    asyncio.run(run())


def test_it_may_be_given_up_before_it_begins(start: Start) -> None:
    model = start()

    async def run() -> None:
        stream = stream_of(model, "hang")
        await stream.opened(0.0)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(run())
