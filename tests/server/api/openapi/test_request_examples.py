"""Examples are requests that a model reads as what was meant, or there are none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from adapters.base import Array, Parameter, Signature, TensorSpec, example_of
from server.api.openapi.request_examples import LONGEST, KnownExamples, examples_of, v1_request, v2_request
from server.codec import v1, v2
from server.repository.repository import Repository
from tests.server.api.conftest import predict


def spec(name: str, datatype: str, *shape: int, **more: Any) -> TensorSpec:
    return TensorSpec(name, datatype, (-1, *shape), **more)


OUTPUTS = (spec("y", "FP64"),)
SIGNATURES = {
    "a matrix": Signature((spec("x", "FP32", 3),), OUTPUTS),
    "named columns": Signature((spec("x", "FP64", 2),), OUTPUTS, columns=("a", "b")),
    "a table": Signature((spec("age", "INT64"), spec("sex", "BYTES")), OUTPUTS, table=True),
    "a table of one": Signature((spec("text", "BYTES"),), OUTPUTS, table=True),
    "several": Signature((spec("a", "BOOL", 2), spec("b", "FP16", 2, 2)), OUTPUTS),
    "texts": Signature((spec("t", "BYTES"),), OUTPUTS),
    "bytes": Signature((spec("t", "BYTES", binary=True),), OUTPUTS),
    "one call": Signature((TensorSpec("x", "FP32", (4,)),), OUTPUTS, batched=False),
    "one call of two": Signature((TensorSpec("x", "FP32", (4,)), TensorSpec("n", "INT32", ())), OUTPUTS, batched=False),
    "optional": Signature((spec("x", "FP32"), spec("z", "FP32", optional=True)), OUTPUTS),
    "TensorFlow's": Signature((spec("x", "FP32", 2),), OUTPUTS, tf_serving=True),
}


def same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and all(a == b for a, b in zip(one.flat, other.flat, strict=True))


@pytest.mark.parametrize("name", SIGNATURES)
def test_what_is_read_is_what_was_meant(name: str) -> None:
    signature = SIGNATURES[name]
    tensors = example_of(signature)
    for decode, body in (
        (lambda raw: v1.decode(raw, signature), v1_request(tensors, signature)),
        (lambda raw: v2.decode(raw, None, signature), v2_request(tensors, signature)),
    ):
        read = decode(orjson.dumps(body)).inputs
        assert read.keys() == tensors.keys()
        for tensor, array in tensors.items():
            assert same(read[tensor], array), body


def test_a_missing_number_is_null() -> None:
    signature = Signature((spec("x", "FP64", 2, nullable=True),), OUTPUTS)
    tensors = {"x": np.array([[1.0, np.nan]])}
    assert v1_request(tensors, signature) == {"instances": [[1.0, None]]}
    assert v2_request(tensors, signature)["inputs"][0]["data"] == [1.0, None]


def made(models: Repository, **changes: Any) -> Any:
    model = models.ready_model("plain")
    for name, value in changes.items():
        setattr(model, name, value)
    return examples_of(models.states("plain")["1"].found, model)


def test_of_a_model(models: Repository) -> None:
    known = made(models)
    assert known.v1 == {"instances": [{"a": 0.0, "b": 1.0}, {"a": 0.0, "b": 1.0}]}
    assert known.instance == {"a": 0.0, "b": 1.0}
    assert (known.name, known.adapter, known.explains, known.generates) == ("plain", "echo", False, False)
    assert known.parameters == (Parameter("factor", int),)
    predict(models, "plain", body=orjson.dumps(known.v1))


@pytest.mark.parametrize("why", ["refuses_example", "nobody knows", "too long", "not read"])
def test_where_none_would_work_there_is_none(models: Repository, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.ready_model("plain")
    tensors = {
        "nobody knows": {},
        "too long": {"x": np.zeros((LONGEST, 2))},
        "not read": {"x": np.array([["a", "b"]], dtype=object)},
    }
    if why in tensors:
        monkeypatch.setattr(model.adapter, "example", lambda: tensors[why])
    known = made(models, refuses_example=why == "refuses_example")
    assert (known.v1, known.v2, known.instance) == (None, None, None)


def test_an_adapter_that_fails_has_none(models: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.ready_model("plain").adapter, "example", lambda: 1 / 0)
    assert made(models).v1 is None


def test_what_is_recorded_comes_first(models: Repository) -> None:
    folder = models.states("plain")["1"].found.directory.path
    bodies = [{"instances": [[1, 2]]}, {"instances": [[3, 4]]}]
    (folder / "examples.json").write_text(json.dumps([{"request": b, "response": {"predictions": []}} for b in bodies]))
    known = made(models, refuses_example=True)
    assert (known.v1, known.v2) == (bodies[0], None)
    known = made(models, refuses_example=False)
    assert known.v1 == bodies[0]
    assert known.v2 is not None
    (folder / "examples.json").write_text("[")
    assert made(models, refuses_example=True).v1 is None


def test_of_a_model_that_reads_whole_requests(models: Repository) -> None:
    model = models.ready_model("plain")
    known = made(models, signature=replace(model.signature, whole=True))
    assert (known.v1, known.v2, known.generates) == (None, None, True)


TEXT = (spec("text", "BYTES"),)
OF_LANGUAGE = {
    "generation": (Signature(TEXT, OUTPUTS, whole=True, generates=True), ["/v1/completions"]),
    "chat": (
        Signature(TEXT, OUTPUTS, whole=True, generates=True, task="chat"),
        ["/v1/chat/completions", "/v1/completions"],
    ),
    "embedding": (Signature(TEXT, OUTPUTS, task="embedding"), ["/v1/embeddings", "/v1/rerank"]),
    "score": (Signature(TEXT, OUTPUTS, task="score"), ["/v1/rerank"]),
    "nothing of it": (Signature(TEXT, OUTPUTS), []),
}


@pytest.mark.parametrize("kind", OF_LANGUAGE)
def test_models_of_language_have_bodies_for_openais_routes(models: Repository, kind: str) -> None:
    signature, paths = OF_LANGUAGE[kind]
    known = made(models, signature=signature)
    assert list(known.openai) == paths
    assert all(body["model"] == "plain" for body in known.openai.values())
    if kind == "generation":
        assert known.v1 == {"instances": ["Once upon a time"], "parameters": {"max_tokens": 16}}
        assert known.v2["inputs"][0]["data"] == ["Once upon a time"]


def test_examples_are_made_once(models: Repository) -> None:
    model = models.ready_model("plain")
    known = KnownExamples()
    found = models.states("plain")["1"].found
    assert known.of(found, model) is known.of(found, model)
