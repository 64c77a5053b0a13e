"""Completions of an encoder-decoder, by the real model: its texts, what they cost, and what is refused."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

pytest.importorskip("torch")

from adapters.base import ModelDir
from adapters.huggingface_ import HuggingFaceAdapter
from server.api.openai.error_object import FieldRefused
from server.api.openai.request_fields import CompletionRequest, read_request
from server.api.openai.written_texts import completion_codec, in_words_of_completions
from server.errors import InvalidInput
from server.inference.answer import Answer
from server.inference.batching.queue import Limits
from server.inference.request import InferenceRequest
from server.inference.tensor_model import TensorModel
from server.telemetry.counters import ModelMetrics
from tests.adapters.huggingface_.pipeline_models import MODELS

PROMPTS = ["translate this to germany", "my dog"]
_EXECUTOR = ThreadPoolExecutor(1, "written")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODELS["text2text-generation"](tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def model(folder: Path) -> TensorModel:
    adapter = HuggingFaceAdapter.load(ModelDir.of(folder), "", {})
    return TensorModel("m", adapter, _EXECUTOR, Limits(), ModelMetrics(), merges=True)


def ask(model: TensorModel, **fields: Any) -> dict[str, Any]:
    request = read_request(orjson.dumps({"model": "m", **fields}), CompletionRequest)
    codec = completion_codec(request, model.signature)

    async def run() -> Any:
        return await model.handle(InferenceRequest("openai", "predict", "m", None, [], b"", codec=codec))

    answer = asyncio.run(run())
    assert isinstance(answer, Answer)
    document: dict[str, Any] = orjson.loads(answer.body)
    return document


def test_texts_are_those_that_the_model_generates(model: TensorModel, folder: Path) -> None:
    document = ask(model, prompt=PROMPTS, temperature=0, max_tokens=6, n=1, stream=False)
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    read = written = 0
    for index, (prompt, choice) in enumerate(zip(PROMPTS, document["choices"], strict=True)):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        made = theirs.generate(input_ids=ids, max_new_tokens=6, do_sample=False)[0]
        ends = "stop" if int(made[-1]) == theirs.generation_config.eos_token_id else "length"
        text = tokenizer.decode(made, skip_special_tokens=True)
        assert choice == {"index": index, "text": text, "logprobs": None, "finish_reason": ends}
        read, written = read + ids.shape[1], written + len(made) - 1
    assert (document["object"], document["model"]) == ("text_completion", "m")
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    assert usage.items() <= document["usage"].items()


def test_one_prompt_is_one_choice_and_tokens_may_be_drawn(model: TensorModel) -> None:
    (choice,) = ask(model, prompt="my dog", temperature=1.5, max_tokens=3)["choices"]
    assert isinstance(choice["text"], str)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prompt": "a", "stream": True}, "stream: the model 'm' writes a whole text for a text, and knows nothing"),
        ({"prompt": "a", "logprobs": 2}, "logprobs: "),
        ({"prompt": "a", "n": 2}, "n: "),
        ({"prompt": "a", "stop": "x"}, "stop: "),
        ({"prompt": "a", "guided_json": {}}, "guided_json: "),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens must be at least 1, not 0"),
        ({"prompt": [1, 2]}, "prompt[0] must be a text, not 1"),
        ({}, "prompt must be a text, not null"),
    ],
)
def test_what_it_knows_nothing_of_is_refused_by_its_field(model: TensorModel, fields: Any, says: str) -> None:
    with pytest.raises(FieldRefused) as caught:
        ask(model, **fields)
    assert str(caught.value).startswith(says)


def test_a_bound_of_the_models_own_is_told_in_the_clients_word(model: TensorModel) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(model, prompt="a", max_tokens=5000)
    assert str(in_words_of_completions(caught.value)) == "max_tokens is 5000: it must be from 1 to 4096"
    assert in_words_of_completions(InvalidInput("other")).args == ("other",)
    with pytest.raises(InvalidInput) as caught:
        ask(model, prompt=["a", "dog " * 2000])
    refused = in_words_of_completions(caught.value)
    assert isinstance(refused, FieldRefused)
    assert (refused.param, refused.code) == ("prompt", "context_length_exceeded")
    assert str(refused).startswith("prompt[1] has ")
    assert str(refused).endswith(" tokens and the model takes 40: shorten it")


def test_v1_tells_the_same_counts_where_it_is_asked(model: TensorModel) -> None:
    text = {"text": np.array(["my dog"], dtype=np.object_)}
    (plain,) = model.adapter.predict(text, {"max_new_tokens": 2})["output-0"]
    (counted,) = model.adapter.predict(text, {"max_new_tokens": 2, "text_counts": True})["output-0"]
    assert plain.items() <= counted.items()
    assert counted.keys() - plain.keys() == {"tokens_read", "tokens_written", "finish_reason"}
