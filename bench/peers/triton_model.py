"""A model of Triton's Python backend, copied into its repository: all gathered requests in one call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What the backend's stub looks for."""

    def initialize(self, arguments: dict[str, str]) -> None:
        path = json.loads(arguments["model_config"])["parameters"]["file"]["string_value"]
        loaders = {".onnx": _onnx, ".joblib": _sklearn}
        self._predict = loaders.get(Path(path).suffix, _bert)(path)

    def execute(self, requests: list[Any]) -> list[Any]:
        rows = [triton.get_input_tensor_by_name(each, "input-0").as_numpy() for each in requests]
        answers = self._predict(rows[0] if len(rows) == 1 else np.concatenate(rows))
        ends = np.cumsum([len(each) for each in rows])[:-1]
        parts = np.split(answers, ends) if len(rows) > 1 else [answers]
        return [triton.InferenceResponse([triton.Tensor("output-0", part)]) for part in parts]


def _sklearn(path: str) -> Any:
    import joblib

    model = joblib.load(path)
    return lambda rows: model.predict(rows).reshape(-1, 1)


def _onnx(path: str) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda rows: session.run(None, {"input-0": rows})[0]


def _bert(path: str) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(1)  # which is quicker for a small network, as `kserve-1-thread` shows
    tokenizer = AutoTokenizer.from_pretrained(path)
    network = AutoModelForSequenceClassification.from_pretrained(path).eval()

    def predict(rows: Any) -> Any:
        texts = [text.decode() for text in rows.ravel()]
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            labels = network(**batch).logits.argmax(-1).tolist()
        return np.asarray(labels, dtype=np.int64).reshape(-1, 1)

    return predict
