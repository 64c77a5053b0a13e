"""Triton's FIL backend: a booster behind that backend's names, which answers as its parameters say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost

from adapters import registry
from adapters.base import Adapter, LoadError, ModelDir

ROWS = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
TWO, THREE = (ROWS[:, 0] > 0).astype(int), np.arange(60) % 3


def _booster(objective: str, labels: Any, **more: Any) -> xgboost.Booster:
    return xgboost.train({"objective": objective, "nthread": 1, **more}, xgboost.DMatrix(ROWS, labels), 3)


def _settings(folder: Path, dims: int = 1, **parameters: str) -> ModelDir:
    fields = "".join(f'{{ key: "{key}" value: {{ string_value: "{value}" }} }},' for key, value in parameters.items())
    (folder / "config.pbtxt").write_text(
        f'backend: "fil" max_batch_size: 8 input [ {{ name: "input__0" data_type: TYPE_FP32 dims: [ 3 ] }} ] '
        f'output [ {{ name: "output__0" data_type: TYPE_FP32 dims: [ {dims} ] }} ] parameters [ {fields} ]'
    )
    return ModelDir.of(folder / "1", folder)


def _loaded(directory: ModelDir) -> Adapter:
    choice = registry.choose(directory)
    assert choice.adapter.name == "fil"
    return choice.adapter.load(directory, choice.match.file, {})


def _asked(directory: ModelDir) -> list[Any]:
    adapter = _loaded(directory)
    (answer,) = adapter.predict({"input__0": ROWS[:6]}, {}).values()
    (spec,) = adapter.signature.outputs
    assert (spec.name, spec.datatype, len(spec.shape)) == ("output__0", "FP32", answer.ndim)
    assert answer.dtype == np.float32
    return answer.tolist()


@pytest.fixture
def binary(tmp_path: Path) -> tuple[Path, Any]:
    booster = _booster("binary:logistic", TWO)
    (tmp_path / "1").mkdir()
    booster.save_model(tmp_path / "1" / "xgboost.json")
    return tmp_path, booster.predict(xgboost.DMatrix(ROWS[:6]))


def test_of_two_classes(binary: tuple[Path, Any]) -> None:
    folder, scores = binary
    both = np.stack([1 - scores, scores], axis=1).tolist()
    assert _asked(_settings(folder)) == scores.tolist(), "nothing says that it is a classifier"
    assert _asked(_settings(folder, is_classifier="true")) == (scores > 0.5).tolist()
    assert _asked(_settings(folder, output_class="true", threshold="0.3")) == (scores > 0.3).tolist()
    assert _asked(_settings(folder, 2, is_classifier="true", predict_proba="true")) == both
    assert _asked(_settings(folder, 2, output_class="false", predict_proba="true")) == both
    assert _asked(_settings(folder, 1, is_classifier="false", predict_proba="true")) == scores.tolist()


def test_of_three_classes(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    booster = _booster("multi:softprob", THREE, num_class=3)
    booster.save_model(tmp_path / "1" / "xgboost.ubj")
    scores = booster.predict(xgboost.DMatrix(ROWS[:6]))
    assert _asked(_settings(tmp_path, 3, is_classifier="true", predict_proba="true")) == scores.tolist()
    assert _asked(_settings(tmp_path, is_classifier="true")) == scores.argmax(1).tolist()


def test_a_booster_that_answers_classes_has_no_probabilities(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    booster = _booster("multi:softmax", THREE, num_class=3)
    booster.save_model(tmp_path / "1" / "xgboost.json")
    classes = booster.predict(xgboost.DMatrix(ROWS[:6])).tolist()
    assert _asked(_settings(tmp_path, is_classifier="true")) == classes
    with pytest.raises(LoadError, match="train it with multi:softprob, or leave predict_proba out"):
        _loaded(_settings(tmp_path, 3, is_classifier="true", predict_proba="true"))


def test_lightgbm(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    params = {"verbose": -1, "num_threads": 1, "objective": "multiclass", "num_class": 3, "min_data_in_leaf": 2}
    booster = lightgbm.train(params, lightgbm.Dataset(ROWS, THREE), 3)
    booster.save_model(tmp_path / "1" / "model.txt")
    scores = booster.predict(ROWS[:6])
    proba = _asked(_settings(tmp_path, 3, model_type="lightgbm", is_classifier="true", predict_proba="true"))
    assert proba == scores.astype(np.float32).tolist()
    assert _asked(_settings(tmp_path, model_type="lightgbm", is_classifier="true")) == scores.argmax(1).tolist()


def test_what_cannot_be_served_is_told(binary: tuple[Path, Any]) -> None:
    folder, _ = binary
    with pytest.raises(LoadError, match="is_classifier is 'yes': it must be true or false"):
        registry.choose(_settings(folder, is_classifier="yes"))
    with pytest.raises(LoadError, match="threshold is 'half', which is no number"):
        registry.choose(_settings(folder, is_classifier="true", threshold="half"))
    directory = _settings(folder)
    (folder / "1" / "xgboost.json").rename(folder / "1" / "checkpoint.tl")
    (folder / "1" / "checkpoint.tl").write_bytes(b"\4\0\0\0")
    with pytest.raises(LoadError, match=r"checkpoint\.tl is a Treelite checkpoint, .*; serve the XGBoost, LightGBM"):
        registry.choose(directory)


def test_other_backends_are_not_its_own(binary: tuple[Path, Any]) -> None:
    folder, _ = binary
    directory = _settings(folder)
    settings = folder / "config.pbtxt"
    settings.write_text(settings.read_text().replace('"fil"', '"python"'))
    assert registry.choose(directory).adapter.name == "xgboost"
