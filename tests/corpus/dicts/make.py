"""Objects of any keys, as DictVectorizer takes them."""

from pathlib import Path

import joblib
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def make(folder: Path) -> None:
    rows = [{"city": "a", "n": 1.0}, {"city": "b", "n": 2.0}] * 10
    joblib.dump(make_pipeline(DictVectorizer(), LogisticRegression()).fit(rows, [0, 1] * 10), folder / "model.joblib")
