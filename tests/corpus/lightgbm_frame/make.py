"""Categories of texts and of numbers, missing values in both kinds of columns, in LightGBM's own file."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd

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
    model = lightgbm.LGBMRegressor(
        n_estimators=20, min_child_samples=2, min_data_per_group=1, cat_smooth=1, n_jobs=1, verbose=-1
    )
    model.fit(FRAME, Y).booster_.save_model(folder / "model.txt")
    return {"rows": model.predict(ASKED).tolist(), "texts": model.predict(ASKED[:2]).tolist()}
