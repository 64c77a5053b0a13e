"""Three quantiles for each row."""

from pathlib import Path
from typing import Any

import numpy as np
import xgboost


def make(folder: Path) -> dict[str, Any]:
    rows = np.random.default_rng(1).random((80, 3))
    options = {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9], "nthread": 1}
    booster = xgboost.train(options, xgboost.DMatrix(rows, rows[:, 1]), 5)
    booster.save_model(folder / "model.json")
    asked = np.array([[0.1, 0.2, 0.3], [np.nan, 0.8, np.nan]], np.float32)
    return {"rows": booster.predict(xgboost.DMatrix(asked)).tolist()}
