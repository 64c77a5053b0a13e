"""Hugging Face transformers: a folder with `config.json`, weights and a tokenizer.

Served are text classification, token classification, filling masks, and embeddings (sentence-transformers' folders
among them), by the architecture that `config.json` names or by the option `task`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from adapters.base import (
    TOKEN_COUNTS,
    Adapter,
    LoadError,
    Match,
    Parameter,
    Parameters,
    Rank,
    Signature,
    Tensors,
    TensorSpec,
    Trust,
)
from adapters.huggingface_.architecture import TASKS, architecture, generates, task_of, unserved
from adapters.huggingface_.bundle import (
    Damaged,
    check,
    has_tokenizer,
    needs_sentencepiece,
    no_weights,
    read_config,
    weights_of,
)
from adapters.huggingface_.embedding import TextEmbedding
from adapters.huggingface_.loading import DTYPES, load_encoder
from adapters.huggingface_.sentence import POOLINGS, Sentence, is_foreign, read_sentence
from adapters.huggingface_.tasks import OUTPUT, PAIR, TRUNCATION, Task, column
from adapters.modeldir import ModelDir

INPUT = "text"

#: what a request may ask for, by name, of all tasks together
_FORMS = {parameter.name: parameter for task in TASKS.values() for parameter in task.parameters}


@dataclass(eq=False)
class HuggingFaceAdapter(Adapter):
    """A transformers model behind its tokenizer: texts in, one answer a text out.

    Texts that are too long are cut, as KServe does. `Traits.batchable` holds as far as floating point
    goes: see `encoder`.
    """

    task: Task
    #: what the options say of the request parameters
    defaults: Parameters = field(default_factory=dict)

    name = "huggingface"
    platform = "huggingface"
    requires: ClassVar[tuple[str, ...]] = ("transformers", "torch")
    safe_form: ClassVar[str] = "as safetensors"
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("task", choices=tuple(TASKS), meaning="the task, where the architecture does not tell it"),
        Parameter("dtype", choices=DTYPES, meaning="the weights' type in memory; float32 unless set"),
        Parameter("device", meaning="cpu, cuda, cuda:1, ...; a GPU where there is one unless set"),
        Parameter("max_length", int, meaning="tokens of a text that count; the model's own limit unless set"),
        Parameter("pooling", choices=POOLINGS, meaning="text_embedding: how token vectors become one; mean unless set"),
        TRUNCATION,
        *_FORMS.values(),
    )

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        rank = Rank.BUNDLE
        try:
            config = read_config(model_dir)
            if config is None or is_foreign(model_dir, config):
                return None
            if not weights_of(model_dir):
                # Perhaps an export whose weights are another adapter's: let any sound claim win.
                return Match(Rank.SUFFIX, problem=no_weights(model_dir))
            modules = read_sentence(model_dir)
            if modules is None and generates(config):
                # A decoder is for `generation`, which claims it more surely; named in polyserve.yaml, this one embeds.
                rank = Rank.CONTENT
            if not has_tokenizer(model_dir) and (reason := unserved(config, modules)):
                return Match(rank, problem=reason)  # which a tokenizer would not change
            check(model_dir, config)
        except Damaged as error:
            return Match(rank, problem=str(error))
        requires = ("sentencepiece",) if needs_sentencepiece(model_dir) else ()
        trust = Trust.SAFE if ".safetensors" in weights_of(model_dir) else Trust.PICKLE
        return Match(rank, requires=requires, trust=trust)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        config = read_config(model_dir) or {}
        modules = read_sentence(model_dir)
        kind = TASKS[options["task"]] if "task" in options else task_of(config, modules)
        _check_options(kind, options)
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
        )
        task = kind(encoder, sentence)
        defaults = {name: value for name, value in options.items() if name in _FORMS or name == TRUNCATION.name}
        try:
            output = task.spec(defaults)
        except Exception as error:
            raise LoadError(f"the model loads but does not answer: {type(error).__name__}: {error}") from error
        meaning = task.meaning(output)
        signature = Signature(
            inputs=_inputs(kind),
            outputs=(output,),
            table=kind.pairs,
            any_name=True,
            parameters=(*kind.parameters, TRUNCATION, *([TOKEN_COUNTS] if meaning else [])),
            task=meaning,
            labels=task.labels,
        )
        return cls(signature, task, defaults)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        import torch

        settings = self._settings(parameters)
        encoder = self.task.encoder
        texts = [self.task.prepare(text, settings) for text in inputs[INPUT].tolist()]
        pairs = inputs[PAIR].tolist() if PAIR in inputs else [None] * len(texts)
        rows = encoder.rows(texts, settings.get(TRUNCATION.name, True), self.task.spans, pairs)
        for i, row in enumerate(rows):
            self.task.check(row, f"{INPUT}[{i}]")
        answers: list[Any] = [None] * len(rows)
        with torch.inference_mode():
            for i, output in encoder.outputs(rows):
                answers[i] = self.task.answer(rows[i], output, settings)
        outputs = {OUTPUT: column(answers)}
        if settings.get(TOKEN_COUNTS.name):
            outputs[TOKEN_COUNTS.name] = np.array([len(row.ids) for row in rows])
        return outputs

    def example(self) -> Tensors:
        return {INPUT: np.array(self.task.example(), dtype=np.object_)}

    def _settings(self, parameters: Parameters) -> Parameters:
        """The options' defaults under the request's parameters; a form of answer asked for replaces the default one."""
        if any(parameters.get(name) for name in _FORMS):
            defaults = {name: value for name, value in self.defaults.items() if name not in _FORMS}
            return {**defaults, **parameters}
        return {**self.defaults, **parameters}


def _inputs(kind: type[Task]) -> tuple[TensorSpec, ...]:
    pair = TensorSpec(PAIR, "BYTES", (-1,), optional=True, nullable=True)
    return (TensorSpec(INPUT, "BYTES", (-1,)), *([pair] if kind.pairs else []))


def _check_options(kind: type[Task], options: Parameters) -> None:
    taken = {parameter.name for parameter in kind.parameters}
    for name in options:
        if (name in _FORMS and name not in taken) or (name == "pooling" and kind is not TextEmbedding):
            raise LoadError(f"the option {name} means nothing to the task {kind.name}")


def _pooled(sentence: Sentence, options: Parameters) -> Sentence:
    return replace(sentence, **{name: options[name] for name in ("pooling", "normalize") if name in options})
