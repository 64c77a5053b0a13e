"""MLflow folders go to the adapter that answers as MLflow does, and to MLflow itself where none does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir, Rank, Trust
from adapters.mlflow_ import MlflowAdapter
from adapters.registry import Choice
from server.codec import v1
from tests.adapters.mlflow_.models import FRAME, LABELS, Own

mlflow = pytest.importorskip("mlflow")

Save = Callable[[Path], Any]


def _sklearn(model: Any = None, **settings: Any) -> Save:
    def save(path: Path) -> None:
        import mlflow.sklearn
        from sklearn.linear_model import LogisticRegression

        fitted = (model or LogisticRegression(max_iter=1000)).fit(FRAME, LABELS)
        mlflow.sklearn.save_model(fitted, path, pip_requirements=["scikit-learn"], **settings)

    return save


def _xgboost(path: Path) -> None:
    import mlflow.xgboost
    import xgboost

    booster = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(FRAME, LABELS == "b"), 3)
    mlflow.xgboost.save_model(booster, path, pip_requirements=["xgboost"])


def _xgboost_sklearn(path: Path) -> None:
    import mlflow.xgboost
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(FRAME, LABELS == "b")
    mlflow.xgboost.save_model(model, path, pip_requirements=["xgboost"])


def _lightgbm(path: Path) -> None:
    import lightgbm
    import mlflow.lightgbm

    data = lightgbm.Dataset(FRAME, LABELS == "b")
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 3)
    mlflow.lightgbm.save_model(booster, path, pip_requirements=["lightgbm"])


def _lightgbm_sklearn(path: Path) -> None:
    import lightgbm
    import mlflow.lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(FRAME, LABELS)
    mlflow.lightgbm.save_model(model, path, pip_requirements=["lightgbm"])


def _catboost(path: Path) -> None:
    import catboost
    import mlflow.catboost

    model = catboost.CatBoostClassifier(3, verbose=0, allow_writing_files=False, thread_count=1).fit(FRAME, LABELS)
    mlflow.catboost.save_model(model, path, pip_requirements=["catboost"])


def _onnx(path: Path) -> None:
    import mlflow.onnx
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    rows = FRAME.to_numpy(np.float32)
    model = to_onnx(LinearRegression().fit(rows, rows[:, 0] + rows[:, 1] ** 2), rows[:1])
    mlflow.onnx.save_model(model, path, pip_requirements=["onnxruntime"])


SAVED: dict[str, tuple[Save, str]] = {
    "scikit-learn": (_sklearn(), "skops"),
    "scikit-learn, pickled": (_sklearn(serialization_format="pickle"), "sklearn"),
    "scikit-learn, cloudpickled": (_sklearn(serialization_format="cloudpickle"), "sklearn"),
    "probabilities": (_sklearn(pyfunc_predict_fn="predict_proba"), "mlflow"),
    "XGBoost": (_xgboost, "xgboost"),
    "XGBoost's scikit-learn class": (_xgboost_sklearn, "mlflow"),
    "LightGBM": (_lightgbm, "lightgbm"),
    "LightGBM's scikit-learn class": (_lightgbm_sklearn, "skops"),
    "CatBoost": (_catboost, "catboost"),
    "the user's own class": (_sklearn(Own(), serialization_format="cloudpickle"), "mlflow"),
}


def choose(folder: Path, trusted: bool = False) -> Choice:
    return registry.choose(ModelDir(folder, folder, trusted))


def answers(choice: Choice, folder: Path, instances: list[Any]) -> list[Any]:
    adapter = choice.adapter.load(choice.directory or ModelDir.of(folder), choice.match.file, {})
    call = v1.decode(orjson.dumps({"instances": instances}), adapter.signature)
    predictions: list[Any] = orjson.loads(v1.encode(adapter.predict(call.inputs, {}), adapter.signature))["predictions"]
    return predictions


@pytest.mark.parametrize("name", SAVED)
def test_a_flavor_answers_as_mlflow_does(name: str, tmp_path: Path) -> None:
    import mlflow.pyfunc

    save, adapter = SAVED[name]
    save(tmp_path / "model")
    wanted = np.asarray(mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(FRAME.iloc[:6])).tolist()
    choice = choose(tmp_path / "model")
    assert choice.adapter.name == adapter
    assert (choice.match.trust is Trust.CODE) == (adapter == "mlflow")
    assert answers(choice, tmp_path / "model", FRAME.iloc[:6].to_dict("records")) == wanted


def test_an_onnx_model_answers_with_its_rows(tmp_path: Path) -> None:
    import mlflow.pyfunc

    _onnx(tmp_path / "model")
    choice = choose(tmp_path / "model")
    assert choice.adapter.name == "onnx"
    wanted = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(FRAME.iloc[:3].to_numpy(np.float32))
    found = answers(choice, tmp_path / "model", FRAME.iloc[:3].to_numpy().tolist())
    np.testing.assert_allclose(found, wanted["variable"], rtol=1e-6)


def test_what_a_flavors_adapter_refuses_is_said_when_mlflow_may_not_run_it(tmp_path: Path) -> None:
    _sklearn(Own(), serialization_format="cloudpickle")(tmp_path / "model")
    carries = choose(tmp_path / "model").match.carries
    assert "model.pkl names " in carries
    assert "which may run code that came with it" in carries


def test_requirements_come_along_without_mlflow_itself(tmp_path: Path) -> None:
    _xgboost_sklearn(tmp_path / "model")
    assert choose(tmp_path / "model").match.requirements == "xgboost"
    lines = "mlflow==2.9.1\nmlflow-skinny[databricks]>=2\nmlflowish==1\n# mlflow is here\nxgboost<4\n"
    (tmp_path / "model/requirements.txt").write_text(lines)
    assert choose(tmp_path / "model").match.requirements == "mlflowish==1\n# mlflow is here\nxgboost<4"
    (tmp_path / "model/requirements.txt").unlink()
    assert choose(tmp_path / "model").match.requirements == "xgboost"  # from conda.yaml, as older MLflows have it


def test_a_served_flavor_brings_no_requirements(tmp_path: Path) -> None:
    _xgboost(tmp_path / "model")
    assert choose(tmp_path / "model").match.requirements == ""


def mlmodel(folder: Path, text: str) -> MlflowAdapter:
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(text)
    return choose(folder)  # type: ignore[return-value]


PYFUNC = "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"
DAMAGES = {
    "empty": ("", "MLmodel holds no mapping"),
    "a list": ("- a", "MLmodel holds no mapping"),
    "no YAML": ("a: [", "MLmodel is damaged"),
    "binary": ("\x00\x01", "MLmodel is damaged"),
    "deep": ("[" * 3000, "MLmodel is nested too deep"),
    "an object": ("flavors: !!python/object/apply:os.system ['touch hostile']", "MLmodel is damaged"),
    "an alias": ("a: &a [1]\nflavors: {b: *a}", "MLmodel holds a YAML alias"),
    "many": ("flavors: {a: {}}\n" + "\n".join(f"k{i}: 1" for i in range(20_000)), "or holds too much"),
    "long": ("flavors: {a: {}}\n" + "#" * (1 << 20), "MLmodel is longer than 1 MiB"),
    "no flavors": ("signature: {}", "MLmodel lists no flavors"),
    "odd flavors": ("flavors: {sklearn: 3}", "MLmodel lists no flavors"),
    "signature": (PYFUNC + "signature: {inputs: '[3]'}", "signature.inputs is no list of specs"),
    "signature cut": (PYFUNC + "signature: {inputs: '[{'}", "signature.inputs is damaged"),
    "signature type": (PYFUNC + """signature: {inputs: '[{"type": "vector", "name": "a"}]'}""", "of the type 'vector'"),
    "signature shape": (PYFUNC + """signature: {inputs: '[{"type": "tensor", "name": "a"}]'}""", "has no dtype and"),
    "unknown flavor": ("flavors: {h2o: {data: x}}", "describes h2o, which is not served, and no python_function"),
    "outside": ("flavors: {spacy: {data: ../other}}", ".. is not a folder"),
    "absolute": ("flavors: {onnx: {data: /etc/passwd}}", "/etc is not a folder"),
    "absent": ("flavors: {onnx: {data: model.onnx}}", "model.onnx is not a file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_description_says_why(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, reason = DAMAGES[name]
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LoadError) as error:
        mlmodel(tmp_path / "model", text)
    assert reason in str(error.value)
    claim = MlflowAdapter.match(ModelDir.of(tmp_path / "model"))
    assert claim is not None
    assert claim.rank is Rank.BUNDLE
    assert not (tmp_path / "hostile").exists()


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    _sklearn(serialization_format="pickle")(tmp_path / "elsewhere")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LoadError, match=r"data/model\.pkl is not a file|data is not a folder"):
        mlmodel(tmp_path / "model", "flavors: {sklearn: {pickled_model: data/model.pkl}}")
