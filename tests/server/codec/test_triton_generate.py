"""Triton's generate extension for texts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from server.codec import triton_generate
from server.errors import InvalidInput
from tests.server.generating import SIGNATURE


def test_a_text_and_its_parameters_wherever_they_stand() -> None:
    for body in (
        {"text_input": "x", "parameters": {"max_tokens": 3}},
        {"text_input": "x", "max_tokens": 3},
    ):
        call = triton_generate.decode(orjson.dumps(body), SIGNATURE)
        assert call.inputs["text_input"].tolist() == ["x"]
        assert call.parameters == {"max_tokens": 3}


@pytest.mark.parametrize("streams", [False, True])
def test_whether_it_streams_may_be_said_as_the_path_says_it(streams: bool) -> None:
    """Triton's own examples for vLLM do."""
    body = {"text_input": "x", "parameters": {"max_tokens": 3, "stream": streams}}
    assert triton_generate.decode(orjson.dumps(body), SIGNATURE, streams=streams).parameters == {"max_tokens": 3}
    for other in (not streams, None, "true"):
        raw = orjson.dumps({"text_input": "x", "stream": other})
        with pytest.raises(InvalidInput, match=f"stream must be {str(streams).lower()} here: ask generate"):
            triton_generate.decode(raw, SIGNATURE, streams=streams)


def test_the_id_comes_back() -> None:
    call = triton_generate.decode(b'{"text_input": "x", "id": "7"}', SIGNATURE)
    answer = orjson.loads(triton_generate.encode("y", call, SIGNATURE, "m", "2"))
    assert answer == {"id": "7", "model_name": "m", "model_version": "2", "text_output": "y"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "text_input must be a text, not null"),
        ({"text_input": ["x"]}, "text_input must be a text, not a list"),
        ({"text_input": "x", "id": 3}, "id must be a text"),
        ({"text_input": "x", "parameters": []}, "parameters must be an object"),
        ({"text_input": "x", "temperatur": 1}, "did you mean 'temperature'"),
    ],
)
def test_what_is_refused(body: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        triton_generate.decode(orjson.dumps(body), SIGNATURE)
