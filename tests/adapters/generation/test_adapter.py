"""Folders of decoders: who claims them, what stops them, and jobs to one that is loaded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir, Reply, ReplyStream, Request, Trust
from adapters.generation import GenerationAdapter
from tests.adapters.generation.response_templates import CHATML
from tests.language_models import save_language_model, save_thinking_model

pytestmark = pytest.mark.slow

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_language_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[GenerationAdapter]:
    model = GenerationAdapter.load(ModelDir.of(folder), "", {"max_context": 64})
    yield model
    model.close()


def copy(folder: Path, to: Path, **config: Any) -> ModelDir:
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    known = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(known | config))
    return ModelDir.of(to)


def answered(model: GenerationAdapter, **job: Any) -> Any:
    async def ask() -> Any:
        reply = await model.answer(Request("complete", "generation", orjson.dumps(job), {}))
        if isinstance(reply, Reply):
            return reply.status, orjson.loads(reply.body)["error"]
        assert isinstance(reply, ReplyStream)
        try:
            return [told async for part in reply.parts if (told := orjson.loads(part))]  # {}: nothing new for a while
        finally:
            await reply.parts.aclose()

    return asyncio.run(ask())


def test_a_decoder_is_claimed_before_embeddings_are(folder: Path) -> None:
    choice = registry.choose(ModelDir.of(folder))
    assert choice.adapter is GenerationAdapter
    assert choice.match.trust is Trust.SAFE
    assert choice.adapter.own_worker
    assert registry.choose(ModelDir.of(folder), "huggingface").adapter.name == "huggingface"


def test_encoders_are_not_claimed(folder: Path, tmp_path: Path) -> None:
    assert GenerationAdapter.match(copy(folder, tmp_path, architectures=["LlamaForSequenceClassification"])) is None


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"auto_map": {"AutoModelForCausalLM": "own.py"}}, "auto_map"),
        ({"vision_config": {"image_size": 3}}, "takes images"),
    ],
)
def test_what_is_claimed_and_not_served(folder: Path, tmp_path: Path, config: dict[str, Any], told: str) -> None:
    match = GenerationAdapter.match(copy(folder, tmp_path, **config))
    assert match is not None
    assert told in match.problem


def test_damaged_weights(folder: Path, tmp_path: Path) -> None:
    directory = copy(folder, tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    match = GenerationAdapter.match(directory)
    assert match is not None
    assert "truncated" in match.problem


def test_a_job_of_a_loaded_model(model: GenerationAdapter) -> None:
    first, *_, last = answered(model, messages=HELLO, max_tokens=5, stream=True)
    assert first["prompt_tokens"] == last["usage"]["prompt_tokens"]
    assert last["usage"]["completion_tokens"] <= 5
    assert model.signature.generates


def test_a_job_that_is_refused(model: GenerationAdapter) -> None:
    status, error = answered(model, prompt="one", max_tokens=64)
    assert (status, error["code"]) == (400, "context_length_exceeded")


def test_options(folder: Path, tmp_path: Path) -> None:
    directory = copy(folder, tmp_path)
    (tmp_path / "other.jinja").write_text("{{ raise_exception('mine') }}")
    directory = ModelDir.of(tmp_path)
    model = GenerationAdapter.load(directory, "", {"chat_template": "other.jinja", "threads": 1})
    assert answered(model, messages=HELLO)[1]["message"] == "mine"
    model.close()
    for options, told in (
        ({"max_context": 1000}, "takes from 2 to 128"),
        ({"chat_template": "none.jinja"}, "no such file"),
        ({"prefill_chunk": 0}, "prefill_chunk must be at least 1"),
    ):
        with pytest.raises(LoadError, match=told):
            GenerationAdapter.load(directory, "", options)


def test_a_damaged_folder_has_one_reason(folder: Path, tmp_path: Path) -> None:
    copy(folder, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(LoadError) as caught:
        registry.choose(ModelDir.of(tmp_path))
    assert "no tokenizer" in str(caught.value)
    assert "not served" not in str(caught.value)


def test_the_model_s_own_settings_count_where_a_request_says_nothing(folder: Path, tmp_path: Path) -> None:
    model_dir = copy(folder, tmp_path)
    settings = {"temperature": 0.0, "max_new_tokens": 5}
    known = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(json.dumps(known | settings))
    model = GenerationAdapter.load(model_dir, "", {})
    try:
        texts = [answered(model, messages=HELLO, **asked) for asked in ({}, {}, {"temperature": 0})]
        assert texts[0][-1]["usage"]["completion_tokens"] == 5
        assert texts[0][1]["deltas"] == texts[1][1]["deltas"] == texts[2][1]["deltas"]
    finally:
        model.close()


@pytest.mark.parametrize("option", [{"grammar_bytes": 0}, {"grammar_depth": -1}, {"grammar_seconds": 0.0}])
def test_limits_of_grammars_are_numbers_of_something(folder: Path, option: dict[str, Any]) -> None:
    with pytest.raises(LoadError, match=next(iter(option))):
        GenerationAdapter.load(ModelDir.of(folder), "", option)


@pytest.mark.parametrize(("response_template", "space"), [(None, "\t"), (CHATML, "")])
def test_a_model_that_thinks(tmp_path: Path, response_template: Any, space: str) -> None:
    folder = ModelDir.of(save_thinking_model(tmp_path / "thinker", response_template))
    tools = [{"type": "function", "function": {"name": "now"}}]
    model = GenerationAdapter.load(folder, "", {})
    try:
        for asked, expected in (
            ({}, ("hm", "yes", "stop", 0)),
            ({"stop": "m"}, ("hm", "yes", "stop", 0)),
            ({"max_tokens": 3}, ("h", "", "length", 0)),
            ({"chat_template_kwargs": {"begins": True}}, ("hm", "yes", "stop", 0)),
            ({"reasoning_effort": "none"}, ("", f"{space}yes", "stop", 0)),
            ({"grammar": {"kind": "choice", "value": ["no"]}}, ("hm", "no", "stop", 0)),
            ({"tools": tools}, ("", "", "tool_calls", 1)),
        ):
            (delta,) = answered(model, messages=HELLO, **asked)[1]["deltas"]
            found = (delta.get("reasoning", ""), delta["text"], delta["finish"], len(delta.get("calls", ())))
            assert found == expected, asked
    finally:
        model.close()


def test_reasoning_may_stay_in_the_text(tmp_path: Path) -> None:
    model = GenerationAdapter.load(ModelDir.of(save_thinking_model(tmp_path, CHATML)), "", {"reasoning": "none"})
    try:
        (delta,) = answered(model, messages=HELLO)[1]["deltas"]
        assert (delta["text"], "reasoning" in delta) == ("<think> hm</think>\tyes", False)
    finally:
        model.close()
