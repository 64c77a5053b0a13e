"""A model with a LoRA answers as the base with the two matrices applied beside each layer, and its files stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.base import LoadError, ModelDir
from adapters.generation import GenerationAdapter
from adapters.generation.lora_folder import Lora
from adapters.generation.lora_weights import add_lora
from tests.adapters.generation.models import prompt_of, tiny
from tests.adapters.generation.test_adapter import HELLO, answered
from tests.language_models import save_language_model
from tests.lora_models import ALPHA, LLAMA_LAYERS, RANK, save_lora

LORA = Lora("tiny", ALPHA, rank_stabilized=False)
GPT2_LAYERS = {"transformer.h.0.attn.c_attn": (96, 32), "transformer.h.1.mlp.c_proj": (32, 128)}


def logits_beside(model: Any, folder: Path, ids: Any) -> Any:
    """The base model's, with B A x added to what each layer gives for x."""
    from safetensors.torch import load_file

    weights = load_file(folder / "adapter_model.safetensors")

    def adding(down: Any, up: Any) -> Callable[..., Any]:
        return lambda layer, given, output: output + (ALPHA / RANK) * (given[0] @ down.T @ up.T)

    hooks = []
    for name in {name.removeprefix("base_model.model.").rpartition(".lora_")[0] for name in weights}:
        down, up = (weights[f"base_model.model.{name}.lora_{each}.weight"] for each in "AB")
        hooks.append(model.get_submodule(name).register_forward_hook(adding(down, up)))
    found = model(ids).logits
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(("architecture", "layers"), [("Llama", LLAMA_LAYERS), ("GPT2", GPT2_LAYERS)])
def test_it_is_the_base_with_matrices_beside(architecture: str, layers: Any, tmp_path: Path) -> None:
    folder = save_lora(tmp_path / "lora", "tiny", layers)
    model, ids = tiny(architecture), torch.tensor([prompt_of(9)])
    with torch.inference_mode():
        before, beside = model(ids).logits, logits_beside(model, folder, ids)
        add_lora(model, folder, LORA)
        after = model(ids).logits
    assert not torch.allclose(before, after, atol=1e-2)
    assert torch.allclose(beside, after, atol=1e-3, rtol=1e-3)


def saved(folder: Path, **weights: Any) -> Path:
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    save_file({name.replace("__", "."): each for name, each in weights.items()}, folder / "adapter_model.safetensors")
    return folder


Q = "base_model__model__model__layers__0__self_attn__q_proj__lora_"
A, B = {Q + "A__weight": torch.ones(2, 32)}, {Q + "B__weight": torch.ones(32, 2)}


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({}, "is empty"),
        (A, "one matrix of two"),
        ({**A, Q + "B__weight": torch.ones(32, 3)}, "do not fit each other"),
        ({**A, Q + "B__weight": torch.ones(31, 2)}, r"is \[31, 32\], and \[32, 32\] in the base model"),
        ({**A, Q + "B__weight": torch.full((32, 2), torch.nan)}, "no number"),
        ({**A, Q + "B__weight": torch.ones(32)}, "do not fit each other"),
        ({Q + "embedding_A": torch.ones(2, 32)}, "no weight of a LoRA of linear layers"),
        (
            {
                "base_model__model__model__norm__lora_A__weight": torch.ones(2, 32),
                "base_model__model__model__norm__lora_B__weight": torch.ones(32, 2),
            },
            "no linear layer",
        ),
        (
            {
                "base_model__model__nowhere__lora_A__weight": torch.ones(2, 32),
                "base_model__model__nowhere__lora_B__weight": torch.ones(32, 2),
            },
            "nowhere, which the base model has not",
        ),
    ],
)
def test_weights_of_another_model(weights: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=told):
        add_lora(tiny("Llama"), saved(tmp_path / "lora", **weights), LORA)


def test_a_head_that_is_the_embedding_too(tmp_path: Path) -> None:
    folder = save_lora(tmp_path / "lora", "tiny", {"lm_head": (97, 32)})
    with pytest.raises(LoadError, match="the embedding of tokens, too"):
        add_lora(tiny("GPT2"), folder, LORA)


@pytest.mark.slow
def test_a_served_lora(tmp_path: Path) -> None:
    base = save_language_model(tmp_path / "tiny")
    folder = save_lora(tmp_path / "lora", "tiny", LLAMA_LAYERS)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('of the adapter') }}")
    before = (base / "model.safetensors").read_bytes()
    directory = ModelDir.of(folder, tmp_path)
    match = GenerationAdapter.match(directory)
    assert match is not None
    changed = GenerationAdapter.load(directory, match.file, {})
    plain = GenerationAdapter.load(ModelDir.of(base, tmp_path), "", {})
    try:
        texts = [
            answered(model, prompt="one two", max_tokens=20, temperature=0)[1]["deltas"][0]["text"]
            for model in (changed, plain)
        ]
        assert texts[0] != texts[1]
        assert answered(changed, messages=HELLO)[1]["message"] == "of the adapter"
    finally:
        changed.close()
        plain.close()
    assert (base / "model.safetensors").read_bytes() == before
    (base / "config.json").unlink()
    with pytest.raises(LoadError, match="base model cannot be served"):
        GenerationAdapter.load(ModelDir.of(folder, tmp_path), match.file, {})
