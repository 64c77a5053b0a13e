"""Schemas of what models of texts are asked by OpenAI's routes: embeddings, rerank, score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_TEXTS: Schema = {"type": "array", "items": _STRING, "minItems": 1}
_TEXT_OR_TEXTS: Schema = {"anyOf": [_STRING, _TEXTS]}
_USAGE: Schema = {
    "type": "object",
    "description": "the tokens that the model read",
    "properties": {"prompt_tokens": _INTEGER, "total_tokens": _INTEGER},
}
_DOCUMENT: Schema = {"type": "object", "properties": {"text": _STRING}, "required": ["text"]}
#: the model's own, which some know
_PARAMETERS = {
    "user": {**_STRING, "description": "it changes nothing"},
    "prompt_name": {**_STRING, "description": "a prompt that came with the model"},
    "prompt": {**_STRING, "description": "a text to write before each text"},
    "truncation": {"type": "boolean", "description": "cut texts that are too long; they are refused else"},
    "truncate_prompt_tokens": {"type": "integer", "enum": [-1], "description": "vLLM's word for truncation: true"},
}


def _request(**properties: Schema) -> dict[str, Any]:
    """A body: all of these must be there whose name does not end in an underscore."""
    required = ["model", *(name for name in properties if not name.endswith("_"))]
    named = {name.rstrip("_"): schema for name, schema in properties.items()}
    return {"type": "object", "properties": {"model": _STRING, **named, **_PARAMETERS}, "required": required}


def _response(**properties: Schema) -> dict[str, Any]:
    named = {"model": _STRING, **properties, "usage": _USAGE}
    return {"type": "object", "properties": named, "required": list(named)}


def _entries(**properties: Schema) -> dict[str, Any]:
    entry = {"type": "object", "properties": {"index": _INTEGER, **properties}, "required": ["index"]}
    return {"type": "array", "items": entry}


#: by name
ENCODER_SCHEMAS: Mapping[str, Schema] = {
    "EmbeddingsRequest": _request(
        input=_TEXT_OR_TEXTS,
        encoding_format_={"enum": ["float", "base64"]},
        dimensions_={**_INTEGER, "minimum": 1, "description": "the first so many numbers of each vector, normalised"},
    ),
    "EmbeddingsResponse": _response(
        object=_STRING,
        data=_entries(
            object=_STRING,
            embedding={"anyOf": [{"type": "array", "items": _NUMBER}, {**_STRING, "description": "base64"}]},
        ),
    ),
    "RerankRequest": _request(
        query=_STRING,
        documents={"type": "array", "items": {"anyOf": [_STRING, _DOCUMENT]}, "minItems": 1},
        top_n_={**_INTEGER, "minimum": 1, "description": "the best so many"},
        return_documents_={"type": "boolean", "default": True},
    ),
    "RerankResponse": _response(id=_STRING, results=_entries(relevance_score=_NUMBER, document=_DOCUMENT)),
    "ScoreRequest": _request(text_1=_TEXT_OR_TEXTS, text_2=_TEXT_OR_TEXTS),
    "ScoreResponse": _response(id=_STRING, object=_STRING, data=_entries(object=_STRING, score=_NUMBER)),
}
