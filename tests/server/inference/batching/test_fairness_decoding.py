"""No model keeps the event loop with what it is sent, and nothing of it is lost or overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from server.codec.request import DecodedRequest
from server.errors import ServingError
from server.inference.answer import Answer, StreamedAnswer
from server.inference.batching.batcher import Batcher
from server.inference.batching.fairness import DecodeTurns
from server.inference.batching.policy import Traffic
from server.inference.batching.threads import ThreadPool
from server.inference.batching.tuning import TUNING
from server.inference.request import Codec, InferenceRequest, Pipeline
from tests.patience import becomes

FLOODED, OTHER = 1, 2
SHARE = TUNING.decoded_bytes_a_turn


def decoded(test: Callable[[DecodeTurns, asyncio.AbstractEventLoop, list[str]], None], turns: int = 50) -> list[str]:
    """What was decoded, in order; `|` begins a turn."""
    found: list[str] = []

    async def run() -> None:
        test(DecodeTurns(), asyncio.get_running_loop(), found)
        for _ in range(turns):
            found.append("|")
            await asyncio.sleep(0)

    asyncio.run(run())
    return "".join(found).rstrip("|").split("|")


def test_each_model_has_its_share_of_a_turn_and_keeps_its_order() -> None:
    def test(reading: DecodeTurns, loop: asyncio.AbstractEventLoop, found: list[str]) -> None:
        for letter in "abcdefg":
            reading.soon(loop, FLOODED, SHARE // 2, partial(found.append, letter))
        for letter in "xyz":
            reading.soon(loop, OTHER, SHARE // 2, partial(found.append, letter))

    assert decoded(test) == ["abxy", "cdz", "ef", "g"]


@pytest.mark.parametrize("size", [SHARE, 50 * SHARE])
def test_one_that_is_larger_than_a_share_is_decoded_all_the_same(size: int) -> None:
    def test(reading: DecodeTurns, loop: asyncio.AbstractEventLoop, found: list[str]) -> None:
        for letter in "abc":
            reading.soon(loop, FLOODED, size, partial(found.append, letter))

    assert decoded(test) == ["a", "b", "c"]


def test_what_comes_later_does_not_overtake_what_waits() -> None:
    def test(reading: DecodeTurns, loop: asyncio.AbstractEventLoop, found: list[str]) -> None:
        def come(letters: str) -> None:
            reading.soon(loop, FLOODED, SHARE, partial(found.append, letters[0]))
            if len(letters) > 1:
                loop.call_soon(come, letters[1:])

        for letter in "ab":
            reading.soon(loop, FLOODED, SHARE, partial(found.append, letter))
        come("cdef")

    assert "".join(decoded(test)) == "abcdef"


def test_one_that_decodes_another_and_one_after_a_pause() -> None:
    def test(reading: DecodeTurns, loop: asyncio.AbstractEventLoop, found: list[str]) -> None:
        def outer() -> None:
            found.append("a")
            reading.soon(loop, FLOODED, SHARE, partial(found.append, "b"))

        reading.soon(loop, FLOODED, SHARE, outer)
        loop.call_later(0.01, reading.soon, loop, FLOODED, SHARE, partial(found.append, "c"))
        loop.call_later(0.01, reading.soon, loop, OTHER, SHARE, partial(found.append, "x"))

    assert "".join(decoded(test, turns=100_000)) == "abcx"


def test_a_loop_that_ended_in_the_middle_leaves_nothing_behind() -> None:
    reading, found = DecodeTurns(), []
    for letters in ("abc", "de"):
        loop = asyncio.new_event_loop()
        for letter in letters:
            reading.soon(loop, FLOODED, SHARE, partial(found.append, letter))
        if letters == "de":
            loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
    assert found == ["a", "d", "e"]


def test_all_that_wait_to_be_read_are_answered_and_those_that_gave_up_are_not_decoded() -> None:
    answers: dict[str, object] = {}
    decodes: list[str] = []

    class Observer:
        def __init__(self) -> None:
            self.statuses: list[int] = []

        def began(self) -> None: ...

        def answered(self, *_: object) -> None:
            self.statuses.append(200)

        def failed(self, request: InferenceRequest, status: int, end: float) -> None:
            self.statuses.append(status)

    async def run() -> None:
        traffic = Traffic()
        threads = ThreadPool(2, "t")
        batchers = {name: Batcher(lambda x, _: x, threads, name=name, traffic=traffic) for name in ("a", "b")}
        observer = Observer()

        def begin(model: str, number: int) -> InferenceRequest:
            def decode(request: InferenceRequest) -> DecodedRequest:
                decodes.append(f"{model}{number}")
                if number == 7:
                    raise ValueError("7")
                return DecodedRequest({"x": np.full(1, number)}, 1, {})

            def done(answer: Answer | StreamedAnswer | ServingError) -> None:
                answers[f"{model}{number}"] = answer

            codec = Codec(decode, lambda outputs, _: Answer(int(outputs["x"][0]), [], b""))
            request = InferenceRequest("own", "predict", model, None, (), bytes(SHARE // 3), codec=codec)
            Pipeline(batchers[model], observer, {}).start(request, done)
            return request

        for asked, model in enumerate((TUNING.little_streak + 2) * "ab", 1):  # both are asked a little
            begin(model, 0)
            await becomes(lambda asked=asked: len(observer.statuses) == asked)  # type: ignore[misc]
        decodes.clear()
        observer.statuses.clear()
        begun = {f"{model}{number}": begin(model, number) for number in range(1, 40) for model in "ab"}
        assert len(decodes) < 10
        begun["a20"].pipeline.cancel(begun["a20"])
        while len(answers) < 2 + 2 * 39 - 1:  # noqa: ASYNC110  (they are told one by one)
            await asyncio.sleep(0.001)
        assert sorted(observer.statuses) == [200] * (2 * 39 - 3) + [499, 500, 500]

    asyncio.run(asyncio.wait_for(run(), 60))
    assert "a20" not in decodes
    assert len(set(decodes)) == len(answers) - 2
    assert all(isinstance(answers.pop(f"{model}7"), ServingError) for model in "ab")
    assert all(isinstance(answer, Answer) and answer.status == int(name[1:]) for name, answer in answers.items())
