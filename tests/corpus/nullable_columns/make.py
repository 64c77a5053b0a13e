"""Columns of pandas' nullable types, with gaps."""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier


def columns(numbers: list[int | None], flags: list[bool | None]) -> pd.DataFrame:
    return pd.DataFrame({"a": pd.array(numbers, dtype="Int64"), "b": pd.array(flags, dtype="boolean")})


def make(folder: Path) -> dict[str, Any]:
    model = HistGradientBoostingClassifier(max_iter=3, random_state=0, min_samples_leaf=2)
    model.fit(columns([1, 2, None, 4] * 10, [True, False, None, True] * 10), [0, 1, 1, 0] * 10)
    joblib.dump(model, folder / "model.joblib")
    return {"gaps": model.predict(columns([1, None, 4], [True, False, None])).tolist()}
