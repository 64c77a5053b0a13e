"""KServe as its users have it: several `kserve.Model` with a synchronous `predict` in one `kserve.ModelServer`.

Written as KServe's own servers are (sklearnserver, xgbserver, lgbserver), with KServe's default flags.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import orjson
from kserve import InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.errors import InferenceError
from kserve.utils.utils import get_predict_input, get_predict_response

from bench import frameworks


class ServedModel(Model):
    """One model."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.folder = folder
        self.ready = False

    def load(self) -> bool:
        self._predict = frameworks.load(self.name, self.folder)
        self.ready = True
        return self.ready

    def predict(
        self, payload: dict[str, Any] | InferRequest, headers: dict[str, str] | None = None
    ) -> dict[str, Any] | InferResponse:
        try:
            result = self._predict(get_predict_input(payload))
            if isinstance(payload, InferRequest) and isinstance(result[0], dict):
                result = [orjson.dumps(each).decode() for each in result]  # V2 has no objects
            return get_predict_response(payload, result, self.name)
        except Exception as error:
            raise InferenceError(str(error)) from error


def main() -> None:
    """Load the models, serve."""
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True)
    options, _ = parser.parse_known_args()
    models = [ServedModel(name, options.model_dir / name) for name in options.models]
    for model in models:
        model.load()
    ModelServer().start(models)


if __name__ == "__main__":
    main()
