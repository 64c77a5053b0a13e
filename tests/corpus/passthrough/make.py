"""Columns that pass through one step before another looks at them; one is dropped on the way."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def make(folder: Path) -> dict[str, list[int]]:
    frame = pd.DataFrame({"age": [20.0, 30, 40] * 10, "sex": ["m", "f", "m"] * 10, "fare": [1.5, 2.5, 3.5] * 10})
    keep = ColumnTransformer([("keep", "passthrough", ["age", "sex"])], verbose_feature_names_out=False)
    encode = make_column_transformer((OneHotEncoder(), ["sex"]), remainder="passthrough")
    parts = (keep.set_output(transform="pandas"), encode, LogisticRegression())
    model = make_pipeline(*parts).fit(frame, [0, 1, 1] * 10)
    joblib.dump(model, folder / "model.joblib")
    return {"kept": model.predict(frame[:3]).tolist(), "all": model.predict(frame[:3]).tolist()}
