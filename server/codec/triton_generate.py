"""Triton's generate extension for language models: a text in, a text out, in one flat JSON object.

    {"id": "1", "text_input": "One, two,", "parameters": {"max_tokens": 8}}   parameters may stand outside as well
    {"id": "1", "model_name": "m", "model_version": "1", "text_output": " three"}

Source: Triton Inference Server, docs/protocol/extension_generate.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from adapters.base import Signature
from server.codec.decoded_request import DecodedRequest
from server.codec.error_text import described
from server.codec.json_bodies import parse_object
from server.codec.parameters import read_parameters
from server.errors import InvalidInput


def decode(raw: bytes, signature: Signature, *, streams: bool = False) -> DecodedRequest:
    """The one text of a body; its `id` is the `key`. `streams`: it is `generate_stream` that was asked.

    Triton's vLLM models are told whether to stream in the body, too; it has to be what the path says.

    Raises:
        InvalidInput: naming the field.
    """
    (spec,) = signature.inputs
    body = parse_object(raw, f'"{spec.name}"')
    text, identity, parameters = body.pop(spec.name, None), body.pop("id", None), body.pop("parameters", None)
    if not isinstance(text, str):
        raise InvalidInput(f"{spec.name} must be a text, not {described(text)}")
    if not isinstance(identity, str | None):
        raise InvalidInput(f"id must be a text, not {described(identity)}")
    if not isinstance(parameters, dict | None):
        raise InvalidInput(f"parameters must be an object, not {described(parameters)}")
    asked = {**body, **(parameters or {})}
    if asked.pop("stream", streams) is not streams:
        other = "generate" if streams else "generate_stream"
        raise InvalidInput(f"stream must be {orjson.dumps(streams).decode()} here: ask {other} for the other")
    known = read_parameters(asked, signature)
    return DecodedRequest({spec.name: np.array([text], dtype=np.object_)}, 1, known, key=identity)


def encode(text: str, call: DecodedRequest, signature: Signature, model: str, version: str) -> bytes:
    """One answer, or one part of it."""
    (spec,) = signature.outputs
    head: dict[str, Any] = {"id": call.key} if call.key else {}
    return orjson.dumps({**head, "model_name": model, "model_version": version or "1", spec.name: text})
