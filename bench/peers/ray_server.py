"""Models served by Ray Serve, with its own batching, at V1's paths and in V1's JSON, so that it is asked as all others.

Runs in an environment of its own: `python -m bench.peers.ray_server PORT MODEL_DIR NAME...`. `GET /ready` answers once
all of them do.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import orjson
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from bench.peers.batches import BATCH, in_one_call, load

WAIT_SECONDS = 0.001  #: for others to share a call
_MANY = 10_000  #: requests that a model may be at


_deployed: Any = serve.deployment(max_ongoing_requests=_MANY, ray_actor_options={"num_cpus": 0})


class Model:
    """One model."""

    def __init__(self, name: str, folder: Path) -> None:
        self._predict = load(name, folder)

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT_SECONDS)  # type: ignore[untyped-decorator]
    async def answers(self, batch: list[Any]) -> list[Any]:
        return in_one_call(self._predict, batch)

    async def __call__(self, request: Request) -> Response:
        answer = await self.answers(orjson.loads(await request.body())["instances"])
        return Response(orjson.dumps({"predictions": answer.tolist()}), media_type="application/json")


class Ready:
    """Comes last."""

    async def __call__(self, request: Request) -> str:
        return "ready"


def main() -> None:
    """Serve each model at `/v1/models/NAME:predict`, until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ray.init(include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    for name in sys.argv[3:]:
        serve.run(
            _deployed(Model).bind(name, Path(sys.argv[2]) / name), name=name, route_prefix=f"/v1/models/{name}:predict"
        )
    serve.run(_deployed(Ready).bind(), name="ready", route_prefix="/ready")
    try:
        signal.pause()
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
