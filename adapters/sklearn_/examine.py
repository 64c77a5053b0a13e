"""What a model answers and what it refuses, found by asking it.

scikit-learn's tags tell of a pipeline's first step what it takes, and of no estimator what it answers.
"""

from __future__ import annotations

import itertools
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.base import LoadError, Tensors
from adapters.sklearn_.arguments import Inputs
from adapters.sklearn_.asked import Ask, reason
from adapters.sklearn_.columns import Column

__all__ = ["Examined", "examine"]

logger = logging.getLogger(__name__)

#: numbers for the example where none from training are known, tried in turn
_FILLS = ((0.5, 1.0), (0.0, 1.0), (0.25, 0.75), (1.0, 2.0))
#: and what is tried in columns of which nothing is known, in every combination, as long as they are so many
_VALUES: tuple[tuple[str, tuple[Any, Any]], ...] = (
    ("FP64", (1.0, 2.0)),
    ("BYTES", ("2024-01-31", "2024-07-01")),
    ("BYTES", ("a", "b")),
)
_MOST_COMBINATIONS = 100
#: what a MissingIndicator says of columns that lacked nothing in training
_AS_TRAINED = "have missing values in transform but have no missing values in fit"
_MOST_COLUMNS = 100  #: that are asked about one by one

#: what is said of FP64 by who was trained on FP32 and casts nothing itself: native code, and NMF's
_OF_FP32 = ("Buffer dtype mismatch", "should have the same dtype as X")


@dataclass(frozen=True)
class Examined:
    """An example of two rows, and the model's answer to it, if it took any."""

    example: Tensors
    answer: Any = None
    answered: bool = False
    refusal: str = ""  #: what the model said of the first example


def examine(inputs: Inputs, ask: Ask) -> Examined:
    """Find an example that the model answers, and set in each column what it takes.

    Raises:
        LoadError: the model is not fitted, or a part of it lacks what the installed version looks for.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = _first_answer(inputs, ask)
        unused = [column for column in inputs.columns if not column.used]
        if not found.answered and unused:
            for column in unused:  # something on the way asks for columns that it then drops
                column.used = column.any_type = True
            found = _first_answer(inputs, ask)
        for column in inputs.columns:
            column.nullable = column.any_type
        if any(words in found.refusal for words in _OF_FP32):
            for column in inputs.columns:
                column.dtype = column.dtype or np.dtype(np.float32)
            found = _first_answer(inputs, ask)
        if found.answered:
            _find_limits(inputs, found.example, ask)
        elif found.refusal:
            logger.warning("the model takes none of the examples made up for it: %s", found.refusal)
    return Examined(inputs.with_datatypes(found.example), found.answer, found.answered)


def _first_answer(inputs: Inputs, ask: Ask) -> Examined:
    refusals: list[str] = []
    first: Tensors = {}
    for example in _made_up(inputs):
        first = first or example
        try:
            return Examined(example, ask(example), answered=True)
        except Exception as error:  # what the parts of a model raise on values made up for them is their own business
            if type(error).__name__ == "NotFittedError":
                raise LoadError("holds a model that was never fitted") from error
            if isinstance(error, AttributeError) and hasattr(error.obj, "get_params"):  # no value can give it one
                raise LoadError(f"does not work: {type(error).__name__}: {reason(error)}") from error
            refusals.append(reason(error))
    return Examined(first, refusal=refusals[0])


def _made_up(inputs: Inputs) -> Iterator[Tensors]:
    """Examples, the likeliest first; columns of any type have the datatype of the one that was taken last."""
    for fill in _FILLS:
        yield inputs.example(fill)
    unknown = [column for column in inputs.columns if column.any_type and not column.seen]
    together = [[each] * len(unknown) for each in _VALUES]
    combined = itertools.islice(itertools.product(_VALUES, repeat=len(unknown)), _MOST_COMBINATIONS)
    for values in (*together, *combined) if unknown else ():
        _try(unknown, values)
        yield inputs.example(_FILLS[0])
    _try(unknown, [("BYTES", ())] * len(unknown))


def _try(columns: Sequence[Column], values: Sequence[tuple[str, Sequence[Any]]]) -> None:
    for column, (datatype, two) in zip(columns, values, strict=True):
        column.datatype, column.tried = datatype, two


def _find_limits(inputs: Inputs, example: Tensors, ask: Ask) -> None:
    """Set in each column whether the model takes a missing value, and whether it takes infinities."""
    columns = sorted((column for column in inputs.columns if column.used), key=_group)
    for _, members in itertools.groupby(columns, key=_group):
        alike = list(members)
        nullable = finite = False
        having: Sequence[Column] = alike  #: those that may lack a value, if any may
        if alike[0].any_type:
            nullable = True
        elif alike[0].datatype != "BOOL":
            having = _nullable(inputs, example, alike, ask)
            nullable = bool(having)
        if alike[0].datatype == "FP64" and not alike[0].any_type:
            finite = not _takes(inputs.with_value(example, alike, math.inf), ask)
        able = set(map(id, having))
        for column in alike:
            column.nullable, column.finite = nullable and id(column) in able, finite
            if nullable and column.wide:  # whole numbers have no NaN, and floats have not all whole numbers
                column.any_type = True
            elif nullable and column.datatype == "INT64" and not column.any_type:
                column.datatype = "FP64"


def _nullable(inputs: Inputs, example: Tensors, alike: list[Column], ask: Ask) -> list[Column]:
    """Those of the columns that take a missing value: all or none, but for a MissingIndicator's."""
    missing = None if alike[0].datatype == "BYTES" or alike[0].wide else math.nan
    try:
        ask(inputs.with_value(example, alike, missing))
    except Exception as error:  # in whatever way a model fails on what it was never meant to take
        if _AS_TRAINED not in reason(error) or len(alike) > _MOST_COLUMNS:
            return []
        return [column for column in alike if _takes(inputs.with_value(example, [column], missing), ask)]
    return alike


def _group(column: Column) -> tuple[Any, ...]:
    return column.group, column.datatype, column.any_type, column.wide


def _takes(tensors: Tensors, ask: Ask) -> bool:
    try:
        ask(tensors)
    except Exception:  # in whatever way a model fails on what it was never meant to take
        return False
    return True
