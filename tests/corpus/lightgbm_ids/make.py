"""A booster whose categories are whole numbers that no float64 tells apart."""

from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd

IDS = [9007199254740992, 9007199254740993]
SETTINGS = {
    "verbose": -1,
    "min_data_in_leaf": 1,
    "min_data_per_group": 1,
    "cat_smooth": 0,
    "cat_l2": 0,
    "num_threads": 1,
}


def make(folder: Path) -> dict[str, list[float]]:
    frame = pd.DataFrame({"c": pd.Categorical(IDS * 20, categories=IDS), "x": np.arange(40.0) % 3})
    booster = lightgbm.train(SETTINGS, lightgbm.Dataset(frame, np.array([0.0, 1.0] * 20)), 5)
    booster.save_model(folder / "model.txt")
    rows = pd.DataFrame({"c": pd.Categorical([*IDS, None], categories=IDS), "x": [0.0, 1.0, 1.0]})
    return {"wide": booster.predict(rows).tolist()}
