"""Schemas of what models of language are asked by OpenAI's routes: those that the bodies are checked by.

Ranges of numbers are the model's to check, so the schemas tell types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.api.openai.request_fields import ChatRequest, CompletionRequest, OpenAIRequest
from server.api.openai.response_fields import ResponseRequest

Schema = Mapping[str, Any]

_BODIES: Mapping[str, type[OpenAIRequest]] = {
    "ChatCompletionRequest": ChatRequest,
    "CompletionRequest": CompletionRequest,
    "ResponseRequest": ResponseRequest,
}


def _generation_schemas() -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for name, kind in _BODIES.items():
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[name] = schema
    return found


#: by name, with the parts that they refer to
GENERATION_SCHEMAS: Mapping[str, Schema] = _generation_schemas()
