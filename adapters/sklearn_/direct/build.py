"""Finds the plan of an estimator, guards it, and has it proved."""

from __future__ import annotations

import importlib
import itertools
import logging
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np

from adapters.base import Array
from adapters.sklearn_.direct import boosters, boosting, composite, kinds, linear, models, proof, scaling, trees
from adapters.sklearn_.direct.plan import Builder, Kernel, OrdinaryRows, Plan
from adapters.sklearn_.direct.proof import BRIEF, THOROUGH
from adapters.sklearn_.direct.record import Record

__all__ = ["direct"]

logger = logging.getLogger(__name__)

#: where its users find a class -> its builder
_BUILDERS: dict[str, Builder] = (
    linear.BUILDERS | trees.BUILDERS | boosting.BUILDERS | boosters.BUILDERS | scaling.BUILDERS | models.BUILDERS
)
#: parameters that hold estimators
_NESTED = frozenset(
    ("estimator", "estimators", "final_estimator", "init", "regressor", "steps", "transformer", "transformer_list",
     "transformers")
)  # fmt: skip
_PATHS = {path.rpartition(".")[2]: path for path in (*_BUILDERS, *composite.BUILDERS)}


def direct(
    estimator: Any, method: str, example: Any = None, record: Record | None = None
) -> Callable[[Any], Any] | None:
    """A function that answers exactly as `getattr(estimator, method)` does, to the bit, without its overhead.

    It takes [rows, n_features] of C-contiguous float64: finite, or with NaN where the estimator takes NaN. The caller
    has checked that. Anything else (another dtype, order or width, a data frame) goes the estimator's own way. Several
    threads may call it at once. What was fitted is read here and now: later changes are not seen.

    `example` is an input that the estimator answers, for pipelines that begin with no numbers. `record` knows what was
    proved before, and is told what is proved here.

    None: the estimator is none of the known classes, or is unusual in any way, or its answers differ from the plan's.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")  # which arrays lack
        return _path(estimator, method, example, record or Record())


def _path(estimator: Any, method: str, example: Any, record: Record) -> Kernel | None:
    return record.path(estimator, method, lambda: _found(estimator, method, example, record))


def _found(estimator: Any, method: str, example: Any, record: Record) -> Kernel | None:
    name = f"{type(estimator).__name__}.{method}"
    try:
        with record.leaving_parts(not record.was_told and kinds.is_proved(record.kind(estimator), method)):
            plan = _plan(estimator, method, record)
        if plan is None:
            return None
        function = _guarded(plan, getattr(estimator, method), _width(estimator, plan))
        difference = record.proof(name, lambda: _difference(estimator, method, plan, function, record, example))
    except Exception as error:  # whatever a plan stumbles over is out of the ordinary
        logger.debug("%s takes its ordinary path: %s: %s", name, type(error).__name__, error)
        return None
    if difference:
        logger.debug("%s takes its ordinary path: %s", name, difference)
        return None
    return function


def _plan(estimator: Any, method: str, record: Record) -> Plan | None:
    path = _PATHS.get(type(estimator).__name__)
    if path is None or _public(path) is not type(estimator) or not hasattr(estimator, method):
        return None
    if not record.fact(estimator, "plain", lambda: _is_plain(estimator)):
        return None
    if path in composite.BUILDERS:
        return composite.BUILDERS[path](estimator, method, partial(_path, example=None, record=record))
    return _BUILDERS[path](estimator, method)


def _public(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name, None)


def _is_plain(estimator: Any) -> bool:
    """Fitted, none of its parts told to write to its input, nothing told to answer data frames."""
    from sklearn import get_config
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    cls: Any = type(estimator)
    config, own = get_config(), vars(estimator)
    if config["transform_output"] != "default" or config["array_api_dispatch"] or config["enable_metadata_routing"]:
        return False
    if own.get("_sklearn_output_config", {}).get("transform", "default") != "default":
        return False
    if _writes_input(own) or not own.keys().isdisjoint(_methods_of(cls)):
        return False
    asks = getattr(estimator, "__sklearn_is_fitted__", None)
    if asks() if asks else any(name.endswith("_") and not name.startswith("__") for name in own):
        return True
    try:
        check_is_fitted(estimator)  # which asks for tags, too: some need no fitting
    except NotFittedError:
        return False
    return True


def _writes_input(own: Mapping[str, Any], depth: int = 20) -> bool:
    """Whether these attributes say not to copy, or those of an estimator among their parameters do."""
    if own.get("copy") is False or not depth:
        return True
    return any(
        hasattr(part, "get_params") and _writes_input(getattr(part, "__dict__", {}), depth - 1)
        for name in _NESTED & own.keys()
        for part in _parts_in(own[name])
    )


def _parts_in(parameter: Any) -> list[Any]:
    """The estimators of a parameter that holds one, or tuples with one at the second place."""
    if isinstance(parameter, list | tuple):
        return [each[1] for each in parameter if isinstance(each, tuple) and len(each) > 1]
    return [parameter]


@lru_cache(maxsize=1024)
def _methods_of(cls: type) -> frozenset[str]:
    return frozenset(name for name in dir(cls) if callable(getattr(cls, name, None)))


def _width(estimator: Any, plan: Plan) -> int:
    return plan.width or int(estimator.n_features_in_)


def _guarded(plan: Plan, ordinary: Kernel, width: int) -> Kernel:
    """The kernel for what it was made for, the estimator for the rest."""
    kernel, any_input = plan.kernel, plan.any_input

    def answer(rows: Array) -> Array:
        if any_input or _fits(rows, width):
            try:
                return kernel(rows)
            except OrdinaryRows:
                pass
        return ordinary(rows)

    return answer


def _fits(rows: Any, width: int) -> bool:
    return (
        type(rows) is np.ndarray
        and rows.ndim == 2
        and rows.shape[1] == width
        and len(rows) > 0
        and rows.dtype == np.float64
        and rows.flags.c_contiguous
    )


def _difference(estimator: Any, method: str, plan: Plan, function: Kernel, record: Record, example: Any = None) -> str:
    """What speaks against the function."""
    kind, known = record.kind(estimator), record.knows(estimator)  # another method of this very estimator was proved
    if kinds.is_proved(kind, method) and (known or not _difference_of_numbers(estimator, method, plan, function)):
        return ""
    sizes = {*(BRIEF if known or plan.any_input else THOROUGH), *plan.turns} - {0}
    batches = proof.made_up(_width(estimator, plan), plan.landmarks, sizes, nan=_takes_nan(estimator))
    examples = () if example is None else (example,)
    difference = proof.differs(function, getattr(estimator, method), itertools.chain(examples, batches))
    if not difference:
        kinds.remember(kind, method)
    return difference


def _difference_of_numbers(estimator: Any, method: str, plan: Plan, function: Kernel) -> str:
    """The same where another of the kind was proved at length: one batch shows that these numbers are nothing special.

    It goes the way that is made of the numbers, where a kernel has two (`Plan.turns`).
    """
    sizes = {*plan.turns[:1]} - {0} or BRIEF
    batches = proof.near(_width(estimator, plan), plan.landmarks, sizes)
    return proof.differs(function, getattr(estimator, method), batches)


def _takes_nan(estimator: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan)
