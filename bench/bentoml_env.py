"""BentoML in an environment of its own, with the models at V1's paths."""

from __future__ import annotations

from collections.abc import Sequence

from bench import places
from bench.environments import Environment

VERSION = "1.4.40"
_FRAMEWORKS = ("scikit-learn", "numpy", "joblib", "orjson", "onnxruntime", "torch", "transformers")
ENVIRONMENT = Environment("bentoml", (f"bentoml=={VERSION}",), _FRAMEWORKS)
MODELS = frozenset({"logistic", "forest", "wide", "onnx", "bert"})


def command(port: int) -> list[str]:
    """What starts BentoML, with `environ`."""
    flags = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(places.REPOSITORY)]
    return [str(ENVIRONMENT.folder / "bin" / "bentoml"), "serve", "bench.peers.bentoml_server:Models", *flags]


def environ(models: Sequence[str]) -> dict[str, str]:
    """Which models it serves, and that it neither writes elsewhere nor calls home."""
    return {
        "POLYSERVE_BENCH_MODELS": " ".join([str(places.MODELS), *models]),
        "BENTOML_HOME": str(places.CACHE / "bentoml-home"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
