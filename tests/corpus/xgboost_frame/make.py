"""The same frame for XGBoost, by the class that knows a missing value of its own beside pandas', in a pickle."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import xgboost

FRAME = pd.DataFrame(
    {
        "city": pd.Categorical(["x", "y", "z", None] * 25),
        "zone": pd.Categorical([10, 20, 30, 20] * 25),
        "size": np.random.default_rng(0).normal(size=100),
    }
)
Y = np.array([1.0, 5.0, 9.0, 20.0] * 25) + FRAME["size"] * 0.1
ASKED = pd.DataFrame(
    {
        "city": pd.Categorical(["x", "z", None], categories=["x", "y", "z"]),
        "zone": pd.Categorical([10, 30, 20], categories=[10, 20, 30]),
        "size": [0.5, None, 1.0],
    }
)


def make(folder: Path) -> dict[str, Any]:
    size = FRAME["size"].where(np.arange(100) % 4 != 1, -999)
    model = xgboost.XGBRegressor(n_estimators=10, enable_categorical=True, max_cat_to_onehot=1, missing=-999, n_jobs=1)
    model.fit(FRAME.assign(size=size), Y)
    joblib.dump(model, folder / "model.joblib")
    gap = ASKED[:1].assign(size=[-999.0])
    return {"rows": model.predict(ASKED[::2]).tolist(), "its_missing_value": model.predict(gap).tolist()}
