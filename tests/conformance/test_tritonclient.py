"""What tritonclient's `infer` can ask for: done as Triton does it, or refused by its name.

The client's own code writes the requests and reads the answers; there is no third outcome. Its gRPC half cannot be
imported beside KServe's messages: `tests/e2e` runs it in a process of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tritonclient import http

from adapters.base import Parameter, Signature, Tensors, TensorSpec
from server.codec import v2
from server.errors import InvalidInput

SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (-1, 2), finite=True),),
    (TensorSpec("y", "FP32", (-1, 3)),),
    parameters=(Parameter("method", str, ("predict", "leaf")), Parameter("top_k", int)),
)
ROWS = np.array([[0.5, 1.5], [2.0, -1.0]], np.float32)


def model(inputs: Tensors) -> Tensors:
    x = inputs["x"]
    return {"y": np.column_stack([x.sum(axis=1), x[:, 0], -x[:, 1]]), "name": np.array(["a", "b"], np.object_)}


def ask(outputs: list[Any] | None = None, binary: bool = True, **options: Any) -> Any:
    tensor = http.InferInput("x", [2, 2], "FP32").set_data_from_numpy(ROWS, binary_data=binary)
    body, size = http.InferenceServerClient.generate_request_body([tensor], outputs=outputs, **options)
    call = v2.decode(body, None if size is None else str(size), SIGNATURE)
    answer, length = v2.encode(model(call.inputs), call, "m", "1")
    return http.InferenceServerClient.parse_response_body(answer, header_length=length)


def output(name: str, **options: Any) -> Any:
    return http.InferRequestedOutput(name, **options)


WANTED = model({"x": ROWS})


def test_all_outputs_and_the_id() -> None:
    result = ask(request_id="7")
    assert np.array_equal(result.as_numpy("y"), WANTED["y"])
    assert result.as_numpy("name").tolist() in (["a", "b"], [b"a", b"b"])
    assert result.get_response()["id"] == "7"


@pytest.mark.parametrize("binary", [True, False])
def test_one_output(binary: bool) -> None:
    result = ask([output("y", binary_data=binary)], binary)
    assert np.array_equal(result.as_numpy("y"), WANTED["y"])
    assert result.as_numpy("name") is None


def test_class_count() -> None:
    result = ask([output("y", class_count=2)])
    texts = [[each.decode() if isinstance(each, bytes) else each for each in row] for row in result.as_numpy("y")]
    assert texts == [["2.000000:0", "0.500000:1"], ["2.000000:1", "1.000000:0"]]


def test_parameters_of_the_model_and_of_nobody() -> None:
    assert ask(parameters={"method": "leaf", "top_k": 3, "trace_id": "7"}).as_numpy("y") is not None
    for parameters, says in (
        ({"temperature": 0.5}, "parameters: 'temperature' is unknown"),
        ({"metod": "leaf"}, "did you mean 'method'"),
        ({"top_k": "3"}, "parameters.top_k must be a whole number"),
    ):
        with pytest.raises(InvalidInput, match=says):
            ask(parameters=parameters)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"sequence_id": 3, "sequence_start": True}, "sequence_id"),
    ({"sequence_id": "a", "sequence_end": True}, "sequence_id"),
    ({"priority": 1}, "priority"),
    ({"timeout": 500}, "timeout"),
]


@pytest.mark.parametrize(("options", "name"), REFUSED)
def test_what_is_not_served_is_refused_by_its_name(options: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidInput, match=f"parameters: '{name}' is not served: "):
        ask(**options)


def test_shared_memory_is_refused_by_its_name() -> None:
    there = output("y")
    there.set_shared_memory("region", 24)
    with pytest.raises(InvalidInput, match=r"'shared_memory_\w+' is not served"):
        ask([there])
