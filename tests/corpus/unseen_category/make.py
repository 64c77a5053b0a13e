"""A category that the encoder never saw is told by its column's name."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def make(folder: Path) -> None:
    frame = pd.DataFrame({"age": [1.0, 2.0] * 10, "city": ["Rome", "Oslo"] * 10})
    columns = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    joblib.dump(make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1] * 10), folder / "model.joblib")
