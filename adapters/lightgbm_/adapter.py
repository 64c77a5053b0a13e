"""LightGBM boosters: `.txt`, `.bst`, `.bin` and `.model` files that begin as LightGBM's text model."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from adapters.base import (
    Adapter,
    Array,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Rank,
    Signature,
    Tensors,
    TensorSpec,
    Traits,
)
from adapters.formats import probe
from adapters.lightgbm_ import format as model_format
from adapters.lightgbm_ import single_rows
from adapters.shared import explanations
from adapters.shared.categories import category_spec, check_kind
from adapters.shared.messages import several
from adapters.shared.methods import by_method
from adapters.shared.native_calls import Predict

_SUFFIXES = (".txt", ".bst", ".bin", ".model", ".lgb", ".lgbm")
#: other files that LightGBM writes, which are no models: how they begin, and what to say
_NO_MODELS = (
    (
        re.compile(rb'\{\s*"name"\s*:\s*"tree"\s*,\s*"version"\s*:\s*"v\d'),
        "{} is LightGBM's JSON dump, which LightGBM itself cannot load: write the model with save_model('model.txt')",
    ),
    (
        re.compile(rb"_+LightGBM_Binary_File_Token_+"),
        "{} is a LightGBM data set, not a model: write the model with save_model('model.txt')",
    ),
)
_METHOD = Parameter(
    "method",
    str,
    ("predict", "margin", "leaf"),
    "predict (the default), margin (raw scores, before the objective's transformation) or leaf (each tree's leaf)",
)
_CATEGORICAL_COLUMNS = Parameter(
    "categorical_columns",
    str,
    meaning="the columns that pandas' categories belong to, in the data frame's order, separated by commas",
)

#: a categorical column's values -> the codes that the trees know
Codes = dict[Any, int]


def _library() -> Any:
    """
    Raises:
        LoadError: the system lacks a library that LightGBM's wheels do not bring.
    """
    try:
        import lightgbm
    except OSError as error:
        raise LoadError(f"LightGBM cannot be imported: {error} (on Debian: apt-get install libgomp1)") from error
    return lightgbm


@dataclass(eq=False)
class LightGBMAdapter(Adapter):
    """One booster. Concurrent predictions are safe: all use the same number of iterations, the whole model."""

    name = "lightgbm"
    platform = "lightgbm"
    traits = Traits(steady=True, parallel=True)
    requires = ("lightgbm",)
    options = (_METHOD, _CATEGORICAL_COLUMNS)

    booster: Any
    method: str
    codes: dict[str, Codes]
    quick: dict[str, Predict]  #: methods whose single rows go past LightGBM's Python

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        found = [name for name in model_dir.files if model_format.START.match(model_dir.head(name, 20))]
        usual = [name for name in found if name.lower().endswith(_SUFFIXES)]
        rank = Rank.CONTENT if usual else Rank.SUFFIX  # under any other name any other adapter's claim is better
        if len(models := usual or found) > 1:
            return Match(rank, problem=several(models))
        if models:
            return Match(rank, models[0])
        for name in model_dir.named(".json", ".txt", ".bst", ".bin", ".model"):
            head = model_dir.head(name, 100)
            for beginning, problem in _NO_MODELS:
                if beginning.match(head):
                    return Match(Rank.CONTENT, name, problem=problem.format(name))
        problem = probe.unknown_booster(model_dir, ".bst", ".model")
        return Match(Rank.SUFFIX, problem=problem) if problem else None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> LightGBMAdapter:
        lightgbm = _library()
        try:
            model = model_format.read(model_dir.file(file).read_bytes())
            booster = lightgbm.Booster(model_str=model.text)
            names = booster.feature_name()
            columns = _categorical_columns(model, names, options.get("categorical_columns", ""))
        except (ValueError, lightgbm.basic.LightGBMError) as error:
            raise LoadError(f"{file} is no model that LightGBM can load: {error}") from error
        codes = {name: _codes(values) for name, values in zip(columns, model.categories, strict=True)}
        method = options.get("method", "predict")
        signature = _signature(names, codes, _predict(booster, np.zeros((2, len(names))), method))
        if "\nis_linear=1" not in model.text:  # linear trees: LightGBM has no contributions, and says so in the log
            rows = np.zeros((1, len(names)))
            proved = explanations.proved(lambda: _explain(booster, rows), lambda: _predict(booster, rows, "margin"))
            signature = replace(signature, explanations=proved)
        sizes = {names.index(name): len(of_column) for name, of_column in codes.items()}
        return cls(signature, booster, method, codes, _quick(booster, sizes))

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        rows = self._rows(inputs)
        return by_method(parameters, self.method, lambda name: {"output-0": self._answer(rows, name)})

    def _answer(self, rows: Array, method: str) -> Array:
        quick = self.quick.get(method)
        return quick(rows) if quick else _predict(self.booster, rows, method)

    def explain(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return _explain(self.booster, self._rows(inputs))

    def _rows(self, inputs: Tensors) -> Array:
        if not self.signature.table:
            return inputs["input-0"]
        return np.column_stack([self._encoded(spec.name, inputs[spec.name]) for spec in self.signature.inputs])

    def _encoded(self, name: str, column: Array) -> Array:
        """Codes for categories; one that the training data lacked is missing, as LightGBM takes it from a frame."""
        codes = self.codes.get(name)
        if codes is None:
            return column
        values = column.tolist()
        check_kind(name, values, codes)
        return np.asarray([codes.get(value, np.nan) for value in values], dtype=np.float64)

    def example(self) -> Tensors:
        inputs = super().example()
        for name, codes in self.codes.items():
            inputs[name] = np.asarray([next(iter(codes), None)] * 2, dtype=inputs[name].dtype)
        return inputs


def _predict(booster: Any, rows: Array, method: str) -> Array:
    answer: Array = booster.predict(rows, raw_score=method == "margin", pred_leaf=method == "leaf", num_threads=1)
    return answer


def _quick(booster: Any, categories: dict[int, int]) -> dict[str, Predict]:
    return {
        method: single_rows.proved(
            booster,
            raw_score=method == "margin",
            ordinary=partial(_predict, booster, method=method),
            categories=categories,
        )
        for method in ("predict", "margin")
    }


def _explain(booster: Any, rows: Array) -> Tensors:
    """LightGBM's exact SHAP contributions to the raw score."""
    flat = booster.predict(rows, pred_contrib=True, num_threads=1)
    return explanations.by_column(flat, booster.num_model_per_iteration())


