"""Triton's FIL backend: a booster whose `config.pbtxt` says what is answered.

    models/NAME/config.pbtxt            backend: "fil", and its parameters
    models/NAME/1/xgboost.json          or .ubj, or LightGBM's model.txt

The booster is XGBoost's or LightGBM's own. Of the parameters, `is_classifier` (before Triton 25.09: `output_class`),
`predict_proba` and `threshold` change the answer; the others are about the backend's speed, or which file it is, which
its bytes tell.

    is_classifier                   the class's number, of two classes by the threshold          [rows]
    is_classifier, predict_proba    a probability for each class, of two classes for both        [rows, classes]
    neither                         what the booster predicts                                    [rows]

Source: the backend's docs/model_config.md and src/tl_model.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self, TypeAlias

import numpy as np

from adapters.base import (
    Adapter,
    Array,
    LoadError,
    Match,
    ModelDir,
    Parameters,
    Rank,
    Signature,
    Tensors,
    TensorSpec,
    Traits,
)
from adapters.formats import triton_config
from adapters.formats.triton_config import TritonConfig
from adapters.lightgbm_ import LightGBMAdapter
from adapters.xgboost_ import XGBoostAdapter

Inner: TypeAlias = XGBoostAdapter | LightGBMAdapter
#: rows of FP32 to what the booster predicts: [rows], or [rows, classes]
Predict: TypeAlias = Callable[[Array], Array]

INPUT, OUTPUT = "input__0", "output__0"
_BACKEND = "fil"
_BOOSTERS: tuple[type[Inner], ...] = (XGBoostAdapter, LightGBMAdapter)


@dataclass(frozen=True)
class FilAnswers:
    """What the parameters ask for."""

    classifier: bool = False
    probabilities: bool = False
    threshold: float = 0.5

    @classmethod
    def of(cls, config: TritonConfig) -> Self:
        """
        Raises:
            LoadError: one has a value that it cannot have.
        """
        parameters = config.parameters
        classifier = _flag(parameters, "output_class" if parameters.get("output_class") else "is_classifier")
        probabilities = _flag(parameters, "predict_proba")
        if probabilities and any(tensor.name == OUTPUT and tensor.dims == (2,) for tensor in config.outputs):
            classifier = True  # before 25.09, output_class: "false" did not take the second column away
        try:
            threshold = float(parameters.get("threshold") or 0.5)
        except ValueError as error:
            raise LoadError(
                f"{triton_config.FILE}: threshold is {parameters['threshold']!r:.80}, which is no number"
            ) from error
        return cls(classifier, probabilities, threshold)

    def __call__(self, scores: Array) -> Array:
        """Of what the booster predicts: [rows], or [rows, classes]."""
        if not self.classifier:
            return scores
        if self.probabilities:
            return scores if scores.ndim == 2 else np.stack([1 - scores, scores], axis=1)
        return scores.argmax(1) if scores.ndim == 2 else scores > self.threshold


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    value = parameters.get(name, "false")
    if value.lower() not in ("true", "false"):
        raise LoadError(f"{triton_config.FILE}: {name} is {value!r:.80}: it must be true or false")
    return value.lower() == "true"


@dataclass(eq=False)
class FilAdapter(Adapter):
    """A booster behind the backend's names. Categories are sent as the numbers that the trees know, as to FIL."""

    name = "fil"
    platform = "fil"
    traits = Traits(steady=True, parallel=True)
    requires: ClassVar[tuple[str, ...]] = ()

    booster: Predict
    answers: FilAnswers

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        config = triton_config.read(model_dir)
        if config is None or config.backend != _BACKEND or not model_dir.files:
            return None
        claims = [(booster, match) for booster in _BOOSTERS if (match := booster.match(model_dir)) is not None]
        if not claims:
            return None  # a Treelite checkpoint, for one: the registry tells what it is
        booster, match = max(claims, key=lambda claim: (not claim[1].problem, claim[1].rank))
        try:
            FilAnswers.of(config)
        except LoadError as error:
            return Match(Rank.BUNDLE, problem=str(error))
        return replace(match, rank=Rank.BUNDLE, requires=booster.requires)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        config = triton_config.read(model_dir)
        if config is None:
            raise LoadError(f"{triton_config.FILE} is no longer there")
        answers = FilAnswers.of(config)
        found = next(booster for booster in _BOOSTERS if (match := booster.match(model_dir)) and match.file == file)
        inner = found.load(model_dir, file, {})
        booster, features = _asked(inner)
        probe = booster(np.zeros((2, features), np.float32))
        if answers.classifier and answers.probabilities and _answers_classes(inner):
            raise LoadError(
                f"{file} answers classes (multi:softmax), and {triton_config.FILE} asks for probabilities "
                "(predict_proba): train it with multi:softprob, or leave predict_proba out"
            )
        if answers.classifier and _answers_classes(inner):
            answers = replace(answers, classifier=False)
        shape = (-1, *answers(probe).shape[1:])
        columns = () if inner.signature.table else inner.signature.columns
        taken = TensorSpec(INPUT, "FP32", (-1, features), nullable=True, finite=inner.signature.inputs[0].finite)
        signature = Signature((taken,), (TensorSpec(OUTPUT, "FP32", shape),), columns, any_name=True)
        adapter = cls(signature, booster, answers)
        adapter.traits = replace(adapter.traits, thread_safe=inner.traits.thread_safe)
        return adapter

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        answer = self.answers(self.booster(inputs[INPUT]))
        return {OUTPUT: np.ascontiguousarray(answer, np.float32)}


def _asked(inner: Inner) -> tuple[Predict, int]:
    """How the booster is asked, and how many columns it takes."""
    specs = inner.signature.inputs
    features = len(specs) if inner.signature.table else specs[0].shape[1]
    if isinstance(inner, XGBoostAdapter):
        return lambda rows: inner.run(rows, "predict"), features
    return lambda rows: inner.booster.predict(np.asarray(rows, np.float64), num_threads=1), features


def _answers_classes(inner: Inner) -> bool:
    return isinstance(inner, XGBoostAdapter) and inner.run.objective == "multi:softmax"
