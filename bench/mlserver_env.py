"""MLServer in an environment of its own, with the frameworks at the versions that made the models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import places
from bench.environments import Environment
from bench.models import MODELS

VERSION = "1.7.1"

#: MLServer's own runtimes of that version. There is none for ONNX or spaCy; Hugging Face's needs TensorFlow.
RUNTIMES = {
    "logistic": "mlserver_sklearn.SKLearnModel",
    "forest": "mlserver_sklearn.SKLearnModel",
    "wide": "mlserver_sklearn.SKLearnModel",
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
}

_PACKAGES = ("mlserver", "mlserver-sklearn", "mlserver-xgboost", "mlserver-lightgbm")
#: MLServer 1.7.1 asks uvloop for a current event loop, which newer ones no longer make up.
PINNED = ("uvloop==0.21.0",)

ENVIRONMENT = Environment(
    "mlserver",
    (*(f"{name}=={VERSION}" for name in _PACKAGES), *PINNED),
    ("scikit-learn", "xgboost", "lightgbm", "numpy", "joblib"),
)
COMMAND = ENVIRONMENT.folder / "bin" / "mlserver"


@dataclass(frozen=True)
class Batching:
    """MLServer's adaptive batching: merges up to `size` requests that come within `seconds`."""

    size: int = 64
    seconds: float = 0.01


@dataclass(frozen=True)
class Ports:
    """MLServer's three."""

    http: int
    grpc: int
    metrics: int


def write_settings(folder: Path, models: Sequence[str], ports: Ports, batching: Batching | None) -> None:
    """MLServer's `settings.json`, and a `model-settings.json` for each model."""
    folder.mkdir(parents=True, exist_ok=True)
    server = {"host": "127.0.0.1", "http_port": ports.http, "grpc_port": ports.grpc, "metrics_port": ports.metrics}
    (folder / "settings.json").write_text(json.dumps(server))
    for name in models:
        uri = places.MODELS / name / MODELS[name].file
        settings: dict[str, Any] = {"name": name, "implementation": RUNTIMES[name], "parameters": {"uri": str(uri)}}
        if batching:
            settings |= {"max_batch_size": batching.size, "max_batch_time": batching.seconds}
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "model-settings.json").write_text(json.dumps(settings))
