"""LitServe in an environment of its own, with the models at V1's paths."""

from __future__ import annotations

from collections.abc import Sequence

from bench import places
from bench.environments import Environment

VERSION = "0.2.19"
_FRAMEWORKS = ("scikit-learn", "numpy", "joblib", "orjson", "onnxruntime", "torch", "transformers")
ENVIRONMENT = Environment("litserve", (f"litserve=={VERSION}", "pyzmq"), _FRAMEWORKS)
MODELS = frozenset({"logistic", "forest", "wide", "onnx", "bert"})


def command(models: Sequence[str], port: int) -> list[str]:
    """What starts LitServe with these models."""
    return [str(ENVIRONMENT.python), "-m", "bench.peers.litserve_server", str(port), str(places.MODELS), *models]
