"""Logits by a packed copy of the matrix: those of the matrix itself, and where there is no copy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from adapters.generation.engine import Generation  # noqa: E402
from adapters.generation.packed_head import packed_head  # noqa: E402
from adapters.generation.slot_engine import SlotEngine  # noqa: E402
from tests.adapters.generation.models import greedy, together  # noqa: E402

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
VOCABULARY, SIZE = 1 << 14, 64


def model_with(head: Any) -> Any:
    return SimpleNamespace(get_output_embeddings=lambda: head)


def made(**settings: Any) -> Any:
    torch.manual_seed(2)
    return torch.nn.Linear(SIZE, VOCABULARY, **{"bias": False, **settings})


@needs_onednn
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
def test_several_rows_are_those_of_the_matrix_and_one_has_its_bits(bias: bool) -> None:
    head = made(bias=bias)
    states = torch.randn(1, 9, SIZE)
    with torch.inference_mode():
        expected = head(states)
        with packed_head(model_with(head)):
            assert "forward" in vars(head)
            torch.testing.assert_close(head(states), expected, atol=1e-5, rtol=1e-5)
            assert head(states).shape == (1, 9, VOCABULARY)
            assert torch.equal(head(states[:, :1]), torch.nn.functional.linear(states[:, :1], head.weight, head.bias))
        assert "forward" not in vars(head)
        assert torch.equal(head(states), expected)


class _Other(torch.nn.Linear):  # type: ignore[misc, name-defined]
    pass


@pytest.mark.parametrize(
    "head",
    [made().bfloat16(), torch.nn.Linear(SIZE, 100), _Other(SIZE, VOCABULARY), made().to("meta")],
    ids=["halves", "small", "another-class", "another-device"],
)
def test_others_stay_as_they_are(head: Any) -> None:
    with packed_head(model_with(head)):
        assert "forward" not in vars(head)


@needs_onednn
def test_an_engine_s_tokens_are_those_of_generate() -> None:
    torch.manual_seed(4)
    config = transformers.LlamaConfig(
        hidden_size=SIZE, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=VOCABULARY,
        max_position_embeddings=256, initializer_range=0.3, bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    prompts = [[7 + 31 * place + number for place in range(3 + 5 * number)] for number in range(5)]
    expected = [greedy(model, prompt, 12) for prompt in prompts]
    engine = SlotEngine(model, cache_limit=1 << 24)
    try:
        assert "forward" in vars(model.lm_head)
        assert together(engine, [Generation(prompt=prompt, max_tokens=12) for prompt in prompts]) == expected
    finally:
        engine.close()
    assert "forward" not in vars(model.lm_head)
