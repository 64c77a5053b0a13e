"""Two answers a row, texts of different lengths, and the probabilities of each."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier

ROWS = [[0.5, -1.0, 0.0], [-0.5, 2.0, 1.0]]


def make(folder: Path) -> dict[str, Any]:
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = np.column_stack([np.where(x[:, 0] > 0, "a", "b"), np.where(x[:, 1] > 0, "long", "longer still")]).astype(object)
    model = RandomForestClassifier(5, random_state=0).fit(x, y)
    joblib.dump(model, folder / "model.joblib")
    one, other = model.predict_proba(ROWS)
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    probabilities = [{"output-0": first, "output-1": second} for first, second in pairs]
    return {"rows": model.predict(ROWS).tolist(), "probabilities": probabilities}
