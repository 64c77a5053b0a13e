"""Every query of the alerts and of the dashboard is asked of a real Prometheus that has scraped a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import joblib
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from bench.ports import free_port
from tests.deploy.manifests import CHART, DEPLOY
from tests.e2e.process import Server
from tests.language_models import save_language_model
from tests.patience import wait_for

RULES = CHART / "files" / "rules.yaml"
ALERTS = {
    rule["alert"]: rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text())
#: no value where nothing of the kind has happened; the others must have one
MAY_BE_EMPTY = {"PolyServeRefuses", "PolyServeCertificateExpires"}
FAILING = """
import kserve

class Failing(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        raise RuntimeError("always")
"""


def panels() -> dict[str, str]:
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    }


class Prometheus:
    """Prometheus on a port of its own, scraping one server every second, with the alerts as its rules."""

    def __init__(self, folder: Path, target: str) -> None:
        config = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(RULES)]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        port = free_port()
        self.log = folder / "prometheus.log"
        flags = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
        command = ["prometheus", *flags, f"--web.listen-address=127.0.0.1:{port}"]
        with self.log.open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def query(self, text: str) -> list[dict[str, Any]]:
        """The values of a query.

        Raises:
            AssertionError: Prometheus cannot read it.
        """
        answer = self.client.get("/api/v1/query", params={"query": text}).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(240)
        finally:
            self.process.kill()


def asked(expression: str) -> str:
    """A panel's query as Grafana sends it."""
    return expression.replace("$__rate_interval", "1m").replace("$model", ".*")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if shutil.which("prometheus") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Prometheus is not installed; Debian has a package")
    models = tmp_path_factory.mktemp("models")
    (models / "iris").mkdir()
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), models / "iris" / "model.joblib")
    (models / "broken").mkdir()
    (models / "broken" / "model.joblib").write_bytes(b"\x80\x04nothing")
    save_language_model(models / "tiny")
    (models / "failing").mkdir()
    (models / "failing" / "model.py").write_text(FAILING)
    folder = tmp_path_factory.mktemp("prometheus")
    server = Server(models, folder / "server.log", "--memory_budget=4GiB").wait_scanned()
    found = Prometheus(folder, server.url.removeprefix("http://"))

    def work() -> None:
        assert server.predict("iris", {"instances": [[0.5], [2.0]]}).status_code == 200
        assert server.predict("iris", {"instances": "no"}).status_code == 400
        assert server.predict("failing", {"instances": [[1]]}).status_code == 500
        body = {"model": "tiny", "prompt": "hello", "max_tokens": 3}
        assert server.client.post("/v1/completions", json=body).status_code == 200

    ended = threading.Event()

    def keep_working() -> None:
        """So that a rate of the last minutes is above nothing for as long as the tests take."""
        while not ended.wait(0.5):
            work()

    working = ThreadPoolExecutor(1)
    try:
        wait_for(found.answers, "Prometheus")
        done = working.submit(keep_working)
        # A rate is the difference of two scrapes: work goes on until both kinds of models have one above nothing.
        counted = {"iris": "polyserve_requests_total", "failing": "polyserve_requests_total"}
        for model, name in {**counted, "tiny": "polyserve_generation_tokens_total"}.items():
            query = f'rate({name}{{model="{model}"}}[1m]) > 0'
            wait_for(partial(found.query, query), query, 120)
        yield found
        ended.set()
        done.result()
    finally:
        ended.set()
        working.shutdown()
        found.stop()
        server.stop()


pytestmark = [pytest.mark.e2e]


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_can_be_asked(prometheus: Prometheus, name: str) -> None:
    expression = ALERTS[name]
    prometheus.query(expression)  # it may hold for nothing
    watched = re.sub(r" (?:[<>]|==) [0-9.]+$", "", expression)
    assert watched != expression
    assert prometheus.query(watched) or name in MAY_BE_EMPTY


def test_a_broken_model_is_an_alert(prometheus: Prometheus) -> None:
    models = [each["metric"]["model"] for each in prometheus.query(ALERTS["PolyServeModelFailed"])]
    assert models == ["broken"]


def test_a_model_that_fails_its_requests_is_an_alert(prometheus: Prometheus) -> None:
    assert [each["metric"]["model"] for each in prometheus.query(ALERTS["PolyServeErrors"])] == ["failing"]


@pytest.mark.parametrize("title", panels())
def test_every_panel_shows_something(prometheus: Prometheus, title: str) -> None:
    """Nothing over nothing, of a model that nobody has asked, is NaN; the others have a number."""
    assert [value for value in prometheus.query(asked(panels()[title])) if value["value"][1] != "NaN"]


def test_the_dashboards_list_of_models(prometheus: Prometheus) -> None:
    (variable,) = (each for each in DASHBOARD["templating"]["list"] if each["name"] == "model")
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
    assert {each["metric"][label] for each in prometheus.query(metric)} == {"iris", "broken", "failing", "tiny"}


def test_prometheus_takes_the_rules(prometheus: Prometheus) -> None:
    (group,) = prometheus.client.get("/api/v1/rules").json()["data"]["groups"]
    assert {rule["name"] for rule in group["rules"]} == set(ALERTS)
    wait_for(lambda: all(rule["health"] == "ok" for rule in _rules(prometheus)), "the rules' first evaluation")


def _rules(prometheus: Prometheus) -> list[dict[str, Any]]:
    (group,) = prometheus.client.get("/api/v1/rules").json()["data"]["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def test_the_autoscalers_query_has_a_value(prometheus: Prometheus) -> None:
    """But for the labels that Prometheus' service discovery adds in a cluster."""
    text = (DEPLOY / "kserve" / "examples" / "scaling-keda.yaml").read_text()
    (query,) = re.findall(r"query: (.+)", text)
    assert prometheus.query(re.sub(r"\{.*\}", "", query))
