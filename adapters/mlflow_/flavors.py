"""Which adapter serves what an `MLmodel` describes: a table of MLflow's flavors.

A flavor goes to an adapter only where that adapter answers as MLflow's own `python_function` would. Its claim on the
files counts, too: a pickle that names the user's own classes is refused by it, and is left to MLflow in a worker.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters import registry
from adapters.base import LoadError, Match, ModelDir
from adapters.formats.mlmodel import MLmodel

__all__ = ["Served", "served_by"]

Conf = Mapping[str, Any]


@dataclass(frozen=True)
class Served:
    """An adapter's claim on what a flavor describes."""

    adapter: str
    folder: str  #: below the MLflow folder; "" is that itself
    match: Match


@dataclass(frozen=True)
class _Flavor:
    adapters: tuple[str, ...]  #: the first whose claim is sound
    place: Callable[[Conf], str]  #: the file or folder, relative to the MLflow folder
    fits: Callable[[Conf], bool] = lambda conf: True  #: the adapter answers as MLflow would


def _data(conf: Conf) -> str:
    return str(conf.get("data") or conf.get("model_data") or "")


def _saved_model(conf: Conf) -> str:
    """TensorFlow's folder, or the one that Keras' file lies in."""
    return str(conf.get("saved_model_dir") or conf.get("data") or "")


def _is_class(*names: str) -> Callable[[Conf], bool]:
    return lambda conf: str(conf.get("model_class", names[0])) in names


_OF_CATBOOST = ("CatBoostClassifier", "CatBoostRegressor")
_LIGHTGBM = (
    "lightgbm.basic.Booster",
    *(f"lightgbm.sklearn.LGBM{kind}" for kind in ("Classifier", "Regressor", "Ranker", "Model")),
)

_FLAVORS: dict[str, _Flavor] = {
    "sklearn": _Flavor(("sklearn", "skops"), lambda conf: str(conf.get("pickled_model") or conf.get("data") or "")),
    # XGBoost's scikit-learn classes are saved as bare boosters, which answer otherwise.
    "xgboost": _Flavor(("xgboost",), _data, _is_class("xgboost.core.Booster")),
    "lightgbm": _Flavor(("lightgbm", "skops", "sklearn"), _data, _is_class(*_LIGHTGBM)),
    "catboost": _Flavor(("catboost",), _data, lambda conf: conf.get("model_type") in _OF_CATBOOST),
    "onnx": _Flavor(("onnx",), _data),
    "spacy": _Flavor(("spacy",), _data),
    "tensorflow": _Flavor(("tensorflow",), _saved_model),
    "keras": _Flavor(("tensorflow",), _data),
    "pytorch": _Flavor(("torch",), _data),
    "sentence_transformers": _Flavor(
        ("huggingface", "sentence_transformers"), lambda conf: str(conf.get("data") or "model.sentence_transformer")
    ),
}


def served_by(mlmodel: MLmodel, model_dir: ModelDir) -> tuple[Served | None, str]:
    """The adapter that serves the model, or None; and why the ones that came near do not, in words."""
    reasons: list[str] = []
    predict_fn = (mlmodel.pyfunc or {}).get("predict_fn", "predict")
    for name, conf in mlmodel.flavors.items():
        flavor = _FLAVORS.get(name)
        if flavor is None or not flavor.fits(conf) or predict_fn != "predict":
            continue
        for adapter in flavor.adapters:
            served, reason = _claim(adapter, flavor.place(conf), model_dir)
            if served:
                return served, ""
            reasons += [reason] if reason else []
    return None, "; ".join(dict.fromkeys(reasons))


def _claim(name: str, place: str, model_dir: ModelDir) -> tuple[Served | None, str]:
    """An adapter's claim on a file or folder, and what is wrong with it."""
    adapter = registry.get(name)
    try:
        folder, file = _located(place, model_dir)
        inner = model_dir.folder(folder)
        match = adapter.match(inner)
    except (FileNotFoundError, LoadError) as error:
        return None, str(error)
    if match is None or (file and match.file and match.file != file):
        return None, ""
    if match.problem:
        return None, match.problem
    if absent := [each for each in (*adapter.requires, *match.requires) if importlib.util.find_spec(each) is None]:
        return None, f"{', '.join(absent)} is not installed"
    return Served(name, folder, match), ""


def _located(place: str, model_dir: ModelDir) -> tuple[str, str]:
    """(folder, file) of a relative path; the file is "" where the path is a folder.

    Raises:
        FileNotFoundError: there is no such file or folder inside.
    """
    try:
        model_dir.folder(place)
    except FileNotFoundError:
        folder, _, file = place.rpartition("/")
        model_dir.folder(folder).file(file)
        return folder, file
    return place, ""