def _signature(names: list[str], codes: dict[str, Codes], answer: Array) -> Signature:
    """One matrix, or a table where columns have categories. The outputs are what the booster gives for two rows."""
    outputs = (TensorSpec("output-0", "FP64" if answer.dtype.kind == "f" else "INT32", (-1, *answer.shape[1:])),)
    if codes:
        inputs = tuple(_column(name, codes.get(name)) for name in names)
        return Signature(inputs, outputs, table=True, parameters=(_METHOD,))
    automatic = names == [f"Column_{index}" for index in range(len(names))]
    rows = TensorSpec("input-0", "FP64", (-1, len(names)), nullable=True)
    columns = () if automatic else tuple(names)
    return Signature((rows,), outputs, columns=columns, any_name=True, parameters=(_METHOD,))


def _codes(values: list[Any]) -> Codes:
    """A column's categories are all numbers or all text; of a mixture, numbers are known by their text."""
    text = any(isinstance(value, str) for value in values)
    return {str(value) if text else value: code for code, value in enumerate(values)}


def _column(name: str, codes: Codes | None) -> TensorSpec:
    return TensorSpec(name, "FP64", (-1,), nullable=True) if codes is None else category_spec(name, codes)


def _categorical_columns(model: model_format.TextModel, names: list[str], chosen: str) -> list[str]:
    """The columns that pandas' categories belong to. The file does not say; as a rule they are the categorical ones."""
    if chosen:
        columns = [name.strip() for name in chosen.split(",")]
        if unknown := [name for name in columns if name not in names]:
            raise LoadError(f"options.categorical_columns: the model has no column {unknown[0]!r}")
    else:
        columns = [names[index] for index in model.categorical if index < len(names)] if model.categories else []
    fits = len(columns) == len(model.categories) == len(set(columns))
    if not fits or not all(
        _may_be(model.infos[names.index(name)], len(values))
        for name, values in zip(columns, model.categories, strict=True)
    ):
        raise LoadError(
            f"the file holds pandas' categories of {len(model.categories)} columns, but not whose they are: "
            "name them in polyserve.yaml, in the data frame's order, as options.categorical_columns: 'a,b'"
        )
    return columns


def _may_be(info: str, size: int) -> bool:
    """Whether a feature's values in training, `-1:0:1`, `[0:2]` or `none`, may be codes of that many categories."""
    if info == "none":
        return True
    values = [float(value) for value in info.strip("[]").split(":")]
    return min(values) >= -1 and max(values) < size
