"""A booster whose categories are whole numbers that no float64 tells apart."""

from pathlib import Path

import numpy as np
import pandas as pd
import xgboost

IDS = [9007199254740992, 9007199254740993]


def make(folder: Path) -> dict[str, list[float]]:
    frame = pd.DataFrame({"c": pd.Categorical(IDS * 20, categories=IDS), "x": np.arange(40.0) % 3})
    matrix = xgboost.DMatrix(frame, np.array([0.0, 1.0] * 20), enable_categorical=True)
    booster = xgboost.train({"max_depth": 2, "nthread": 1, "min_child_weight": 0}, matrix, 5)
    booster.save_model(folder / "model.ubj")
    rows = pd.DataFrame({"c": pd.Categorical([*IDS, None], categories=IDS), "x": [0.0, 1.0, 1.0]})
    return {"wide": booster.predict(xgboost.DMatrix(rows, enable_categorical=True)).tolist()}
