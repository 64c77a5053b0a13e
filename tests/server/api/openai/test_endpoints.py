"""The paths of OpenAI's API, with and without their prefix."""

from __future__ import annotations

import pytest

from server.api.openai.endpoints import OpenAIPath, OpenAIPaths

PATHS = OpenAIPaths("/openai")


@pytest.mark.parametrize(
    ("path", "asked", "verb"),
    [
        ("/openai/v1/models", OpenAIPath("models"), "GET"),
        ("/openai/v1/models/a b", OpenAIPath("model", "a b"), "GET"),
        ("/openai/v1/chat/completions", OpenAIPath("chat"), "POST"),
        ("/openai/v1/completions", OpenAIPath("completion"), "POST"),
        ("/v1/chat/completions", OpenAIPath("chat"), "POST"),
        ("/v1/completions", OpenAIPath("completion"), "POST"),
        ("/openai/v1/embeddings", OpenAIPath("embedding"), "POST"),
        ("/v1/rerank", OpenAIPath("rerank"), "POST"),
        ("/v1/score", OpenAIPath("score"), "POST"),
        ("/openai/v1/audio/transcriptions", OpenAIPath("transcription"), "POST"),
        ("/v1/audio/translations", OpenAIPath("translation"), "POST"),
        ("/openai/v1/images", OpenAIPath(""), ""),
        ("/openai/v1/models/a/b", OpenAIPath(""), ""),
        ("/openai/v1/models/", OpenAIPath(""), ""),
    ],
)
def test_paths_of_this_api(path: str, asked: OpenAIPath, verb: str) -> None:
    assert PATHS.parse(path) == asked
    assert asked.verb == verb
    assert PATHS.verbs(path) == ((verb,) if verb else ())


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m", "/v1/models/m:predict", "/openai", "/v1/", "/v2", "/"])
def test_paths_of_others(path: str) -> None:
    assert PATHS.parse(path) is None
    assert PATHS.verbs(path) == ()


def test_another_prefix_and_none() -> None:
    assert OpenAIPaths("/llm/api").parse("/llm/api/v1/models") == OpenAIPath("models")
    assert OpenAIPaths("/llm/api").parse("/openai/v1/models") is None
    bare = OpenAIPaths("")
    assert bare.parse("/v1/models") is None
    assert bare.parse("/v1/chat/completions") == OpenAIPath("chat")
    assert "/llm/api/v1/completions" in OpenAIPaths("/llm/api").shown
