"""Documents of embeddings, rerank and score."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from server.api.openai.encoder_answers import embedding_document, encoder_codec, rerank_document, score_document
from server.api.openai.encoder_fields import EmbeddingRequest, RerankRequest, ScoreRequest
from server.api.openai.error_object import FieldRefused
from tests.server.encoding import signature_of_texts

VECTORS = np.array([[0.1, 0.2, 2.0], [3.0, 4.0, 1.0]], dtype=np.float32)
SCORES = np.array([0.5, 0.9, 0.5, np.nan], dtype=np.float32)


def embeddings(**fields: Any) -> list[Any]:
    document = embedding_document(EmbeddingRequest(model="m", input=["a", "b"], **fields), VECTORS)
    assert (document["object"], document["model"]) == ("list", "m")
    assert [(each["object"], each["index"]) for each in document["data"]] == [("embedding", 0), ("embedding", 1)]
    return [each["embedding"] for each in document["data"]]


def test_numbers_and_base64_are_the_same_values_exactly() -> None:
    assert [each.tolist() for each in embeddings()] == VECTORS.tolist()
    read = [np.frombuffer(base64.b64decode(each), dtype="<f4") for each in embeddings(encoding_format="base64")]
    assert [each.tolist() for each in read] == VECTORS.tolist()


def test_dimensions_are_cut_and_then_normalised() -> None:
    assert embeddings(dimensions=2)[1].tolist() == pytest.approx([0.6, 0.8])
    with pytest.raises(FieldRefused, match="dimensions is 3: the model's vectors have 2 numbers"):
        encoder_codec(EmbeddingRequest(model="m", input="a", dimensions=3), signature_of_texts("embedding"))
    assert encoder_codec(EmbeddingRequest(model="m", input="a", dimensions=2), signature_of_texts("embedding"))


def test_the_best_come_first() -> None:
    texts = ["a", "b", "c", "d"]
    request = RerankRequest(model="m", query="q", documents=texts, top_n=3)
    document = rerank_document(request, texts, SCORES)
    assert document["id"].startswith("rerank-")
    first, second, third = document["results"]
    assert first == {"index": 1, "relevance_score": pytest.approx(0.9), "document": {"text": "b"}}
    assert [second["index"], third["index"]] == [0, 2]


def test_documents_may_be_left_out() -> None:
    request = RerankRequest(model="m", query="q", documents=["a"], return_documents=False)
    assert rerank_document(request, ["a"], SCORES[:1])["results"] == [{"index": 0, "relevance_score": 0.5}]


def test_scores_keep_their_order() -> None:
    document = score_document(ScoreRequest(model="m", text_1="a", text_2=["b", "c"]), SCORES[:2])
    assert document["object"] == "list"
    assert [each["score"] for each in document["data"]] == pytest.approx([0.5, 0.9])
