"""From a transformers `config.json` to the task that its model is served for, or the reason why it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.base import LoadError
from adapters.huggingface_.embedding import TextEmbedding
from adapters.huggingface_.sentence import Sentence
from adapters.huggingface_.tasks import FillMask, SequenceClassification, Task, TokenClassification

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (SequenceClassification, TokenClassification, FillMask, TextEmbedding)
}
#: how an architecture's name ends -> its task
_TASK_OF: dict[str, type[Task]] = {
    "ForSequenceClassification": SequenceClassification,
    "ForTokenClassification": TokenClassification,
    "ForMaskedLM": FillMask,
    "Model": TextEmbedding,
}
#: architectures that end in "Model" as well, but generate text
_GENERATING = ("HeadModel", "HeadsModel", "EncoderDecoderModel", "MTModel")

#: settings that only models of something else than texts have -> what these take
_MODALITIES = {
    "vision_config": "images",
    "audio_config": "sound",
    "conv_dim": "sound",
    "num_mel_bins": "sound",
    "feat_extract_norm": "sound",
}


#: settings of models of images; some models of bytes (Perceiver) have them, too, beside a vocabulary
_OF_IMAGES = ("image_size", "patch_size")


def task_of(config: Mapping[str, Any], modules: Sentence | None) -> type[Task]:
    """The task of a folder; `modules` is what sentence-transformers says of it, if anything.

    Raises:
        LoadError: the task is not known, or not served.
    """
    if modules is not None:
        return TextEmbedding
    if reason := unserved(config, None):
        raise LoadError(reason)
    return next(task for ending, task in _TASK_OF.items() if architecture(config).endswith(ending))


def unserved(config: Mapping[str, Any], modules: Sentence | None) -> str:
    """Why a model of that configuration is not served, or ""."""
    if modules is not None:
        return ""
    name = architecture(config)
    way_out = f"the option task may name one of {', '.join(TASKS)}"
    if not name:
        return f"config.json names no architectures, so the task is unknown: {way_out}"
    served = ", ".join(f"{task.name} (...{ending})" for ending, task in _TASK_OF.items())
    generates = name.endswith(_GENERATING) or (config.get("is_encoder_decoder") is True and name.endswith("Model"))
    if (generates and not name.endswith("EncoderModel")) or not name.endswith(tuple(_TASK_OF)):
        return f"{name} has a task that is not served; served are {served}; {way_out}"
    if taken := takes(config):
        return f"{name} takes {taken}, and only texts are served: {served}"
    return ""


def takes(config: Mapping[str, Any]) -> str:
    """What else than texts a model takes, or ""."""
    if any(config.get(setting) is not None for setting in _OF_IMAGES) and "vocab_size" not in config:
        return "images"
    return next((what for setting, what in _MODALITIES.items() if config.get(setting) is not None), "")


def generates(config: Mapping[str, Any]) -> bool:
    """Whether it is a decoder that goes on writing a text: what AutoModelForCausalLM loads."""
    return architecture(config).endswith(("ForCausalLM", "GPT2LMHeadModel")) and not config.get("is_encoder_decoder")


def architecture(config: Mapping[str, Any]) -> str:
    """The first architecture that the configuration names, or ""."""
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""
