"""A request is read, queued, written; its caller and its observer get one word, whatever ends it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adapters.base
from server.codec.decoded_request import DecodedRequest
from server.errors import ClientGone, InvalidInput, ModelFailed, Overloaded, QueueFull, ServingError
from server.inference import request as requests
from server.inference.answer import Answer, StreamedAnswer
from server.inference.body_readers import INLINE_BYTES
from server.inference.decoded_room import DecodedRoom
from server.inference.request import Codec, InferenceRequest, Pipeline, _size
from tests.patience import becomes

BODY = b'{"instances": [[1, 2]]}'
LARGE = bytes(INLINE_BYTES + 1)
OUTPUTS = {"y": np.array([3.0])}


class Queue:
    """In the place of a `Batcher`: what is put waits here, unless it refuses."""

    def __init__(self) -> None:
        self.put_in: list[InferenceRequest] = []
        self.dropped: list[InferenceRequest] = []
        self.waiting_to_be_read: list[Callable[[], None]] = []
        self.refusal: ServingError | None = None
        self.busy = False

    @property
    def reads_at_once(self) -> bool:
        return not self.busy

    def read_later(self, size: int, decode: Callable[[], None]) -> None:
        self.waiting_to_be_read.append(decode)

    def put(self, request: InferenceRequest) -> None:
        if self.refusal:
            raise self.refusal
        self.put_in.append(request)

    def drop(self, request: InferenceRequest) -> None:
        self.dropped.append(request)


class Observed:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def began(self) -> None:
        self.told.append("began")

    def answered(self, request: InferenceRequest, end: float) -> None:
        assert request.received_at <= request.decoded_at <= request.predicted_at <= end
        self.told.append("answered")

    def failed(self, request: InferenceRequest, status: int, end: float) -> None:
        assert request.received_at <= end
        self.told.append(status)


def decode(request: InferenceRequest) -> DecodedRequest:
    if request.body == b"bad":
        raise adapters.base.InvalidInput("no JSON")
    return DecodedRequest({"x": np.array([[1.0, 2.0]])}, 1, {"thread": threading.current_thread().name})


def encode(outputs: Any, decoded: Any) -> Answer:
    if "bad" in outputs:
        raise ZeroDivisionError("no answer")
    return Answer(200, [], repr(sorted(outputs)).encode())


class Way:
    """A pipeline with a stand-in on each side, and one request through it."""

    def __init__(self, body: bytes = BODY, protocol: str = "v1", codec: Codec | None = None, **codecs: Codec) -> None:
        self.queue, self.observed = Queue(), Observed()
        known = codecs or {"v1": Codec(decode, encode)}
        self.pipeline = Pipeline(self.queue, self.observed, known)  # type: ignore[arg-type]
        self.request = InferenceRequest(protocol, "predict", "m", None, [], body, codec=codec)
        self.got: list[Answer | StreamedAnswer | ServingError] = []

    def start(self) -> None:
        self.pipeline.start(self.request, self.got.append)


def answered(way: Way) -> bytes:
    (answer,) = way.got
    assert isinstance(answer, Answer)
    return bytes(answer.body)


def failure(way: Way) -> ServingError:
    (error,) = way.got
    assert isinstance(error, ServingError)
    return error


def test_a_request_is_read_queued_and_answered() -> None:
    way = Way()
    way.start()
    assert way.queue.put_in == [way.request]
    assert way.request.decoded.inputs["x"].tolist() == [[1, 2]]
    assert way.got == []
    way.request.deliver(OUTPUTS)
    assert answered(way) == b"['y']"
    assert way.observed.told == ["began", "answered"]


def test_it_waits_for_its_turn_to_be_read() -> None:
    way = Way()
    way.queue.busy = True
    way.start()
    assert way.queue.put_in == []
    way.queue.waiting_to_be_read[0]()
    assert way.queue.put_in == [way.request]


def test_an_answer_is_given_once() -> None:
    way = Way()
    way.start()
    way.request.deliver(OUTPUTS)
    way.request.deliver(OUTPUTS)
    way.request.deliver(ModelFailed("late"))
    way.pipeline.cancel(way.request)
    assert len(way.got) == 1
    assert way.observed.told == ["began", "answered"]


def test_a_body_that_cannot_be_read_is_the_clients_error() -> None:
    way = Way(b"bad")
    way.start()
    assert isinstance(failure(way), InvalidInput)
    assert str(failure(way)) == "no JSON"
    assert isinstance(failure(way).__cause__, adapters.base.InvalidInput)
    assert way.queue.put_in == []
    assert way.observed.told == ["began", 400]


def test_a_full_queue_is_told_as_it_is() -> None:
    way = Way()
    way.queue.refusal = QueueFull("too many wait")
    way.start()
    assert failure(way) is way.queue.refusal
    assert way.observed.told == ["began", QueueFull.status]


def test_an_error_of_the_model_comes_in_the_answers_place() -> None:
    way = Way()
    way.start()
    error = ModelFailed("it broke")
    way.request.deliver(error)
    assert failure(way) is error
    assert way.observed.told == ["began", 500]


def test_an_answer_that_cannot_be_written_is_the_models_failure() -> None:
    way = Way()
    way.start()
    way.request.deliver({"bad": np.zeros(1)})
    assert isinstance(failure(way), ModelFailed)
    assert str(failure(way)) == "ZeroDivisionError: no answer"
    assert way.observed.told == ["began", 500]


def test_who_has_gone_is_told_nothing() -> None:
    way = Way()
    way.start()
    way.pipeline.cancel(way.request)
    way.request.deliver(OUTPUTS)
    assert way.got == []
    assert way.queue.dropped == [way.request]
    assert way.observed.told == ["began", ClientGone.status]


def test_who_has_gone_before_the_turn_is_not_read() -> None:
    way = Way()
    way.queue.busy = True
    way.start()
    way.pipeline.cancel(way.request)
    way.queue.waiting_to_be_read[0]()
    assert way.queue.put_in == []
    assert not hasattr(way.request, "decoded")
    assert way.observed.told == ["began", ClientGone.status]


@pytest.mark.parametrize(("protocol", "own"), [("v1", False), ("v2", False), ("openai", True)])
def test_a_codec_is_the_protocols_or_the_requests_own(protocol: str, own: bool) -> None:
    def named(name: str) -> Codec:
        return Codec(decode, lambda outputs, decoded: Answer(200, [], name.encode()))

    way = Way(protocol=protocol, codec=named("own"), v1=named("v1"), v2=named("v2"))
    way.start()
    way.request.deliver(OUTPUTS)
    assert answered(way) == (b"own" if own else protocol.encode())


def test_large_bodies_and_answers_are_coded_in_threads() -> None:
    writer: list[str] = []

    def encode_there(outputs: Any, decoded: Any) -> Answer:
        writer.append(threading.current_thread().name)
        return Answer(200, [], b"large")

    way = Way(LARGE, v1=Codec(decode, encode_there))

    async def run() -> None:
        way.start()
        assert way.queue.put_in == []
        await becomes(lambda: way.queue.put_in)
        way.request.deliver({"y": np.zeros(INLINE_BYTES, np.uint8)})
        assert way.got == []
        await becomes(lambda: way.got)

    asyncio.run(run())
    assert answered(way) == b"large"
    assert way.queue.waiting_to_be_read == []
    assert way.request.decoded.parameters["thread"].startswith("codec")
    assert writer[0].startswith("codec")


def test_the_last_bytes_of_a_small_body_are_read_at_once() -> None:
    way = Way(LARGE[1:])
    way.start()
    assert way.request.decoded.parameters["thread"] == threading.current_thread().name


@pytest.mark.parametrize("end", ["decode", "encode", "queue"])
def test_what_fails_in_a_thread_or_behind_it_is_told(end: str) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError("there")

    way = Way(LARGE, v1=Codec(fails if end == "decode" else decode, fails))
    if end == "queue":
        way.queue.refusal = QueueFull("too many wait")

    async def run() -> None:
        way.start()
        await becomes(lambda: way.queue.put_in or way.got)
        if end == "encode":
            way.request.deliver({"y": np.zeros(INLINE_BYTES, np.uint8)})
        await becomes(lambda: way.got)

    asyncio.run(run())
    assert type(failure(way)) is (QueueFull if end == "queue" else ModelFailed)
    assert way.observed.told == ["began", failure(way).status]


def test_who_goes_while_an_answer_is_written_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Answer] = []
    succeed = Pipeline._succeed

    def noted(pipeline: Pipeline, request: InferenceRequest, answer: Answer) -> None:
        succeed(pipeline, request, answer)
        written.append(answer)

    monkeypatch.setattr(Pipeline, "_succeed", noted)
    way = Way()

    async def run() -> None:
        way.start()
        way.request.deliver({"y": np.zeros(INLINE_BYTES, np.uint8)})
        way.pipeline.cancel(way.request)
        await becomes(lambda: written)

    asyncio.run(run())
    assert written[0].body == b"['y']"
    assert way.got == []
    assert way.observed.told == ["began", ClientGone.status]


def test_headers_are_texts_by_their_names_in_lower_case() -> None:
    rest = InferenceRequest("v2", "predict", "m", "3", [(b"X-A", b"\xe9"), (b"x-b", b"2")], b"")
    assert rest.header_map() == {"x-a": "é", "x-b": "2"}
    metadata = [("X-A", "1"), ("trace-bin", b"\x00\xff")]
    assert InferenceRequest("grpc", "predict", "m", None, metadata, b"").header_map() == {"x-a": "1"}


def test_a_request_that_begins_has_waited_for_nothing() -> None:
    made = InferenceRequest("v1", "explain", "m", "2", [], b"{}", json_length="7", template="head")
    assert (made.protocol, made.verb, made.model, made.version) == ("v1", "explain", "m", "2")
    assert (made.json_length, made.template, made.finished, made.deadline) == ("7", "head", False, float("inf"))
    assert made.received_at == made.decoded_at == made.predicted_at
    assert not made.is_disconnected()
    assert not hasattr(made, "codec")


@pytest.mark.parametrize(
    ("array", "size"),
    [(np.zeros(10, np.float32), 80), (np.zeros((2, 3), np.bool_), 12), (np.array(["a", "b"], object), 512)],
    ids=["floats", "truths", "objects"],
)
def test_an_answers_size_is_guessed_from_its_values(array: Any, size: int) -> None:
    assert _size({"a": array}) == size
    assert _size({"a": array, "b": array}) == 2 * size


def test_what_a_large_body_becomes_is_counted_until_its_request_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    room = DecodedRoom(16)
    monkeypatch.setattr(requests, "ROOM", room)

    async def run() -> None:
        way, other = Way(LARGE), Way(LARGE)
        way.start()
        await becomes(lambda: bool(way.queue.put_in))
        assert room.held == 16
        other.start()
        await becomes(lambda: bool(other.got))
        assert isinstance(failure(other), Overloaded)
        small = Way()
        small.start()
        assert small.queue.put_in

    asyncio.run(run())
    gc.collect()
    assert room.held == 0
