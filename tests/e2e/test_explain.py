"""Explanations as a client gets them: over HTTP, from a whole server, against what the same server predicts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.conftest import House
from tests.e2e.process import Server

#: model -> the method that answers the raw output which explanations add up to
RAW = {"sklearn-logistic": "decision_function", "sklearn-frame": "decision_function"} | dict.fromkeys(
    ("xgboost-booster", "lightgbm-booster"), "margin"
)


def ask(house: House, model: str, verb: str, **body: Any) -> Any:
    return house.server.client.post(f"/v1/models/{model}:{verb}", json=body)


def total(explanation: Any) -> Any:
    contributions = explanation["contributions"]
    terms = contributions.values() if isinstance(contributions, dict) else contributions
    return np.sum(list(terms), axis=0) + explanation["base_value"]


@pytest.mark.parametrize("model", RAW)
def test_explanations_add_up_to_what_the_server_predicts(house: House, model: str) -> None:
    instances = house.expected[model].instances
    answer = ask(house, model, "explain", instances=instances)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    explanations = answer.json()["explanations"]
    raw = ask(house, model, "predict", instances=instances, parameters={"method": RAW[model]}).json()["predictions"]
    np.testing.assert_allclose([total(each) for each in explanations], raw, rtol=1e-5, atol=1e-5)


def test_a_row_alone_and_among_others_is_explained_alike(house: House) -> None:
    instances = house.expected["xgboost-booster"].instances
    alone = [ask(house, "xgboost-booster", "explain", instances=[row]).json()["explanations"][0] for row in instances]
    assert ask(house, "xgboost-booster", "explain", instances=instances).json()["explanations"] == alone


def test_columns_are_named(house: House) -> None:
    (first, *_) = ask(house, "sklearn-frame", "explain", instances=house.expected["sklearn-frame"].instances).json()[
        "explanations"
    ]
    assert first["contributions"].keys() == {"age", "city"}
    assert isinstance(first["base_value"], float)


@pytest.mark.parametrize("model", RAW)
def test_errors_are_those_of_predictions(house: House, model: str) -> None:
    for bad in house.expected[model].bad:
        predicted = ask(house, model, "predict", instances=bad)
        explained = ask(house, model, "explain", instances=bad)
        assert (explained.status_code, explained.json()) == (predicted.status_code, predicted.json())


def test_who_does_not_explain_says_so(house: House) -> None:
    instances = house.expected["spacy-rules"].instances
    answer = ask(house, "spacy-rules", "explain", instances=instances)
    assert (answer.status_code, answer.json()) == (
        501,
        {"error": "model 'spacy-rules' (spacy) does not explain its predictions"},
    )
    assert ask(house, "nobody", "explain", instances=[[1]]).status_code == 404


def test_explanations_are_counted(house: House) -> None:
    ask(house, "xgboost-booster", "explain", instances=house.expected["xgboost-booster"].instances)
    metrics = house.server.client.get("/metrics").text
    counted = 'polyserve_requests_total{model="xgboost-booster",protocol="v1",status="200",verb="explain"}'
    assert counted in metrics
    assert 'request_explain_seconds_count{model_name="xgboost-booster"}' in metrics


def test_an_event_is_explained(house: House) -> None:
    """KServe's data plane reads events, and answers with an event."""
    headers = {"ce-specversion": "1.0", "ce-source": "test", "ce-type": "t", "ce-id": "1"}
    body = {"instances": house.expected["sklearn-logistic"].instances}
    plain = ask(house, "sklearn-logistic", "explain", **body).json()
    answer = house.server.client.post("/v1/models/sklearn-logistic:explain", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == plain


def test_a_worker_process_explains_alike(house: House, tmp_path: Path) -> None:
    name = "xgboost-booster"
    (tmp_path / "models").mkdir()
    shutil.copytree(house.root / name, tmp_path / "models" / name)
    instances = house.expected[name].instances
    server = Server(tmp_path / "models", tmp_path / "log", "--isolation=process").wait_ready()
    try:
        answer = server.client.post(f"/v1/models/{name}:explain", json={"instances": instances})
        assert answer.json() == ask(house, name, "explain", instances=instances).json()
    finally:
        assert server.stop() == 0
