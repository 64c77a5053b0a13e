"""mosec in an environment of its own, with the models' files at V1's paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench import places
from bench.environments import Environment

VERSION = "0.9.8"
ENVIRONMENT = Environment("mosec", (f"mosec=={VERSION}",), ("scikit-learn", "numpy", "joblib", "orjson", "onnxruntime"))
MODELS = frozenset({"logistic", "forest", "wide", "onnx"})

_PEER = Path(__file__).with_name("peers") / "mosec_server.py"


def command(file_of: Mapping[str, str], port: int) -> list[str]:
    """What starts mosec with these models; `file_of`: model -> its file."""
    models = [f"{name}={file}" for name, file in file_of.items()]
    flags = ["--address", "127.0.0.1", "--port", str(port)]
    return [str(ENVIRONMENT.python), str(_PEER), str(places.MODELS), *models, "--", *flags]
