"""mosec in an environment of its own, with the models' files at V1's paths."""

from __future__ import annotations

from collections.abc import Sequence

from bench import places
from bench.environments import Environment

VERSION = "0.9.8"
_FRAMEWORKS = ("scikit-learn", "numpy", "joblib", "orjson", "onnxruntime", "torch", "transformers")
ENVIRONMENT = Environment("mosec", (f"mosec=={VERSION}",), _FRAMEWORKS)
MODELS = frozenset({"logistic", "forest", "wide", "onnx", "bert"})


def command(models: Sequence[str], port: int) -> list[str]:
    """What starts mosec with these models."""
    flags = ["--address", "127.0.0.1", "--port", str(port)]
    peer = [str(ENVIRONMENT.python), "-m", "bench.peers.mosec_server"]
    return [*peer, str(places.MODELS), *models, "--", *flags]
