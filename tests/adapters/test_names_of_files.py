"""A model is told by its bytes, under whatever name; the usual names come first."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import joblib
import lightgbm
import numpy as np
import pytest
import skops.io
import xgboost
from sklearn.linear_model import LogisticRegression

from adapters import registry
from adapters.base import LoadError, ModelDir

X, Y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2


def chosen(folder: Path) -> tuple[str, str]:
    choice = registry.choose(ModelDir.of(folder))
    choice.adapter.load(ModelDir.of(folder), choice.match.file, {})
    return choice.adapter.name, choice.match.file


@pytest.fixture(scope="module")
def estimator() -> LogisticRegression:
    return LogisticRegression().fit(X, Y)


@pytest.mark.parametrize("name", ["finalized_model.sav", "model.p", "model", "model.bin", "model.dat", "m.joblib.gz"])
def test_pickles(name: str, estimator: LogisticRegression, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(estimator))
    assert chosen(tmp_path) == ("sklearn", name)


@pytest.mark.parametrize("name", ["model.joblib.gz", "model.pkl.z", "model.bz2", "model.xz", "model.lzma"])
def test_compressed_pickles(name: str, estimator: LogisticRegression, tmp_path: Path) -> None:
    joblib.dump(estimator, tmp_path / name)
    assert chosen(tmp_path) == ("sklearn", name)


@pytest.mark.parametrize("name", ["model.dat", "model.txt", "model.pkl", "model.xgboost", "model.onnx.bak"])
def test_xgboost(name: str, tmp_path: Path) -> None:
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, Y), 2)
    (tmp_path / name).write_bytes(booster.save_raw("json" if name == "model.txt" else "ubj"))
    assert chosen(tmp_path) == ("xgboost", name)


@pytest.mark.parametrize("name", ["model.lgbm", "model.dat", "model.pkl", "model.joblib"])
def test_lightgbm(name: str, tmp_path: Path) -> None:
    data = lightgbm.Dataset(X, Y, params={"verbose": -1})
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 1, "num_threads": 1}, data, 2)
    (tmp_path / name).write_text(booster.model_to_string())
    assert chosen(tmp_path) == ("lightgbm", name)


def test_skops(estimator: LogisticRegression, tmp_path: Path) -> None:
    skops.io.dump(estimator, tmp_path / "model.zip")
    assert chosen(tmp_path) == ("skops", "model.zip")


def test_the_usual_name_comes_first(estimator: LogisticRegression, tmp_path: Path) -> None:
    joblib.dump(estimator, tmp_path / "model.joblib")
    (tmp_path / "scaler.sav").write_bytes(pickle.dumps(estimator))
    (tmp_path / "booster.dat").write_bytes(xgboost.train({}, xgboost.DMatrix(X, Y), 1).save_raw("ubj"))
    assert chosen(tmp_path) == ("sklearn", "model.joblib")


def test_labels_beside_a_model_of_another_name(estimator: LogisticRegression, tmp_path: Path) -> None:
    (tmp_path / "labels.pkl").write_bytes(pickle.dumps({0: "no"}))
    with pytest.raises(LoadError, match=r"labels\.pkl holds a dict, which cannot predict"):
        chosen(tmp_path)
    (tmp_path / "model.sav").write_bytes(pickle.dumps(estimator))
    assert chosen(tmp_path) == ("sklearn", "model.sav")


def test_two_of_other_names_are_two_candidates(estimator: LogisticRegression, tmp_path: Path) -> None:
    for name in ("a.sav", "b.sav"):
        (tmp_path / name).write_bytes(pickle.dumps(estimator))
    with pytest.raises(LoadError, match=r"two candidate models: a\.sav and b\.sav; keep one"):
        chosen(tmp_path)


def test_data_under_other_names_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.dat").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "config.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(LoadError, match=r"notes\.dat holds a list, which cannot predict"):
        chosen(tmp_path)
