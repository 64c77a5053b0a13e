"""Every kind of model in one server, each compared with its framework called directly; then its workers are killed."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from adapters.base import ModelDir
from server.loading.environments import Environments
from tests import cases
from tests.adapters.torchserve_.archives import eager
from tests.e2e.process import Server
from tests.e2e.test_workers import kill_one, of
from tests.patience import wait_for

pytestmark = pytest.mark.slow

#: seconds between two requests of a client: together they ask for some hundred predictions a second, and leave a
#: machine of two cores time to start a process
PAUSE = 0.04
#: models by the process that serves them
WORKERS = ("older", "archive", "mlflow", "isolated")
IN_PROCESS = ("current", "saved_model", "catboost")

OLDER = "# what the model was trained with\nscikit-learn==1.5.2\n"
MAKE_OLDER = """
import json, sys
import joblib, sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier

X, y = load_iris(return_X_y=True)
model = GradientBoostingClassifier(n_estimators=3, random_state=0).fit(X, y)
joblib.dump(model, sys.argv[1] + "/boosting.joblib")
json.dump([[sklearn.__version__, *row] for row in model.predict_proba(X[:3]).tolist()], sys.stdout)
"""
SERVE_OLDER = """
import joblib, sklearn
from kserve import Model, ModelServer


class Older(Model):
    def __init__(self, name: str):
        super().__init__(name)
        self.load()

    def load(self):
        self.model = joblib.load("boosting.joblib")
        self.ready = True

    def predict(self, payload, headers=None):
        rows = self.model.predict_proba(payload["instances"]).tolist()
        return {"predictions": [[sklearn.__version__, *row] for row in rows]}


if __name__ == "__main__":
    ModelServer().start([Older("older")])
"""

SHOP = """
import mlflow


class Shop(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["price"] * model_input["count"]).tolist()


