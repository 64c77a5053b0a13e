"""How a text embedding model pools its tokens: read from a sentence-transformers folder without that package.

Most such folders are a transformer, a pooling and perhaps a normalisation: these are served here. The others
(`Foreign`) are left to the adapter of sentence-transformers itself. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
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
ABOUT = "config_sentence_transformers.json"
_SERVED = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])

#: the settings that are honoured here, or that only matter for training and comparing; a folder with others, unless
#: they are empty, is the library's
_KNOWN_ABOUT = frozenset(
    {"__version__", "model_type", "prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim"}
)
_KNOWN_SETTINGS = frozenset({"max_seq_length", "do_lower_case", "transformer_task"})
_KNOWN_POOLING = frozenset(
    {"word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt", *_FLAGS}
)
_SETTINGS_FILE = re.compile(r"sentence_\w+_config\.json")
_MODULE_FOLDER = re.compile(r"\d+_[A-Z][A-Za-z]+")
#: what the library itself writes where a Transformer module was not told anything
_USUAL = {
    "module_output_name": "token_embeddings",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
}


class Foreign(Damaged):
    """A sound folder that needs sentence-transformers itself."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """From a text to its embedding. The defaults are what KServe does with a plain transformers model."""

    pooling: str = "mean"
    normalize: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict)  #: by name
    prompt: str = ""  #: written before every text, unless a request names another
    lower: bool = False  #: texts are lower-cased first
    max_length: int | None = None  #: tokens
    truncate_dim: int | None = None  #: the first so many numbers of each vector count


def read_sentence(model_dir: ModelDir) -> Sentence | None:
    """What `modules.json` and the files it names say, or None where they make no sentence embedding.

    Raises:
        Foreign: this adapter does not serve them.
        Damaged: the modules are damaged, or name code of their own.
    """
    if not model_dir.has("modules.json"):
        _check_whole(model_dir)
        return None
    modules = read_modules(model_dir)
    kinds = [kind for kind, _ in modules]
    about = read_about(model_dir)
    if kinds == ["Transformer"] and about.get("model_type") != "CrossEncoder":
        return None  # a sequence classification model like any other
    if kinds not in _SERVED or modules[0][1]:
        raise Foreign(f"modules.json lists {', '.join(kinds)}")
    if about.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise Foreign(f"{ABOUT} calls it a {about['model_type']}")
    _check_known(about, _KNOWN_ABOUT, ABOUT)
    settings = _settings(model_dir)
    prompts, prompt = _prompts(about)
    length, lower = settings.get("max_seq_length"), settings.get("do_lower_case") is True
    return Sentence(
        pooling=_pooling(model_dir, modules[1][1], any(prompts.values())),
        normalize="Normalize" in kinds,
        prompts=prompts,
        prompt=prompt,
        lower=lower,
        max_length=length if type(length) is int and length > 0 else None,
        truncate_dim=_truncate_dim(about),
    )


def _check_whole(model_dir: ModelDir) -> None:
    """Without `modules.json` the library averages, and reads none of its own files: such a folder lost it."""
    modules = [f"{name}/" for name in model_dir.dirs if _MODULE_FOLDER.fullmatch(name)]
    about = [ABOUT] if read_about(model_dir).get("model_type", "CrossEncoder") != "CrossEncoder" else []
    settings = [name for name in model_dir.files if _SETTINGS_FILE.fullmatch(name)]
    if lost := [*modules, *about, *settings]:
        raise Damaged(f"modules.json is missing, which says what {lost[0]} is for: copy the whole folder")


def is_foreign(model_dir: ModelDir, config: Mapping[str, Any]) -> bool:
    """Whether the folder is left to the adapter of sentence-transformers."""
    try:
        if is_cross_encoder(model_dir, config):
            return True
        read_sentence(model_dir)
    except Foreign:
        return True
    except Damaged:
        return False
    return False


def is_cross_encoder(model_dir: ModelDir, config: Mapping[str, Any]) -> bool:
    """Whether sentence-transformers says by its own marks that the model scores pairs of texts.

    Its versions wrote them to one file or the other, long before they wrote a `modules.json` for such models.

    Raises:
        Damaged: one of the files is damaged.
    """
    if model_dir.has("modules.json"):
        return False  # that says how it is to be loaded
    marks = config.get("sentence_transformers"), config.get("sbert_ce_default_activation_function")
    return read_about(model_dir).get("model_type") == "CrossEncoder" or any(mark is not None for mark in marks)


def read_about(model_dir: ModelDir) -> dict[str, Any]:
    """`config_sentence_transformers.json`: what the folder says of itself as a whole; {} where it is missing.

    Raises:
        Damaged: it is damaged.
    """
    about = read_json(model_dir, ABOUT) if model_dir.has(ABOUT) else {}
    if not isinstance(about, dict):
        raise Damaged(f"{ABOUT} does not hold an object")
    return about


def read_modules(model_dir: ModelDir) -> list[tuple[str, str]]:
    """(class, folder) of each module in `modules.json`.

    Raises:
        Damaged: it is damaged, or names code of its own.
    """
    listed = read_json(model_dir, "modules.json")
    try:
        named = [(str(entry["type"]), str(entry["path"])) for entry in listed]
    except (TypeError, LookupError) as error:
        raise Damaged("modules.json does not list modules with a type and a path") from error
    for name, _ in named:
        if not name.startswith("sentence_transformers."):
            raise Damaged(f"modules.json names {name}, code of its own, which is never run here")
    return [(name.rpartition(".")[2], path) for name, path in named]


def _pooling(model_dir: ModelDir, folder: str, prompted: bool) -> str:
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
        raise Foreign(f"{where} asks for the pooling {mode}")
    if prompted and config.get("include_prompt") is False:
        raise Foreign(f"{where} leaves the prompt out of the pooling (include_prompt)")
    _check_known(config, _KNOWN_POOLING, where)
    return str(mode)


def _settings(model_dir: ModelDir) -> dict[str, Any]:
    """The Transformer module's own settings: `sentence_bert_config.json`, or its older names."""
    names = [name for name in model_dir.files if _SETTINGS_FILE.fullmatch(name)]
    settings = read_json(model_dir, names[0]) if names else {}
    if not isinstance(settings, dict):
        raise Damaged(f"{names[0]} does not hold an object")
    if settings.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise Foreign(f"{names[0]} asks for the task {settings['transformer_task']!r}")
    _check_known(settings, _KNOWN_SETTINGS, names[0] if names else "")
    return settings


def _check_known(settings: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """The library may have learnt settings that nobody here knows: it then serves the folder itself."""
    for name in settings.keys() - known:
        value = settings[name]
        if value and value != _USUAL.get(name):
            raise Foreign(f"{where} sets {name}")


def _truncate_dim(about: Mapping[str, Any]) -> int | None:
    size = about.get("truncate_dim")
    if size is not None and (type(size) is not int or size < 1):
        raise Damaged(f"{ABOUT}: truncate_dim is {str(size)[:40]}, not a number of dimensions")
    return size


def _prompts(about: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """The prompts by name, and the one that sentence-transformers would use when it is not told of one."""
    prompts, default = about.get("prompts") or {}, about.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise Damaged(f"{ABOUT}: prompts does not map names to texts")
    if default is not None and default not in prompts:
        raise Damaged(f"{ABOUT} has no prompt {default!r}, its default_prompt_name")
    return prompts, prompts.get(default, "")
