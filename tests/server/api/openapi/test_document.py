"""The document: valid, and about the models that there are."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate

from adapters.base import Parameter, TensorSpec
from server.api.kserve.pages import add_pages
from server.api.openapi.document import document
from server.api.openapi.request_examples import ModelExamples
from server.repository.repository import Repository

BODY = {"instances": [[1]]}
MODELS = [
    ModelExamples("away"),
    ModelExamples("b", "echo", BODY, {"inputs": []}, explains=True),
    ModelExamples("a", "echo", BODY, parameters=[Parameter("method", str, ("predict", "proba"), "which")]),
]


def post(known: Any, path: str) -> Any:
    return known["paths"][path]["post"]


def names(operation: Any) -> Any:
    return operation["parameters"][0]["schema"].get("enum")


def shown(operation: Any) -> Any:
    return operation["requestBody"]["content"]["application/json"].get("examples", {})


def test_the_models_are_named_and_those_with_examples_first() -> None:
    known = document(MODELS, "1.2")
    validate(known)
    predict = post(known, "/v1/models/{model_name}:predict")
    assert names(predict) == ["a", "b", "away"]
    assert list(shown(predict)) == ["a", "b"]
    assert shown(predict)["a"]["description"] == "parameters: method: str (predict, proba), which"
    assert names(post(known, "/v1/models/{model_name}:explain"))[0] == "b"
    assert list(shown(post(known, "/v1/models/{model_name}:explain"))) == ["b"]
    assert list(shown(post(known, "/v2/models/{model_name}/infer"))) == ["b"]
    assert shown(post(known, "/predictions/{model_name}"))["a"]["value"] == [1]


def test_openais_routes_and_what_comes_back() -> None:
    body = {"model": "tiny", "prompt": "Once", "max_tokens": 16}
    outputs = (TensorSpec("text", "BYTES", (-1,)),)
    known = document([ModelExamples("tiny", "generation", outputs=outputs, openai={"/v1/completions": body})], "1.2")
    validate(known)
    (example,) = shown(post(known, "/v1/completions")).values()
    assert example == {"summary": "tiny (generation)", "value": body, "description": "answers: text BYTES [-1]"}
    assert shown(post(known, "/v1/embeddings")) == {}


@pytest.mark.parametrize("models", [[], [ModelExamples("away")]])
def test_without_examples_there_is_no_list_of_them(models: list[ModelExamples]) -> None:
    known = document(models, "1.2")
    validate(known)
    predict = post(known, "/v1/models/{model_name}:predict")
    assert names(predict) == ([each.name for each in models] or None)
    assert "examples" not in predict["requestBody"]["content"]["application/json"]


def test_every_operation_has_a_name_of_its_own_and_says_what_it_is_for() -> None:
    operations = [each for methods in document(MODELS, "1.2")["paths"].values() for each in methods.values()]
    identities = [each["operationId"] for each in operations]
    assert len(set(identities)) == len(identities)
    assert all(each["summary"] and each["responses"]["200"] for each in operations)
    assert not any("422" in each["responses"] for each in operations)


def test_it_follows_the_models_as_they_come_and_go(models: Repository) -> None:
    app = FastAPI()
    add_pages(app, models, "1.2", swagger=False)

    def known() -> tuple[Any, Any]:
        predict = post(app.openapi(), "/v1/models/{model_name}:predict")
        return names(predict), list(shown(predict))

    assert known() == (["many", "plain", "bad"], ["many", "plain"])
    models.unload("plain")
    assert known() == (["many", "bad", "plain"], ["many"])
    models.load_model("plain")
    assert known() == (["many", "plain", "bad"], ["many", "plain"])
    models.store.remove("bad")
    assert known() == (["many", "plain"], ["many", "plain"])


def test_keys_are_told_of_where_they_are_asked_for() -> None:
    for keyed in (False, True):
        told = document([], "1", keyed=keyed)
        assert ("apiKey" in told["components"]["securitySchemes"]) == keyed
        for path, methods in told["paths"].items():
            for method, operation in methods.items():
                asks = {"apiKey": []} in operation.get("security", ())
                assert asks == (keyed and path not in ("/", "/ping", "/v2/health/live", "/v2/health/ready")
                                and not path.endswith(("/load", "/unload", "/promote"))
                                and (method, path) != ("post", "/v2/logging")), path  # fmt: skip
                assert not asks or {"401", "403"} <= operation["responses"].keys()
