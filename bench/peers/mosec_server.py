"""Models served by mosec, with its own batching, at V1's paths and in V1's JSON, so that it is asked as all others are.

Runs in an environment of its own: `python -m bench.peers.mosec_server MODEL_DIR NAME... -- MOSEC'S FLAGS`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import orjson
from mosec import Runtime, Server, Worker

from bench.peers.batches import BATCH, in_one_call, load

WAIT_MS = 1  #: mosec's shortest `max_wait_time`

_FOLDER = "POLYSERVE_BENCH_FOLDER"


class Model(Worker):
    """The model whose folder mosec's environment of the worker names."""

    def __init__(self) -> None:
        super().__init__()
        folder = Path(os.environ[_FOLDER])
        self._predict = load(folder.name, folder)

    def deserialize(self, data: bytes) -> Any:
        return orjson.loads(data)["instances"]

    def serialize(self, data: Any) -> bytes:
        return orjson.dumps({"predictions": data.tolist()})

    def forward(self, data: list[Any]) -> list[Any]:
        return in_one_call(self._predict, data)


def main() -> None:
    """Serve each model at `/v1/models/NAME:predict`."""
    at = sys.argv.index("--")
    folder, names, sys.argv[1:] = Path(sys.argv[1]), sys.argv[2:at], sys.argv[at + 1 :]
    server = Server()
    routes = {}
    for name in names:
        environ = {_FOLDER: str(folder / name)}
        runtime = Runtime(Model, max_batch_size=BATCH, max_wait_time=WAIT_MS, env=[environ])
        routes[f"/v1/models/{name}:predict"] = [runtime]
    server.register_runtime(routes)
    server.run()


if __name__ == "__main__":
    os.environ.setdefault("MOSEC_LOG_LEVEL", "warning")
    main()
