"""A column of objects that are numbers, as pandas reads many a file."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def make(folder: Path) -> dict[str, list[int]]:
    frame = pd.DataFrame({"a": pd.Series([1, 2, 3] * 10, dtype=object)})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, [0, 1, 1] * 10)
    joblib.dump(model, folder / "model.joblib")
    rows = pd.DataFrame({"a": pd.Series([1, 3, 7], dtype=object)})
    return {"numbers": model.predict(rows).tolist()}
