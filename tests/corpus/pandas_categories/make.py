"""Categories of pandas' own, of whole numbers, which the trees know by the column's type."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier


def make(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame({"c": pd.Categorical([10, 20, 30] * 20), "v": np.arange(60.0)})
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype", random_state=0)
    joblib.dump(model.fit(frame, [0, 1, 0] * 20), folder / "model.joblib")

    def answer(codes: list[int | None], values: list[float]) -> list[int]:
        return model.predict(pd.DataFrame({"c": pd.Categorical(codes, categories=[10, 20, 30]), "v": values})).tolist()

    return {"rows": answer([10, 20, None], [1.0, 2.0, np.nan]), "unseen": answer([None], [1.0])}
