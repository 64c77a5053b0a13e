"""Who asks for a model that is not in memory shares one load, waits as long as they may, and is told why it failed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.base import ModelDir
from server.errors import DeadlineExceeded, ModelFailed, NotReady, QueueFull
from server.inference.batching.queue import Limits
from server.loading.catalog import Found
from server.repository.on_demand import NotLoaded, OnDemandLoader


class Disk:
    """Models that come into memory once the gate is open, or fail."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.memory: set[str] = set()
        self.loads: list[str] = []
        self.error: Exception | None = None
        self.evicted = 0  #: times that a model is gone again when it is looked up

    def ready(self, name: str, version: str | None) -> str:
        if name in self.memory and self.evicted:
            self.evicted -= 1
            self.memory.discard(name)
        if name not in self.memory:
            raise NotLoaded(f"model {name!r} is not in memory", Found(name, ModelDir(Path(name), Path(name))))
        return f"the model {name}"

    def bring(self, found: Found) -> None:
        self.loads.append(found.name)
        assert self.gate.wait(60)
        if self.error is not None:
            raise self.error
        self.memory.add(found.name)


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.gate.set()


def run(disk: Disk, test: Callable[[OnDemandLoader[str]], Coroutine[Any, Any, None]], **limits: Any) -> None:
    async def all_of_it() -> None:
        with ThreadPoolExecutor(2) as executor:
            try:
                await test(OnDemandLoader(disk.ready, disk.bring, Limits(**limits), executor))
            finally:
                disk.gate.set()

    asyncio.run(asyncio.wait_for(all_of_it(), 60))


async def asked(loader: OnDemandLoader[str], count: int, name: str = "a") -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(loader.model(name, None)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_what_is_in_memory_is_there_at_once(disk: Disk) -> None:
    async def test(loader: OnDemandLoader[str]) -> None:
        disk.memory.add("a")
        assert await loader.model("a", None) == "the model a"
        assert not disk.loads

    run(disk, test)


def test_all_who_ask_share_one_load(disk: Disk) -> None:
    async def test(loader: OnDemandLoader[str]) -> None:
        tasks = await asked(loader, 5)
        assert loader.awaited(("a", ""))
        tasks[0].cancel()  # whoever leaves does not take the others along
        disk.gate.set()
        assert await asyncio.gather(*tasks[1:]) == ["the model a"] * 4
        assert disk.loads == ["a"]
        assert not loader.awaited(("a", ""))

    run(disk, test)


def test_too_many_are_refused_in_the_words_of_every_queue(disk: Disk) -> None:
    async def test(loader: OnDemandLoader[str]) -> None:
        tasks = await asked(loader, 3)
        with pytest.raises(QueueFull) as caught:
            await tasks[2]
        assert str(caught.value) == "a has 2 requests waiting (limit max_queue): try again later"
        disk.gate.set()
        assert await asyncio.gather(*tasks[:2]) == ["the model a"] * 2

    run(disk, test, max_queue=2)


def test_who_waits_too_long_is_told_and_the_load_goes_on(disk: Disk) -> None:
    async def test(loader: OnDemandLoader[str]) -> None:
        with pytest.raises(DeadlineExceeded) as caught:
            await loader.model("a", None)
        assert str(caught.value) == "the request waited 0.01 s for a (limit request_timeout)"
        assert loader.awaited(("a", ""))
        quiet = asyncio.Event()
        loader.when_quiet = quiet.set
        disk.gate.set()
        await quiet.wait()
        assert await loader.model("a", None) == "the model a"

    run(disk, test, timeout=0.01)


def test_who_comes_when_all_who_waited_have_left_waits_for_the_same_load(disk: Disk) -> None:
    """Else each begins another, and only the last is taken in: of one that takes longer than they may wait, none."""

    async def test(loader: OnDemandLoader[str]) -> None:
        (first,) = await asked(loader, 1)
        first.cancel()
        await asyncio.wait([first])
        (second,) = await asked(loader, 1)
        disk.gate.set()
        assert await second == "the model a"
        assert disk.loads == ["a"]

    run(disk, test)


def test_a_model_that_is_gone_again_is_brought_again(disk: Disk) -> None:
    async def test(loader: OnDemandLoader[str]) -> None:
        disk.evicted = 2
        disk.gate.set()
        assert await loader.model("a", None) == "the model a"
        assert disk.loads == ["a"] * 3

    run(disk, test)


def test_a_deadline_is_that_of_the_first_wait(disk: Disk) -> None:
    """Else a model that is evicted again and again would be waited for without end."""

    async def test(loader: OnDemandLoader[str]) -> None:
        disk.evicted = 1 << 60
        disk.gate.set()
        with pytest.raises(DeadlineExceeded):
            await loader.model("a", None)

    run(disk, test, timeout=0.1)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [(NotReady("no room"), NotReady, "no room"), (ValueError("a bug"), ModelFailed, "ValueError: a bug")],
)
def test_all_who_wait_are_told_why_it_failed(disk: Disk, error: Exception, kind: type[Exception], says: str) -> None:
    async def test(loader: OnDemandLoader[str]) -> None:
        disk.error = error
        tasks = await asked(loader, 2)
        disk.gate.set()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert (type(outcome), str(outcome)) == (kind, says)
        disk.error = None
        assert await loader.model("a", None) == "the model a"

    run(disk, test)


def test_loads_of_several_models_run_beside_each_other_and_the_last_says_so(disk: Disk) -> None:
    async def test(loader: OnDemandLoader[str]) -> None:
        quiet: list[bool] = []
        loader.when_quiet = lambda: quiet.append(True)
        tasks = [*await asked(loader, 1, "a"), *await asked(loader, 1, "b")]
        disk.gate.set()
        assert await asyncio.gather(*tasks) == ["the model a", "the model b"]
        assert quiet == [True]

    run(disk, test)
