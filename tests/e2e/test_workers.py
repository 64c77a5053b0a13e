"""A server with models in worker processes: one of them dies under load on all, and nobody else notices."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import psutil
import pytest
from sklearn.linear_model import LinearRegression
from xgboost import XGBRegressor

from tests.e2e.process import Server
from tests.patience import wait_for

X = np.random.default_rng(3).random((50, 3))
Y = X @ [1.0, 2.0, 3.0]
READY = {"version": "", "state": "READY", "reason": ""}
INSTANCES = {"instances": X[:2].tolist()}
CUSTOM = """
import os, signal
from kserve import Model

class Double(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        print("asked for", len(payload["instances"]))
        return {"predictions": [2 * sum(row) for row in payload["instances"]]}
"""


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    return {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, expected: dict[str, list[float]]) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("workers")
    linear, boosted = LinearRegression().fit(X, Y), XGBRegressor(n_estimators=5, n_jobs=1).fit(X, Y)
    settings = {
        "in-process": "",
        "linear": "isolation: process",
        "two": "workers: 2\n",
        "boosted": "isolation: process",
    }
    for name, text in settings.items():
        folder = root / "models" / name
        folder.mkdir(parents=True)
        (folder / "polyserve.yaml").write_text(text)
        model = boosted if name == "boosted" else linear
        joblib.dump(model, folder / "model.joblib")
        expected[name] = model.predict(X[:2]).tolist()
    (root / "models" / "custom").mkdir()
    (root / "models" / "custom" / "model.py").write_text(CUSTOM)
    expected["custom"] = (2 * X[:2].sum(axis=1)).tolist()
    server = Server(root / "models", root / "log", ADMIN_TOKEN="secret").wait_ready().wait_scanned()
    yield server
    assert server.stop() == 0, server.log
    assert not of(server.process.pid)


def of(pid: int, name: str = "") -> list[psutil.Process]:
    """The workers of a model (or all workers) of the server with this number."""
    title = f"polyserve_worker={name}"
    found = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        words = process.info["cmdline"] or []
        if process.info["ppid"] == pid and any(
            word == title or (not name and word.startswith(title)) for word in words
        ):
            found.append(process)
    return found


class Load(threading.Thread):
    """One client of one model, asking all the time; keeps what went wrong."""

    def __init__(self, server: Server, model: str, expected: list[float]) -> None:
        super().__init__(daemon=True)
        self.model, self._expected = model, expected
        self._url = f"{server.url}/v1/models/{model}:predict"
        self.asked = 0
        self.failures: list[Any] = []
        self.stopping = threading.Event()
        self.start()

    def run(self) -> None:
        with httpx.Client(timeout=120) as client:
            while not self.stopping.is_set():
                answer = client.post(self._url, json=INSTANCES)
                self.asked += 1
                if answer.status_code != 200:
                    self.failures.append(answer)
                    time.sleep(0.05)
                elif not np.allclose(answer.json()["predictions"], self._expected):
                    self.failures.append(answer)


def test_models_answer_wherever_they_are(server: Server, expected: dict[str, list[float]]) -> None:
    assert {name: entry["state"] for name, entry in server.index().items()} == dict.fromkeys(expected, "READY")
    for name, wanted in expected.items():
        assert server.predict(name, INSTANCES).json()["predictions"] == pytest.approx(wanted, rel=1e-6)
    assert len(of(server.process.pid)) == 5
    assert len(of(server.process.pid, "two")) == 2
    wait_for(lambda: "model custom | asked for 2" in server.log, "what it prints")
    for worker in of(server.process.pid):
        assert "ADMIN_TOKEN" not in worker.environ()


@pytest.mark.parametrize("victim", ["linear", "boosted", "custom", "two"])
def test_a_killed_worker_harms_nobody_else(server: Server, expected: dict[str, list[float]], victim: str) -> None:
    load = [Load(server, name, wanted) for name, wanted in expected.items()]
    (mine,) = [each for each in load if each.model == victim]
    ask_on(load, 10)
    kill_one(server, victim)
    while victim != "two" and not mine.failures:  # its client stood still until there was another
        kill_one(server, victim)
    ask_on(load, 2)  # what was asked before that is answered now
    failures = list(mine.failures)
    ask_on(load, 20)
    for each in load:
        each.stopping.set()
    for each in load:
        each.join(240)
        if each.model != victim:
            assert each.failures == [], each.model
    assert mine.failures == failures  # none came once the new worker was there
    assert {answer.status_code for answer in failures} <= {503}
    assert all("SIGKILL" in answer.json()["error"] for answer in failures)
    if victim == "two":  # the other one serves on: one request at most was lost
        assert len(failures) <= 1
    else:
        assert failures[0].headers["retry-after"] == "1"


def kill_one(server: Server, model: str) -> psutil.Process:
    """Kill a worker of a model that is asked, of a sole one with the request that it has; wait for the next one."""

    def sample(family: str) -> float:
        lines = server.client.get("/metrics").text.splitlines()
        mine = (float(each.split()[-1]) for each in lines if each.startswith(f'{family}{{model="{model}"}}'))
        return next(mine, -1.0)

    worker, *others = of(server.process.pid, model)
    before = sample("polyserve_worker_restarts_total")
    if not others:
        worker.suspend()
        wait_for(lambda: sample("polyserve_in_flight") > 0, "a request")
    worker.send_signal(signal.SIGKILL)
    wait_for(lambda: sample("polyserve_worker_restarts_total") == before + 1, "the restart")
    wait_for(lambda: server.index()[model] == READY | {"name": model}, "the new worker")
    return worker


def ask_on(loads: list[Load], times: int) -> None:
    """Until every client has asked so many times more."""
    asked = [load.asked for load in loads]
    wait_for(lambda: all(load.asked >= before + times for load, before in zip(loads, asked, strict=True)))


def test_the_workers_die_with_the_server(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    joblib.dump(LinearRegression().fit(X, Y), tmp_path / "models" / "model.joblib")
    server = Server(tmp_path / "models", tmp_path / "log", "--isolation=process").wait_ready()
    (worker,) = of(server.process.pid)
    server.process.kill()
    _, alive = psutil.wait_procs([worker], timeout=60)
    assert not alive
    server.stop()
