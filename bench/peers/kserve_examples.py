"""The example models as plain `kserve.Model`s in one `ModelServer`, each loaded by its framework as its users do."""

from __future__ import annotations

import argparse
from pathlib import Path

from kserve import ModelServer, model_server

from bench import frameworks
from bench.peers.kserve_server import ServedModel

#: example -> the model of the comparison that is loaded in the same way, and its file
EXAMPLES = {
    "bert-sentiment": ("bert", ""),
    "lightgbm-wine": ("lightgbm", "model.txt"),
    "onnx-digits": ("onnx", "model.onnx"),
    "sklearn-forest": ("forest", "model.joblib"),
    "sklearn-iris": ("logistic", "model.joblib"),
    "spacy-ner": ("spacy", ""),
    "xgboost-diabetes": ("xgboost", "model.ubj"),
}


class Example(ServedModel):
    """One of them."""

    def load(self) -> bool:
        kind, file = EXAMPLES[self.name]
        self._predict = frameworks.load_file(kind, self.folder / file)
        self.ready = True
        return self.ready


def main() -> None:
    """Load the models, serve."""
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir", type=Path, required=True)
    options, _ = parser.parse_known_args()
    models = [Example(folder.name, folder) for folder in sorted(options.model_dir.iterdir())]
    for model in models:
        model.load()
    ModelServer().start(models)


if __name__ == "__main__":
    main()
