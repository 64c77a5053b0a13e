"""What many a course ends with: numbers with gaps, categories with gaps, a column of texts, one that nobody uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

FRAME = pd.DataFrame(
    {
        "deck": np.array([1, 3, 2, 3, 1, 2] * 8, dtype=np.int8),
        "name": ["Mr. Owen", "Mrs. John", "Miss. Laina", "Master. Gosta", "Mr. James", "Mrs. Elisabeth"] * 8,
        "sex": ["male", "female", "female", "male", "male", "female"] * 8,
        "age": [22.0, 38, np.nan, 4, 35, 27] * 8,
        "port": ["S", "C", "S", "S", None, "Q"] * 8,
        "cabin": [None, "C85", None, "G6", "E46", None] * 8,
    }
)


def make(folder: Path) -> dict[str, Any]:
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer(
        [
            ("numbers", numbers, ["age"]),
            ("texts", texts, ["sex", "port"]),
            ("name", TfidfVectorizer(), "name"),
            ("deck", OrdinalEncoder(), ["deck"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression()).fit(FRAME, [0, 1, 1, 0, 0, 1] * 8)
    joblib.dump(model, folder / "model.joblib")
    return {"rows": model.predict_proba(FRAME[1:5]).tolist()}
