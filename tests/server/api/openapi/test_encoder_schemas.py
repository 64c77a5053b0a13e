"""The schemas of embeddings, rerank and score name the very fields that are taken, and fit their documents."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from server.api.openai.encoder_fields import EmbeddingRequest, EncoderRequest, RerankRequest, ScoreRequest
from server.api.openapi.encoder_schemas import ENCODER_SCHEMAS


@pytest.mark.parametrize(
    ("name", "kind"),
    [("EmbeddingsRequest", EmbeddingRequest), ("RerankRequest", RerankRequest), ("ScoreRequest", ScoreRequest)],
)
def test_fields(name: str, kind: type[EncoderRequest]) -> None:
    schema = ENCODER_SCHEMAS[name]
    assert schema["properties"].keys() == kind.model_fields.keys()
    assert set(schema["required"]) == {field for field, info in kind.model_fields.items() if info.is_required()}


@pytest.mark.parametrize(
    ("name", "body", "fits"),
    [
        ("EmbeddingsRequest", {"model": "m", "input": ["a"], "encoding_format": "base64"}, True),
        ("EmbeddingsRequest", {"model": "m", "input": [1, 2]}, False),
        ("RerankRequest", {"model": "m", "query": "q", "documents": ["a", {"text": "b"}]}, True),
        ("RerankRequest", {"model": "m", "query": "q", "documents": []}, False),
        ("RerankResponse", {"model": "m", "id": "1", "results": [{"index": 0}], "usage": {"total_tokens": 1}}, True),
        ("RerankResponse", {"model": "m", "id": "1", "results": [{}], "usage": {}}, False),
    ],
)
def test_what_fits(name: str, body: Any, fits: bool) -> None:
    assert jsonschema.Draft202012Validator(ENCODER_SCHEMAS[name]).is_valid(body) is fits
