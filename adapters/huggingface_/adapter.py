"""Hugging Face transformers: a folder with `config.json`, weights, and a tokenizer or what prepares pictures and sound.

Served are KServe's tasks (text classification, token classification, filling masks, embeddings, sentence-transformers'
folders among them) in KServe's shapes, and the tasks of transformers' pipelines, by the architecture that `config.json`
names or by the option `task`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from adapters.base import Adapter, LoadError, Match, Parameter, Parameters, Rank, Tensors, Trust
from adapters.huggingface_.architecture import (
    TASK_NAMES,
    TASKS,
    architecture,
    generates,
    pipeline_of,
    reads_texts,
    task_named,
    task_of,
    unserved,
    writes_texts,
)
from adapters.huggingface_.bundle import (
    Damaged,
    check,
    has_tokenizer,
    holds_export,
    needs_sentencepiece,
    no_weights,
    read_config,
    weights_of,
)
from adapters.huggingface_.embedding import TextEmbedding
from adapters.huggingface_.encoder_model import EncoderModel
from adapters.huggingface_.loading import DTYPES, load_encoder
from adapters.huggingface_.pipeline_inputs import FRAMES, IMAGE, SOUND, TABLE
from adapters.huggingface_.pipeline_tasks import PIPELINES, PipelineTask
from adapters.huggingface_.pipelines import PipelineModel, load_pipeline
from adapters.huggingface_.sentence import POOLINGS, Sentence, is_foreign, read_sentence
from adapters.huggingface_.tasks import OFFSETS, TRUNCATION, Task
from adapters.huggingface_.tokenizing import NAMES, OPTIONS, Tokenizing
from adapters.modeldir import ModelDir
from adapters.shared.tokenizer_audit import tokenizer_carries

#: what a request may ask for, by name, of all tasks together; `task` is the operator's word for something else
_FORMS = {parameter.name: parameter for task in TASKS.values() for parameter in task.parameters}
_OF_PIPELINES = {each.name: each for row in PIPELINES.values() for each in (*row.parameters, *row.generated)}
_REQUESTED = {name: each for name, each in (_OF_PIPELINES | _FORMS).items() if name != "task"}
#: options of every task
_FOR_ALL = ("task", "dtype", "device")
#: options that bound what is unpacked -> the kinds of input that they are for
_BOUNDS = {"max_pixels": (IMAGE, FRAMES), "max_audio_seconds": (SOUND,)}


@dataclass(eq=False)
class HuggingFaceAdapter(Adapter):
    """A transformers model behind its tokenizer, or behind a pipeline: one answer a row.

    Texts that are too long are refused unless `truncation` is on. `Traits.batchable` holds as far as floating point
    goes: see `encoder`.
    """

    served: EncoderModel | PipelineModel

    name = "huggingface"
    platform = "huggingface"
    requires: ClassVar[tuple[str, ...]] = ("transformers", "torch")
    safe_form: ClassVar[str] = "as safetensors"
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("task", choices=TASK_NAMES, meaning="the task, where the architecture does not tell it"),
        Parameter("dtype", choices=DTYPES, meaning="the weights' type in memory; float32 unless set"),
        Parameter("device", meaning="cpu, cuda, cuda:1, ...; a GPU where there is one unless set"),
        Parameter("max_length", int, meaning="texts are cut at so many tokens; without it, longer ones are refused"),
        Parameter("pooling", choices=POOLINGS, meaning="text_embedding: how token vectors become one; mean unless set"),
        Parameter("max_pixels", int, meaning="of a picture or a video, at most; 40 million unless set"),
        Parameter("max_audio_seconds", float, meaning="of sound, at most; 1800 unless set"),
        TRUNCATION,
        OFFSETS,
        *OPTIONS,
        *_REQUESTED.values(),
    )

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        rank = Rank.BUNDLE
        try:
            config = read_config(model_dir)
            if config is None or is_foreign(model_dir, config):
                return None
            if not weights_of(model_dir):
                if holds_export(model_dir):
                    return None
                # Perhaps an export whose weights are another adapter's: let any sound claim win.
                return Match(Rank.SUFFIX, problem=no_weights(model_dir))
            modules = read_sentence(model_dir)
            if modules is None and (generates(config) or writes_texts(config)):
                # Whoever makes texts token by token claims it more surely; named in polyserve.yaml, this one serves it.
                rank = Rank.CONTENT
            if not has_tokenizer(model_dir) and (reason := unserved(config, modules)):
                return Match(rank, problem=reason)  # which a tokenizer would not change
            check(model_dir, config, reads_texts(config, modules))
        except Damaged as error:
            return Match(rank, problem=str(error))
        requires: tuple[str, ...] = ("sentencepiece",) if needs_sentencepiece(model_dir) else ()
        if modules is None and (row := pipeline_of(config)) is not None:
            requires += _needed(row)
        trust = Trust.SAFE if ".safetensors" in weights_of(model_dir) else Trust.PICKLE
        carries = tokenizer_carries(model_dir, pickled=trust is Trust.PICKLE)
        return Match(rank, requires=requires, trust=trust, carries=carries)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        config = read_config(model_dir) or {}
        modules = read_sentence(model_dir)
        kind = task_named(options["task"]) if "task" in options else task_of(config, modules)
        _check_options(kind, options)
        if isinstance(kind, PipelineTask):
            pipeline = load_pipeline(model_dir, kind, architecture(config), options)
            adapter = cls(pipeline.signature(), pipeline)
            adapter.carries = pipeline.carries
            adapter.traits = replace(adapter.traits, thread_safe=False)
            return adapter
        sentence = _pooled(modules or Sentence(), options) if kind is TextEmbedding else Sentence()
        encoder = load_encoder(
            model_dir.path,
            # The base class of an encoder-decoder would want the decoder's input too.
            "AutoModelForTextEncoding" if architecture(config).endswith("EncoderModel") else kind.auto_class,
            kind.output,
            safetensors=".safetensors" in weights_of(model_dir),
            unused=kind.unused,
            dtype=options.get("dtype", "float32"),
            device=options.get("device", ""),
            max_length=options.get("max_length"),
            cut_at=sentence.max_length,
            tokenizing=Tokenizing.of(options),
        )
        told = (*_FORMS, TRUNCATION.name, OFFSETS.name)
        defaults = {name: value for name, value in options.items() if name in told}
        if "max_length" in options:
            defaults.setdefault(TRUNCATION.name, True)
        encoders = EncoderModel(kind(encoder, sentence), defaults)
        return cls(encoders.signature(), encoders)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return self.served.predict(inputs, parameters)

    def example(self) -> Tensors:
        return self.served.example()


def _needed(row: PipelineTask) -> tuple[str, ...]:
    """Modules that read what such a task takes."""
    kinds = {IMAGE: ("PIL",), FRAMES: ("PIL",), SOUND: ("soundfile", "soxr"), TABLE: ("pandas",)}
    return tuple(dict.fromkeys(name for field in row.inputs for name in kinds.get(field.kind, ())))


def _check_options(kind: type[Task] | PipelineTask, options: Parameters) -> None:
    """
    Raises:
        LoadError: one means nothing to the task.
    """
    meant = _meant_for_pipeline(kind) if isinstance(kind, PipelineTask) else _meant_for_encoder(kind)
    for name in options:
        if name not in meant and name not in _FOR_ALL:
            raise LoadError(f"the option {name} means nothing to the task {kind.name}")


def _meant_for_pipeline(row: PipelineTask) -> set[str]:
    bounds = {name for name, kinds in _BOUNDS.items() if row.takes(*kinds)}
    cutting = {TRUNCATION.name, "max_length"} if row.cut is not None else set()
    return {each.name for each in (*row.parameters, *row.generated)} | bounds | cutting


def _meant_for_encoder(kind: type[Task]) -> set[str]:
    pooling = {"pooling"} if kind is TextEmbedding else set()
    return {each.name for each in (*kind.parameters, *kind.beside)} | {TRUNCATION.name, "max_length", *NAMES} | pooling


def _pooled(sentence: Sentence, options: Parameters) -> Sentence:
    return replace(sentence, **{name: options[name] for name in ("pooling", "normalize") if name in options})
