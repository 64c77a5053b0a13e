"""What the families share: a plan, its builder, and arithmetic in scikit-learn's own order of operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from adapters.base import Array

__all__ = [
    "Builder", "Kernel", "OrdinaryRows", "Plan", "chosen", "classifier", "is_finite", "sequential_sum", "softmax",
    "two_classes",
]  # fmt: skip


class OrdinaryRows(Exception):
    """Raised by a kernel: these very rows go the estimator's own way, which answers or refuses them."""


#: Answers rows that are checked: C-contiguous float64, finite, or with NaN where the estimator takes it. It changes no
#: input and keeps no state between calls.
Kernel: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True)
class Plan:
    """A kernel, and where to look for a difference from the estimator."""

    kernel: Kernel
    marks: Array | Callable[[], Array] | None = None  #: the landmarks, or what finds them: only a proof asks for them
    turns: tuple[int, ...] = ()  #: the most rows for which the kernel works in one way, and then in another
    any_input: bool = False  #: the kernel takes what is no such array, too
    width: int = 0  #: the number of features, where the estimator does not say

    @property
    def landmarks(self) -> Array | None:
        """[k, n_features]: values near which the estimator decides."""
        return self.marks() if callable(self.marks) else self.marks


#: (estimator, method) -> its plan; None where something about the estimator is out of the ordinary
Builder: TypeAlias = Callable[[Any, str], Plan | None]


def chosen(kernels: Mapping[str, Kernel], method: str, landmarks: Array | None = None) -> Plan | None:
    """The plan of one of an estimator's methods, if it has it."""
    return Plan(kernels[method], landmarks) if method in kernels else None


def classifier(probabilities: Kernel, classes: Array) -> dict[str, Kernel]:
    """The methods of a classifier that predicts the most probable class: `probabilities` gives [n, n_classes]."""

    def predict(rows: Array) -> Array:
        labels: Array = classes.take(np.argmax(probabilities(rows), axis=1), axis=0)
        return labels

    def predict_log_proba(rows: Array) -> Array:
        logarithms: Array = np.log(probabilities(rows))
        return logarithms

    return {"predict": predict, "predict_proba": probabilities, "predict_log_proba": predict_log_proba}


def is_finite(rows: Array, *, nan: bool = False) -> bool:
    """No infinity and, unless `nan` is welcome, no NaN."""
    return bool(np.isfinite(rows).all()) or (nan and not np.isinf(rows).any())


def sequential_sum(terms: Array) -> Array:
    """The sum over the first axis of C-contiguous terms, one after the other, as a loop adds them to zeros.

    numpy sums in pairs along the axis that is contiguous in memory, which is the first one where it is the only one.
    """
    total: Array
    if terms[0].size == 1:
        total = np.add.accumulate(terms, axis=0)[-1] + 0.0  # which makes a zero of -0.0
    else:
        total = np.add.reduce(terms, axis=0, initial=0.0)
    return total


def softmax(scores: Array) -> Array:
    """`sklearn.utils.extmath.softmax` of [n, n_classes], in place."""
    scores -= np.maximum.reduce(scores, axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= np.add.reduce(scores, axis=1, keepdims=True)
    return scores


def two_classes(positive: Array) -> Array:
    """[n, 2] of the second class's probabilities [n]."""
    return np.stack([1 - positive, positive], axis=1)
