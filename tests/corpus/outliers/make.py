"""A model of neighbours that scores outliers: which are the nearest is another of its methods."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.neighbors import LocalOutlierFactor

ROWS = [[0.1, 0.2], [9.0, 9.0]]


def make(folder: Path) -> dict[str, Any]:
    model = LocalOutlierFactor(n_neighbors=3, novelty=True).fit(np.random.default_rng(0).normal(size=(40, 2)))
    joblib.dump(model, folder / "model.joblib")
    distances, indices = (each.tolist() for each in model.kneighbors(ROWS))
    nearest = [{"distances": far, "indices": which} for far, which in zip(distances, indices, strict=True)]
    return {"rows": model.predict(ROWS).tolist(), "nearest": nearest}
