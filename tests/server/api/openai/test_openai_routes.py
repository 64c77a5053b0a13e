"""The routes of OpenAI's API over a repository of scripted models."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from adapters.base import Reply
from server.api.openai.endpoints import OpenAIPaths
from server.api.openai.openai_routes import OpenAIRoutes
from server.errors import ClientGone, ModelFailed, NotFound, NotReady
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import IsDisconnected, never_disconnected
from tests.server.generating import ScriptedLanguageModel, generation_model, parts_of

CHAT, COMPLETIONS = "/openai/v1/chat/completions", "/v1/completions"
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class FewModels:
    """A repository of one language model, one of tensors, one that is not ready, and one that was never loaded."""

    def __init__(self, adapter: ScriptedLanguageModel) -> None:
        self.serving = {
            "m": generation_model(adapter),
            "iris": SimpleNamespace(signature=SimpleNamespace(generates=False)),
        }
        self.store = SimpleNamespace(names=lambda: ["m", "iris", "down", "asleep"])

    async def ready(self, name: str, version: str | None = None) -> Any:
        self.check_known(name)
        if name not in self.serving:
            raise NotReady(f"model {name!r} is not ready: loading")
        return self.serving[name]

    def check_known(self, name: str, version: str | None = None) -> None:
        if name not in self.store.names():
            raise NotFound(f"model {name!r} does not exist")

    def may_generate(self, name: str) -> bool:
        return name in ("m", "asleep")


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


def test_which_models_there_are() -> None:
    status, document = ask(ScriptedLanguageModel(), "/openai/v1/models", method="GET")
    assert status == 200
    assert [each["id"] for each in document["data"]] == ["m", "asleep"]
    status, entry = ask(ScriptedLanguageModel(), "/openai/v1/models/m", method="GET")
    assert (status, entry["object"], entry["owned_by"]) == (200, "model", "polyserve")
    for name in ("iris", "nobody"):
        status, document = ask(ScriptedLanguageModel(), f"/openai/v1/models/{name}", method="GET")
        assert (status, document["error"]["code"]) == (404, "model_not_found")


def test_other_paths() -> None:
    status, document = ask(ScriptedLanguageModel(), "/openai/v1/embeddings", {})
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
