"""LoRA folders made on the spot, as PEFT saves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RANK, ALPHA = 2, 6


def save_lora(folder: Path, base: str, layers: Mapping[str, tuple[int, int]], seed: int = 1, **config: Any) -> Path:
    """Random matrices for layers, by their sizes (out, in); `config` is said in `adapter_config.json`, too."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    weights = {}
    for name, (out, within) in layers.items():
        weights[f"base_model.model.{name}.lora_A.weight"] = torch.randn(RANK, within)
        weights[f"base_model.model.{name}.lora_B.weight"] = torch.randn(out, RANK)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    said = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": RANK, "lora_alpha": ALPHA,
        "bias": "none", "init_lora_weights": True, "modules_to_save": None, "use_dora": False, "use_rslora": False,
        "alpha_pattern": {}, "rank_pattern": {}, "target_modules": ["q_proj"], "lora_dropout": 0.1,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(said | config))
    return folder


#: of the tiny Llama of `language_models`
LLAMA_LAYERS = {"model.layers.0.self_attn.q_proj": (32, 32), "model.layers.1.mlp.up_proj": (64, 32)}
