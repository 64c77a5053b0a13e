"""What a sentence-transformers folder holds, read by hand: which kind it is, and what would stop it from being served.

The library imports the classes that the folder names and hands its settings on to transformers, which runs code or
reads pickles for some of them. So only modules and settings that are known to be data are let through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.formats import companions
from adapters.huggingface_.architecture import architecture, unserved
from adapters.huggingface_.bundle import (
    Damaged,
    check,
    check_weights,
    needs_sentencepiece,
    no_weights,
    read_config,
    read_json,
    weights_of,
)
from adapters.huggingface_.sentence import is_cross_encoder, read_about, read_modules
from adapters.modeldir import ModelDir
from adapters.shared.tokenizer_audit import tokenizer_carries

__all__ = ["ModelFolder", "read_folder"]

_MODULES = (
    "Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout", "StaticEmbedding", "WeightedLayerPooling",
    "MLMTransformer", "SpladePooling", "SparseStaticEmbedding", "SparseAutoEncoder", "LogitScore",
)  # fmt: skip
_SPARSE = frozenset({"SpladePooling", "SparseStaticEmbedding", "SparseAutoEncoder"})
_KINDS = ("SentenceTransformer", "SparseEncoder", "CrossEncoder")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")

#: settings that go through to transformers: what they may say
_PASSED_ON = ("model_args", "tokenizer_args", "config_args", "model_kwargs", "processor_kwargs", "config_kwargs")
_HARMLESS = {
    "torch_dtype", "dtype", "attn_implementation", "add_pooling_layer", "use_cache", "output_hidden_states",
    "model_max_length", "padding_side", "truncation_side", "use_fast", "do_lower_case",
}  # fmt: skip
_ATTENTION = (None, "eager", "sdpa", "flash_attention_2")
_ACTIVATION = re.compile(r"torch\.nn\.modules\.(activation|linear)\.\w+")
_ACTIVATED = ("activation_fn", "activation_function", "sbert_ce_default_activation_function")


@dataclass(frozen=True)
class ModelFolder:
    """A checked folder."""

    kind: str  #: the class of sentence-transformers that loads it
    safetensors: bool  #: the transformer's weights are
    pickled: bool  #: some weights are pickles
    sentencepiece: bool
    carries: str = ""  #: why a worker has to serve it; "" for no reason


def read_folder(model_dir: ModelDir) -> ModelFolder:
    """Check all that the library will read.

    Raises:
        Damaged: it cannot be served; the message is the reason.
    """
    if problem := companions.unread(model_dir):
        raise Damaged(problem)
    about = read_about(model_dir)
    _check_activation(about, "config_sentence_transformers.json")
    modules = read_modules(model_dir) if model_dir.has("modules.json") else [("Transformer", "")]
    kinds = [kind for kind, _ in modules]
    if unknown := [kind for kind in kinds if kind not in _MODULES]:
        raise Damaged(f"modules.json lists {', '.join(unknown)}, which is not served; served are {', '.join(_MODULES)}")
    if not kinds:
        raise Damaged("modules.json lists no modules")
    weights: list[str] = []
    sentencepiece = False
    for kind, path in modules:
        folder = _inner(model_dir, path)
        if kind in ("Transformer", "MLMTransformer"):
            weights.insert(0, _check_transformer(folder))
            sentencepiece |= needs_sentencepiece(folder)
        else:
            weights.append(_check_module(kind, folder))
    pickled = any(".bin" in name for name in weights)
    kind = _kind(about, kinds) if model_dir.has("modules.json") else _kind_of_plain(model_dir)
    carries = (tokenizer_carries(_inner(model_dir, path), pickled=pickled) for _, path in modules)
    return ModelFolder(kind, ".safetensors" in weights[0], pickled, sentencepiece, next(filter(None, carries), ""))


def _kind_of_plain(model_dir: ModelDir) -> str:
    """What the library makes of a folder of transformers alone: by its own marks, else by the model's head."""
    config = read_config(model_dir) or {}
    scores = is_cross_encoder(model_dir, config) or architecture(config).endswith("ForSequenceClassification")
    if not scores and (reason := unserved(config, None)):
        raise Damaged(reason)
    return "CrossEncoder" if scores else "SentenceTransformer"


def _kind(about: Mapping[str, Any], modules: list[str]) -> str:
    kind = about.get("model_type") or ("SparseEncoder" if _SPARSE & set(modules) else _KINDS[0])
    if kind not in _KINDS:
        raise Damaged(f"config_sentence_transformers.json calls it a {kind}; served are {', '.join(_KINDS)}")
    return str(kind)


def _inner(model_dir: ModelDir, path: str) -> ModelDir:
    if not path:
        return model_dir
    if path not in model_dir.dirs:
        raise Damaged(f"modules.json names the folder {path}/, which is missing")
    inner = ModelDir.of(model_dir.path / path, model_dir.root)
    if inner.outside:
        raise Damaged(f"{path}/{inner.outside[0]} leads out of the models directory and is not followed")
    return inner


def _check_transformer(folder: ModelDir) -> str:
    """The weights that will be loaded."""
    if folder.has("adapter_config.json") and not weights_of(folder):
        raise Damaged("adapter_config.json makes it a PEFT adapter without its base model: merge it into the model")
    config = read_config(folder)
    if config is None:
        raise Damaged("config.json of the Transformer module is missing")
    if not weights_of(folder):
        raise Damaged(no_weights(folder))
    check(folder, config)
    _check_activation(config, "config.json")
    for name in folder.files:
        if name.startswith("sentence_") and name.endswith("_config.json"):
            _check_settings(read_json(folder, name), name)
    return weights_of(folder)


def _check_settings(settings: Any, name: str) -> None:
    """What a Transformer module passes on to transformers, whose arguments can name code, pickles or other models."""
    if not isinstance(settings, dict):
        raise Damaged(f"{name} does not hold an object")
    for key in _PASSED_ON:
        passed = settings.get(key) or {}
        if not isinstance(passed, dict):
            raise Damaged(f"{name}: {key} does not hold an object")
        if strange := sorted(passed.keys() - _HARMLESS):
            raise Damaged(f"{name}: {key} sets {strange[0]}, which is not passed on; take it out of the file")
        if passed.get("attn_implementation") not in _ATTENTION:
            raise Damaged(f"{name} asks for the attention kernel {passed['attn_implementation']!r}, code from the hub")
    for modality in (settings.get("modality_config") or {}).values():
        if not isinstance(modality, dict) or modality.get("method", "forward") != "forward":
            raise Damaged(f"{name}: modality_config calls another method than forward, which is not served")


def _check_module(kind: str, folder: ModelDir) -> str:
    """The weights that will be loaded, or ""."""
    if folder.has("config.json"):
        config = read_json(folder, "config.json")
        if not isinstance(config, dict):
            raise Damaged(f"{folder.path.name}/config.json does not hold an object")
        if kind == "Dense":
            _check_activation(config, f"{folder.path.name}/config.json")
    weights = next((name for name in _WEIGHTS if folder.has(name)), "")
    if weights:
        check_weights(folder, weights)
    return weights


def _check_activation(config: Mapping[str, Any], name: str) -> None:
    """The library imports an activation by its name, and calls it."""
    nested = config.get("sentence_transformers")
    for settings in (config, nested if isinstance(nested, dict) else {}):
        for key in _ACTIVATED:
            wanted = settings.get(key)
            if wanted is not None and "." in str(wanted) and not _ACTIVATION.fullmatch(str(wanted)):
                raise Damaged(f"{name}: {key} is {wanted!r}, which is no activation of torch.nn; it was not imported")
