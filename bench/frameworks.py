"""Each framework called directly, as its own users call it: what every system's answers are compared with.

The KServe peer predicts with these functions, too: they are what KServe's own servers do (sklearnserver, xgbserver,
lgbserver, huggingfaceserver), with their defaults for threads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bench.models import MODELS, Array

#: rows (numbers [n, features], or n texts) to n predictions
Predict: TypeAlias = Callable[[Any], "Array | list[Any]"]


def load(name: str, folder: Path) -> Predict:
    """The model `name` from its folder, ready to predict."""
    return load_file(name, folder / MODELS[name].file)


def load_file(name: str, path: Path) -> Predict:
    """As the model `name` is loaded, from this file or folder."""
    return _LOADERS[name](path)


def _sklearn(path: Path) -> Predict:
    import joblib

    model = joblib.load(path)
    return lambda rows: model.predict(rows)


def _xgboost(path: Path) -> Predict:
    import xgboost

    booster = xgboost.Booster(params={"nthread": 1}, model_file=str(path))
    return lambda rows: booster.predict(xgboost.DMatrix(rows, nthread=1))


def _lightgbm(path: Path) -> Predict:
    import lightgbm

    booster = lightgbm.Booster(params={"nthread": 1}, model_file=str(path))
    return lambda rows: booster.predict(rows)


def _onnx(path: Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    name = session.get_inputs()[0].name
    return lambda rows: session.run(None, {name: np.asarray(rows, dtype=np.float32)})[0]


def _spacy(path: Path) -> Predict:
    import spacy

    nlp = spacy.load(path)

    def predict(texts: Any) -> list[Any]:
        docs = nlp.pipe(_decoded(texts))
        return [{"entities": [{"text": span.text, "label": span.label_} for span in doc.ents]} for doc in docs]

    return predict


def _bert(path: Path) -> Predict:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    network = AutoModelForSequenceClassification.from_pretrained(path)
    network.eval()

    def predict(texts: Any) -> list[Any]:
        batch = tokenizer(_decoded(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            labels: list[Any] = network(**batch).logits.argmax(-1).tolist()
        return labels

    return predict


def _decoded(texts: Any) -> list[str]:
    flat = texts.ravel() if isinstance(texts, np.ndarray) else texts
    return [text.decode() if isinstance(text, bytes) else str(text) for text in flat]


_LOADERS: dict[str, Callable[[Path], Predict]] = {
    "logistic": _sklearn,
    "forest": _sklearn,
    "wide": _sklearn,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "onnx": _onnx,
    "spacy": _spacy,
    "bert": _bert,
}
