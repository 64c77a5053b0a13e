"""Bodies of embeddings, rerank and score: what is taken, and what is refused by which name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from server.api.openai.encoder_fields import MOST_TEXTS, EmbeddingRequest, EncoderRequest, RerankRequest, ScoreRequest
from server.api.openai.error_object import FieldRefused
from server.api.openai.request_fields import read_request

LEAST: dict[type[EncoderRequest], dict[str, Any]] = {
    EmbeddingRequest: {"input": "a"},
    RerankRequest: {"query": "q", "documents": ["a"]},
    ScoreRequest: {"text_1": "a", "text_2": "b"},
}


def read(kind: type[EncoderRequest], **fields: Any) -> Any:
    return read_request(orjson.dumps({"model": "m", **LEAST[kind], **fields}), kind)


def test_texts() -> None:
    assert read(EmbeddingRequest).texts == ["a"]
    assert read(EmbeddingRequest, input=["a", "b"]).texts == ["a", "b"]
    assert read(RerankRequest, documents=["a", {"text": "b"}]).texts == ["a", "b"]
    assert read(ScoreRequest, text_2=["b", "c"]).pairs == (["a"], ["b", "c"])
    assert read(ScoreRequest, text_1=["a", "d"], text_2=["b", "c"]).pairs == (["a", "d"], ["b", "c"])


def test_parameters_of_the_model_and_what_changes_nothing() -> None:
    request = read(EmbeddingRequest, prompt_name="query", truncation=False, user="me", encoding_format=None)
    assert request.model_parameters() == {"prompt_name": "query", "truncation": False}
    assert read(EmbeddingRequest).model_parameters() == {}
    for kind in LEAST:
        assert read(kind, truncate_prompt_tokens=-1).model_parameters() == {"truncation": True}


@pytest.mark.parametrize(
    ("kind", "fields", "param", "told"),
    [
        (EmbeddingRequest, {"input": []}, "input", "empty"),
        (EmbeddingRequest, {"input": None}, "input", "missing"),
        (EmbeddingRequest, {"input": ["a", None]}, "input", r"input\[1\] must be a text, not null"),
        (EmbeddingRequest, {"input": [1, 2]}, "input", "token ids"),
        (EmbeddingRequest, {"input": [[1, 2], [3]]}, "input", "token ids"),
        (EmbeddingRequest, {"input": ["a"] * (MOST_TEXTS + 1)}, "input", f"{MOST_TEXTS + 1} texts.*{MOST_TEXTS}"),
        (EmbeddingRequest, {"dimensions": 0}, "dimensions", "dimensions"),
        (EmbeddingRequest, {"encoding_format": "int8"}, "encoding_format", "base64"),
        (EmbeddingRequest, {"truncate_prompt_tokens": 100}, "truncate_prompt_tokens", "is 100.* send -1"),
        (RerankRequest, {"truncate_prompt_tokens": -1, "truncation": False}, "truncate_prompt_tokens", "send one"),
        (EmbeddingRequest, {"dimension": 3}, "dimension", "did you mean 'dimensions'"),
        (RerankRequest, {"query": ["q"]}, "query", "string"),
        (RerankRequest, {"documents": "a"}, "documents", "list"),
        (RerankRequest, {"documents": []}, "documents", "empty"),
        (RerankRequest, {"documents": [{"text": "a", "title": "b"}]}, "documents", r"documents\[0\]"),
        (RerankRequest, {"documents": ["a", {"text": 3}]}, "documents", r"documents\[1\] must be a text, not 3"),
        (RerankRequest, {"top_n": 0}, "top_n", "top_n"),
        (RerankRequest, {"max_tokens_per_doc": 7}, "max_tokens_per_doc", "no field"),
        (ScoreRequest, {"text_1": ["a", "b"], "text_2": ["c"]}, "text_1", "2 texts and text_2 1"),
        (ScoreRequest, {"text_2": {"a": 1}}, "text_2", "text_2 must be a text, not an object"),
    ],
)
def test_refusals(kind: type[EncoderRequest], fields: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(FieldRefused, match=told) as caught:
        read(kind, **fields)
    assert caught.value.param == param
    assert param in str(caught.value)
