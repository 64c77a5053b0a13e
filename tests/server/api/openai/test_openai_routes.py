"""The routes of OpenAI's API over a repository of scripted models."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from adapters.base import Reply
from server.api.credentials import KEY
from server.api.openai.endpoints import _POSTED, OpenAIPath, OpenAIPaths
from server.api.openai.openai_routes import OpenAIRoutes
from server.config.api_keys import ApiKey
from server.errors import ClientGone, ModelFailed, NotFound, NotReady
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import IsDisconnected, never_disconnected
from tests.server.encoding import model_of_texts
from tests.server.generating import ScriptedLanguageModel, generation_model, parts_of

CHAT, COMPLETIONS, EMBEDDINGS = "/openai/v1/chat/completions", "/v1/completions", "/openai/v1/embeddings"
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class FewModels:
    """One language model, one of tensors, one that embeds, one that is not ready, and one that was never loaded."""

    def __init__(self, adapter: ScriptedLanguageModel) -> None:
        self.serving = {
            "m": generation_model(adapter),
            "iris": model_of_texts("", name="iris"),
            "bert": model_of_texts("embedding", name="bert"),
        }
        self.store = SimpleNamespace(names=lambda: ["m", "iris", "bert", "down", "asleep"])

    async def ready(self, name: str, version: str | None = None) -> Any:
        self.check_known(name)
        if name not in self.serving:
            raise NotReady(f"model {name!r} is not ready: loading")
        return self.serving[name]

    def check_known(self, name: str, version: str | None = None) -> None:
        if name not in self.store.names():
            raise NotFound(f"model {name!r} does not exist")

    def may_be_of_language(self, name: str) -> bool:
        return name in ("m", "bert", "asleep")


def ask(
    adapter: ScriptedLanguageModel,
    path: str,
    body: Any = None,
    method: str = "POST",
    gone: IsDisconnected = never_disconnected,
) -> Any:
    """Status and document of a whole answer; the parts of a stream."""

    async def run() -> Any:
        routes = OpenAIRoutes(FewModels(adapter), OpenAIPaths("/openai"))  # type: ignore[arg-type]
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        handler = routes.handler(scope)
        if handler is None:
            return None
        answer = await handler(scope, orjson.dumps(body), gone)
        if isinstance(answer, StreamedAnswer):
            try:
                return [part async for part in answer.parts]
            finally:
                await answer.close()
        assert isinstance(answer, Answer)
        return answer.status, orjson.loads(answer.body)

    return asyncio.run(run())


def test_chats_and_completions() -> None:
    adapter = ScriptedLanguageModel(*parts_of("hi"))
    status, document = ask(adapter, CHAT, HELLO)
    assert (status, document["choices"][0]["message"]["content"]) == (200, "hi")
    assert adapter.jobs[0]["messages"] == HELLO["messages"]
    status, document = ask(
        ScriptedLanguageModel(*parts_of("a", "b")), COMPLETIONS, {"model": "m", "prompt": ["x", "y"]}
    )
    assert (status, [choice["text"] for choice in document["choices"]]) == (200, ["a", "b"])


def test_streams() -> None:
    parts = ask(ScriptedLanguageModel(*parts_of("hi")), CHAT, {**HELLO, "stream": True})
    assert parts[-1] == b"[DONE]"
    assert len({orjson.loads(part)["id"] for part in parts[:-1]}) == 1


def test_what_fails_before_any_text_has_a_status_of_its_own() -> None:
    adapter = ScriptedLanguageModel({"prompt_tokens": 1}, ModelFailed("no memory"))
    status, document = ask(adapter, CHAT, {**HELLO, "stream": True})
    assert (status, document["error"]["message"]) == (500, "no memory")
    assert adapter.parts.closed


def test_a_refusal_of_the_model_s_goes_as_it_is() -> None:
    reply = Reply(b'{"error":{"message":"m","type":"t","param":"p","code":"c"}}', {}, 400)
    status, document = ask(ScriptedLanguageModel(reply=reply), CHAT, HELLO)
    assert (status, document["error"]["code"]) == (400, "c")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("nobody", 404, "model_not_found"), ("iris", 404, "model_not_found"), ("down", 503, "model_not_ready")],
)
def test_models_that_do_not_answer(name: str, status: int, code: str) -> None:
    told, document = ask(ScriptedLanguageModel(), CHAT, {**HELLO, "model": name})
    assert (told, document["error"]["code"]) == (status, code)


def test_embeddings_and_pairs_of_a_model_of_tensors() -> None:
    status, document = ask(ScriptedLanguageModel(), EMBEDDINGS, {"model": "bert", "input": ["ab", "c"]})
    assert status == 200
    assert [each["embedding"] for each in document["data"]] == [[2.0, 1.0], [1.0, 1.0]]
    assert document["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    large = {"model": "bert", "query": "ab", "documents": ["c" * 100_000, "ab"], "return_documents": False}
    status, document = ask(ScriptedLanguageModel(), "/v1/rerank", large)
    assert (status, [each["index"] for each in document["results"]]) == (200, [1, 0])


@pytest.mark.parametrize(
    ("name", "status", "code", "told"),
    [
        ("nobody", 404, "model_not_found", "nobody"),
        ("down", 503, "model_not_ready", "loading"),
        ("iris", 400, None, "/v1/models/iris:predict"),
        ("m", 400, None, "chat/completions"),
    ],
)
def test_models_that_embed_nothing(name: str, status: int, code: str | None, told: str) -> None:
    found, document = ask(ScriptedLanguageModel(), EMBEDDINGS, {"model": name, "input": "a"})
    error = document["error"]
    assert (found, error["code"]) == (status, code)
    assert told in error["message"]
    assert error["param"] == (None if status == 503 else "model")


def test_which_models_there_are() -> None:
    status, document = ask(ScriptedLanguageModel(), "/openai/v1/models", method="GET")
    assert status == 200
    assert [each["id"] for each in document["data"]] == ["m", "bert", "asleep"]
    status, entry = ask(ScriptedLanguageModel(), "/openai/v1/models/m", method="GET")
    assert (status, entry["object"], entry["owned_by"]) == (200, "model", "polyserve")
    for name in ("iris", "nobody"):
        status, document = ask(ScriptedLanguageModel(), f"/openai/v1/models/{name}", method="GET")
        assert (status, document["error"]["code"]) == (404, "model_not_found")


def test_other_paths() -> None:
    status, document = ask(ScriptedLanguageModel(), "/openai/v1/images", {})
    assert status == 404
    assert "/openai/v1/chat/completions" in document["error"]["message"]
    assert ask(ScriptedLanguageModel(), "/v1/models", method="GET") is None
    assert ask(ScriptedLanguageModel(), CHAT, method="GET") is None


def test_a_client_that_is_gone_ends_the_work() -> None:
    adapter = ScriptedLanguageModel(*parts_of("hi"))
    adapter.parts.gates = {1: asyncio.Event()}
    status, _ = ask(adapter, CHAT, HELLO, gone=lambda: True)
    assert status == ClientGone.status
    assert adapter.parts.closed


FORM = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
SPEECH = FORM % (b"file", b"RIFF") + FORM % (b"model", b"iris") + b"--b--"
OTHERS_MODEL = {
    CHAT: {**HELLO, "model": "iris"},
    "/v1/completions": {"model": "iris", "prompt": "x"},
    "/v1/responses": {"model": "iris", "input": "x"},
    "/v1/embeddings": {"model": "iris", "input": "x"},
    "/v1/rerank": {"model": "iris", "query": "x", "documents": ["y"]},
    "/v1/score": {"model": "iris", "text_1": "x", "text_2": "y"},
    "/v1/audio/transcriptions": SPEECH,
    "/v1/audio/translations": SPEECH,
}


@pytest.mark.parametrize("path", OTHERS_MODEL)
def test_a_key_asks_no_model_that_it_is_not_for(path: str) -> None:
    """Nor is it told what that model would answer. Bodies name models, so that each route has to look itself."""
    body = OTHERS_MODEL[path]
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = [(b"content-type", b"multipart/form-data; boundary=b")] if isinstance(body, bytes) else []
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, KEY: ApiKey("k", models=("m",))}
    routes = OpenAIRoutes(FewModels(ScriptedLanguageModel()), OpenAIPaths("/openai"))  # type: ignore[arg-type]
    handler = routes.handler(scope)
    assert handler is not None
    answer = asyncio.run(handler(scope, raw, never_disconnected))  # type: ignore[arg-type]
    assert isinstance(answer, Answer)
    assert answer.status == 403, answer.body
    assert b"not for model 'iris'" in answer.body


def test_every_route_that_is_posted_to_is_asked_so() -> None:
    assert {OpenAIPaths("/openai").parse(path) for path in OTHERS_MODEL} == {
        OpenAIPath(action) for action in _POSTED.values()
    }
