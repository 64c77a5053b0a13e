"""Attention of packed rows beside plain attention of each sequence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from adapters.generation.kv_blocks import CacheBlock, CacheShape, LayerShape
from adapters.generation.ragged_attention import DecodingRows, NotHeld, PackedRow, PromptPart, attend, forward
from tests.adapters.generation.models import prompt_of, tiny

HEADS, KEY_HEADS, SIZE = 6, 2, 8
SHAPE = CacheShape((LayerShape(KEY_HEADS, SIZE, SIZE),), torch.float32, torch.device("cpu"))


def random(*sizes: int) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(sum(sizes)))


def plain(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """One query [heads, size] over all keys [key heads, tokens, size]: [heads, size]."""
    repeated = (each.repeat_interleave(HEADS // KEY_HEADS, 0) for each in (keys, values))
    return scaled_dot_product_attention(query[:, None], *repeated, scale=0.3)[:, 0]


@pytest.mark.parametrize("lengths", [[5, 2, 9], [4, 4], [0, 3], [6]])
def test_rows_that_decode_see_their_own_tokens(lengths: list[int]) -> None:
    count = len(lengths)
    block = CacheBlock(SHAPE, 5, 16)
    block.keys[0].copy_(random(5, KEY_HEADS, 16, SIZE))
    block.values[0].copy_(random(5, KEY_HEADS, 16, SIZE) + 1)
    query, key, value = random(HEADS, count, SIZE), random(KEY_HEADS, count, SIZE), random(KEY_HEADS, count, SIZE) + 1
    found = DecodingRows(block, 1, lengths, 0).attend(0, query, key, value, 0.3)
    for number, length in enumerate(lengths):
        keys, values = block.keys[0][1 + number], block.values[0][1 + number]
        assert torch.equal(keys[:, length], key[:, number])
        assert torch.equal(values[:, length], value[:, number])
        expected = plain(query[:, number], keys[:, : length + 1], values[:, : length + 1])
        assert torch.allclose(found[number], expected, atol=1e-5)


@pytest.mark.parametrize(("begin", "end"), [(0, 1), (0, 6), (4, 5), (3, 9)])
def test_parts_of_a_prompt_see_what_came_before(begin: int, end: int) -> None:
    block = CacheBlock(SHAPE, 2, 16)
    block.keys[0].copy_(random(2, KEY_HEADS, 16, SIZE))
    block.values[0].copy_(random(2, KEY_HEADS, 16, SIZE) + 1)
    count = end - begin
    query, key, value = random(HEADS, count, SIZE), random(KEY_HEADS, count, SIZE), random(KEY_HEADS, count, SIZE) + 1
    found = PromptPart(block, 1, begin, end, 0).attend(0, query, key, value, 0.3)
    keys, values = block.keys[0][1], block.values[0][1]
    assert torch.equal(keys[:, begin:end], key)
    for number in range(count):
        until = begin + number + 1
        assert torch.allclose(found[number], plain(query[:, number], keys[:, :until], values[:, :until]), atol=1e-5)


@pytest.mark.parametrize("wanted", [[], [3], [0, 2, 3]])
def test_only_the_logits_that_are_wanted_are_given(wanted: list[int]) -> None:
    model, ids = tiny("GPT2"), prompt_of(4)
    before = model(torch.tensor([ids])).logits[0]
    model.set_attn_implementation("slots")
    block = CacheBlock(CacheShape((LayerShape(4, 8, 8),) * 2, torch.float32, torch.device("cpu")), 1, 8)
    row = PackedRow([PromptPart(block, 0, 0, 4, 0)])
    with torch.inference_mode():
        assert torch.allclose(forward(model, row, ids, range(4), wanted), before[wanted], atol=1e-4)
    assert row.layers == [0, 1]


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"sliding_window": 4}, "sliding_window"),
        ({"softcap": 30.0, "s_aux": torch.zeros(1)}, "softcap, s_aux"),
        ({"attention_mask": torch.zeros(1)}, "a mask of its own"),
    ],
)
def test_other_attentions_are_refused(named: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.generation.ragged_attention._current.row", PackedRow([]))
    some = random(1, 2, 3, 4)
    with pytest.raises(NotHeld, match=reason):
        attend(SimpleNamespace(layer_idx=0), some, some, some, **{"attention_mask": None, **named})


def test_nobody_else_may_use_the_model() -> None:
    some = random(1, 2, 3, 4)
    with pytest.raises(NotHeld, match="somebody else"):
        attend(SimpleNamespace(layer_idx=0), some, some, some, None)
