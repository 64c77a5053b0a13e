"""A function of the user's own: nothing says what its columns hold."""

from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


def make(folder: Path) -> None:
    frame = pd.DataFrame({"when": ["2024-01-05", "2024-07-05"] * 10, "v": [1.0, 2.0] * 10})
    month = FunctionTransformer(lambda t: np.stack([pd.to_datetime(t["when"]).dt.month, t["v"]], axis=1))
    model = make_pipeline(month, LogisticRegression()).fit(frame, [0, 1] * 10)
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(model))
