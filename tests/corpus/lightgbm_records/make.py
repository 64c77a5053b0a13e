"""KServe's own requests to its LightGBM server: a column by itself in each record, and one that is left out."""

from pathlib import Path
from typing import Any

import lightgbm
import pandas as pd
from sklearn.datasets import load_iris

NAMES = ["sepal_length_(cm)", "sepal_width_(cm)", "petal_length_(cm)", "petal_width_(cm)"]


def make(folder: Path) -> dict[str, Any]:
    rows, classes = load_iris(return_X_y=True)
    options = {"objective": "multiclass", "num_class": 3, "num_threads": 1, "verbose": -1}
    booster = lightgbm.train(options, lightgbm.Dataset(pd.DataFrame(rows, columns=NAMES), classes), 20)
    booster.save_model(folder / "model.bst")
    one_each = [{name: value} for name, value in zip(NAMES, [5.1, 3.5, 1.4, 0.2], strict=True)]

    def answer(records: list[dict[str, float]]) -> list[list[float]]:
        return booster.predict(pd.DataFrame(records, columns=NAMES)).tolist()

    return {"one_each": answer(one_each), "three": answer(one_each[:3])}
