"""Calls of models of texts, and scores of pairs by either kind of model."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import orjson
import pytest

from adapters.base import Array
from server.api.openai.encoder_calls import cosines, pair_codec, text_codec, unit
from server.errors import InvalidInput
from server.inference.answer import Answer
from server.inference.request import Codec, InferenceRequest
from tests.server.encoding import TextsAdapter, model_of_texts, signature_of_texts


def document(values: Array) -> dict[str, Any]:
    return {"values": values.tolist()}


def ask(task: str, codec: Codec) -> tuple[dict[str, Any], list[Any]]:
    """The answer, and the calls that were made for it."""
    model = model_of_texts(task)

    async def run() -> Any:
        return await model.handle(InferenceRequest("openai", "predict", "m", None, [], b"", codec=codec))

    answer = asyncio.run(run())
    assert isinstance(answer, Answer)
    assert isinstance(model.adapter, TextsAdapter)
    return orjson.loads(answer.body), model.adapter.calls


def test_texts_and_what_they_cost() -> None:
    codec = text_codec(signature_of_texts("embedding"), ["ab", "c"], {"prompt_name": "p"}, document)
    answer, [(inputs, parameters)] = ask("embedding", codec)
    assert answer == {"values": [[2.0, 1.0], [1.0, 1.0]], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    assert inputs["text"].tolist() == ["ab", "c"]
    assert parameters == {"prompt_name": "p", "token_counts": True}


@pytest.mark.parametrize(("firsts", "scores"), [(["ab"], [1.0, 0.0]), (["ab", "cd"], [1.0, 2.0])])
def test_pairs_of_a_model_that_scores(firsts: list[str], scores: list[float]) -> None:
    answer, [(inputs, _)] = ask("score", pair_codec(signature_of_texts("score"), firsts, ["bc", "cd"], {}, document))
    assert answer["values"] == scores
    assert answer["usage"]["total_tokens"] == 8
    assert inputs["text_pair"].tolist() == ["bc", "cd"]


def test_pairs_of_a_model_that_embeds_take_one_call() -> None:
    codec = pair_codec(signature_of_texts("embedding"), ["a"], ["bcd", "e"], {}, document)
    answer, [(inputs, _)] = ask("embedding", codec)
    assert inputs["text"].tolist() == ["a", "bcd", "e"]
    assert answer["values"] == pytest.approx([4 / np.sqrt(20), 1.0])
    assert answer["usage"]["total_tokens"] == 5


def test_cosines() -> None:
    vectors = np.array([[3, 4], [0, 0], [-3, -4], [4, -3]], dtype=np.float32)
    assert cosines(vectors[:1], vectors).tolist() == pytest.approx([1, 0, -1, 0])
    assert np.linalg.norm(unit(vectors), axis=1).tolist() == pytest.approx([1, 0, 1, 1])


def test_a_parameter_that_the_model_has_not() -> None:
    with pytest.raises(InvalidInput, match="truncation"):
        text_codec(signature_of_texts("embedding"), ["a"], {"truncation": True}, document)
