"""Models served by mosec, with its own batching, at V1's paths and in V1's JSON, so that it is asked as all others are.

Runs in an environment of its own: `python mosec_server.py MODEL_DIR NAME=FILE... -- MOSEC'S FLAGS`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from mosec import Runtime, Server, Worker

BATCH, WAIT_MS = 64, 1  #: `max_batch_size`, and mosec's shortest `max_wait_time`

_FILE = "POLYSERVE_BENCH_FILE"


class Model(Worker):
    """The model whose file mosec's environment of the worker names."""

    def __init__(self) -> None:
        super().__init__()
        path = Path(os.environ[_FILE])
        self._predict = _onnx(path) if path.suffix == ".onnx" else _sklearn(path)

    def deserialize(self, data: bytes) -> Any:
        return np.asarray(orjson.loads(data)["instances"])

    def serialize(self, data: Any) -> bytes:
        return orjson.dumps({"predictions": data.tolist()})

    def forward(self, data: list[Any]) -> list[Any]:
        answers = self._predict(np.concatenate(data))
        return np.split(answers, np.cumsum([len(each) for each in data])[:-1])


def _sklearn(path: Path) -> Any:
    import joblib

    return joblib.load(path).predict


def _onnx(path: Path) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return lambda rows: session.run(None, {"input-0": rows.astype(np.float32)})[0]


def main() -> None:
    """Serve each model at `/v1/models/NAME:predict`."""
    at = sys.argv.index("--")
    folder, named, sys.argv[1:] = Path(sys.argv[1]), sys.argv[2:at], sys.argv[at + 1 :]
    server = Server()
    routes = {}
    for each in named:
        name, _, file = each.partition("=")
        environ = {_FILE: str(folder / name / file)}
        runtime = Runtime(Model, max_batch_size=BATCH, max_wait_time=WAIT_MS, env=[environ])
        routes[f"/v1/models/{name}:predict"] = [runtime]
    server.register_runtime(routes)
    server.run()


if __name__ == "__main__":
    os.environ.setdefault("MOSEC_LOG_LEVEL", "warning")
    main()
