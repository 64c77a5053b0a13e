"""A booster of an objective of its maker's: its raw scores are the answer."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np


def objective(scores: Any, data: Any) -> tuple[Any, Any]:
    return scores - data.get_label(), np.ones_like(scores)


def make(folder: Path) -> dict[str, Any]:
    rows = np.random.default_rng(1).random((80, 3))
    options = {"objective": objective, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
    booster = lightgbm.train(options, lightgbm.Dataset(rows, rows[:, 1]), 5)
    booster.save_model(folder / "model.txt")
    return {"rows": booster.predict(np.array([[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]])).tolist()}
