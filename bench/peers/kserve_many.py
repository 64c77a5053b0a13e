"""Many plain `kserve.Model`s in one `ModelServer`: each unpickles its joblib file and calls its `predict`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import joblib
from kserve import Model, ModelServer, model_server


class PlainModel(Model):
    """One scikit-learn model, as KServe's documentation writes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.name)
        self._model = joblib.load(folder / "model.joblib")
        self.ready = True

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        return {"predictions": self._model.predict(payload["instances"]).tolist()}


def main() -> None:
    """Load every folder, serve."""
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir", type=Path, required=True)
    options, _ = parser.parse_known_args()
    ModelServer().start([PlainModel(folder) for folder in sorted(options.model_dir.iterdir())])


if __name__ == "__main__":
    main()
