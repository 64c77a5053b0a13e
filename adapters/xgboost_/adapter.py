"""XGBoost boosters: `.bst`, `.json`, `.ubj` and `.model` files, told by their bytes."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from typing import Any

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
    Rank,
    Signature,
    Tensors,
    TensorSpec,
    Traits,
)
from adapters.formats import probe
from adapters.shared import explanations
from adapters.shared.categories import as_known, category_spec, known
from adapters.shared.messages import XGBOOST_PLACE, first_line, several
from adapters.shared.methods import by_method
from adapters.xgboost_ import format as model_format
from adapters.xgboost_ import old
from adapters.xgboost_.runner import Runner, used_rounds

logger = logging.getLogger(__name__)

#: the JSON model; `save_config`'s JSON begins with `generic_param` and is no model
_JSON = re.compile(rb'\{\s*(?:"version"\s*:\s*\[[\d,\s]*\]\s*,\s*)?"learner"\s*:\s*\{\s*"(?!generic_param)')
#: other files that XGBoost writes or wrote: how they begin, and what to say
_NO_MODELS = (
    (
        re.compile(rb'\[\s*\{\s*"nodeid"|booster\[0\]:'),
        "{} is a dump for reading, which XGBoost cannot load: write the model with save_model('model.ubj')",
    ),
)

#: a categorical column's values -> the codes that the trees know
Codes = dict[Any, int]


def _method(*choices: str) -> Parameter:
    meaning = "predict (the default), margin (before the objective's transformation) or leaf (each tree's leaf)"
    return Parameter("method", str, choices, meaning)


_TREES = Parameter(
    "trees",
    str,
    ("best", "all"),
    "after early stopping: best (up to best_iteration) or all; by default as the class that saved the file: best for "
    "XGBClassifier and its like, all for Booster",
)


@dataclass(eq=False)
class XGBoostAdapter(Adapter):
    """One booster. Predictions are those of `Booster.predict`, with the trees that its own class would use."""

    name = "xgboost"
    platform = "xgboost"
    traits = Traits(steady=True, parallel=True)
    requires = ("xgboost",)
    options = (_method("predict", "margin", "leaf"), _TREES)

    run: Runner
    method: str
    codes: dict[str, Codes]

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        candidates = model_dir.named(".bst", ".json", ".ubj", ".model", ".xgb")
        models = [name for name in candidates if _is_model(model_dir.head(name))]
        rank = Rank.CONTENT
        if not models:  # by its bytes under any other name (model.dat): any other adapter's claim is better
            rank = Rank.SUFFIX
            models = [name for name in model_dir.files if name not in candidates and _is_model(model_dir.head(name))]
        if len(models) > 1:
            return Match(rank, problem=several(models))
        if models:
            return Match(rank, models[0])
        for name in model_dir.files:
            if old.is_old(head := model_dir.head(name, old.HEAD_BYTES)):
                return Match(Rank.CONTENT, name, old.PROBLEM.format(name), origin=old.origin_of(head))
        for name in (*candidates, *model_dir.named(".txt")):
            for beginning, problem in _NO_MODELS:
                if beginning.match(model_dir.head(name, 100)):
                    return Match(Rank.CONTENT, name, problem=problem.format(name))
        problem = probe.unknown_booster(model_dir, ".bst", ".ubj", ".model")
        return Match(Rank.SUFFIX, problem=problem) if problem else None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> XGBoostAdapter:
        data = model_dir.file(file).read_bytes()
        try:
            document = _checked(data)
            booster = _booster(data)
            names, features = booster.feature_names, booster.num_features()
            if "c" in (booster.feature_types or ()):
                document = document or model_format.read(bytes(booster.save_raw("ubj")))
            categories = model_format.categories(document) if document else {}
            note = "" if categories else model_format.no_names(booster.feature_types, booster.feature_names)
        except ValueError as error:  # XGBoostError is one
            raise LoadError(
                f"{file} is damaged, or no model that this XGBoost loads: {first_line(error, XGBOOST_PLACE)}"
            ) from error
        if features == 0:
            raise LoadError(f"{file} holds a booster that was never trained")
        sizes = {index: len(values) for index, values in categories.items()}
        run = Runner(booster, used_rounds(booster, file, options.get("trees")), sizes)
        method = options.get("method", "predict")
        if method not in run.methods:
            raise LoadError(f"a {run.kind} booster has no method {method!r}: use {' or '.join(run.methods)}")
        if note:
            logger.warning("%s: %s", file, note)
        return cls._described(run, method, names, features, categories, note)

    @classmethod
    def _described(
        cls,
        run: Runner,
        method: str,
        names: list[str] | None,
        features: int,
        categories: dict[int, list[Any]],
        note: str,
    ) -> XGBoostAdapter:
        """The adapter with the signature; the outputs' shape is what the booster really gives for two rows."""
        answer = run(np.zeros((2, features), np.float32), method)
        outputs = (TensorSpec("output-0", "FP32", (-1, *answer.shape[1:])),)
        parameters = (_method(*run.methods),)
        rows = np.zeros((1, features), np.float32)
        explained = explanations.proved(lambda: run.explain(rows), lambda: run(rows, "margin"))
        if categories:
            names = names or [f"f{index}" for index in range(features)]
            codes = {
                names[index]: {value: code for code, value in enumerate(values)} for index, values in categories.items()
            }
            inputs = tuple(_column(name, codes.get(name)) for name in names)
            signature = Signature(inputs, outputs, table=True, parameters=parameters, explanations=explained)
        else:
            codes = {}
            matrix = TensorSpec("input-0", "FP32", (-1, features), nullable=True, finite=True, note=note)
            columns = tuple(names or ())
            signature = Signature(
                (matrix,), outputs, columns, any_name=True, parameters=parameters, explanations=explained
            )
        adapter = cls(signature, run, method, codes)
        adapter.traits = replace(adapter.traits, thread_safe=run.thread_safe)  # gblinear's and dart's calls are not
        return adapter

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        rows = self._rows(inputs)
        return by_method(parameters, self.method, lambda method: {"output-0": self.run(rows, method)})

    def explain(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return self.run.explain(self._rows(inputs))

    def _rows(self, inputs: Tensors) -> Array:
        if not self.signature.table:
            return inputs["input-0"]
        return np.column_stack([self._encoded(spec.name, inputs[spec.name]) for spec in self.signature.inputs])

    def _encoded(self, name: str, column: Array) -> Array:
        codes = self.codes.get(name)
        if codes is None:
            return column
        try:
            coded = [np.nan if value is None or value != value else codes[value] for value in column.tolist()]
        except KeyError as error:
            raise InvalidInput(
                f"{name}: {as_known(error.args[0], codes)!r} is not one of its categories; {known(codes)}"
            ) from error
        return np.asarray(coded, dtype=np.float32)

    def example(self) -> Tensors:
        inputs = super().example()
        for name, codes in self.codes.items():
            inputs[name] = np.asarray([next(iter(codes))] * 2, dtype=inputs[name].dtype)
        return inputs


def _is_model(head: bytes) -> bool:
    return model_format.is_ubj(head) or _JSON.match(head) is not None


def _checked(data: bytes) -> model_format.Document | None:
    is_text = not model_format.is_ubj(data)
    if (is_text and len(data) > model_format.JSON_LIMIT) or old.is_old(data[: old.HEAD_BYTES]):
        return None
    document = model_format.read(data)
    model_format.check(document)
    return document


def _booster(data: bytes) -> Any:
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(data))  # from memory, the file's ending does not matter
    return booster


def _column(name: str, codes: Codes | None) -> TensorSpec:
    if codes is None:
        return TensorSpec(name, "FP32", (-1,), nullable=True, finite=True)
    return category_spec(name, codes, finite=True)
