"""Who looks on sees every request and its outcome, once, after the client; and disturbs nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from server.errors import InvalidInput, ServingError
from server.inference.answer import Answer, StreamedAnswer
from server.inference.batching.queue import Limits
from server.inference.request import InferenceRequest
from server.inference.taps import JobRequest, Seen, SeenOutcome, SeenParts, Streamed, tap
from server.inference.tensor_model import TensorModel
from server.telemetry.metrics import Metrics
from tests.server.stand_ins import EchoAdapter

GOOD, BAD = b'{"instances": [[1, 2]]}', b'{"instances": "x"}'


def asked(body: bytes = GOOD) -> InferenceRequest:
    return InferenceRequest("v1", "predict", "m", None, [], body)


@pytest.fixture
def model() -> Iterator[TensorModel]:
    with ThreadPoolExecutor(2) as executor:
        yield TensorModel("m", EchoAdapter("echo", {}), executor, Limits(), Metrics(dict).of("m"), merges=True)


class Looking:
    """A tap that keeps what it sees."""

    def __init__(self, wants: bool = True) -> None:
        self.requests: list[InferenceRequest] = []
        self.outcomes: list[SeenOutcome] = []
        self._wants = wants

    def __call__(self, model: Any, request: InferenceRequest) -> Seen | None:
        self.requests.append(request)
        return self.outcomes.append if self._wants else None


def test_a_model_that_nobody_looks_at_is_not_touched(model: TensorModel) -> None:
    tap(model, ())
    assert "start" not in vars(model)


def test_requests_and_outcomes_are_seen_once(model: TensorModel) -> None:
    looking, bored = Looking(), Looking(wants=False)
    tap(model, (looking, bored))

    async def ask() -> None:
        answer = await model.handle(asked())
        assert isinstance(answer, Answer)
        with pytest.raises(InvalidInput):
            await model.handle(asked(BAD))
        assert looking.outcomes[0] is answer

    asyncio.run(ask())
    assert len(looking.requests) == len(bored.requests) == len(looking.outcomes) == 2
    assert isinstance(looking.outcomes[1], ServingError)
    assert not bored.outcomes


def test_one_that_fails_disturbs_nobody(model: TensorModel, caplog: pytest.LogCaptureFixture) -> None:
    def fails_at_once(model: Any, request: InferenceRequest) -> Seen | None:
        raise ZeroDivisionError

    def fails_later(model: Any, request: InferenceRequest) -> Seen | None:
        def fail(outcome: SeenOutcome) -> None:
            raise ZeroDivisionError

        return fail

    looking = Looking()
    tap(model, (fails_at_once, fails_later, looking))
    answer = asyncio.run(model.handle(asked()))
    assert isinstance(answer, Answer)
    assert answer.status == 200
    assert looking.outcomes == [answer]
    assert len([each for each in caplog.records if each.exc_info]) == 2


class Parts:
    """Two parts of an answer."""

    def __init__(self) -> None:
        self._left = [b"b", b"a"]

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()

    async def aclose(self) -> None:
        """There is nothing to end."""


class Whole:
    """A model that answers whole requests, as far as taps know it."""

    name = "w"

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    async def handle(self, request: InferenceRequest) -> Any:
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


def test_a_stream_is_seen_when_it_has_ended() -> None:
    looking = Looking()
    model: Any = Whole(StreamedAnswer([], Parts()))
    tap(model, (looking,))

    async def ask() -> None:
        answer = await model.handle(asked())
        assert [part async for part in answer.parts] == [b"a", b"b"]
        assert not looking.outcomes
        await answer.close()

    asyncio.run(ask())
    (outcome,) = looking.outcomes
    assert isinstance(outcome, Streamed)
    assert outcome.status == 200


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidInput("no"), 400), (asyncio.CancelledError(), 499)], ids=["refused", "gone"]
)
def test_errors_and_leavers_are_seen(error: BaseException, status: int) -> None:
    looking = Looking()
    model: Any = Whole(error)
    tap(model, (looking,))

    async def ask() -> None:
        with pytest.raises(type(error)):
            await model.handle(asked())

    asyncio.run(ask())
    assert [outcome.status for outcome in looking.outcomes] == [status]


class LookingAtParts(SeenParts):
    """Keeps the parts of a stream, and how it ended."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.outcomes: list[SeenOutcome] = []

    def part(self, part: bytes) -> None:
        self.parts.append(part)

    def __call__(self, outcome: SeenOutcome) -> None:
        self.outcomes.append(outcome)


def test_who_wants_the_parts_of_a_stream_sees_them_as_they_go() -> None:
    seen = LookingAtParts()
    model: Any = Whole(StreamedAnswer([], Parts()))
    tap(model, (lambda model, request: seen,))

    async def ask() -> None:
        answer = await model.handle(asked())
        assert await anext(answer.parts) == b"a"
        assert seen.parts == [b"a"]
        await answer.close()

    asyncio.run(ask())
    assert [outcome.status for outcome in seen.outcomes] == [499]


def test_of_a_job_who_asks_for_it_is_shown_what_the_client_is_sent() -> None:
    seen = LookingAtParts()
    request = JobRequest("generation", "chat", "m", None, [], b"the job", sent=b"the body")
    untouched = StreamedAnswer([], Parts())
    assert request.shown(untouched) is untouched
    request.watchers.append(seen)
    whole = Answer(200, [], b"{}")
    assert request.shown(whole) is whole
    assert seen.outcomes == [whole]

    async def take() -> None:
        answer = request.shown(untouched)
        assert isinstance(answer, StreamedAnswer)
        assert [part async for part in answer.parts] == [b"a", b"b"]
        await answer.close()

    asyncio.run(take())
    assert seen.parts == [b"a", b"b"]
    assert seen.outcomes[-1].status == 200
