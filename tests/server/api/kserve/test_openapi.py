"""What Swagger shows of the V1 routes: every example is what the schema beside it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI
from kserve.protocol.rest.v1_endpoints import register_v1_endpoints

from server.api.kserve import openapi


@pytest.fixture(scope="module")
def posts() -> dict[str, Any]:
    app = FastAPI()
    register_v1_endpoints(app, None, None)
    openapi.describe(app)
    paths = app.openapi()["paths"]
    return {verb: paths[f"/v1/models/{{model_name}}:{verb}"]["post"] for verb in ("predict", "explain")}


def bodies(operation: Any) -> Iterator[Any]:
    for part in (operation["requestBody"], *operation["responses"].values()):
        yield part["content"]["application/json"]


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_examples_fit_their_schemas(posts: dict[str, Any], verb: str) -> None:
    shown = 0
    for body in bodies(posts[verb]):
        jsonschema.Draft202012Validator.check_schema(body["schema"])
        for example in body["examples"].values():
            jsonschema.validate(example["value"], body["schema"])
            shown += 1
    assert shown >= 4


def test_explanations_are_described(posts: dict[str, Any]) -> None:
    explain = posts["explain"]
    assert "base value" in explain["description"]
    assert {"200", "400", "404", "413", "429", "500", "501", "503", "504"} == explain["responses"].keys()
    assert "501" not in posts["predict"]["responses"]
