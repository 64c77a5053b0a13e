"""A `kserve.Model` around a SentenceTransformer, with a synchronous `predict`, as KServe's own servers are written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kserve import Model, ModelServer, model_server


class SentenceModel(Model):
    """One embedding model."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.folder = folder
        self.ready = False

    def load(self) -> bool:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(self.folder), device="cpu")
        self.ready = True
        return self.ready

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        return {"predictions": self._model.encode(payload["instances"], show_progress_bar=False).tolist()}


def main() -> None:
    """Load the model, serve."""
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--folder", type=Path, required=True)
    options, _ = parser.parse_known_args()
    model = SentenceModel(options.folder.name, options.folder)
    model.load()
    ModelServer().start([model])


if __name__ == "__main__":
    main()
