"""Answers of models whose hooks yield, in every protocol, through KServe's own data plane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import kserve
import numpy as np
import orjson
import pydantic
import pytest
from fastapi import HTTPException
from kserve import InferOutput, InferRequest, InferResponse
from kserve.errors import ModelNotReady
from kserve.model_repository import ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest, ModelInferResponse

from adapters.base import InvalidInput, Reply, ReplyStream, Request, StreamFailed
from adapters.custom_.answers import Answers
from adapters.custom_.generate import Form

HEAD = {"model_name": "m", "model_version": "1"}


class Yielding(kserve.Model):
    """Yields what `items` says; an exception among them is raised."""

    def __init__(self, *items: Any) -> None:
        super().__init__("m")
        self.ready = True
        self.items = items
        self.closed = 0

    def each(self) -> Iterator[Any]:
        for item in self.items:
            if isinstance(item, BaseException):
                raise item
            yield item


class Generator(Yielding):
    def predict(self, payload: Any, headers: Any = None) -> Iterator[Any]:
        try:
            yield from self.each()
        finally:
            self.closed += 1


class AsyncGenerator(Yielding):
    async def predict(self, payload: Any, headers: Any = None) -> AsyncIterator[Any]:
        try:
            for item in self.each():
                yield item
        finally:
            self.closed += 1


class Returned(Generator):
    def predict(self, payload: Any, headers: Any = None) -> Iterator[Any]:
        return super().predict(payload)


class ReturnedByCoroutine(AsyncGenerator):
    async def predict(self, payload: Any, headers: Any = None) -> AsyncIterator[Any]:
        return super().predict(payload)


class Mapped(Yielding):
    def predict(self, payload: Any, headers: Any = None) -> Iterator[Any]:
        return map(dict.get, [{"item": item} for item in self.items], ["item"] * len(self.items))


class Whole(Yielding):
    def predict(self, payload: Any, headers: Any = None) -> Any:
        return self.items[0]


KINDS = (Generator, AsyncGenerator, Returned, ReturnedByCoroutine, Mapped)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


async def ask(model: Yielding, verb: str = "predict", protocol: str = "v1", body: Any = None) -> Reply | ReplyStream:
    repository = ModelRepository()
    repository.update(model)
    raw = body if isinstance(body, bytes) else orjson.dumps({"instances": [1]} if body is None else body)
    headers = {"content-type": "application/json"}
    return await Answers(DataPlane(repository), Form("m", "1")).to(Request(verb, protocol, raw, headers))


async def parts(reply: Reply | ReplyStream) -> list[bytes]:
    assert isinstance(reply, ReplyStream)
    found = [part async for part in reply.parts]
    await reply.parts.aclose()
    return found


async def documents(reply: Reply | ReplyStream) -> list[Any]:
    assert isinstance(reply, ReplyStream)
    assert reply.headers["content-type"] == "application/json"
    return [orjson.loads(part) for part in await parts(reply)]


def grpc(**more: Any) -> bytes:
    tensor = ModelInferRequest.InferInputTensor(name="x", shape=[1], datatype="INT64")
    tensor.contents.int64_contents.append(1)
    return bytes(ModelInferRequest(model_name="m", inputs=[tensor], **more).SerializeToString())


class Point(pydantic.BaseModel):
    x: int


@pytest.mark.parametrize("kind", KINDS)
def test_v1_each_item_is_a_document(kind: Callable[..., Yielding]) -> None:
    items = ({"a": np.float32(0.5)}, [1, 2], "text", 3, np.arange(2), Point(x=1), [Point(x=2)], None, b'{"own": 1}')
    expected = [{"a": 0.5}, [1, 2], "text", 3, [0, 1], {"x": 1}, [{"x": 2}], None, {"own": 1}]
    assert run(_all(kind(*items))) == expected


async def _all(model: Yielding, verb: str = "predict", protocol: str = "v1", body: Any = None) -> list[Any]:
    return await documents(await ask(model, verb, protocol, body))


def test_v1_an_item_of_tensors_is_a_v2_document() -> None:
    item = InferResponse("4", "m", [InferOutput("y", [1], "FP32", [0.5])])
    (found,) = run(_all(Generator(item)))
    assert found["outputs"] == [{"name": "y", "shape": [1], "datatype": "FP32", "data": [0.5]}]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_yielded_is_an_empty_stream(kind: Callable[..., Yielding]) -> None:
    assert run(_all(kind())) == []


def test_whole_answers_are_whole() -> None:
    reply = run(ask(Whole({"predictions": [1]})))
    assert reply == Reply(b'{"predictions":[1]}', {"content-type": "application/json"})


# --- postprocess is given what predict returned, as in KServe ---------------------------------------------------------


def test_a_model_without_explain_says_so_in_its_own_words() -> None:
    """KServe's are `Could not find explainer_host.`, of a setting that this model's author never heard of."""
    reply = run(ask(Whole(), "explain", body={"instances": [1]}))
    assert reply.status == 501
    assert "does not explain its predictions: its class has no explain()" in reply.body.decode()

    class Refuses(Whole):
        def explain(self, payload: Any, headers: Any = None) -> Any:
            raise NotImplementedError("not for these rows")

    assert b"not for these rows" in run(ask(Refuses(), "explain", body={"instances": [1]})).body


def test_postprocess_wraps_or_collects() -> None:
    class Wraps(AsyncGenerator):
        async def postprocess(self, result: Any, headers: Any = None, response_headers: Any = None) -> Any:
            return ({"item": item} async for item in result)

    class IsOne(Generator):
        def postprocess(self, result: Any, headers: Any = None, response_headers: Any = None) -> Any:
            for item in result:
                yield {"item": item}

    class Collects(AsyncGenerator):
        async def postprocess(self, result: Any, headers: Any = None, response_headers: Any = None) -> Any:
            return {"predictions": [item async for item in result]}

    assert run(_all(Wraps(1, 2))) == [{"item": 1}, {"item": 2}]
    assert run(_all(IsOne(1, 2))) == [{"item": 1}, {"item": 2}]
    reply = run(ask(Collects(1, 2)))
    assert isinstance(reply, Reply)
    assert orjson.loads(reply.body) == {"predictions": [1, 2]}


def test_headers_that_hooks_set_are_sent() -> None:
    class WithHeaders(Generator):
        async def preprocess(self, payload: Any, headers: Any = None) -> Any:
            self.required_response_headers = True
            return payload

        def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Iterator[Any]:
            response_headers["X-Model"] = "m"
            return super().predict(payload)

    reply = run(ask(WithHeaders(1)))
    assert isinstance(reply, ReplyStream)
    assert reply.headers == {"x-model": "m", "content-type": "application/json"}


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Generator, AsyncGenerator])
def test_an_error_before_the_first_part_has_its_status(kind: Callable[..., Yielding]) -> None:
    model = kind(HTTPException(429, "slow down"))
    reply = run(ask(model))
    assert isinstance(reply, Reply)
    assert (reply.status, orjson.loads(reply.body)) == (429, {"detail": "slow down"})
    assert model.closed == 1
    with pytest.raises(ValueError, match="own"):
        run(ask(kind(ValueError("its own"))))
    with pytest.raises(TypeError):
        run(ask(kind({1, 2})))
    with pytest.raises(RuntimeError, match=r"sys\.exit"):
        run(ask(kind(SystemExit(3))))
    with pytest.raises(InvalidInput, match="bad"):
        run(ask(kind(kserve.errors.InvalidInput("bad"))))


@pytest.mark.parametrize("kind", [Generator, AsyncGenerator])
@pytest.mark.parametrize(
    ("error", "raised", "text"),
    [
        (HTTPException(429, "slow down"), InvalidInput, "slow down"),
        (HTTPException(503, "too much"), StreamFailed, "too much"),
        (ModelNotReady("other"), StreamFailed, "other"),
        (kserve.errors.InvalidInput("bad"), InvalidInput, "bad"),
        (ValueError("its own"), ValueError, "its own"),
        (SystemExit(3), RuntimeError, r"sys\.exit"),
        (KeyboardInterrupt(), RuntimeError, "KeyboardInterrupt"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_error_after_it_is_raised(
    kind: Callable[..., Yielding], error: BaseException, raised: type[Exception], text: str
) -> None:
    async def main() -> None:
        reply = await ask(model)
        assert isinstance(reply, ReplyStream)
        assert await anext(reply.parts) == b"1"
        with pytest.raises(raised, match=text):
            await anext(reply.parts)
        await reply.parts.aclose()

    model = kind(1, error, 2)
    run(main())
    assert model.closed == 1


# --- the generate extension -------------------------------------------------------------------------------------------

ASKED = {"id": "7", "text_input": "a b", "parameters": {"n": 1}}


@pytest.mark.parametrize("kind", KINDS)
def test_generate_stream(kind: Callable[..., Yielding]) -> None:
    found = run(_all(kind("a", {"token": "b"}), "generate_stream", "v2", ASKED))
    assert found == [{"id": "7", **HEAD, "text_output": "a"}, {"id": "7", **HEAD, "token": "b"}]


def test_the_request_reaches_the_hooks_as_tensors() -> None:
    class Echo(Yielding):
        def predict(self, payload: InferRequest, headers: Any = None) -> Iterator[str]:
            for word in payload.inputs[0].as_numpy()[0].split():
                yield f"{word}{payload.parameters['n']}"

    found = run(_all(Echo(), "generate_stream", "v2", ASKED))
    assert [each["text_output"] for each in found] == ["a1", "b1"]


@pytest.mark.parametrize("kind", KINDS)
def test_generate_takes_exactly_one(kind: Callable[..., Yielding]) -> None:
    reply = run(ask(kind("a"), "generate", "v2", ASKED))
    assert isinstance(reply, Reply)
    assert orjson.loads(reply.body) == {"id": "7", **HEAD, "text_output": "a"}
    for items in ((), ("a", "b")):
        with pytest.raises(InvalidInput, match="exactly 1 response, use generate_stream"):
            run(ask(kind(*items), "generate", "v2", ASKED))


@pytest.mark.parametrize("verb", ["generate", "generate_stream"])
def test_a_whole_answer_is_a_stream_of_one(verb: str) -> None:
    reply = run(ask(Whole({"y": [1, 2]}), verb, "v2", ASKED))
    assert isinstance(reply, Reply)
    assert orjson.loads(reply.body) == {"id": "7", **HEAD, "y": [1, 2]}
    with pytest.raises(InvalidInput, match="must be a JSON object"):
        run(ask(Whole(1), verb, "v2", [1]))


# --- where no stream is taken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [(1,), (1, 2)])
def test_v2_refuses_a_stream_by_name(items: tuple[int, ...]) -> None:
    tensor = {"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}
    reply = run(ask(Generator(*items), "predict", "v2", {"inputs": [tensor]}))
    assert isinstance(reply, Reply)
    assert reply.status == 501
    error = orjson.loads(reply.body)["error"]
    assert "doesn't support models with decoupled transaction policy" in error
    assert "/v2/models/m/generate_stream" in error


def test_grpc_refuses_a_stream_in_a_unary_call() -> None:
    reply = run(ask(AsyncGenerator(1), "predict", "grpc", grpc()))
    assert isinstance(reply, Reply)
    assert reply.status == 501
    assert b"ModelInfer RPC doesn't support models with decoupled transaction policy" in reply.body
    assert b"ask ModelStreamInfer" in reply.body


# --- gRPC -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_grpc_each_item_is_a_response(kind: Callable[..., Yielding]) -> None:
    items = (InferResponse("", "m", [InferOutput("y", [1], "FP32", [0.5])]), {"y": np.float32(1.5)}, "text")
    found = run(_parts(kind(*items), grpc(id="9")))
    messages = [ModelInferResponse.FromString(part) for part in found]
    assert [(message.id, message.model_name) for message in messages] == [("9", "m")] * 3
    assert [message.outputs[0].name for message in messages] == ["y", "y", "text_output"]
    assert messages[1].outputs[0].contents.fp32_contents == [1.5]
    assert messages[2].outputs[0].contents.bytes_contents == [b"text"]


async def _parts(model: Yielding, body: bytes) -> list[bytes]:
    return await parts(await ask(model, "stream", "grpc", body))


def test_grpc_a_whole_answer_to_a_stream() -> None:
    reply = run(ask(Whole({"y": 1}), "stream", "grpc", grpc(id="9")))
    assert isinstance(reply, Reply)
    message = ModelInferResponse.FromString(reply.body)
    assert (message.id, message.outputs[0].contents.int64_contents) == ("9", [1])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"instances": [1, NaN]}', "NaN is not JSON: send null for a missing value"),
        (b'{"instances": [-Infinity]}', "-Infinity is not JSON"),
        (b'{"instances": ["NaN"', "Unrecognized request format"),
    ],
)
@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_numbers_that_json_has_not_are_named(protocol: str, body: bytes, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        run(ask(Whole(1), "predict", protocol, body))
