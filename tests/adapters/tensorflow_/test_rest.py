"""TensorFlow Serving's request forms, on real models; the concrete function, called directly, gives the answers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import Adapter, Tensors
from server.codec import v1
from server.errors import InvalidInput
from tests.adapters.tensorflow_ import models

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.everything(tmp_path_factory.mktemp("everything"))


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Adapter:
    return models.load(folder)


def ask(adapter: Adapter, body: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = v1.decode(raw, adapter.signature)
    return json.loads(v1.encode(adapter.predict(call.inputs, call.parameters), adapter.signature, call))


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def floats(*rows: Any) -> np.ndarray[Any, Any]:
    return np.array(rows, np.float32)


def texts(*values: bytes) -> np.ndarray[Any, Any]:
    return np.array(values, np.object_)


ROWS = floats([1, 2], [3, 4.5])
WHOLE = {"matrix": floats([1, 2], [3, 4]), "power": np.array(3)}

#: signature, what is sent, the key of the answer, and the tensors that it stands for
FORMS: list[tuple[str, dict[str, Any], str, Tensors]] = [
    ("serving_default", {"instances": [[1, 2], [3, 4.5]]}, "predictions", {"x": ROWS}),
    ("serving_default", {"instances": [{"x": [1, 2]}, {"x": [3, 4.5]}]}, "predictions", {"x": ROWS}),
    ("serving_default", {"inputs": [[1, 2], [3, 4.5]]}, "outputs", {"x": ROWS}),
    ("serving_default", {"inputs": {"x": [[1, 2], [3, 4.5]]}}, "outputs", {"x": ROWS}),
    ("logs", {"instances": [1.0, 2.5, 7]}, "predictions", {"x": floats(1, 2.5, 7)}),
    ("logs", {"inputs": [0, -1, 1]}, "outputs", {"x": floats(0, -1, 1)}),
    ("texts", {"instances": ["abc", b64(b"xyz")]}, "predictions", {"text": texts(b"abc", b"xyz")}),
    ("texts", {"instances": [{"text": b64(b"abc")}]}, "predictions", {"text": texts(b"abc")}),
    ("texts", {"inputs": ["abc", "Zoë"]}, "outputs", {"text": texts(b"abc", "Zoë".encode())}),
    ("texts", {"inputs": {"text": [b64(b"a\xffb")]}}, "outputs", {"text": texts(b"a\xffb")}),
    ("distinct", {"inputs": [3, 1, 3]}, "outputs", {"x": np.array([3, 1, 3], np.int32)}),
    ("whole", {"inputs": {"matrix": [[1, 2], [3, 4]], "power": 3}}, "outputs", WHOLE),
    ("bias_now", {"inputs": {}}, "outputs", {}),
]


def as_json(outputs: Tensors, columnar: bool) -> Any:
    """An answer as TensorFlow Serving's documentation says it looks."""

    def value(name: str, array: Any) -> Any:
        if array.dtype.kind != "O":
            return array.astype(np.float64).tolist() if array.dtype.kind == "f" else array.tolist()
        return [text_of(name, item) for item in array]

    def text_of(name: str, item: bytes) -> Any:
        try:
            return b64(item) if name.endswith("_bytes") else item.decode()
        except UnicodeDecodeError:
            return b64(item)

    values = {name: value(name, np.asarray(array)) for name, array in outputs.items()}
    if len(values) == 1:
        return next(iter(values.values()))
    if columnar:
        return values
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


@pytest.mark.parametrize(
    ("signature", "body", "key", "inputs"), FORMS, ids=lambda part: json.dumps(part, default=str)[:60]
)
def test_a_form_is_answered_as_documented(
    adapter: Adapter, folder: Path, signature: str, body: dict[str, Any], key: str, inputs: Tensors
) -> None:
    wanted = as_json(models.direct(folder, inputs, signature), key == "outputs")
    sent = body if signature == "serving_default" else {"signature_name": signature, **body}
    answer = ask(adapter, sent)
    assert json.dumps(answer, sort_keys=True) == json.dumps({key: wanted}, sort_keys=True)  # so that NaN equals NaN
    assert answer.keys() == {key}
    by_parameter = ask(adapter, {**body, "parameters": {"signature_name": signature}})
    assert json.dumps(by_parameter) == json.dumps(answer)


