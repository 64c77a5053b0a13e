"""What a model.py is that no server of KServe's would take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.base import ModelDir
from adapters.custom_ import CustomAdapter
from adapters.custom_.foreign import not_run

FILES = {
    "class TritonPythonModel:\n    def execute(self, requests): ...\n": "Triton's Python backend",
    "from mlserver import MLModel\nclass M(MLModel): ...\n": "a runtime of MLServer's",
    "import bentoml\n@bentoml.service\nclass M: ...\n": "a service of BentoML's",
    "import mlflow\nclass M(mlflow.pyfunc.PythonModel): ...\n": "an MLflow model's code",
}


def reason(folder: Path) -> str:
    claim = CustomAdapter.match(ModelDir.of(folder))
    assert claim is not None
    return claim.problem


@pytest.mark.parametrize(("text", "says"), FILES.items())
def test_it_is_named_with_the_way_out(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(text)
    assert reason(tmp_path).startswith("model.py defines no subclass of kserve.Model; it is ")
    assert says in reason(tmp_path)


def test_what_catboost_writes_itself(tmp_path: Path) -> None:
    catboost = pytest.importorskip("catboost")
    model = catboost.CatBoostRegressor(iterations=2, verbose=0, allow_writing_files=False, thread_count=1)
    model.fit(np.arange(20.0).reshape(10, 2), np.arange(10.0)).save_model(str(tmp_path / "model.py"), format="python")
    assert reason(tmp_path).endswith("it is CatBoost's export to Python: serve what save_model('model.cbm') writes")


OTHERS = {
    "server.py": ("import litserve as ls\nclass A(ls.LitAPI): ...\n", "an API of LitServe's"),
    "handler.py": ("class EndpointHandler:\n    def __call__(self, data): ...\n", "Hugging Face's inference endpoints"),
    "inference.py": ("def model_fn(model_dir): ...\n", "SageMaker's containers"),
    "score.py": ("def init():\n    global model\ndef run(data): ...\n", "a scoring script of Azure ML's"),
    "predictor.py": ("class P:\n    @classmethod\n    def from_path(cls, folder): ...\n", "a predictor of Vertex AI's"),
    "MyModel.py": ("class MyModel:\n    def predict(self, X, features_names=None): ...\n", "a component of Seldon's"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_named_under_their_own_names_also_beside_a_model(name: str, tmp_path: Path) -> None:
    text, says = OTHERS[name]
    (tmp_path / name).write_text(text)
    assert reason(tmp_path).startswith(f"{name} holds no kserve.Model; it is ")
    assert says in reason(tmp_path)
    assert reason(tmp_path).endswith("kserve.Model, in model.py")
    told = not_run(ModelDir.of(tmp_path))
    assert told.startswith(f"{name} is not run; it is ")
    assert says in told


def test_nothing_is_said_of_any_other_code(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("print('hello')\n")
    assert reason(tmp_path) == "model.py defines no subclass of kserve.Model"
    assert not not_run(ModelDir.of(tmp_path))
