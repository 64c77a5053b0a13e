"""Models of texts that need no framework: a vector of two numbers a text, or a score a pair."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Self

import numpy as np

from adapters.base import TOKEN_COUNTS, Adapter, Match, ModelDir, Parameter, Parameters, Signature, Tensors, TensorSpec
from server.inference.batching.queue import Limits
from server.inference.tensor_model import TensorModel
from server.telemetry.counters import ModelMetrics

_EXECUTOR = ThreadPoolExecutor(2, "texts")


def signature_of_texts(task: str) -> Signature:
    """Of a task, or of none."""
    names = ("text", "text_pair") if task == "score" else ("text",)
    return Signature(
        tuple(TensorSpec(name, "BYTES", (-1,)) for name in names),
        (TensorSpec("output-0", "FP32", (-1, 2) if task == "embedding" else (-1,)),),
        parameters=(Parameter("prompt_name"), TOKEN_COUNTS),
        task=task,
    )


class TextsAdapter(Adapter):
    """A text's vector: its length, and 1. A pair's score: how many letters of the first the second has."""

    name: ClassVar[str] = "texts"
    platform: ClassVar[str] = "test"

    def __init__(self, task: str) -> None:
        super().__init__(signature_of_texts(task))
        self.calls: list[tuple[Tensors, Parameters]] = []

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        return cls("")

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        self.calls.append((inputs, parameters))
        columns: list[list[str]] = [column.tolist() for column in inputs.values()]
        rows = list(zip(*columns, strict=True))
        answers: list[Any] = [[len(row[0]), 1] for row in rows]
        if self.signature.task == "score":
            answers = [len(set(first) & set(second)) for first, second in rows]
        counts = np.array([sum(map(len, row)) for row in rows])
        return {"output-0": np.array(answers, dtype=np.float32), TOKEN_COUNTS.name: counts}


def model_of_texts(task: str, name: str = "m") -> TensorModel:
    return TensorModel(name, TextsAdapter(task), _EXECUTOR, Limits(), ModelMetrics(), merges=True)
