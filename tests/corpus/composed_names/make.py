"""A column whose name has an accent: in one character, or in two."""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.linear_model import LinearRegression


def make(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame({"caf\u00e9": [1.0, 2.0, 3.0], "b": [3.0, 2.0, 1.0]})
    model = LinearRegression().fit(frame, [1.0, 2.0, 3.0])
    joblib.dump(model, folder / "model.joblib")
    return {"composed": model.predict(frame[:1]).tolist()}
