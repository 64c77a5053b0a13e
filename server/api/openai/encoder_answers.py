"""Answers of `embeddings`, `rerank` and `score`: the codec of each request, which makes the call and the document."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.base import Array, Signature
from server.api.openai.encoder_calls import pair_codec, text_codec, unit
from server.api.openai.encoder_fields import EmbeddingRequest, EncoderRequest, RerankRequest, ScoreRequest
from server.api.openai.error_object import FieldRefused
from server.codec.outputs import numbers
from server.inference.request import Codec

_TRUNCATION = "truncation"  #: a parameter of models that can tell when a text is too long


def encoder_codec(request: EncoderRequest, signature: Signature) -> Codec:
    """How a model with that signature, whose task is one of the request's, is asked and its answer written.

    Raises:
        InvalidInput: the request does not fit the model, naming the field.
    """
    parameters = request.model_parameters()
    if any(known.name == _TRUNCATION for known in signature.parameters):
        parameters.setdefault(_TRUNCATION, False)  # who wants a part of a text embedded says so
    if isinstance(request, EmbeddingRequest):
        _check_dimensions(request.dimensions, signature)
        return text_codec(signature, request.texts, parameters, lambda vectors: embedding_document(request, vectors))
    if isinstance(request, RerankRequest):
        texts = request.texts
        return pair_codec(
            *(signature, [request.query], texts, parameters),
            lambda scores: rerank_document(request, texts, scores),
        )
    assert isinstance(request, ScoreRequest)
    return pair_codec(signature, *request.pairs, parameters, lambda scores: score_document(request, scores))


def embedding_document(request: EmbeddingRequest, vectors: Array) -> dict[str, Any]:
    """Vectors [texts, size] as numbers, or as the bytes of FP32, little-endian, in base64: the same values exactly."""
    if request.dimensions is not None:
        vectors = unit(vectors[:, : request.dimensions]).astype(np.float32)
    shown: Sequence[Any]
    if request.encoding_format == "base64":
        shown = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    else:
        shown = [numbers(vector) for vector in vectors]
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(shown)]
    return {"object": "list", "data": data, "model": request.model}


def rerank_document(request: RerankRequest, texts: Sequence[str], scores: Array) -> dict[str, Any]:
    """The documents that fit best, the best first; of equal ones the earlier."""
    best = np.argsort(-scores, kind="stable")[: request.top_n].tolist()
    results = [{"index": index, "relevance_score": float(scores[index])} for index in best]
    if request.return_documents is not False:
        results = [{**result, "document": {"text": texts[index]}} for index, result in zip(best, results, strict=True)]
    return {"id": f"rerank-{uuid.uuid4().hex}", "model": request.model, "results": results}


def score_document(request: ScoreRequest, scores: Array) -> dict[str, Any]:
    """A score a pair, in their order."""
    data = [{"index": index, "object": "score", "score": float(score)} for index, score in enumerate(scores)]
    head = {"id": f"score-{uuid.uuid4().hex}", "object": "list", "created": int(time.time())}
    return {**head, "model": request.model, "data": data}


def _check_dimensions(dimensions: int | None, signature: Signature) -> None:
    size = signature.outputs[0].shape[-1]
    if dimensions is not None and dimensions > size:
        raise FieldRefused(f"dimensions is {dimensions}: the model's vectors have {size} numbers", "dimensions")
