"""An imputer before a column of objects that are numbers: its most frequent value is None, and says nothing of them."""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier


def make(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame({"name": ["a", "b", "c", "d"] * 5, "size": pd.Series([1, 2.5, None, 4] * 5, dtype=object)})
    columns = ColumnTransformer(
        [("name", OneHotEncoder(), ["name"]), ("size", SimpleImputer(strategy="most_frequent"), ["size"])]
    )
    model = make_pipeline(columns, DecisionTreeClassifier(random_state=0)).fit(frame, [0, 1, 2, 3] * 5)
    joblib.dump(model, folder / "model.joblib")
    return {"numbers": model.predict(frame.iloc[[0, 3]]).tolist()}
