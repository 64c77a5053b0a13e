"""skl2onnx with one [N, 1] input a column: a number and a text a row, by name or in their order."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def make(folder: Path) -> dict[str, Any]:
    import onnxruntime

    frame = pd.DataFrame({"age": [0.5, 1.5] * 10, "sex": ["m", "f"] * 10})
    columns = make_column_transformer((OneHotEncoder(), ["sex"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1] * 10)
    types = [("age", FloatTensorType([None, 1])), ("sex", StringTensorType([None, 1]))]
    graph = to_onnx(model, initial_types=types, options={"zipmap": False})
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    asked = {"age": np.array([[0.5], [1.5]], np.float32), "sex": np.array([["m"], ["f"]], dtype=object)}
    names = [output.name for output in session.get_outputs()]
    answers = [values.tolist() for values in session.run(None, asked)]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*answers, strict=True)]
    return {"by_name": rows, "by_order": rows}
