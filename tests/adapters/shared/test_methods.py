"""Which methods of a model answer a request, over V2 as MLServer's clients ask, and by the parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import InvalidInput, Tensors
from adapters.shared.methods import by_method
from server.codec import grpc_messages, v2

sklearn = pytest.importorskip("sklearn")


def ask(method: str) -> Tensors:
    return {"output-0": np.array([method])} if method != "two" else {"a": np.zeros(1), "b": np.zeros(1)}


def test_a_method_is_picked_by_the_parameter_or_by_names_of_outputs() -> None:
    def names(**parameters: str) -> dict[str, str]:
        return {name: array.item() for name, array in by_method(parameters, "predict", ask).items()}

    assert names() == {"output-0": "predict"}
    assert names(method="leaf") == {"output-0": "leaf"}
    assert names(outputs="leaf,output-0,predict") == {"leaf": "leaf", "output-0": "predict", "predict": "predict"}
    assert list(by_method({"method": "two"}, "predict", ask)) == ["a", "b"]
    with pytest.raises(InvalidInput, match="'two' is 2 tensors of this model: ask with parameters"):
        names(outputs="two")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import joblib
    from sklearn.linear_model import LogisticRegression

    from adapters.base import ModelDir
    from adapters.sklearn_ import SklearnAdapter

    folder: Path = tmp_path_factory.mktemp("classifier")
    model = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], ["a", "b", "c"])
    joblib.dump(model, folder / "model.joblib")
    return model, SklearnAdapter.load(ModelDir.of(folder), "model.joblib", {})


def over_rest(adapter: Any, names: list[str]) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [0, 1, 1, 0]}
    body = {"inputs": [tensor], "outputs": [{"name": name} for name in names]}
    call = v2.decode(orjson.dumps(body), None, adapter.signature)
    answer = orjson.loads(v2.encode(adapter.predict(call.inputs, call.parameters), call, "m")[0])
    return {output["name"]: (output["shape"], output["data"]) for output in answer["outputs"]}


def _texts(tensor: Any) -> list[str]:
    return [text.decode() for text in tensor.contents.bytes_contents]


def over_grpc(adapter: Any, names: list[str]) -> dict[str, Any]:
    message = pb.ModelInferRequest()
    message.inputs.add(name="x", shape=[2, 2], datatype="FP64").contents.fp64_contents.extend([0, 1, 1, 0])
    for name in names:
        message.outputs.add(name=name)
    call = grpc_messages.decode(message, adapter.signature)
    answer = grpc_messages.encode(adapter.predict(call.inputs, call.parameters), call, "m")
    values = [
        each.contents.fp64_contents or [b.decode() for b in each.contents.bytes_contents] for each in answer.outputs
    ]
    return {each.name: (list(each.shape), data) for each, data in zip(answer.outputs, values, strict=True)}


@pytest.mark.parametrize("over", [over_rest, over_grpc])
def test_several_outputs_are_several_methods(classifier: Any, over: Any) -> None:
    model, adapter = classifier
    rows = [[0.0, 1.0], [1.0, 0.0]]
    probabilities = ([2, 3], model.predict_proba(rows).ravel().tolist())
    assert over(adapter, ["predict_proba"]) == {"predict_proba": probabilities}
    asked = over(adapter, ["predict", "predict_proba", "output-0"])
    labels = ([2], model.predict(rows).tolist())
    assert list(asked.items()) == [("predict", labels), ("predict_proba", probabilities), ("output-0", labels)]
