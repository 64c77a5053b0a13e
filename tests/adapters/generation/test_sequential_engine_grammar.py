"""A real grammar where the model's own `generate` makes the tokens: the text is held to it, alone and beside others."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from adapters.generation.chat_template import ChatTemplate
from adapters.generation.generator import Generator
from adapters.generation.prompts import Prompts
from adapters.generation.refusal import RefusedJob
from adapters.generation.sequential_engine import SequentialEngine
from adapters.generation.vocabulary import Vocabulary

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 5}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def state_space_model(vocabulary: Vocabulary) -> Any:
    """Whose states no slot holds."""
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "vocab_size": vocabulary.size}
    return MambaForCausalLM(MambaConfig(**sizes, eos_token_id=None, pad_token_id=0)).eval()


def texts(model: Any, vocabulary: Vocabulary, *jobs: dict[str, Any]) -> list[str]:
    """Of jobs that are asked at the same time."""

    async def text(generator: Generator, job: dict[str, Any]) -> str:
        async with aclosing(await generator.begin(generator.job(job))) as parts:
            found = [orjson.loads(part) async for part in parts]
        return "".join(delta["text"] for part in found for delta in part.get("deltas", ()))

    async def run() -> list[str]:
        tokenizer = vocabulary.tokenizer
        prompts = Prompts(vocabulary, ChatTemplate(tokenizer), 4096, frozenset({tokenizer.eos_token_id}))
        generator = Generator(SequentialEngine(model), prompts)
        try:
            return await asyncio.gather(*(text(generator, job) for job in jobs))
        finally:
            await asyncio.to_thread(generator.close)

    return asyncio.run(run())


@pytest.mark.slow
def test_texts_keep_to_their_grammars(state_space_model: Any, vocabulary: Vocabulary) -> None:
    def asked(kind: str, value: Any) -> dict[str, Any]:
        grammar = {"kind": kind, "value": value, "field": "response_format"}
        return {"prompt": "one two", "seed": 3, "max_tokens": 300, "grammar": grammar, "stream": True}

    formed, chosen, matched, free = texts(
        state_space_model,
        vocabulary,
        asked("json_schema", SCHEMA),
        asked("choice", ["yes", "no"]),
        asked("regex", "[ab]{3}c"),
        {"prompt": "one two", "seed": 3, "max_tokens": 8},
    )
    found = json.loads(formed)
    assert found.keys() == {"city", "days"}
    assert len(found["city"]) <= 5
    assert 1 <= found["days"] <= 9
    assert chosen in ("yes", "no")
    assert len(matched) == 4
    assert matched.endswith("c")
    assert free


def test_a_bad_grammar_is_refused_before_anything_is_made(state_space_model: Any, vocabulary: Vocabulary) -> None:
    grammar = {"kind": "json_schema", "value": {"type": "objekt"}, "field": "response_format"}
    with pytest.raises(RefusedJob, match="Invalid type: objekt"):
        texts(state_space_model, vocabulary, {"prompt": "one", "grammar": grammar})
