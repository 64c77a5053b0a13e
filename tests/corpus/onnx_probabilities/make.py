"""A classifier of texts as skl2onnx writes it: the second output is a list of maps, a row's probabilities by label."""

from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

ROWS = [[0.5, -1.0], [-2.0, 0.0]]


def make(folder: Path) -> dict[str, Any]:
    import onnxruntime

    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    model = LogisticRegression().fit(x, np.where(x[:, 0] > 0, "yes", "no"))
    (folder / "model.onnx").write_bytes(to_onnx(model, x[:1]).SerializeToString())
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    labels, maps = session.run(None, {session.get_inputs()[0].name: np.array(ROWS, np.float32)})
    named = zip(labels.tolist(), maps, strict=True)
    return {"rows": [{"output_label": label, "output_probability": each} for label, each in named]}
