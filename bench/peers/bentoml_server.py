"""Models served by BentoML, with its adaptive batching, at V1's paths.

Runs in an environment of its own: `bentoml serve bench.peers.bentoml_server:Models`. `POLYSERVE_BENCH_MODELS` says
which: `MODEL_DIR NAME...`. What is batched is answered as a bare list.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
import numpy as np

from bench.peers.batches import BATCH, load

_OF_TEXTS = ("bert",)


def _method(name: str, folder: Path) -> Any:
    predict = load(name, folder)

    def answer(self: Any, instances: Any) -> np.ndarray:
        return np.asarray(predict(instances))

    answer.__name__ = answer.__qualname__ = name
    answer.__annotations__ = {"instances": list[str] if name in _OF_TEXTS else np.ndarray, "return": np.ndarray}
    route = f"/v1/models/{name}:predict"
    return bentoml.api(answer, route=route, batchable=True, max_batch_size=BATCH)


_folder, *_names = os.environ["POLYSERVE_BENCH_MODELS"].split()
_methods = {name: _method(name, Path(_folder) / name) for name in _names}
Models = bentoml.service(
    type("Models", (), {**_methods, "__module__": __name__}),
    workers=1,
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
