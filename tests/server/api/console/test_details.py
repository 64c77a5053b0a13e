"""What the console makes a form of."""

from __future__ import annotations

import orjson
import pytest

from adapters.base import Parameter, Signature, TensorSpec
from server.api.console.details import _kind, details
from server.api.openapi.request_examples import ModelExamples
from server.repository.repository import Repository


def test_a_model_tells_what_it_takes_and_a_request(models: Repository) -> None:
    model = models.ready_model("plain")
    example = {"instances": [{"a": 1}]}
    told = details(model, ModelExamples("plain", v1=example, v2={"inputs": []}), 8081, keyed=True)
    assert (told["name"], told["adapter"], told["kind"]) == ("plain", model.adapter.name, "form")
    assert told["labels"] == list(model.signature.labels)
    assert (told["v1"], told["v2"], told["grpc_port"], told["keyed"]) == (example, {"inputs": []}, 8081, True)
    assert [each["name"] for each in told["inputs"]] == [spec.name for spec in model.signature.inputs]
    orjson.dumps(told)


@pytest.mark.parametrize(
    ("v1", "kind"),
    [
        ({"instances": [{"a": 1}]}, "form"),
        ({"instances": ["a text"]}, "form"),
        ({"instances": [[1, 2]]}, "json"),
        ({"inputs": [1]}, "json"),
        ({"instances": []}, "json"),
        (None, "json"),
    ],
)
def test_the_example_says_whether_there_are_fields(models: Repository, v1: object, kind: str) -> None:
    assert _kind(models.ready_model("plain"), ModelExamples("plain", v1=v1)) == kind


@pytest.mark.parametrize(("flag", "kind"), [("generates", "chat"), ("streams", "stream")])
def test_language_models_talk_and_generators_stream(
    models: Repository, monkeypatch: pytest.MonkeyPatch, flag: str, kind: str
) -> None:
    model = models.ready_model("plain")
    tensor = TensorSpec("x", "FP32", (-1, 2), optional=True)
    parameter = Parameter("method", str, ("a", "b"), "which")
    signature = Signature((tensor,), (tensor,), whole=True, parameters=(parameter,), **{flag: True})  # type: ignore[arg-type]
    monkeypatch.setattr(model, "signature", signature)
    told = details(model, ModelExamples("plain"), None)
    assert told["kind"] == kind
    assert told["explains"] == ("by :explain, where its code does" if flag == "streams" else "")
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2], "optional": True, "binary": False}]
    assert told["parameters"] == [{"name": "method", "kind": "str", "choices": ["a", "b"], "meaning": "which"}]
