"""A custom model that yields, in a real worker: parts as they are made, cancelled within one, beside other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.base import ModelDir, Reply, ReplyStream, Request
from server.workers.launch import WorkerSpec
from server.workers.messages import WorkerModel
from server.workers.streams import WINDOW_PARTS
from server.workers.worker_pool import WorkerPool
from tests import custom_models
from tests.patience import becomes

MODELS = Path(custom_models.__file__).parent


@pytest.fixture
def serve() -> Iterator[Callable[[str], WorkerPool]]:
    """A worker with that model; one event loop may ask it."""
    pools: list[WorkerPool] = []

    def serve(name: str) -> WorkerPool:
        job = WorkerModel("custom", ModelDir(MODELS / name, MODELS, name=name), "model.py", {})
        pools.append(WorkerPool(WorkerSpec(name, job)))
        assert pools[-1].start().signature.streams
        return pools[-1]

    yield serve
    for pool in pools:
        pool.kill()
        assert pool.wait_ended(60)


def ask(pool: WorkerPool, body: dict[str, Any], verb: str = "predict", protocol: str = "v1") -> Any:
    return pool.answer(Request(verb, protocol, orjson.dumps(body), {"content-type": "application/json"}))


async def everything(reply: Reply | ReplyStream) -> list[Any]:
    assert isinstance(reply, ReplyStream)
    async with aclosing(reply.parts) as parts:
        return [orjson.loads(part) async for part in parts]


@pytest.mark.slow
def test_parts_come_as_they_are_made_and_others_meanwhile(serve: Callable[[str], WorkerPool], tmp_path: Path) -> None:
    pool = serve("streaming")

    async def main() -> None:
        reply = await ask(pool, {"instances": [1, "gate", 3], "notes": str(tmp_path)})
        async with aclosing(reply.parts) as parts:
            assert orjson.loads(await anext(parts)) == {"number": 0, "prediction": 1}
            assert (tmp_path / "made").read_text() == "1"
            assert len(await everything(await ask(pool, {"instances": list(range(100))}))) == 100
            (tmp_path / "open").touch()
            assert [orjson.loads(part)["number"] async for part in parts] == [1, 2]
        await becomes((tmp_path / "closed").exists)

    asyncio.run(main())


@pytest.mark.slow
def test_who_leaves_ends_the_generator(serve: Callable[[str], WorkerPool], tmp_path: Path) -> None:
    pool = serve("streaming")

    async def main() -> None:
        reply = await ask(pool, {"instances": [1, 2, 3, "gate", *range(100)], "notes": str(tmp_path)})
        async with aclosing(reply.parts) as parts:
            for _ in range(3):
                await anext(parts)
            await becomes((tmp_path / "at-gate").exists)
        assert not (tmp_path / "closed").exists()  # it is in its next step, which nothing can end
        (tmp_path / "open").touch()
        await becomes((tmp_path / "closed").exists)
        assert int((tmp_path / "made").read_text()) <= WINDOW_PARTS  # that a worker may make ahead of its reader
        await becomes(lambda: not pool._serving[0].busy)

    asyncio.run(main())


@pytest.mark.slow
def test_an_asynchronous_one_with_hooks_around_it(serve: Callable[[str], WorkerPool]) -> None:
    reply = asyncio.run(_ask_all(serve("streaming_async"), {"instances": [1, 2]}))
    assert reply == [{"prediction": 2}, {"prediction": 4}]


async def _ask_all(pool: WorkerPool, body: dict[str, Any], *how: str) -> list[Any]:
    return await everything(await ask(pool, body, *how))


@pytest.mark.slow
def test_generate_stream(serve: Callable[[str], WorkerPool]) -> None:
    found = asyncio.run(_ask_all(serve("streaming"), {"text_input": "a b"}, "generate_stream", "v2"))
    head = {"model_name": "streaming", "model_version": "1"}
    assert found == [{**head, "text_output": "a "}, {**head, "text_output": "b "}]
