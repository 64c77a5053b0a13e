"""A loaded model of texts that is asked in KServe's tasks: tensors in, one answer a text out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.base import TOKEN_COUNTS, InvalidInput, LoadError, Parameters, Signature, Tensors, TensorSpec
from adapters.huggingface_.tasks import OFFSET_MAPPING, OFFSETS, OUTPUT, PAIR, TRUNCATION, Task, column, offsets_of

INPUT = "text"


@dataclass
class EncoderModel:
    """One task over one encoder. Calls may overlap."""

    task: Task
    #: what the options say of the request parameters
    defaults: Parameters = field(default_factory=dict)

    def signature(self) -> Signature:
        """
        Raises:
            LoadError: the model does not answer.
        """
        try:
            output = self.task.spec(self.defaults)
        except Exception as error:
            raise LoadError(f"the model loads but does not answer: {type(error).__name__}: {error}") from error
        meaning = self.task.meaning(output)
        pair = TensorSpec(PAIR, "BYTES", (-1,), optional=True, nullable=True)
        return Signature(
            inputs=(TensorSpec(INPUT, "BYTES", (-1,)), *([pair] if self.task.pairs else [])),
            outputs=(output,),
            table=self.task.pairs,
            any_name=True,
            parameters=(*self.task.parameters, *self.task.beside, TRUNCATION, *([TOKEN_COUNTS] if meaning else [])),
            task=meaning,
            labels=self.task.labels,
        )

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        import torch

        settings = self._settings(parameters)
        encoder = self.task.encoder
        texts = [self.task.prepare(text, settings) for text in inputs[INPUT].tolist()]
        pairs = inputs[PAIR].tolist() if PAIR in inputs else [None] * len(texts)
        rows = encoder.rows(texts, settings.get(TRUNCATION.name, False), self.task.spans, pairs)
        for i, row in enumerate(rows):
            self.task.check(row, f"{INPUT}[{i}]")
        answers: list[Any] = [None] * len(rows)
        with torch.inference_mode():
            for i, output in encoder.outputs(rows):
                answers[i] = self.task.answer(rows[i], output, settings)
        outputs = {OUTPUT: column(answers, self.task.ragged)}
        if settings.get(TOKEN_COUNTS.name):
            outputs[TOKEN_COUNTS.name] = np.array([len(row.ids) for row in rows])
        if settings.get(OFFSETS.name):
            outputs[OFFSET_MAPPING] = offsets_of(rows)
        return outputs

    def example(self) -> Tensors:
        texts = self.task.example()
        try:
            settings = self._settings({})
            self.task.encoder.rows([self.task.prepare(text, settings) for text in texts])
        except InvalidInput:
            texts = self.task.short_example()
        return {INPUT: np.array(texts, dtype=np.object_)}

    def _settings(self, parameters: Parameters) -> Parameters:
        """The options' defaults under the request's parameters; a form of answer asked for replaces the default one."""
        forms = {parameter.name for parameter in self.task.parameters}
        if any(parameters.get(name) for name in forms):
            defaults = {name: value for name, value in self.defaults.items() if name not in forms}
            return {**defaults, **parameters}
        return {**self.defaults, **parameters}
