"""What every adapter's explanations look like: each column's contribution, and what they start from.

    base_value + the sum of a row's contributions = the model's raw output

The raw output is what the model adds up before its last step: a regression's value, log-odds, the margin of each
class, the logarithm of a count. A row's `contributions` are [columns], or [columns, outputs] for a model with several
outputs (classes, targets); its `base_value` is one number, or [outputs].
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from adapters.base import Array, Tensors, TensorSpec
from adapters.shared.arrays import specs_of
from adapters.shared.messages import brief

__all__ = ["adds_up", "by_column", "proved"]

logger = logging.getLogger(__name__)

#: by how much the sum may differ from the raw output, of the largest number that was added up
_TOLERANCE = {4: 1e-4, 8: 1e-9}


def by_column(flat: Array, outputs: int) -> Tensors:
    """XGBoost's and LightGBM's contributions as tensors.

    `flat` is [rows, columns + 1], or for several `outputs` anything that reshapes to [rows, outputs, columns + 1]; the
    last column is the base value.
    """
    if outputs == 1:
        parts: Array = flat.reshape(len(flat), -1)
        return {"contributions": parts[:, :-1], "base_value": parts[:, -1]}
    parts = flat.reshape(len(flat), outputs, -1)
    return {"contributions": parts[:, :, :-1].transpose(0, 2, 1), "base_value": parts[:, :, -1]}


def adds_up(explained: Tensors, raw: Array) -> bool:
    """Whether base value and contributions give the raw output ([rows] or [rows, outputs]), but for rounding."""
    contributions, base = explained["contributions"], explained["base_value"]
    if base.shape != raw.shape:
        return False
    size = np.abs(contributions).sum(axis=1) + np.abs(base)
    tolerance = _TOLERANCE[min(contributions.dtype.itemsize, raw.dtype.itemsize)]
    with np.errstate(invalid="ignore"):
        error = np.abs(contributions.sum(axis=1) + base - raw)
    return bool((error <= tolerance * (1 + size)).all())


def proved(explain: Callable[[], Tensors], raw: Callable[[], Array]) -> tuple[TensorSpec, ...]:
    """The specs of what `explain` gives, or () for a model that cannot explain, or whose terms do not add up.

    Frameworks refuse some of their own models (XGBoost's vector leaves, LightGBM's linear trees), each in its own way.
    """
    try:
        explained, output = explain(), raw()
    except Exception as error:  # whatever a framework raises for what it does not explain
        logger.debug("the model does not explain its predictions: %s", brief(str(error)))
        return ()
    if not adds_up(explained, output):
        logger.warning("the model's explanations are not served: they do not add up to its raw output")
        return ()
    return specs_of(explained)
