"""Columns of texts and of categories beside numbers."""

from pathlib import Path
from typing import Any

import catboost
import pandas as pd

ROWS = [{"t": "good sun", "c": "x", "v": 0.5}, {"t": "rain", "c": "new", "v": 0.1}]


def make(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame({"t": ["good day sun", "bad night rain"] * 40, "c": ["x", "y"] * 40, "v": [0.1, 0.9] * 40})
    options = {"iterations": 5, "verbose": 0, "thread_count": 1, "allow_writing_files": False, "random_seed": 0}
    model = catboost.CatBoostClassifier(**options)
    model.fit(catboost.Pool(frame, [1, 0] * 40, text_features=["t"], cat_features=["c"]))
    model.save_model(str(folder / "model.cbm"))
    return {"rows": model.predict(pd.DataFrame(ROWS)).tolist()}
