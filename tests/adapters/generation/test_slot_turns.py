"""Who computes what in a step: turns that share a call, turns that may be taken again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from adapters.generation import slot_turns
from adapters.generation.engine import Generation
from adapters.generation.engine_thread import Submission
from adapters.generation.kv_blocks import CachePool
from adapters.generation.ragged_attention import DecodingRows, PackedRow, PromptPart
from adapters.generation.slot_support import cache_shape, slots_attention
from adapters.generation.slot_turns import SlotSequence, Turn, compute
from tests.adapters.generation.models import VOCABULARY, prompt_of, tiny


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("Llama")


@pytest.fixture
def pool(model: Any) -> Iterator[CachePool]:
    pool = CachePool(cache_shape(model), 1 << 30)
    with slots_attention(model), torch.inference_mode():
        yield pool


def sequence(pool: CachePool, length: int, seed: int = 0, **fields: Any) -> SlotSequence:
    generation = Generation(prompt=prompt_of(length, seed), max_tokens=5, **fields)
    made = SlotSequence(Submission(generation, 0, 0), VOCABULARY, "cpu")
    pool.place_alone(made, length)
    return made


def decoding(model: Any, pool: CachePool, length: int, seed: int) -> SlotSequence:
    """All of its ids but the last are computed."""
    made = sequence(pool, length, seed)
    compute(model, [Turn(made, length - 1, decodes=False)])
    made.length = length - 1
    pool.place_among_others(made, length)
    return made


def expected(ids: list[int]) -> torch.Tensor:
    logits: torch.Tensor = tiny("Llama")(torch.tensor([ids])).logits[0]
    return logits


def test_each_turn_gets_the_logits_that_it_wants(model: Any, pool: CachePool) -> None:
    rows = [decoding(model, pool, length, length) for length in (4, 9)]
    whole, begun, told = sequence(pool, 7, 1), sequence(pool, 30, 2), sequence(pool, 6, 3, prompt_logprobs=True)
    turns = [Turn(each, 1, decodes=True) for each in rows]
    turns += [Turn(each, count, decodes=False) for each, count in ((whole, 7), (begun, 8), (told, 3))]
    for _ in range(2):  # nothing has changed by the first time
        logits = compute(model, turns)
        assert [len(each) for each in logits] == [1, 1, 1, 0, 3]
        for turn, found in zip(turns, logits, strict=True):
            ids = turn.sequence.ids[: turn.sequence.length + turn.count]
            assert torch.allclose(found, expected(ids)[len(ids) - len(found) :], atol=1e-3)


def test_neighbours_share_a_part(model: Any, pool: CachePool, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (decoding(model, pool, length, length) for length in (4, 9, 200))
    seen: list[PackedRow] = []

    def forward(model: Any, row: PackedRow, ids: Any, positions: Any, wanted: Any) -> torch.Tensor:
        seen.append(row)
        assert (list(positions), list(wanted)) == ([3, 8, 199, 0, 1], [0, 1, 2])
        return torch.zeros(len(wanted), VOCABULARY)

    monkeypatch.setattr(slot_turns, "forward", forward)
    turns = [Turn(each, 1, decodes=True) for each in (first, second, third)]
    compute(model, [*turns, Turn(sequence(pool, 5), 2, decodes=False)])
    kinds = [(type(part), part.start, part.stop) for part in seen[0].parts]
    assert kinds == [(DecodingRows, 0, 2), (DecodingRows, 2, 3), (PromptPart, 3, 5)]
