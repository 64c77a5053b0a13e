"""Directories that must not be served, each with what its reason has to say."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np


class _Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def _truncated_joblib(folder: Path) -> str:
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(5).fit(np.eye(20), np.arange(20) % 2)
    joblib.dump(model, folder / "model.joblib")
    data = (folder / "model.joblib").read_bytes()
    (folder / "model.joblib").write_bytes(data[: len(data) // 2])
    return "model.joblib"


def _hostile_pickle(folder: Path) -> str:
    (folder / "model.pkl").write_bytes(pickle.dumps(_Hostile(folder / "mark")))
    return "system"


def _truncated_lightgbm(folder: Path) -> str:
    import lightgbm

    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(np.eye(50), np.arange(50)), 5)
    text = booster.model_to_string()
    (folder / "model.txt").write_text(text[: len(text) // 2])
    return "model.txt"


def _damaged_ubj(folder: Path) -> str:
    import xgboost

    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(np.eye(20), np.arange(20)), 4)
    data = bytearray(booster.save_raw("ubj"))
    (folder / "model.ubj").write_bytes(bytes(data[: len(data) // 2]))
    return "model.ubj"


def _ambiguous(folder: Path) -> str:
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier().fit([[0], [1]], [0, 1])
    for name in ("a.pkl", "b.pkl"):
        (folder / name).write_bytes(pickle.dumps(model))
    return "a.pkl"


def _two_frameworks(folder: Path) -> str:
    _ambiguous(folder)
    (folder / "a.pkl").unlink()
    import xgboost

    xgboost.train({"nthread": 1}, xgboost.DMatrix(np.eye(20), np.arange(20)), 2).save_model(folder / "m.json")
    return "two candidate models"


def _unsupported(folder: Path) -> str:
    (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    return "TensorFlow SavedModel"


def _garbage_onnx(folder: Path) -> str:
    (folder / "model.onnx").write_bytes(b"this is not a graph at all")
    return "model.onnx"


def _half_spacy(folder: Path) -> str:
    (folder / "meta.json").write_text(json.dumps({"lang": "en", "pipeline": ["ner"], "name": "half"}))
    return "config.cfg"


def _bert_without_weights(folder: Path) -> str:
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(config))
    return "weights"


def _link_out(folder: Path) -> str:
    (folder / "model.joblib").symlink_to("/etc/hostname")
    return "model.joblib"


def _typing_mistake(folder: Path) -> str:
    _ambiguous(folder)
    (folder / "a.pkl").unlink()
    (folder / "polyserve.yaml").write_text("adaptor: sklearn\n")
    return "did you mean"


def _empty(folder: Path) -> str:
    return "empty"


BROKEN: dict[str, Callable[[Path], str]] = {
    "truncated-joblib": _truncated_joblib,
    "hostile-pickle": _hostile_pickle,
    "truncated-lightgbm": _truncated_lightgbm,
    "damaged-ubj": _damaged_ubj,
    "ambiguous": _ambiguous,
    "two-frameworks": _two_frameworks,
    "unsupported": _unsupported,
    "garbage-onnx": _garbage_onnx,
    "half-spacy": _half_spacy,
    "bert-without-weights": _bert_without_weights,
    "link-out": _link_out,
    "typing-mistake": _typing_mistake,
    "empty": _empty,
}
