"""Which column holds a category that an encoder does not know, in the client's words.

scikit-learn names the column by its number within the encoder, which may be one of many in a pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adapters.base import Array, Tensors
from adapters.shared.categories import known as listing
from adapters.sklearn_.asked import reason
from adapters.sklearn_.columns import is_missing

__all__ = ["refusal"]

_UNKNOWN = re.compile(r"Found unknown categories .* in column (\d+) during transform")


def refusal(error: Exception, model: Any, inputs: Tensors, columns: Sequence[str] = ()) -> str:
    """Why the model refuses the inputs; `columns` are the names of those that come as one matrix."""
    text = reason(error)
    if (found := _UNKNOWN.search(text)) is None:
        return text
    if columns and len(inputs) == 1:
        (rows,) = inputs.values()
        inputs = dict(zip(columns, rows.T, strict=True))
    for encoder in _encoders(model):
        names, known = encoder.feature_names_in_, encoder.categories_
        at = int(found[1])
        if at < len(names) == len(known) and (name := str(names[at])) in inputs:
            dates = known[at].dtype.kind == "M"
            categories = (np.datetime_as_string(known[at], unit="auto") if dates else known[at]).tolist()
            among = set(known[at].tolist())  # a list would be looked through for each of millions of values
            for value, seen in _as_known(inputs[name].ravel().tolist(), known[at]):
                if seen not in among and not is_missing(value):
                    return f"{name}: {value!r:.80} is not one of its categories; {listing(categories)}"
    return text


def _encoders(model: Any) -> Iterator[Any]:
    """The encoders of a pipeline that were trained on columns with names."""
    if isinstance(steps := getattr(model, "steps", None), list):
        parts = [part for _, part in steps]
    elif isinstance(groups := getattr(model, "transformers_", None), list):
        parts = [group[1] for group in groups]
    elif (best := getattr(model, "best_estimator_", None)) is not None:
        parts = [best]
    else:
        if hasattr(model, "categories_") and hasattr(model, "feature_names_in_"):
            yield model
        return
    for part in parts:
        if not isinstance(part, str):
            yield from _encoders(part)


def _as_known(values: list[Any], known: Array) -> Iterator[tuple[Any, Any]]:
    """The values as they came, and as the encoder sees them: dates, and whole numbers where the categories are."""
    if known.dtype.kind == "M":
        dates = np.array(["NaT" if is_missing(value) else value for value in values], known.dtype)
        yield from zip(values, dates.tolist(), strict=True)
        return
    whole = all(isinstance(each, int) for each in known.tolist())
    for value in values:
        seen = int(value) if whole and isinstance(value, float) and value.is_integer() else value
        yield seen, seen
