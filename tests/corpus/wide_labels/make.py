"""Classes that are whole numbers beyond what a float64 tells apart."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.tree import DecisionTreeClassifier


def make(folder: Path) -> dict[str, Any]:
    rows = np.array([[0.0], [1.0]] * 10)
    model = DecisionTreeClassifier(random_state=0).fit(rows, [2**53 + 1, -(2**53) - 1] * 10)
    joblib.dump(model, folder / "model.joblib")
    return {"rows": model.predict(rows[:2]).tolist()}
