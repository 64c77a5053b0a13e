"""What models tell of themselves beyond the protocol's metadata."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest

from adapters.base import Parameter, Signature, TensorSpec
from server.api.model_parameters import ModelParameters, signature_parameters
from server.api.rest.facts import ModelFacts
from server.api.rest.paths import ModelPath
from server.repository.repository import Repository
from tests.server.api.conftest import predict

X = TensorSpec("x", "FP64", (-1, 2))
Y = TensorSpec("y", "FP64", (-1,))


def told(models: Repository, path: ModelPath) -> dict[str, Any]:
    async def ask() -> bytes:
        answer: Any = await ModelFacts(models).handler(path)({}, b"", lambda: False)
        return answer.body

    return json.loads(asyncio.run(ask()))["parameters"]


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_both_protocols_tell_it_with_examples_that_work(models: Repository, protocol: str) -> None:
    models.ready_model("plain").made_by = "echo 1.0"
    known = told(models, ModelPath(protocol, "metadata", "plain"))
    examples = known.pop("examples")
    assert known == {
        "adapter": "echo",
        "made_by": "echo 1.0",
        "columns": ["a", "b"],
        "request_parameters": {"factor": {"type": "int"}},
    }
    predict(models, "plain", body=orjson.dumps(examples["v1"]))
    assert examples["v2"]["inputs"][0]["name"] == "x"


def test_of_a_version(models: Repository) -> None:
    assert told(models, ModelPath("v2", "metadata", "many", "old"))["adapter"] == "echo"


def test_a_model_that_has_gone_has_no_example(models: Repository) -> None:
    model = models.ready_model("plain")
    known = ModelParameters(models)
    assert "examples" in known.of("plain", None, model)
    assert "examples" not in ModelParameters(models).of("many", None, model)


def test_of_a_signature() -> None:
    inputs = (TensorSpec("n", "INT64", (-1,)), TensorSpec("c", "BYTES", (-1,), category=True, optional=True))
    method = Parameter("method", str, ("a", "b"), "which")
    known = signature_parameters(
        Signature(inputs, (Y,), table=True, parameters=(method,), explanations=(Y,), task="score", labels=("no", "yes"))
    )
    assert known == {
        "columns": ["n", "c"],
        "categorical": ["c"],
        "optional": ["c"],
        "request_parameters": {"method": {"type": "str", "choices": ["a", "b"], "meaning": "which"}},
        "explains": True,
        "streams": False,
        "task": "score",
        "labels": ["no", "yes"],
    }
    assert signature_parameters(Signature((X,), (Y,), whole=True, generates=True))["task"] == "generation"
    assert signature_parameters(Signature((), (), whole=True, streams=True))["streams"] is True
