"""From a transformers `config.json` to the task that its model is served for, or the reason why it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.base import LoadError
from adapters.huggingface_.embedding import TextEmbedding
from adapters.huggingface_.pipeline_inputs import LABELS, TABLE, TEXT
from adapters.huggingface_.pipeline_tasks import ALIASES, PIPELINES, REFUSED, PipelineTask, task_of_head
from adapters.huggingface_.sentence import Sentence
from adapters.huggingface_.tasks import FillMask, SequenceClassification, Task, TokenClassification

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (SequenceClassification, TokenClassification, FillMask, TextEmbedding)
}
#: KServe's names of tasks that are pipelines here, and of such as are not served
_OF_KSERVE = {name.replace("-", "_"): name for name in ("question-answering", "table-question-answering")}
_OF_KSERVE["text2text_generation"] = "text2text-generation"
_KSERVE_REFUSED = {
    "text_generation": REFUSED["text-generation"],
    "multiple_choice": "neither KServe nor transformers' pipelines serve it; a model.py of your own can",
    "time_series_forecast": "a model.py of your own can serve it",
}
#: what the option `task` may name
TASK_NAMES = (*TASKS, *PIPELINES, *ALIASES, *_OF_KSERVE, *REFUSED, *_KSERVE_REFUSED)
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


def task_of(config: Mapping[str, Any], modules: Sentence | None) -> type[Task] | PipelineTask:
    """The task of a folder; `modules` is what sentence-transformers says of it, if anything.

    Raises:
        LoadError: the task is not known, or not served.
    """
    if modules is not None:
        return TextEmbedding
    if (row := pipeline_of(config)) is not None:
        return row
    if reason := unserved(config, None):
        raise LoadError(reason)
    return next(task for ending, task in _TASK_OF.items() if architecture(config).endswith(ending))


def task_named(name: str) -> type[Task] | PipelineTask:
    """The task that an operator names: in KServe's words it answers as KServe does, in transformers' as a pipeline.

    Raises:
        LoadError: it is known, but not served.
    """
    if name in TASKS:
        return TASKS[name]
    known = ALIASES.get(name) or _OF_KSERVE.get(name) or name
    if known in PIPELINES:
        return PIPELINES[known]
    raise LoadError(f"the task {name} is not served: {REFUSED.get(name) or _KSERVE_REFUSED[name]}")


def pipeline_of(config: Mapping[str, Any]) -> PipelineTask | None:
    """The task of a model that a pipeline of transformers asks; None for the tasks that KServe has, and for others."""
    name, taken = architecture(config), takes(config)
    row = task_of_head(name)
    if row is not None and row.name == "text2text-generation" and taken:
        return PIPELINES["image-text-to-text" if taken == "images" else "any-to-any"]
    if row is None and taken == "images" and name.endswith("Model") and config.get("vision_config") is None:
        return PIPELINES["image-feature-extraction"]
    if row is None and taken == "sound" and name.endswith("ForSequenceClassification"):
        return PIPELINES["audio-classification"]
    return row


def reads_texts(config: Mapping[str, Any], modules: Sentence | None) -> bool:
    """Whether the model cannot do without a tokenizer."""
    row = None if modules is not None else pipeline_of(config)
    return row is None or row.takes(TEXT, LABELS, TABLE) or bool(row.meaning)


def writes_texts(config: Mapping[str, Any]) -> bool:
    """Whether it is an encoder-decoder of texts."""
    row = pipeline_of(config)
    return row is not None and row.own == "TextToText"


def unserved(config: Mapping[str, Any], modules: Sentence | None) -> str:
    """Why a model of that configuration is not served, or ""."""
    if modules is not None or pipeline_of(config) is not None:
        return ""
    name = architecture(config)
    way_out = f"the option task may name one of {', '.join((*TASKS, *PIPELINES))}"
    if not name:
        return f"config.json names no architectures, so the task is unknown: {way_out}"
    served = ", ".join(f"{task.name} (...{ending})" for ending, task in _TASK_OF.items())
    served += ", and the tasks of transformers' pipelines"
    generates = name.endswith(_GENERATING) or (config.get("is_encoder_decoder") is True and name.endswith("Model"))
    if (generates and not name.endswith("EncoderModel")) or not name.endswith(tuple(_TASK_OF)):
        return f"{name} has a task that is not served; served are {served}; {way_out}"
    if taken := takes(config):
        return f"{name} takes {taken}, in a way that is not served: {served}"
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
