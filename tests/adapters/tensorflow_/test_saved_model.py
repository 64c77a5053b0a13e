"""SavedModels whose signatures say less than their graphs, or something else: TensorFlow Serving's own examples do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Adapter
from server.codec import v1
from tests.adapters.tensorflow_ import models

tf = pytest.importorskip("tensorflow")


def ask(adapter: Adapter, body: Any) -> Any:
    call = v1.decode(json.dumps(body).encode(), adapter.signature)
    return json.loads(v1.encode(adapter.predict(call.inputs, call.parameters), adapter.signature, call))


def written(folder: Path, shape: Any, change: Callable[[Any], None] = lambda tensor: None, half: float = 0.5) -> Path:
    """A model of TensorFlow 1 that halves x and adds 2; `change` is given the records of the signature's tensors."""
    v1tf = tf.compat.v1
    with tf.Graph().as_default() as graph, v1tf.Session(graph=graph) as session:
        x = v1tf.placeholder(tf.float32, shape, name="x")
        a, b = v1tf.get_variable("a", initializer=half), v1tf.get_variable("b", initializer=2.0)
        y = tf.add(a * x, b, name="y")
        session.run(v1tf.global_variables_initializer())
        build = v1tf.saved_model.utils.build_tensor_info
        infos = {"x": build(x)}, {"y": build(y)}
        for info in (*infos[0].values(), *infos[1].values()):
            change(info)
        signature = v1tf.saved_model.build_signature_def(*infos, "tensorflow/serving/predict")
        builder = v1tf.saved_model.Builder(str(folder / "1"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder / "1"


def of_one_row(folder: Path) -> Path:
    """TensorFlow 2, saved with the shape of one value."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1], tf.float32)])
        def __call__(self, x: Any) -> Any:
            return {"y": 0.5 * x + 2.0}

    module = Module()
    return models.save(folder, module, serving_default=module.__call__)


def no_shape(info: Any) -> None:
    info.ClearField("tensor_shape")


def other_shape(info: Any) -> None:
    info.tensor_shape.CopyFrom(tf.TensorShape([7, 3]).as_proto())


MODELS: dict[str, Callable[[Path], Path]] = {
    "columns of one value": lambda folder: written(folder, [None, 1]),
    "no shape in the signature": lambda folder: written(folder, [None, 1], no_shape),
    "another shape in the signature": lambda folder: written(folder, [None, 1], other_shape),
    "no shape at all": lambda folder: written(folder, None, no_shape),
    "one row": of_one_row,
}

#: as TensorFlow Serving's documentation and tests ask its `half_plus_two`, and what they answer
REQUESTS: list[tuple[Any, Any]] = [
    ({"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),
    ({"inputs": [1.0, 2.0, 5.0]}, {"outputs": [2.5, 3.0, 4.5]}),
    ({"inputs": {"x": [1.0, 2.0, 5.0]}}, {"outputs": [2.5, 3.0, 4.5]}),
    ({"instances": [{"x": 1.0}, {"x": 2.0}]}, {"predictions": [2.5, 3.0]}),
    ({"instances": [[1.0], [2.0]]}, {"predictions": [[2.5], [3.0]]}),
    ({"inputs": [[1.0], [2.0]]}, {"outputs": [[2.5], [3.0]]}),
    ({"signature_name": "serving_default", "instances": [1.0]}, {"predictions": [2.5]}),
]


@pytest.fixture(scope="module", params=MODELS)
def adapter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return models.load(MODELS[request.param](tmp_path_factory.mktemp("model")))


def test_values_are_rows_and_the_answer_is_as_flat(adapter: Adapter) -> None:
    assert [ask(adapter, body) for body, _ in REQUESTS] == [answer for _, answer in REQUESTS]


def test_one_value_is_a_whole_tensor(tmp_path: Path) -> None:
    adapter = models.load(written(tmp_path, [None, 1]))
    assert ask(adapter, {"inputs": 1.0}) == {"outputs": 2.5}
    assert ask(adapter, {"inputs": {"x": 1.0}}) == {"outputs": 2.5}


def test_an_answer_of_several_values_a_row_stays_as_it_is(tmp_path: Path) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32)])
        def __call__(self, x: Any) -> Any:
            return {"twice": tf.concat([x, 2.0 * x], 1), "same": x}

    module = Module()
    adapter = models.load(models.save(tmp_path, module, serving_default=module.__call__))
    assert ask(adapter, {"instances": [1.0, 3.0]})["predictions"] == [
        {"twice": [1.0, 2.0], "same": 1.0},
        {"twice": [3.0, 6.0], "same": 3.0},
    ]


def test_rows_that_are_not_independent_stay_as_declared(tmp_path: Path) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1], tf.float32)])
        def __call__(self, x: Any) -> Any:
            return {"y": tf.nn.softmax(x)}

    module = Module()
    adapter = models.load(models.save(tmp_path, module, serving_default=module.__call__))
    assert adapter.signature.inputs[0].shape == (1,)
    assert not adapter.signature.batched


def test_the_output_is_a_variable(tmp_path: Path) -> None:
    """A variable of TensorFlow 1 is of the type float32_ref."""
    v1tf = tf.compat.v1
    with tf.Graph().as_default() as graph, v1tf.Session(graph=graph) as session:
        counter = v1tf.get_variable("counter", initializer=7.0, use_resource=False)
        session.run(v1tf.global_variables_initializer())
        info = v1tf.saved_model.utils.build_tensor_info(counter)
        info.name, info.dtype = "counter:0", tf.float32._as_ref.as_datatype_enum
        signature = v1tf.saved_model.build_signature_def({}, {"output": info}, "tensorflow/serving/predict")
        builder = v1tf.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    adapter = models.load(tmp_path / "1")
    assert ask(adapter, {"inputs": {}}) == {"outputs": 7.0}
    assert [(spec.datatype, spec.shape) for spec in adapter.signature.outputs] == [("FP32", ())]
