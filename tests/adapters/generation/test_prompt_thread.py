"""Prompts are made one after the other, and who takes for ever over one is told of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from adapters.generation import prompt_thread
from adapters.generation.prompt_thread import PromptThread


@pytest.fixture
def thread() -> Iterator[PromptThread]:
    thread = PromptThread("prompts", "the chat template")
    yield thread
    thread.close()


def test_it_gives_what_the_work_gives_and_raises_what_it_raises(thread: PromptThread) -> None:
    assert asyncio.run(thread.run(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(thread.run(divmod, 7, 0))
    assert (thread.seconds, thread.is_long, thread.stuck) == (0.0, False, "")


def test_for_how_long_it_is_at_one_and_when_that_is_too_long(
    thread: PromptThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert may_end.wait(60)

    async def run() -> None:
        task = asyncio.create_task(thread.run(work))
        await asyncio.to_thread(begun.wait, 60)
        monkeypatch.setattr(prompt_thread, "LONGEST", 1e9)
        assert not thread.stuck
        monkeypatch.setattr(prompt_thread, "LONGEST", 0.0)
        assert thread.stuck.startswith("the chat template has been at one prompt for ")
        monkeypatch.setattr(prompt_thread, "_LONG", 0.0)
        assert thread.is_long
        may_end.set()
        await task

    asyncio.run(run())
