"""Histogram boosting over a pandas category: codes are the frame's, missing values and new ones are missing."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor


def make(folder: Path) -> dict[str, Any]:
    city = pd.Categorical(["x", "y", "z", None] * 15)
    frame = pd.DataFrame({"city": city, "size": np.random.default_rng(0).normal(size=60)})
    model = HistGradientBoostingRegressor(categorical_features="from_dtype", min_samples_leaf=2, random_state=0)
    model.fit(frame, [1.0, 5.0, 9.0, 20.0] * 15)
    joblib.dump(model, folder / "model.joblib")
    asked = pd.DataFrame({"city": pd.Categorical(["x", "z", None], categories=["x", "y", "z"]), "size": [0.0] * 3})
    return {"rows": model.predict(asked).tolist()}
