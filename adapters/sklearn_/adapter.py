"""The adapter: finds the model among pickles, loads it under the pickle policy, and calls what the estimator has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from adapters.base import (
    Adapter,
    Array,
    InvalidInput,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Signature,
    Tensors,
    TensorSpec,
    Traits,
)
from adapters.datatypes import datatype_of
from adapters.formats import pickles
from adapters.shared.arrays import specs_of
from adapters.shared.methods import by_method
from adapters.sklearn_ import files
from adapters.sklearn_.alike import AskedOfKind
from adapters.sklearn_.arguments import Inputs, Matrix, Table
from adapters.sklearn_.asked import ANSWERED, Asked, reason
from adapters.sklearn_.declared import datatypes_of, recorded_rows
from adapters.sklearn_.direct import Record, direct
from adapters.sklearn_.examine import Examined, examine
from adapters.sklearn_.explain import Alike, Explainer, proved
from adapters.sklearn_.inputs import inputs_of
from adapters.sklearn_.outputs import label_dtype, labels_of, tensors_of
from adapters.sklearn_.parts import Objects, objects_of
from adapters.sklearn_.saved_version import note_versions
from adapters.sklearn_.settle import rows_depend, settle, shares_state, slow_texts, writes_inputs
from adapters.sklearn_.text_bounds import TEXT_OPTION, check_texts, holds_long, longest_text
from adapters.sklearn_.unseen import refusal

logger = logging.getLogger(__name__)

#: a method's arithmetic without its checks: rows [n, features] of FP64 to what the method answers
Direct = Callable[[Array], Any]

#: the first that an estimator has is its default
_METHODS = (
    "predict",
    "transform",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "apply",
    "kneighbors",
)
#: what the parts of an answer are, where a method gives several that mean different things
_PARTS = {"kneighbors": ("distances", "indices")}


@dataclass(eq=False)
class SklearnAdapter(Adapter):
    """One fitted estimator, called with what it was trained on: an array, a data frame or a list of texts."""

    name = "sklearn"
    platform = "sklearn"
    requires: ClassVar[tuple[str, ...]] = ("sklearn",)
    safe_form = "with skops, or as ONNX"
    options = (
        Parameter("method", str, meaning="the estimator's method that answers: predict, predict_proba, transform, ..."),
        Parameter("predict_proba", bool, meaning="answer with predict_proba where the estimator has it"),
        Parameter("inputs", str, meaning="datatypes of columns of which the model says none: 'when: BYTES, v: FP64'"),
        TEXT_OPTION,
    )

    model: Any
    inputs: Inputs
    methods: tuple[str, ...]
    method: str
    labels: np.dtype[Any] | None  #: of labels that were objects in training
    accepted: Tensors  #: two rows that the model answers
    short: dict[str, Direct]  #: methods that have a direct path, proved equal to the estimator's own
    explainer: Explainer | None
    found_out: Parameters  #: the proofs that led to them, and what the model was asked
    longest: int = field(default=0, init=False)  #: characters of a text; 0: any

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return files.find(model_dir)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        model = _unpickled(model_dir, file, trusted=model_dir.trusted or options.get("trust") == "full")
        return cls.serving(model, file, options, model_dir)

    @classmethod
    def serving(cls, model: Any, file: str, options: Parameters, model_dir: ModelDir) -> Self:
        """The adapter of an estimator that was loaded from `file`, by whatever means.

        Raises:
            LoadError: it cannot be served, with the reason.
        """
        try:
            held = objects_of(model)
            settle(held)
            methods = tuple(name for name in _METHODS if hasattr(model, name))
            method = _chosen(type(model).__name__, methods, options)

            def inputs() -> Inputs:
                taken = inputs_of(model, datatypes_of(options.get("inputs", "")), recorded_rows(model_dir))
                taken.copies = writes_inputs(held)
                return taken

            adapter = cls._asked(model, held, inputs, methods, method, model_dir.evidence)
            adapter.traits = Traits(
                batchable=not rows_depend(held), thread_safe=not shares_state(held), steady=method in adapter.short
            )
            adapter.longest = longest_text(held, options)
            adapter.carries = slow_texts(held) or holds_long(adapter.longest)
            return adapter
        except LoadError as error:
            raise LoadError(f"{file} {error}") from error
        except Exception as error:  # a state from another version can fail anywhere
            raise LoadError(f"{file} does not work: {type(error).__name__}: {reason(error)}") from error

    @classmethod
    def _asked(
        cls,
        model: Any,
        held: Objects,
        inputs: Callable[[], Inputs],
        methods: tuple[str, ...],
        method: str,
        evidence: Parameters,
    ) -> Self:
        """The adapter, of which the model tells what nobody knows: neither another process, nor another of its kind."""
        proofs, taken = Record(evidence.get("proofs", ())), inputs()
        if "asked" in evidence:
            return cls._described(model, taken, methods, method, proofs, Asked(evidence["asked"]))
        kind = AskedOfKind(model, held, method, taken, partial(proofs.kind, model))
        if known := kind.evidence:
            adapter = cls._described(model, taken, methods, method, proofs, Asked(known, of_kind=True))
            if adapter._is_of_its_kind():
                return adapter
            proofs, taken = Record(), inputs()
        adapter = cls._described(model, taken, methods, method, proofs, Asked())
        if method in adapter.short:
            kind.remember(adapter.found_out["asked"])
        return adapter

    def _is_of_its_kind(self) -> bool:
        """Whether the answers, which were not asked for, are such as the signature says."""
        short = self.short.get(self.method)
        if short is None:
            return False
        answer = short(np.ascontiguousarray(next(iter(self.accepted.values()))))
        return specs_of(tensors_of(answer, self.labels, _PARTS.get(self.method, ()))) == self.signature.outputs

    @classmethod
    def _described(
        cls, model: Any, inputs: Inputs, methods: tuple[str, ...], method: str, proofs: Record, asked: Asked
    ) -> Self:
        """The adapter with its signature, of which the model itself tells what asking it can tell."""
        found = examine(inputs, asked.by(lambda tensors: getattr(model, method)(inputs.rows(tensors))))
        short = _short(model, inputs, method, proofs)
        explainer: Explainer | None = None
        if found.answered and inputs.columns:
            width, rows = len(inputs.columns), partial(inputs.rows, found.example)
            alike = Alike(asked.alike, proofs.found) if asked.alike else None
            explainer = proved(model, width, rows, asked.explanations, alike)
        signature = Signature(
            inputs.specs(),
            _outputs(model, method, found, asked.outputs),
            columns=inputs.names if isinstance(inputs, Matrix) else (),
            table=isinstance(inputs, Table),
            any_name=not isinstance(inputs, Table),
            parameters=(Parameter("method", str, methods, "the estimator's method that answers"),),
            explanations=explainer.specs if explainer else (),
            labels=labels_of(model),
        )
        found_out = {"proofs": proofs.outcomes, "asked": asked.evidence(signature.outputs, signature.explanations)}
        labels = label_dtype(model)
        return cls(signature, model, inputs, methods, method, labels, found.example, short, explainer, found_out)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        if not parameters:
            return self._answer(inputs, self.method)
        return by_method(parameters, self.method, lambda method: self._answer(inputs, method))

    def _answer(self, inputs: Tensors, method: str) -> Tensors:
        if method not in self.methods:
            raise InvalidInput(f"parameters.method: the model has no {method!r}; it has {', '.join(self.methods)}")
        if self.longest:
            check_texts(inputs, self.longest)
        try:
            if short := self.short.get(method):
                answer = short(np.ascontiguousarray(next(iter(inputs.values()))))
            else:
                answer = getattr(self.model, method)(self.inputs.rows(inputs))
        except (ValueError, TypeError, IndexError) as error:  # what fits the signature, and yet not what it learned
            raise InvalidInput(refusal(error, self.model, inputs, self.signature.columns)) from error
        return tensors_of(answer, self.labels, _PARTS.get(method, ()))

    def explain(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        if self.explainer is None:
            return super().explain(inputs, parameters)
        try:
            return self.explainer.explain(self.inputs.rows(inputs))
        except (ValueError, TypeError, IndexError) as error:  # as in `predict`
            raise InvalidInput(refusal(error, self.model, inputs, self.signature.columns)) from error

    def evidence(self) -> Parameters:
        return self.found_out

    def example(self) -> Tensors:
        return {name: array.copy() for name, array in self.accepted.items()}


def _short(model: Any, inputs: Inputs, method: str, proofs: Record) -> dict[str, Direct]:
    """The direct paths of the probabilities that requests ask for, and of the method that answers by default.

    In this order: labels say less of the arithmetic than the probabilities that they are made of.
    """
    if not isinstance(inputs, Matrix) or not inputs.uniform:
        return {}
    wanted = dict.fromkeys([*(["predict_proba"] if hasattr(model, "predict_proba") else []), method])
    paths = {name: direct(model, name, record=proofs) for name in wanted}
    return {name: path for name, path in paths.items() if path is not None}


def _outputs(model: Any, method: str, found: Examined, known: tuple[TensorSpec, ...] | None) -> tuple[TensorSpec, ...]:
    if not found.answered:
        return _likely_output(model, method)
    if found.answer is ANSWERED and known is not None:
        return known
    return specs_of(tensors_of(found.answer, label_dtype(model), _PARTS.get(method, ())))


def _unpickled(model_dir: ModelDir, file: str, *, trusted: bool) -> Any:
    with note_versions(file):
        return pickles.load(model_dir.file(file), trusted=trusted)


def _chosen(kind: str, methods: tuple[str, ...], options: Parameters) -> str:
    """The method that answers when the request names none."""
    if not methods:
        raise LoadError(f"holds a {kind}, which has no method that answers for new rows")
    wanted = options.get("method")
    if wanted is None:
        return "predict_proba" if options.get("predict_proba") and "predict_proba" in methods else methods[0]
    if wanted not in methods:
        raise LoadError(f"holds a {kind}, which has no method {wanted!r}: options.method may be {', '.join(methods)}")
    return str(wanted)


def _likely_output(model: Any, method: str) -> tuple[TensorSpec, ...]:
    """What a model probably answers that took none of the examples."""
    if method != "predict":
        return (TensorSpec("output-0", "FP64", (-1, -1)),)
    classes = getattr(model, "classes_", None)
    dtype = label_dtype(model) or (classes.dtype if isinstance(classes, np.ndarray) else np.dtype(np.float64))
    return (TensorSpec("output-0", datatype_of(dtype), (-1,)),)
