"""Models served by LitServe, with its own batching, at V1's paths and in V1's JSON, so that it is asked as all others.

Runs in an environment of its own: `python -m bench.peers.litserve_server PORT MODEL_DIR NAME...`.
"""

# no `from __future__ import annotations`: LitServe reads the type of a request, and takes a text for a query's field

import sys
from pathlib import Path
from typing import Any

from fastapi import Request
from litserve import LitAPI, LitServer

from bench.peers.batches import BATCH, in_one_call, load

WAIT_SECONDS = 0.001  #: for others to share a call


class Model(LitAPI):
    """One model at its path."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(
            max_batch_size=BATCH, batch_timeout=WAIT_SECONDS, api_path=f"/v1/models/{name}:predict", stream=False
        )
        self._name, self._folder = name, folder

    def setup(self, device: str) -> None:
        self._predict = load(self._name, self._folder)

    def decode_request(self, request: Request) -> Any:  # the JSON of one
        return request["instances"]

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, batch: Any) -> Any:
        return in_one_call(self._predict, batch)

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"predictions": output.tolist()}


def main() -> None:
    """Serve each model at `/v1/models/NAME:predict`."""
    folder = Path(sys.argv[2])
    models = [Model(name, folder / name) for name in sys.argv[3:]]
    server = LitServer(models, accelerator="cpu", workers_per_device=1, timeout=False, fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
