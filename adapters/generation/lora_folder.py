"""A LoRA folder (PEFT's `adapter_config.json` and `adapter_model.safetensors`) beside the model that it changes.

The base model is a folder of the same mount, by the last part of `base_model_name_or_path`; nothing is fetched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.base import Match, ModelDir, Rank
from adapters.huggingface_.bundle import Damaged, check_weights, read_json, weights_of
from adapters.modeldir import inside, legible

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_LARGEST_RANK = 1 << 14
#: settings that change what the weights mean, or come with more than pairs of matrices; none of them is applied here
_NOT_APPLIED = (
    "use_dora", "modules_to_save", "alpha_pattern", "layer_replication", "trainable_token_indices", "target_parameters",
    "lora_bias", "use_qalora", "arrow_config", "aux_loss_weight", "use_bdlora",
)  # fmt: skip
#: beginnings that leave the base model as it is; others (pissa, olora, ...) change its weights
_BEGINNINGS = (True, False, "gaussian", "orthogonal", "eva", None)
_WAY_OUT = "merge it into the model (merge_and_unload) and save that"


@dataclass(frozen=True, slots=True)
class Lora:
    """What `adapter_config.json` says, checked."""

    base: str  #: the folder of the base model
    alpha: float
    rank_stabilized: bool

    def scale(self, rank: int) -> float:
        """What the product of the two matrices is multiplied by."""
        return self.alpha / (math.sqrt(rank) if self.rank_stabilized else rank)


def match(model_dir: ModelDir, match_base: Callable[[ModelDir], Match | None]) -> Match | None:
    """The claim on the folder; `match_base` is that on its base model's. None where it is no LoRA folder."""
    if not model_dir.has(CONFIG) or weights_of(model_dir):
        return None
    try:
        lora = read(model_dir)
        base = base_of(model_dir, lora)
        found = match_base(base)
        check_weights(model_dir, WEIGHTS)
    except Damaged as error:
        return Match(Rank.CONTENT, CONFIG, problem=str(error))
    problem = found.problem if found else "it is no language model that is served here"
    if problem:
        return Match(Rank.CONTENT, CONFIG, problem=f"its base model, the folder {lora.base!r}: {problem}")
    assert found is not None
    return replace(found, rank=Rank.CONTENT, file=CONFIG, beside=base.path.name)


def read(model_dir: ModelDir) -> Lora:
    """
    Raises:
        Damaged: it is no LoRA, or one that is not applied here.
    """
    config = read_json(model_dir, CONFIG)
    if not isinstance(config, dict):
        raise Damaged(f"{CONFIG} does not hold an object")
    if (kind := config.get("peft_type")) != "LORA":
        raise Damaged(f"{CONFIG} is of the type {kind!r:.40}, and of PEFT's adapters only LORA is applied: {_WAY_OUT}")
    if (task := config.get("task_type")) not in (None, "CAUSAL_LM"):
        raise Damaged(f"{CONFIG} is for the task {task!r:.40}, and only CAUSAL_LM is served: {_WAY_OUT}")
    if config.get("auto_mapping"):
        raise Damaged(f"{CONFIG} names code of its own (auto_mapping), which is never run")
    if named := [name for name in _NOT_APPLIED if config.get(name)]:
        raise Damaged(f"{CONFIG} sets {', '.join(named)}, which is not applied here: {_WAY_OUT}")
    if config.get("bias", "none") != "none":
        raise Damaged(f"{CONFIG} sets bias to {config['bias']!r:.40}, which is not applied here: {_WAY_OUT}")
    if (begun := config.get("init_lora_weights")) not in _BEGINNINGS:
        raise Damaged(f"{CONFIG} sets init_lora_weights to {begun!r:.40}, which changes the base model: {_WAY_OUT}")
    if not model_dir.has(WEIGHTS):
        raise Damaged(f"{CONFIG} has no {WEIGHTS} beside it: save the adapter as safetensors")
    _number(config, "r", _LARGEST_RANK)
    return Lora(_base(config), _number(config, "lora_alpha", 1e6), config.get("use_rslora") is True)


def _number(config: Mapping[str, Any], name: str, most: float) -> float:
    value: Any = config.get(name)
    if type(value) not in (int, float) or not 0 < value <= most:
        raise Damaged(f"{CONFIG}: {name} must be a number above 0, and at most {most:g}, not {value!r:.40}")
    return float(value)


def _base(config: Mapping[str, Any]) -> str:
    named = config.get("base_model_name_or_path")
    name = named.rstrip("/").rpartition("/")[2] if isinstance(named, str) else ""
    if not name or name.startswith(".") or name != legible(name):
        raise Damaged(f"{CONFIG}: base_model_name_or_path is {named!r:.80}, which names no model")
    return name


def base_of(model_dir: ModelDir, lora: Lora) -> ModelDir:
    """The folder of the base model.

    Raises:
        Damaged: there is none in the mount.
    """
    path = model_dir.root / lora.base
    if path.is_dir() and inside(path, model_dir.root) and not path.samefile(model_dir.path):
        return ModelDir.of(path, model_dir.root)
    raise Damaged(
        f"its base model is not in the models directory: {CONFIG} names {lora.base!r} (base_model_name_or_path), so "
        f"put the model beside this folder, into one called {lora.base}"
    )
