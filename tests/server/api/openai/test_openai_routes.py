"""The routes of OpenAI's API over a repository of scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from adapters.base import Reply
from server.api.credentials import KEY
from server.api.openai.endpoints import POSTED, OpenAIPaths
from server.api.openai.openai_routes import OpenAIRoutes
from server.config.api_keys import ApiKey
from server.errors import ClientGone, ModelFailed, NotFound, NotReady
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import IsDisconnected, never_disconnected
from server.inference.taps import Tap, tap
from server.repository.payloads.payload import Payload
from server.repository.payloads.payload_tap import PayloadTap
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
    taps: Sequence[Tap] = (),
    **scope: Any,
) -> Any:
    """Status and document of a whole answer; the parts of a stream."""

    async def run() -> Any:
        models = FewModels(adapter)
        tap(models.serving["m"], taps)
        routes = OpenAIRoutes(models, OpenAIPaths("/openai"))  # type: ignore[arg-type]
        asked = {"type": "http", "method": method, "path": path, "headers": [], **scope}
        handler = routes.handler(asked)
        if handler is None:
            return None
        answer = await handler(asked, body if isinstance(body, bytes) else orjson.dumps(body), gone)
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


@pytest.mark.parametrize("path", POSTED)
def test_a_key_learns_nothing_of_models_that_it_is_not_for(path: str) -> None:
    texts = {"prompt": "a", "messages": HELLO["messages"], "input": "a", "query": "a", "documents": ["a"]}
    wanted = {
        "chat/completions": ("messages",), "completions": ("prompt",), "responses": ("input",),
        "embeddings": ("input",), "rerank": ("query", "documents"), "score": ("text_1", "text_2"),
    }.get(path)  # fmt: skip
    for name in ("m", "bert", "nobody"):
        headers: list[tuple[bytes, bytes]] = []
        if wanted is None:
            form = (("model", name), ("file", "sound"))
            part = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
            body: Any = "".join(part.format(*each) for each in form).encode() + b"--x--\r\n"
            headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        else:
            body = {"model": name, **{field: texts.get(field, "a") for field in wanted}}
        scope = {"headers": headers, KEY: ApiKey("few", models=("iris",))}
        status, document = ask(ScriptedLanguageModel(*parts_of("hi")), f"/openai/v1/{path}", body, **scope)
        assert status == 403
        assert f"is not for model {name!r}" in document["error"]["message"]


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


def test_what_is_logged_is_what_clients_send_and_are_sent() -> None:
    """Not the job made of a request, nor its parts."""
    put: list[Payload] = []
    taps = [PayloadTap(put.append)]
    _, whole = ask(ScriptedLanguageModel(*parts_of("hi")), CHAT, HELLO, taps=taps)
    parts = ask(ScriptedLanguageModel(*parts_of("hi")), CHAT, {**HELLO, "stream": True}, taps=taps)
    failed = ScriptedLanguageModel({"prompt_tokens": 1}, ModelFailed("no memory"))
    _, refusal = ask(failed, CHAT, HELLO, taps=taps)
    requests, answers = put[::2], put[1::2]
    assert [orjson.loads(each.body) for each in requests] == [HELLO, {**HELLO, "stream": True}, HELLO]
    assert [each.id for each in requests] == [each.id for each in answers]
    assert (orjson.loads(answers[0].body), answers[1].parts, orjson.loads(answers[2].body)) == (whole, parts, refusal)
    assert [each.status for each in answers] == [200, 200, 500]
