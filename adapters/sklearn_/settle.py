"""Makes a loaded estimator fit to be served: one thread, no progress messages, no file names in requests, no cycles."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from adapters.base import LoadError
from adapters.shared.patterns import is_quick
from adapters.sklearn_.columns import is_a
from adapters.sklearn_.damage import check_damage, check_estimate, check_space
from adapters.sklearn_.parts import holds_a, objects_of, parts_of
from adapters.sklearn_.sizes import check_sizes

__all__ = ["rows_depend", "settle", "shares_state", "slow_texts", "writes_inputs"]

_VECTORIZERS = ("CountVectorizer", "HashingVectorizer")
_WORDS = r"(?u)\b\w\w+\b"  #: scikit-learn's own pattern
_NGRAMS = 20  #: words or characters in a row

#: functions that may stand in a FunctionTransformer, each row's result of which depends on that row alone
_ROWWISE = frozenset({"abs", "absolute", "around", "array", "asarray", "clip", "fix", "nan_to_num", "real", "round"})


def settle(model: Any) -> None:
    """Set every part to one thread and to silence, and check what native code would take on trust.

    Raises:
        LoadError: a part opens files that requests name, or its trees are damaged.
    """
    for part in objects_of(model):
        check_space(part)
        if not hasattr(part, "__dict__"):
            continue
        own = vars(part)
        if is_a(part, *_VECTORIZERS) and not _reads_texts(own):
            raise LoadError(
                f"holds a {type(part).__name__}(input={own['input']!r}), which would open files that requests name"
            )
        if "n_jobs" in own:
            part.n_jobs = 1
        if own.get("verbose") and type(part).__module__.startswith("sklearn."):
            part.verbose = 0
        if is_a(part, "XGBModel") and own.get("_Booster") is not None:
            own["_Booster"].set_param({"nthread": 1})
        check_damage(part)
        check_sizes(part)
    if holds_a(model, "BaseGradientBoosting"):
        for part in parts_of(model):
            check_estimate(part)


def _reads_texts(own: dict[str, Any]) -> bool:
    """Whether a vectorizer takes what it is given for the text: no other value, and nothing that only equals it."""
    return "input" not in own or (type(own["input"]) is str and own["input"] == "content")


def slow_texts(model: Any) -> str:
    """What may hold the interpreter for as long as a text makes it, for `Adapter.carries`; "" for nothing.

    A vectorizer's pattern may take exponential time, and Python's matcher lets nobody else run meanwhile.
    """
    for part in objects_of(model) if holds_a(model, "Pattern", *_VECTORIZERS) else ():
        if isinstance(part, re.Pattern) and not is_quick(part.pattern):
            return f"searches texts by a pattern of its own ({_shown(part.pattern)}), which may take for ever"
        if not is_a(part, *_VECTORIZERS):
            continue
        own, name = vars(part), type(part).__name__
        if any(callable(own.get(step)) for step in ("analyzer", "tokenizer", "preprocessor")):
            return f"holds a {name} that takes texts apart by functions of its own, which may take for ever"
        if own.get("analyzer") not in ("char", "char_wb") and not is_quick(pattern := own.get("token_pattern", _WORDS)):
            return f"holds a {name}(token_pattern={_shown(pattern)}), which may take for ever for a text"
        if not _is_short(own.get("ngram_range", (1, 1))):
            return f"holds a {name}(ngram_range={_shown(own['ngram_range'])}), which makes many times a text of it"
    return ""


def _is_short(lengths: Any) -> bool:
    return (
        type(lengths) in (tuple, list) and len(lengths) == 2 and all(type(n) is int and n <= _NGRAMS for n in lengths)
    )


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def rows_depend(model: Any) -> bool:
    """Whether a row's answer may depend on the other rows of its call."""
    if holds_a(model, "NMF", "MiniBatchNMF", "BernoulliRBM"):  # one iterative solution for all rows; random draws
        return True
    for part in parts_of(model) if holds_a(model, "FunctionTransformer") else ():
        function = vars(part).get("func") if is_a(part, "FunctionTransformer") else None
        if function is not None and not isinstance(function, np.ufunc) and not _is_rowwise(function):
            return True
    return False


def _is_rowwise(function: Any) -> bool:
    checks = is_a(function, "partial")  # of check_array, the one function that pickles may wrap
    return checks or getattr(function, "__name__", "") in _ROWWISE


def writes_inputs(model: Any) -> bool:
    """Whether a part was told not to copy what it is given."""
    return any(vars(part).get("copy") is False or vars(part).get("copy_X") is False for part in parts_of(model))


def shares_state(model: Any) -> bool:
    """Whether calls of several threads may disturb each other: XGBoost promises otherwise for its trees alone."""
    return holds_a(model, "XGBModel") and any(
        is_a(part, "XGBModel") and vars(part).get("booster") in ("gblinear", "dart") for part in parts_of(model)
    )