def test_a_model_without_rows_takes_one_instance_of_whole_tensors(adapter: Adapter) -> None:
    instance = {"matrix": [[1, 2], [3, 4]], "power": 2}
    answer = ask(adapter, {"signature_name": "whole", "instances": [instance]})
    assert answer == {"predictions": [{"result": [[1, 4], [9, 16]], "total": 10}]}
    with pytest.raises(InvalidInput, match="no batch dimension"):
        ask(adapter, {"signature_name": "whole", "instances": [instance, instance]})
    assert ask(adapter, {"signature_name": "bias_now", "instances": [{}]}) == {"predictions": [[1, -1]]}


def test_instances_stack_up_to_a_fixed_batch(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    specs = [tf.TensorSpec([3, 2], tf.float32)]
    module.f = tf.function(lambda x: {"y": x * 2, "z": x[:, 0]}, input_signature=specs)
    module.g = tf.function(lambda x: {"y": tf.reduce_sum(x)}, input_signature=specs)
    adapter = models.load(models.save(tmp_path / "m", module, serving_default=module.f, total=module.g))
    rows = [[1, 2], [3, 4], [5, 6]]
    wanted = [{"y": [2 * a, 2 * b], "z": a} for a, b in rows]
    assert ask(adapter, {"instances": rows}) == {"predictions": wanted}
    with pytest.raises(InvalidInput, match="shape"):
        ask(adapter, {"instances": rows[:2]})
    with pytest.raises(InvalidInput, match='send whole tensors as "inputs"'):
        ask(adapter, {"instances": rows, "signature_name": "total"})
    assert ask(adapter, {"inputs": rows, "signature_name": "total"}) == {"outputs": 21}


def test_numbers_that_json_does_not_know(adapter: Adapter) -> None:
    answer = ask(adapter, b'{"instances": [NaN, Infinity, -Infinity, 0], "signature_name": "logs"}')
    assert json.dumps(answer) == '{"predictions": [NaN, Infinity, NaN, -Infinity]}'


BAD: list[tuple[Any, str]] = [
    ({}, "neither"),
    ({"instance": [1]}, "instances"),
    ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "both"),
    ({"instances": []}, "empty"),
    ({"inputs": []}, "x"),
    ({"inputs": {"y": [[1, 2]]}}, "'y'"),
    ({"inputs": {}}, "lacks 'x'"),
    ({"inputs": 3}, "shape"),
    ({"instances": [[1, 2]], "signature_name": "txts"}, "did you mean 'texts'"),
    ({"instances": [[1, 2]], "signature_name": 3}, "signature_name"),
    ({"inputs": [[1, 2]], "signature_name": "whole"}, "'matrix', 'power'"),
    ({"instances": [{"text": {"b64": "!"}}], "signature_name": "texts"}, "b64"),
    ({"instances": [{"text": 3}], "signature_name": "texts"}, "string"),
    ({"instances": [1], "signature_name": "bias_now"}, "no inputs"),
    (b'{"instances": [NaN, "\\ud800"], "signature_name": "logs"}', "JSON"),
    (b'{"instances": [NaN,]}', "JSON"),
    (b'[NaN]', "JSON"),
    (b'{"instances": ' + b"[" * 100_000 + b"NaN" + b"]" * 100_000 + b"}", "JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "word"), BAD, ids=lambda part: str(part)[:50])
def test_what_is_wrong_is_named(adapter: Adapter, body: Any, word: str) -> None:
    with pytest.raises(InvalidInput) as error:
        ask(adapter, body)
    assert word in str(error.value)
