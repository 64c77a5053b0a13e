"""A column that tells which values are missing, where only some columns lacked any in training."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.tree import DecisionTreeClassifier


def make(folder: Path) -> dict[str, Any]:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    rows[::4, 1] = np.nan
    labels = np.isnan(rows[:, 1]).astype(int)
    model = make_pipeline(make_union(SimpleImputer(), MissingIndicator()), DecisionTreeClassifier(random_state=0))
    joblib.dump(model.fit(rows, labels), folder / "model.joblib")
    return {"missing": model.predict([[1, np.nan, 2], [1, 2, 3]]).tolist()}
