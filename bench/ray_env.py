"""Ray Serve in an environment of its own, with the models at V1's paths."""

from __future__ import annotations

from collections.abc import Sequence

from bench import places
from bench.environments import Environment

VERSION = "2.60.0"
_FRAMEWORKS = ("scikit-learn", "numpy", "joblib", "orjson", "onnxruntime", "torch", "transformers")
ENVIRONMENT = Environment("ray", (f"ray[serve]=={VERSION}",), _FRAMEWORKS)
MODELS = frozenset({"logistic", "forest", "wide", "onnx", "bert"})

#: its own word for what it does to be quick, and no reports home
ENVIRON = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def command(models: Sequence[str], port: int) -> list[str]:
    """What starts Ray Serve with these models, with `ENVIRON`."""
    return [str(ENVIRONMENT.python), "-m", "bench.peers.ray_server", str(port), str(places.MODELS), *models]
