"""The weights of a LoRA, added to those of the model that they change: W + scale * B A, in place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from adapters.base import LoadError
from adapters.generation.lora_folder import WEIGHTS, Lora
from adapters.shared.messages import listed

_NAME = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


def add_lora(model: Any, folder: Path, lora: Lora) -> None:
    """
    Raises:
        LoadError: the weights are not of this model.
    """
    import torch
    from safetensors.torch import load_file

    pairs: dict[str, dict[str, Any]] = {}
    for name, weights in load_file(folder / WEIGHTS).items():
        if (found := _NAME.fullmatch(name)) is None:
            raise LoadError(f"{WEIGHTS} holds {name[:120]}, which is no weight of a LoRA of linear layers")
        pairs.setdefault(found[1], {})[found[2]] = weights
    if half := [name for name, pair in pairs.items() if len(pair) < 2]:
        raise LoadError(f"{WEIGHTS} has one matrix of two for {listed(sorted(half), 4)}")
    if not pairs:
        raise LoadError(f"{WEIGHTS} is empty")
    embedded = model.get_input_embeddings().weight
    with torch.no_grad():
        for name, pair in pairs.items():
            layer = _layer(model, name)
            weight = layer.weight
            if weight.data_ptr() == embedded.data_ptr():
                raise LoadError(f"{WEIGHTS} changes {name}, which is the embedding of tokens, too: it cannot be merged")
            weight.add_(_change(name, pair["A"], pair["B"], lora, layer))


def _layer(model: Any, name: str) -> Any:
    try:
        layer = model.get_submodule(name)
        is_matrix = layer.weight.dim() == 2
    except AttributeError as error:
        raise LoadError(f"{WEIGHTS} changes {name[:120]}, which the base model has not") from error
    if not is_matrix:
        raise LoadError(f"{WEIGHTS} changes {name[:120]}, which is no linear layer")
    return layer


def _change(name: str, down: Any, up: Any, lora: Lora, layer: Any) -> Any:
    """What is added to the weight of a layer."""
    import torch

    weight = layer.weight
    if down.dim() != 2 or up.dim() != 2 or down.shape[0] != up.shape[1]:
        raise LoadError(f"{WEIGHTS}: the matrices of {name[:120]} do not fit each other")
    change = (up.float() @ down.float()) * lora.scale(down.shape[0])
    if type(layer).__name__ == "Conv1D":  # GPT-2's layers hold their weights the other way round
        change = change.T
    if change.shape != weight.shape:
        raise LoadError(f"{WEIGHTS}: {name[:120]} is {list(change.shape)}, and {list(weight.shape)} in the base model")
    if not torch.isfinite(change).all():
        raise LoadError(f"{WEIGHTS}: {name[:120]} holds what is no number")
    return change.to(weight.device, weight.dtype)
