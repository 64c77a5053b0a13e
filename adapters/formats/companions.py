"""Files beside a model that change its answers, and that only some libraries read.

Whoever serves a folder without reading such a file would give the answers of another model, and nobody would know. So
each adapter of folders asks `unread` for what lies there beside what it reads, and refuses by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from adapters.modeldir import ModelDir

__all__ = ["unread"]


@dataclass(frozen=True, slots=True)
class _Companion:
    name: re.Pattern[str]  #: of the file
    is_a: str
    way_out: str


def _companion(name: str, is_a: str, way_out: str) -> _Companion:
    return _Companion(re.compile(name), is_a, way_out)


_MERGE = "merge it into the model (merge_and_unload) and save that"

#: the surest sign of each kind first
_COMPANIONS = (
    _companion(r"adapter_config\.json", "an adapter (PEFT: LoRA and its kin)", _MERGE),
    _companion(r"adapter_model(-\d+-of-\d+)?\.(safetensors|bin|pt)", "an adapter (PEFT: LoRA and its kin)", _MERGE),
    _companion(r"(pytorch_lora_weights|lora|adapters)\.(safetensors|bin|npz)", "a LoRA adapter", _MERGE),
    _companion(
        r"pytorch_adapter\.bin|head_config\.json|adapter_fusion_config\.json|pytorch_model_(head|adapter_fusion)\.bin",
        "an adapter of the adapters library",
        "merge it into the model",
    ),
    _companion(r".+\.onnx_adapter", "a LoRA adapter of ONNX Runtime", "export the model with the adapter merged"),
    _companion(
        r"model_head\.(pkl|joblib)|config_setfit\.json",
        "a SetFit model's (a classifier on top of the embeddings)",
        "serve it as a custom model with a model.py, or without the classifier for the embeddings",
    ),
)


def unread(model_dir: ModelDir, read: Collection[str] = ()) -> str:
    """Why the folder is not served although its model is sound: a file that belongs to it and is not read; or "".

    `read` names the files that the adapter honours.
    """
    for companion in _COMPANIONS:
        name = next((name for name in model_dir.files if companion.name.fullmatch(name) and name not in read), None)
        if name is not None:
            return (
                f"{name} is {companion.is_a}, which changes the model's answers and is not applied here: "
                f"{companion.way_out}, or take the file out of the folder"
            )
    return ""