mlflow.models.set_model(Shop())
"""


@dataclass
class Model:
    """What a model is asked, and what its framework answers."""

    instances: list[Any]
    predictions: list[Any]


@dataclass
class Site:
    server: Server
    models: dict[str, Model]


def case(make: Callable[[Path], cases.Expected], folder: Path) -> Model:
    expected = make(folder)
    return Model(expected.instances, expected.predictions)


def older(folder: Path, environments: Path) -> Model:
    """A custom model and its pickle, made and asked in the environment that the server will find built."""
    from sklearn.datasets import load_iris

    (folder / "model.py").write_text(SERVE_OLDER)
    (folder / "requirements.txt").write_text(OLDER)
    python = Environments(environments).python("older", OLDER, ModelDir.of(folder))
    made = subprocess.run([python, "-P", "-c", MAKE_OLDER, folder], check=True, capture_output=True, timeout=120)
    predictions = json.loads(made.stdout)
    assert predictions[0][0] == "1.5.2"
    return Model(load_iris().data[:3].tolist(), predictions)


def archive(folder: Path, work: Path) -> Model:
    import torch

    rows = [[1.0, 2.0, 3.0]]  # one, since a batch's size is in the answer
    model = eager(work, folder)
    with torch.inference_mode():
        return Model(rows, [{"sum": model(torch.tensor(rows))[0, 0].item(), "batch": 1}])


def mlflow_folder(folder: Path, work: Path) -> Model:
    """A python_function from code, with the requirements that MLflow writes beside it."""
    import mlflow.pyfunc
    import pandas as pd

    (work / "shop.py").write_text(SHOP)
    frame = pd.DataFrame({"price": [1.5, 20.0], "count": [2.0, 1.0]})
    mlflow.pyfunc.save_model(
        work / "saved", python_model=work / "shop.py", input_example=frame, pip_requirements=["pandas"]
    )
    (work / "saved").rename(folder)
    return Model(frame.to_dict("records"), mlflow.pyfunc.load_model(str(folder)).predict(frame))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("everything")
    root, environments = base / "models", base / "environments"
    for name in (*WORKERS, *IN_PROCESS):
        (root / name).mkdir(parents=True)
    models = {
        "older": older(root / "older", environments),
        "archive": archive(root / "archive", base / "work"),
        "mlflow": mlflow_folder(root / "mlflow", base / "work"),
        "isolated": case(cases.lightgbm_booster, root / "isolated"),
        "current": case(cases.sklearn_logistic, root / "current"),
        "saved_model": case(cases.tensorflow_signatures, root / "saved_model"),
        "catboost": case(cases.catboost_mixed, root / "catboost"),
    }
    (root / "isolated" / "polyserve.yaml").write_text("isolation: process\n")
    server = Server(root, base / "log", f"--env_dir={environments}").wait_ready().wait_scanned()
    yield Site(server, models)
    assert server.stop() == 0, server.log
    assert not of(server.process.pid)


class Load(threading.Thread):
    """One client of one model, asking all the time; keeps what went wrong."""

    def __init__(self, server: Server, name: str, model: Model) -> None:
        super().__init__(daemon=True)
        self.name, self._model = name, model
        self._url = f"{server.url}/v1/models/{name}:predict"
        self.good = self.asked = 0
        self.failures: list[tuple[int, Any]] = []
        self.stopping = threading.Event()
        self.start()

    def run(self) -> None:
        with httpx.Client(timeout=120) as client:
            while not self.stopping.is_set():
                answer = client.post(self._url, json={"instances": self._model.instances})
                if answer.status_code == 200 and answer.json() == {"predictions": cases.plain(self._model.predictions)}:
                    self.good += 1
                else:
                    self.failures.append((answer.status_code, answer.json()))
                self.asked += 1
                time.sleep(PAUSE)


def test_all_are_ready_where_they_belong(site: Site) -> None:
    assert {name: entry["state"] for name, entry in site.server.index().items()} == dict.fromkeys(site.models, "READY")
    assert {name: len(of(site.server.process.pid, name)) for name in site.models} == {
        **dict.fromkeys(WORKERS, 1),
        **dict.fromkeys(IN_PROCESS, 0),
    }


@pytest.mark.parametrize("name", [*WORKERS, *IN_PROCESS])
def test_each_answers_what_its_framework_answers(site: Site, name: str) -> None:
    model = site.models[name]
    answer = site.server.predict(name, {"instances": model.instances})
    assert (answer.status_code, answer.json()) == (200, {"predictions": cases.plain(model.predictions)})


@pytest.mark.parametrize("victim", WORKERS)
def test_kill_9_under_load_on_all_models(site: Site, victim: str) -> None:
    loads = [Load(site.server, name, model) for name, model in site.models.items()]
    (mine,) = [load for load in loads if load.name == victim]
    _ask_on(loads, 10)
    before = {load.name: load.good for load in loads}
    worker = kill_one(site.server, victim)
    while not mine.failures:  # its client stood still until there was another
        worker = kill_one(site.server, victim)
    _ask_on(loads, 2)  # what was asked before that is answered now
    failures = list(mine.failures)
    _ask_on(loads, 10)
    for load in loads:
        load.stopping.set()
    for load in loads:
        load.join(240)
    assert {load.name: load.failures for load in loads if load is not mine and load.failures} == {}
    assert all(load.good > before[load.name] for load in loads)
    assert mine.failures == failures  # none came once the new worker was there
    assert {status for status, _ in failures} == {503}
    assert all(f"model '{victim}' is not ready" in body["error"] for _, body in failures)
    assert any("SIGKILL" in body["error"] for _, body in failures)
    assert site.server.index()[victim] == {"name": victim, "version": "", "state": "READY", "reason": ""}
    (again,) = of(site.server.process.pid, victim)
    assert again.pid != worker.pid
    assert not psutil.pid_exists(worker.pid)


def _ask_on(loads: list[Load], times: int) -> None:
    """Until every client has asked so many times more."""
    asked = [load.asked for load in loads]
    wait_for(lambda: all(load.asked >= before + times for load, before in zip(loads, asked, strict=True)))
    assert all(load.is_alive() for load in loads)
