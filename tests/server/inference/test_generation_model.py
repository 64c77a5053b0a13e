"""What V1, V2, gRPC and Triton's generate make of a language model: a job, and its text in their words."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest, ModelInferResponse

from adapters.base import Reply
from server.errors import InvalidInput, NotSupported, QueueFull, ServingError
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import InferenceRequest
from tests.server.generating import ScriptedLanguageModel, delta, generation_model, parts_of

V2 = {"id": "7", "inputs": [{"name": "text_input", "shape": [2], "datatype": "BYTES", "data": ["x", "y"]}]}


def ask(adapter: ScriptedLanguageModel, protocol: str, verb: str, body: Any, template: Any = None) -> Any:
    """A whole answer's body, or the parts of a stream."""

    async def run() -> Any:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        request = InferenceRequest(protocol, verb, "m", None, [], raw, template=template)
        answer = await generation_model(adapter).handle(request)
        if isinstance(answer, StreamedAnswer):
            try:
                return [part async for part in answer.parts]
            finally:
                await answer.close()
        assert isinstance(answer, Answer)
        return answer.body

    return asyncio.run(run())


def test_v1() -> None:
    adapter = ScriptedLanguageModel(*parts_of("a", "b"))
    body = {"instances": ["x", "y"], "parameters": {"max_tokens": 4}}
    assert orjson.loads(ask(adapter, "v1", "predict", body)) == {"predictions": ["a", "b"]}
    assert adapter.jobs == [{"temperature": 0.0, "max_tokens": 4, "prompt": ["x", "y"], "stream": False}]
    assert adapter.parts.closed


@pytest.mark.parametrize(("protocol", "verb"), [("v1", "predict"), ("generation", "chat"), ("v2", "generate_stream")])
def test_its_tokens_are_counted(protocol: str, verb: str) -> None:
    last = {"usage": {"prompt_tokens": 3, "completion_tokens": 5}, "seconds": {"first_token": 0.25, "per_token": 0.5}}
    adapter = ScriptedLanguageModel({"prompt_tokens": 3}, delta(0, "a", "stop"), last)
    model = generation_model(adapter)
    bodies = {"v1": {"instances": ["x"]}, "v2": {"text_input": "x"}, "generation": {}}

    async def run() -> None:
        request = InferenceRequest(protocol, verb, "m", None, [], orjson.dumps(bodies[protocol]))
        answer = await model.handle(request)
        if isinstance(answer, StreamedAnswer):
            assert [part async for part in answer.parts]
            await answer.close()

    asyncio.run(run())
    counts = model._metrics.tokens
    assert counts is not None
    assert (counts.prompt, counts.generated, counts.first.total, counts.each.total) == (3, 5, 0.25, 0.5)


def test_v2() -> None:
    answer = orjson.loads(ask(ScriptedLanguageModel(*parts_of("a", "b")), "v2", "predict", V2))
    assert (answer["id"], answer["model_name"]) == ("7", "m")
    assert answer["outputs"] == [{"name": "text_output", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}]


def grpc_request(*texts: bytes) -> ModelInferRequest:
    request = ModelInferRequest(model_name="m", id="9")
    tensor = request.inputs.add(name="text_input", datatype="BYTES", shape=[len(texts)])
    tensor.contents.bytes_contents.extend(texts)
    return request


def test_grpc() -> None:
    adapter = ScriptedLanguageModel(*parts_of("a", "b"))
    answer = ModelInferResponse.FromString(ask(adapter, "grpc", "predict", b"", grpc_request(b"x", b"y")))
    assert list(answer.outputs[0].contents.bytes_contents) == [b"a", b"b"]
    assert answer.id == "9"


def test_a_grpc_stream_has_a_message_a_piece() -> None:
    adapter = ScriptedLanguageModel({"prompt_tokens": 1}, delta(0, "a"), {}, delta(0, "b", "stop"), {"usage": {}})
    parts = ask(adapter, "grpc", "stream", b"", grpc_request(b"x"))
    texts = [ModelInferResponse.FromString(part).outputs[0].contents.bytes_contents[0] for part in parts]
    assert texts == [b"a", b"b"]
    with pytest.raises(InvalidInput, match="a stream answers one text"):
        ask(ScriptedLanguageModel(), "grpc", "stream", b"", grpc_request(b"x", b"y"))


def test_generate_and_its_stream() -> None:
    body = {"text_input": "x", "id": "3", "parameters": {"temperature": 1}}
    adapter = ScriptedLanguageModel(*parts_of("a"))
    whole = orjson.loads(ask(adapter, "v2", "generate", body))
    assert whole == {"id": "3", "model_name": "m", "model_version": "1", "text_output": "a"}
    assert adapter.jobs[0]["temperature"] == 1.0
    pieces = ask(ScriptedLanguageModel(*parts_of("a")), "v2", "generate_stream", body)
    assert [orjson.loads(piece)["text_output"] for piece in pieces] == ["a"]
    nothing = ask(ScriptedLanguageModel(*parts_of("")), "v2", "generate_stream", body)
    assert [orjson.loads(piece)["text_output"] for piece in nothing] == [""]


def test_a_job_goes_as_it_is() -> None:
    adapter = ScriptedLanguageModel(*parts_of("a"))
    parts = ask(adapter, "generation", "chat", {"messages": []})
    assert [orjson.loads(part) for part in parts] == parts_of("a")
    assert adapter.jobs == [{"messages": []}]


@pytest.mark.parametrize(("status", "kind"), [(400, InvalidInput), (429, QueueFull)])
def test_a_refusal_is_told_in_the_protocol(status: int, kind: type[ServingError]) -> None:
    reply = Reply(b'{"error":{"message":"too long"}}', {}, status)
    with pytest.raises(kind, match="too long"):
        ask(ScriptedLanguageModel(reply=reply), "v1", "predict", {"instances": ["x"]})
    assert ask(ScriptedLanguageModel(reply=reply), "generation", "chat", {}) == reply.body
    with pytest.raises(kind, match="plain"):
        ask(ScriptedLanguageModel(reply=Reply(b"plain", {}, status)), "v1", "predict", {"instances": ["x"]})


def test_what_is_no_request_is_refused() -> None:
    for protocol, verb, body in (
        ("v1", "predict", {"instances": [3]}),
        ("v1", "predict", {"instances": ["x"], "parameters": {"max_token": 3}}),
        ("v2", "predict", {"inputs": []}),
        ("v2", "generate", {"text_input": 3}),
    ):
        with pytest.raises(InvalidInput):
            ask(ScriptedLanguageModel(*parts_of("a")), protocol, verb, body)
    with pytest.raises(NotSupported, match="does not explain"):
        ask(ScriptedLanguageModel(), "v1", "explain", {"instances": ["x"]})
