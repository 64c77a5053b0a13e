"""Triton's own client on a stream; a process of its own, since its messages and KServe's have the same names.

    python triton_stream_client.py ADDRESS '[{"model": ..., "name": ..., "datatype": ..., "data": ...,
                                           "answers": N}, ...]'

Prints a line of JSON an answer: {"outputs": {name: values}} or {"error": ...}.
"""

from __future__ import annotations

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import triton_to_np_dtype

PATIENCE = 240  # seconds


def main(address: str, asked: str) -> None:
    requests = json.loads(asked)
    answers: queue.SimpleQueue[tuple[triton.InferResult, object]] = queue.SimpleQueue()
    with triton.InferenceServerClient(address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for request in requests:
            array = np.array(request["data"], triton_to_np_dtype(request["datatype"]))
            tensor = triton.InferInput(request["name"], array.shape, request["datatype"])
            tensor.set_data_from_numpy(array)
            client.async_stream_infer(request["model"], [tensor])
        for _ in range(sum(request["answers"] for request in requests)):
            result, error = answers.get(timeout=PATIENCE)
            print(json.dumps({"error": str(error)} if error else {"outputs": _outputs(result)}), flush=True)


def _outputs(result: triton.InferResult) -> dict[str, object]:
    return {output.name: _values(result.as_numpy(output.name)) for output in result.get_response().outputs}


def _values(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> object:
    return [value.decode() for value in array.ravel()] if array.dtype == object else array.tolist()


if __name__ == "__main__":
    main(*sys.argv[1:])
