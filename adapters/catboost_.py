"""CatBoost models: files of any name by `.cbm`'s magic, and `.json` files by the keys that CatBoost's begin with.

The model tells its features: numbers, categories (texts or whole numbers, which CatBoost knows by their text), texts
and embeddings (a vector a row). Classifiers answer with labels as trained, regressors and rankers with numbers, as
CatBoost's own classes do.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
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
    Rank,
    Signature,
    Tensors,
    TensorSpec,
)
from adapters.formats.cbm import embedding_lengths
from adapters.shared.arrays import specs_of
from adapters.shared.messages import first_line, several
from adapters.shared.methods import by_method

_MAGIC = b"CBM1"
#: a JSON model's first key, and what follows it; pool and training logs begin otherwise
_JSON = re.compile(
    rb'\s*\{\s*"(?:ctr_data"\s*:\s*\{|features_info"\s*:\s*\{\s*"(?:cat_features_hash|(?:float|categorical|text)_features)")'
)

#: how CatBoost's messages begin: the place in its source
_PLACE = re.compile(r"\S+\.(cpp|h):\d+: ")

#: what answers depend on of all that a model was trained with, and of that about its data
_ANSWERS_NEED, _OF_DATA = (
    ("loss_function", "data_processing_options"),
    ("class_names", "classes_count", "class_weights"),
)

_INPUT, _OUTPUT = "input-0", "output-0"
_OF_CLASSIFIERS = ("predict", "predict_proba", "predict_log_proba", "margin", "leaf")
_OF_OTHERS = ("predict", "margin", "leaf")


def _method(choices: tuple[str, ...]) -> Parameter:
    meaning = "predict (the default), predict_proba, predict_log_proba, margin (raw scores) or leaf (each tree's leaf)"
    return Parameter("method", str, choices, meaning)


@dataclass(eq=False)
class CatBoostAdapter(Adapter):
    """One model. Predictions run on one thread each, and several at once are safe."""

    name = "catboost"
    platform = "catboost"
    requires: ClassVar[tuple[str, ...]] = ("catboost",)
    options: ClassVar[tuple[Parameter, ...]] = (
        _method(_OF_CLASSIFIERS),
        Parameter("predict_proba", bool, meaning="answer with predict_proba where the model is a classifier"),
    )

    model: Any
    method: str
    methods: tuple[str, ...]

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        models = [name for name in model_dir.files if model_dir.head(name, 4) == _MAGIC]
        models += [name for name in model_dir.named(".json") if _JSON.match(model_dir.head(name))]
        if len(models) > 1:
            return Match(Rank.CONTENT, problem=several(models))
        if models:
            return Match(Rank.CONTENT, models[0])
        if damaged := model_dir.named(".cbm"):
            if not model_dir.head(damaged[0], 1):
                return Match(Rank.SUFFIX, damaged[0], problem=f"{damaged[0]} is empty")
            problem = f"{damaged[0]} is no CatBoost model, or its beginning is damaged: it does not begin with CBM1"
            return Match(Rank.SUFFIX, damaged[0], problem=problem)
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        _check_length(model_dir, file)
        binary = model_dir.head(file, 4) == _MAGIC
        model = _loaded(str(model_dir.file(file)), "cbm" if binary else "json", file)
        methods = _OF_CLASSIFIERS if hasattr(model, "predict_proba") else _OF_OTHERS
        default = "predict_proba" if options.get("predict_proba") and "predict_proba" in methods else "predict"
        method = options.get("method", default)
        if method not in methods:
            raise LoadError(f"{file} is no classifier, so it has no method {method!r}: use {', '.join(methods)}")
        adapter = cls(_inputs(model, _embedding_length(model, model_dir, file)), model, method, methods)
        # Calls of a steady model may run on the event loop: trees over numbers take as long for any of them.
        adapter.traits = replace(adapter.traits, steady=not adapter.signature.table)
        adapter._shorten_settings()
        outputs = specs_of(adapter.predict(adapter.example(), {}))  # of what the model really gives for two rows
        adapter.signature = replace(adapter.signature, outputs=outputs, parameters=(_method(methods),))
        return adapter

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        rows = self._rows(inputs)
        return by_method(parameters, self.method, lambda method: {_OUTPUT: _array(self._ask(rows, method))})

    def _shorten_settings(self) -> None:
        """Forget what the model was trained with, but for what counts, where no answer is another one without it.

        CatBoost reads all of it anew, as JSON, in every prediction, to learn the loss function: of 100 trees and a row
        that was two thirds of the processor's time (200 to 57 µs).
        """
        told, before = self.model.get_metadata(), self._every_answer()
        whole = told["params"]  # without which CatBoost loads no model
        settings = json.loads(whole)
        of_data = settings.get("data_processing_options", {})
        kept = {name: settings[name] for name in _ANSWERS_NEED if name in settings}
        kept["data_processing_options"] = {name: of_data[name] for name in _OF_DATA if name in of_data}
        told["params"] = json.dumps(kept)
        try:
            same = self._every_answer() == before
        except Exception:  # CatBoost's own, whatever it misses
            same = False
        if not same:
            told["params"] = whole

    def _every_answer(self) -> list[tuple[str, str]]:
        """What the model answers to the example, by each method."""
        example = self.example()
        answers = (self.predict(example, {"method": method})[_OUTPUT] for method in self.methods)
        return [(str(each.dtype), repr(each.tolist())) for each in answers]

    def _rows(self, inputs: Tensors) -> Any:
        if not self.signature.table:
            return inputs[_INPUT]
        import pandas as pd

        columns = {spec.name: inputs[spec.name] for spec in self.signature.inputs}
        # An embedding is a cell of its own: CatBoost takes columns of lists.
        cells = {name: list(column) if column.ndim == 2 else column for name, column in columns.items()}
        return pd.DataFrame(cells, copy=False)

    def _ask(self, rows: Any, method: str) -> Any:
        if method not in self.methods:
            raise InvalidInput(f"parameters.method: the model has no {method!r}; it has {', '.join(self.methods)}")
        if method == "margin":
            return self.model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)
        call = self.model.calc_leaf_indexes if method == "leaf" else getattr(self.model, method)
        return call(rows, thread_count=1)


def _check_length(model_dir: ModelDir, file: str) -> None:
    """A binary model is the magic, a 32-bit length, that many bytes and, of some, more; CatBoost crashes on less."""
    head, size = model_dir.head(file, 8), model_dir.file(file).stat().st_size
    if head.startswith(_MAGIC) and not 8 < 8 + int.from_bytes(head[4:], "little") <= size:
        raise LoadError(f"{file} is damaged: it is cut off after {size} bytes")


def _loaded(path: str, format_: str, file: str) -> Any:
    """The model as an object of the class that trained it, whose `predict` then answers as it did in training."""
    import catboost

    try:
        model = catboost.CatBoost().load_model(path, format=format_)
        if not model.feature_names_:
            raise LoadError(f"{file} holds a model that was trained on no features")
        loss = (model.get_all_params() or {}).get("loss_function", "")
        if len(model.classes_):
            return catboost.CatBoostClassifier().load_model(path, format=format_)
        if not model._is_ranking_objective(loss):
            return catboost.CatBoostRegressor().load_model(path, format=format_)
    except (catboost.CatBoostError, ValueError) as error:
        raise LoadError(f"{file} is damaged, or no model that this CatBoost loads: {_reason(error)}") from error
    return model


def _embedding_length(model: Any, model_dir: ModelDir, file: str) -> int:
    """How long the vectors of its embedding features are; 0 where it has none.

    Raises:
        LoadError: the file does not tell, or they differ: CatBoost would take any, and read what is not there.
    """
    if not model.get_embedding_feature_indices():
        return 0
    try:
        lengths = sorted(embedding_lengths(model_dir.file(file).read_bytes()))
    except ValueError as error:
        raise LoadError(f"{file} has embedding features, and {error}: serve it with a model.py") from error
    if len(lengths) != 1 or lengths[0] < 1:
        told = f"vectors of different lengths ({', '.join(map(str, lengths))})" if lengths else "vectors of no length"
        raise LoadError(f"{file} has embedding features of {told}, which are not served: serve it with a model.py")
    return lengths[0]


def _inputs(model: Any, length: int) -> Signature:
    """One matrix for a model of numbers alone, with its columns' names where it knows them; else a tensor a column."""
    names: list[str] = model.feature_names_
    categories, texts = set(model.get_cat_feature_indices()), set(model.get_text_feature_indices())
    vectors = set(model.get_embedding_feature_indices())
    if not categories and not texts and not vectors:
        automatic = names == [str(index) for index in range(len(names))]
        rows = TensorSpec(_INPUT, "FP32", (-1, len(names)), nullable=True)
        return Signature((rows,), (), columns=() if automatic else tuple(names), any_name=True)
    columns = (
        TensorSpec(name, "FP32", (-1, length))
        if index in vectors
        else _column(name, index in categories, index in texts)
        for index, name in enumerate(names)
    )
    return Signature(tuple(columns), (), table=True)


def _column(name: str, category: bool, text: bool) -> TensorSpec:
    if category or text:
        return TensorSpec(name, "BYTES", (-1,), category=category)
    return TensorSpec(name, "FP32", (-1,), nullable=True)


def _array(answer: Any) -> Array:
    """Labels that are texts become `str`; everything else keeps its type."""
    array = np.asarray(answer)
    return array.astype(np.object_) if array.dtype.kind in "US" else np.ascontiguousarray(array)


def _reason(error: Exception) -> str:
    return first_line(error, _PLACE) or type(error).__name__
