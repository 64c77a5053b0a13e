"""A ranker whose trees are dropped while it is trained, and never while it answers."""

from pathlib import Path
from typing import Any

import numpy as np
import xgboost


def make(folder: Path) -> dict[str, Any]:
    rows = np.random.default_rng(1).random((80, 3))
    data = xgboost.DMatrix(rows, (rows[:, 0] * 3).astype(int), group=[40, 40])
    options = {"booster": "dart", "rate_drop": 0.5, "objective": "rank:ndcg", "seed": 1, "nthread": 1}
    booster = xgboost.train(options, data, 10)
    booster.save_model(folder / "model.ubj")
    asked = np.array([[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]], np.float32)
    return {"rows": booster.predict(xgboost.DMatrix(asked)).tolist()}
