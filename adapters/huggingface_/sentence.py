"""How a text embedding model pools its tokens: read from a sentence-transformers folder without that package.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.huggingface_.bundle import Damaged, read_json
from adapters.modeldir import ModelDir

POOLINGS = ("mean", "cls", "max", "lasttoken")

#: the flags that a Pooling module's config.json had before it had `pooling_mode`
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SERVED = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])


@dataclass(frozen=True, slots=True)
class Sentence:
    """From a text to its embedding. The defaults are what KServe does with a plain transformers model."""

    pooling: str = "mean"
    normalize: bool = True
    prompt: str = ""  #: written before every text
    lower: bool = False  #: texts are lower-cased first
    max_length: int | None = None  #: tokens


def read_sentence(model_dir: ModelDir) -> Sentence | None:
    """What `modules.json` and the files it names say, or None where they make no sentence embedding.

    Raises:
        Damaged: the modules are damaged, or are not served.
    """
    if not model_dir.has("modules.json"):
        return None
    modules = _modules(model_dir)
    kinds = [kind for kind, _ in modules]
    if kinds == ["Transformer"]:
        return None  # a cross-encoder: a sequence classification model like any other
    if kinds not in _SERVED:
        raise Damaged(
            f"modules.json lists {', '.join(kinds)}; served are Transformer, Pooling and, after them, Normalize"
        )
    if modules[0][1]:
        raise Damaged(f"modules.json has its Transformer in {modules[0][1]}/, served is one beside modules.json")
    settings = _settings(model_dir)
    prompt = _prompt(model_dir)
    length, lower = settings.get("max_seq_length"), settings.get("do_lower_case") is True
    return Sentence(
        pooling=_pooling(model_dir, modules[1][1], prompt),
        normalize="Normalize" in kinds,
        prompt=prompt,
        lower=lower,
        max_length=length if type(length) is int and length > 0 else None,
    )


def _modules(model_dir: ModelDir) -> list[tuple[str, str]]:
    """(class, folder) of each module."""
    listed = read_json(model_dir, "modules.json")
    try:
        named = [(str(entry["type"]), str(entry["path"])) for entry in listed]
    except (TypeError, LookupError) as error:
        raise Damaged("modules.json does not list modules with a type and a path") from error
    for name, _ in named:
        if not name.startswith("sentence_transformers."):
            raise Damaged(f"modules.json names {name}, code of its own, which is never run here")
    return [(name.rpartition(".")[2], path) for name, path in named]


def _pooling(model_dir: ModelDir, folder: str, prompt: str) -> str:
    where = f"{folder}/config.json"
    if folder not in model_dir.dirs:
        raise Damaged(f"modules.json names the folder {folder}/, which is missing")
    inner = ModelDir.of(model_dir.path / folder, model_dir.root)
    if not inner.has("config.json"):
        raise Damaged(f"{where} is missing, which says how the tokens are pooled")
    config = read_json(inner, "config.json")
    if not isinstance(config, dict):
        raise Damaged(f"{where} does not hold an object")
    modes = config.get("pooling_mode") or [mode for flag, mode in _FLAGS.items() if config.get(flag)] or "mean"
    mode = modes[0] if isinstance(modes, list) and len(modes) == 1 else modes
    if mode not in POOLINGS:
        raise Damaged(f"{where} asks for the pooling {mode}; served are {', '.join(POOLINGS)}")
    if prompt and config.get("include_prompt") is False:
        raise Damaged(f"{where} leaves the prompt out of the pooling (include_prompt), which is not served")
    return str(mode)


def _settings(model_dir: ModelDir) -> dict[str, Any]:
    """The Transformer module's own settings: `sentence_bert_config.json`, or its older names."""
    names = [name for name in model_dir.files if name.startswith("sentence_") and name.endswith("_config.json")]
    settings = read_json(model_dir, names[0]) if names else {}
    if not isinstance(settings, dict):
        raise Damaged(f"{names[0]} does not hold an object")
    if settings.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise Damaged(f"{names[0]} asks for the task {settings['transformer_task']!r}, which makes no embedding")
    return settings


def _prompt(model_dir: ModelDir) -> str:
    """The prompt that sentence-transformers would use when it is not told of one."""
    name = "config_sentence_transformers.json"
    config = read_json(model_dir, name) if model_dir.has(name) else {}
    default = config.get("default_prompt_name") if isinstance(config, dict) else None
    if default is None:
        return ""
    prompts = config.get("prompts")
    if not isinstance(prompts, dict) or not isinstance(default, str) or not isinstance(prompts.get(default), str):
        raise Damaged(f"{name} has no prompt {default!r}, its default_prompt_name")
    return str(prompts[default])
