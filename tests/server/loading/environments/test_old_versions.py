"""Models that other versions made, by those versions themselves, and what they answered there."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import Adapter, LoadError, ModelDir
from server.loading.catalog import Found
from server.loading.environments import Environments
from server.loading.loader import Loaded, Loader
from server.workers.adapter import RemoteAdapter
from server.workers.placement import WorkerPlacement

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

X = np.random.RandomState(0).rand(60, 4)

#: makes models in the folder that it is told, and writes down what they answer
MAKE = """
import json, sys, warnings
import joblib, numpy, sklearn
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X = numpy.random.RandomState(0).rand(60, 4)
y = numpy.where(X.sum(1) > 2, "more", "less")
models = {
    "boosting": GradientBoostingClassifier(n_estimators=5, random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=5),
    "forest": RandomForestClassifier(5, random_state=0),
    "pipeline": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
}
answers = {"versions": [sklearn.__version__, numpy.__version__]}
for name, model in models.items():
    model.fit(X, y)
    joblib.dump(model, f"{sys.argv[1]}/{name}/model.joblib")
    answers[name] = [model.predict(X).tolist(), model.predict_proba(X).tolist()]
json.dump(answers, open(f"{sys.argv[1]}/answers.json", "w"))
"""
NAMES = ("boosting", "histogram", "forest", "pipeline")

MAKE_BOOSTER = """
import json, sys
import numpy, xgboost
X = numpy.random.RandomState(0).rand(60, 4).astype("float32")
booster = xgboost.train({"max_depth": 2, "objective": "binary:logistic"}, xgboost.DMatrix(X, X.sum(1) > 2), 5)
booster.save_model(f"{sys.argv[1]}/model.bst")
json.dump(booster.predict(xgboost.DMatrix(X)).tolist(), open(f"{sys.argv[1]}/answers.json", "w"))
"""


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environments]:
    environments = Environments(tmp_path_factory.mktemp("environments"))
    yield environments
    environments.close()


def make(python: Path, code: str, folder: Path) -> Any:
    """Run the code that makes models in an environment; what they answered there."""
    subprocess.run([str(python), "-P", "-W", "ignore", "-c", code, str(folder)], check=True, timeout=300)
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))


def sklearn_models(environments: Environments, root: Path, requirements: str) -> dict[str, Any]:
    for name in NAMES:
        (root / name).mkdir()
    answers: dict[str, Any] = make(environments.python("maker", requirements), MAKE, root)
    return answers


def load(environments: Environments, folder: Path, *, auto_env: bool) -> Loaded:
    may_import = threading.Event()
    may_import.set()
    loader = Loader(None, may_import, workers=WorkerPlacement(python_for=environments.python), auto_env=auto_env)
    return loader.load(Found(folder.name, ModelDir.of(folder)))


def check(adapter: Adapter, answers: list[list[Any]]) -> None:
    (name,) = (spec.name for spec in adapter.signature.inputs)
    labels, probabilities = answers
    assert adapter.predict({name: X}, {})["output-0"].tolist() == labels
    got = adapter.predict({name: X}, {"method": "predict_proba"})["output-0"]
    assert got.tolist() == probabilities
    adapter.close()


@pytest.fixture(scope="module")
def of_1_5(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("of_1_5")
    answers = sklearn_models(environments, root, "scikit-learn==1.5.2\nnumpy<2\nscipy<1.15")
    assert answers["versions"][0] == "1.5.2"
    assert answers["versions"][1].startswith("1.")
    return root, answers


@pytest.mark.parametrize("name", NAMES)
def test_scikit_learn_1_5_answers_as_it_did(
    environments: Environments, of_1_5: tuple[Path, dict[str, Any]], name: str
) -> None:
    root, answers = of_1_5
    loaded = load(environments, root / name, auto_env=True)
    assert isinstance(loaded.adapter, RemoteAdapter)
    check(loaded.adapter, answers[name])


@pytest.mark.parametrize("name", ["boosting", "histogram", "pipeline"])
def test_without_auto_env_the_reason_says_how(
    environments: Environments, of_1_5: tuple[Path, dict[str, Any]], name: str
) -> None:
    with pytest.raises(LoadError, match=r"made by scikit-learn 1\.5\.2, which 1\.\d+\.\d+ cannot load: ") as raised:
        load(environments, of_1_5[0] / name, auto_env=False)
    way_out = "start the server with --auto_env, or put a requirements.txt with scikit-learn==1.5.2 beside it"
    assert str(raised.value).endswith(way_out)


def test_requirements_beside_a_model_give_it_its_environment(
    environments: Environments, of_1_5: tuple[Path, dict[str, Any]]
) -> None:
    root, answers = of_1_5
    (root / "boosting" / "requirements.txt").write_text("scikit-learn==1.5.2\nnumpy<2\nscipy<1.15\n", encoding="utf-8")
    try:
        loaded = load(environments, root / "boosting", auto_env=False)
    finally:
        (root / "boosting" / "requirements.txt").unlink()
    assert isinstance(loaded.adapter, RemoteAdapter)
    check(loaded.adapter, answers["boosting"])


def test_where_the_environment_cannot_be_built_the_installed_versions_serve(
    of_1_5: tuple[Path, dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, answers = of_1_5
    offline = Environments(tmp_path, tmp_path)  # a directory without any wheel
    with caplog.at_level(logging.WARNING, logger="kserve"):
        loaded = load(offline, root / "forest", auto_env=True)
    assert not isinstance(loaded.adapter, RemoteAdapter)
    assert "the installed versions are tried instead" in caplog.text
    check(loaded.adapter, answers["forest"])


@pytest.mark.parametrize("auto_env", [True, False])
def test_gradient_boosting_of_1_8(environments: Environments, tmp_path: Path, auto_env: bool) -> None:
    """Its pickle names `_loss`, a module that only scikit-learn 1.4 to 1.8 have; the installed one reads it all the
    same, with the same answers."""
    answers = sklearn_models(environments, tmp_path, "scikit-learn==1.8.0")
    for name in ("boosting", "histogram"):
        loaded = load(environments, tmp_path / name, auto_env=auto_env)
        assert isinstance(loaded.adapter, RemoteAdapter) is auto_env
        check(loaded.adapter, answers[name])


@pytest.mark.parametrize("version", ["1.0.2", "1.7.6"])
def test_xgboosts_old_binary_format(environments: Environments, tmp_path: Path, version: str) -> None:
    old = f"xgboost=={version}\nscikit-learn<1.3\nnumpy<1.25\nscipy<1.11\npandas<2\nsetuptools<81"
    answers = make(environments.python("maker", old), MAKE_BOOSTER, tmp_path)
    assert (tmp_path / "model.bst").read_bytes().startswith(b"binf") is (version == "1.7.6")
    with pytest.raises(LoadError, match=r"old binary format.*--auto_env, or put a requirements\.txt with xgboost<3\.1"):
        load(environments, tmp_path, auto_env=False)
    loaded = load(environments, tmp_path, auto_env=True)
    got = loaded.adapter.predict({"input-0": X.astype(np.float32)}, {})["output-0"]
    assert got.tolist() == answers
    loaded.adapter.close()
