"""What a transformer gives as a sparse matrix, and numbers beside texts in one array."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.preprocessing import OneHotEncoder


def make(folder: Path) -> dict[str, Any]:
    rows = np.array([["a", 1], ["b", 2]], dtype=object)
    model = OneHotEncoder().fit(rows)
    joblib.dump(model, folder / "model.joblib")
    return {"rows": model.transform(rows).toarray().tolist()}
