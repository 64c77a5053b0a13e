"""Which models slots hold, and why not: by what a model says of itself, and by what it computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from adapters.generation.kv_blocks import LayerShape
from adapters.generation.slot_support import NotHeld, cache_shape, slots_attention, supports
from tests.adapters.generation.models import tiny


def test_the_shape_of_a_cache_is_seen() -> None:
    shape = cache_shape(tiny("Llama"))
    assert shape.layers == (LayerShape(2, 8, 8),) * 2
    assert shape.dtype == torch.float32
    assert shape.bytes_per_token == 2 * 2 * 2 * 8 * 4


def test_halves_are_held() -> None:
    assert cache_shape(tiny("Llama").to(torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("windows", "sliding_window"),
        ("Gemma3", "layers of sliding_attention"),
        ("Bloom", "cannot be set"),
        ("Mamba", "layers of linear_attention"),
        ("T5", "an encoder with a decoder"),
        ("Bart", "an encoder with a decoder"),
    ],
)
def test_what_is_not_held_says_why(architecture: str, reason: str) -> None:
    model = tiny(architecture)
    with pytest.raises(NotHeld, match=reason):
        cache_shape(model)
    assert not supports(model)


def test_positions_that_depend_on_the_longest_sequence_are_not_held() -> None:
    model = tiny("Llama")
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    with pytest.raises(NotHeld, match="dynamic"):
        cache_shape(model)


class Remembering(transformers.LlamaForCausalLM):
    """Carries something on from token to token beside its keys and values: the mean of all before."""

    def forward(self, input_ids: Any = None, **others: Any) -> Any:
        answer = super().forward(input_ids=input_ids, **{**others, "logits_to_keep": 0})
        answer.logits = answer.logits.cumsum(1)
        return answer


def test_what_computes_something_else_in_slots_is_not_held() -> None:
    model = Remembering(tiny("Llama").config).eval()
    with pytest.raises(NotHeld, match="logits differ"):
        cache_shape(model)


class Failing(transformers.LlamaForCausalLM):
    def forward(self, position_ids: Any = None, **others: Any) -> Any:
        if position_ids is not None:
            raise TypeError("positions are mine")
        return super().forward(**others)


def test_what_fails_in_slots_is_not_held() -> None:
    with pytest.raises(NotHeld, match="fails in slots: positions are mine"):
        cache_shape(Failing(tiny("Llama").config).eval())


def test_the_model_has_its_own_attention_again_whatever_happens() -> None:
    model = tiny("Llama")
    ids = torch.tensor([[5, 6, 7]])
    before = model(ids).logits

    def fail() -> None:
        with slots_attention(model):
            raise LookupError("of something else")

    with pytest.raises(LookupError):
        fail()
    assert torch.equal(model(ids).logits, before)
