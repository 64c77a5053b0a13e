"""Triton's gRPC client in a process of its own: its messages and kserve's bear the same names and cannot meet.

Reads `{"url": …, "requests": {model: {tensor: {"datatype", "shape", "data"}}}}` from standard input, asks each model,
and prints `{model: {"metadata": …, "outputs": {name: nested lists}}}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as triton


def main() -> None:
    job = json.load(sys.stdin)
    with triton.InferenceServerClient(job["url"]) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.get_server_metadata(as_json=True)["name"] == "polyserve"
        print(json.dumps({model: ask(client, model, tensors) for model, tensors in job["requests"].items()}))


def ask(client: triton.InferenceServerClient, model: str, tensors: dict[str, Any]) -> dict[str, Any]:
    assert client.is_model_ready(model)
    metadata = client.get_model_metadata(model, as_json=True)
    inputs = []
    for name, tensor in tensors.items():
        dtype = {"BYTES": np.object_, "FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "INT32": np.int32}[
            tensor["datatype"]
        ]
        one = triton.InferInput(name, tensor["shape"], tensor["datatype"])
        one.set_data_from_numpy(np.array(tensor["data"], dtype=dtype).reshape(tensor["shape"]))
        inputs.append(one)
    result = client.infer(model, inputs)
    names = [output.name for output in result.get_response().outputs]
    return {"metadata": metadata, "outputs": {name: listed(result.as_numpy(name)) for name in names}}


def listed(array: np.ndarray) -> list[Any]:
    if array.dtype == np.object_:
        return [value.decode() for value in array.tolist()]
    values: list[Any] = array.astype(np.float64).tolist()
    return values


if __name__ == "__main__":
    main()
