"""Dates as categories: sent as ISO texts."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def make(folder: Path) -> None:
    frame = pd.DataFrame({"d": pd.to_datetime(["2024-01-01", "2024-02-01T12:30:00"] * 10, format="ISO8601")})
    encode = make_column_transformer((OneHotEncoder(), ["d"]))
    joblib.dump(make_pipeline(encode, LogisticRegression()).fit(frame, [0, 1] * 10), folder / "model.joblib")
