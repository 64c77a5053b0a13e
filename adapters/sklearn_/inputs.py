"""What a fitted estimator takes: which of the arguments of `arguments.py`, and of which columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapters.base import Array, LoadError
from adapters.sklearn_.arguments import Inputs, Matrix, Table, Values
from adapters.sklearn_.columns import Column, columns_of, first_to_look, is_a, is_missing
from adapters.sklearn_.declared import declare, teach

__all__ = ["inputs_of"]


def inputs_of(model: Any, datatypes: Mapping[str, str] | None = None, recorded: Sequence[Any] = ()) -> Inputs:
    """What a fitted estimator takes, with what its folder says: datatypes of columns, rows of recorded requests.

    Raises:
        LoadError: nobody says, or it takes what no request can carry.
    """
    width, names = _fitted(model, "n_features_in_"), _fitted(model, "feature_names_in_")
    if width is None and names is None:
        if not datatypes:
            return _values_of(model)
        names = list(datatypes)
    width = width or len(names)
    named = names is not None and list(names) != [f"Column_{index}" for index in range(width)]  # LightGBM's own
    columns = columns_of(model, list(names) if named else [f"input-{index}" for index in range(width)])
    declare(columns, datatypes or {})
    teach(columns, recorded)
    if any(column.categories is not None for column in columns) or not _one_type(columns, named):
        return Table(columns, named)
    if any(column.datatype != "BYTES" for column in columns):
        wide = next((column.datatype for column in columns if column.wide), "FP64")
        for column in columns:
            column.datatype = wide
    return Matrix(columns, named)


def _one_type(columns: list[Column], named: bool) -> bool:
    """Whether the columns are of one type: of arrays, numbers of any kind are."""
    used = [column for column in columns if column.used or column.declared]
    datatypes = {column.datatype for column in used}
    if len(used) < len(columns) and (named or "BYTES" in datatypes):
        return False
    if not named and datatypes == {"BYTES"}:
        return True
    if any(column.kind == "O" for column in used) or not datatypes <= {"FP64", "INT64", "UINT64"}:
        return False
    return not named or not (any(column.any_type for column in used) or 0 < sum(c.wide for c in used) < len(used))


def _values_of(model: Any) -> Values:
    """The input of a model that takes one value a row."""
    first = list(first_to_look(model))
    if all(is_a(part, "CountVectorizer", "HashingVectorizer") for part in first):
        return Values("BYTES", ["some text", "another text"], as_list=True)
    if _never_fitted(first[0]):
        raise LoadError(f"holds a {type(first[0]).__name__} that was never fitted: dump it after fit")
    if all(is_a(part, "DictVectorizer") for part in first):
        return Values("BYTES", _objects(first[0]), as_list=True, kind=dict)
    if all(is_a(part, "FeatureHasher") for part in first):
        examples: dict[str, list[Any]] = {
            "dict": [{"a": 1}, {"b": 2}],
            "pair": [[["a", 1]], [["b", 2]]],
            "string": [["a"], ["b"]],
        }
        kind = first[0].input_type
        return Values("BYTES", examples[kind], as_list=True, kind=dict if kind == "dict" else list)
    if is_a(model, "MultiLabelBinarizer"):
        return Values("BYTES", [[each] for each in model.classes_[:2].tolist()], as_list=True, kind=list)
    if is_a(model, "LabelBinarizer") and model.y_type_.startswith("multilabel"):
        raise LoadError("holds a LabelBinarizer that was fitted on an indicator matrix, which it gives back as it is")
    if is_a(model, "LabelEncoder", "LabelBinarizer") and model.classes_.dtype.kind in "OUbiuf":
        return _labels(model.classes_)
    if is_a(model, "IsotonicRegression"):
        return Values("FP64", model.X_thresholds_.tolist())
    raise LoadError(
        f"holds a {type(first[0]).__name__}, which does not say what it takes: polyserve.yaml can, by its columns, as "
        "options.inputs: 'when: BYTES, v: FP64'"
    )


def _never_fitted(part: Any) -> bool:
    """Of scikit-learn's own: others have no attributes that tell."""
    if not type(part).__module__.startswith("sklearn."):
        return False
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(part)
    except NotFittedError:
        return True
    return False


def _labels(classes: Array) -> Values:
    """What a model of labels takes: what they are, also where pandas held them as objects."""
    values = [value for value in classes.tolist() if not is_missing(value)]
    plain = (
        np.asarray(values) if classes.dtype == np.object_ and len({type(value) for value in values}) == 1 else classes
    )
    datatypes = {"b": "BOOL", "f": "FP64", "i": "INT64", "u": "UINT64"}
    known = "FP32" if plain.dtype == np.float32 else datatypes.get(plain.dtype.kind, "BYTES")
    return Values(known, values, nullable=known == "BYTES" and len(values) < len(classes))


def _objects(vectorizer: Any) -> list[dict[str, Any]]:
    """Objects of a feature that a DictVectorizer knows: a name alone is a number's."""
    parts = [name.partition(vectorizer.separator) for name in vectorizer.feature_names_[:2] if isinstance(name, str)]
    return [{name: value if separator else 1.0} for name, separator, value in parts] or [{}]


def _fitted(model: Any, name: str) -> Any:
    """An attribute of a fitted model, or else of the part that sees its input first."""
    for part in (model, *first_to_look(model)):
        if (value := getattr(part, name, None)) is not None:
            return value
    return None
