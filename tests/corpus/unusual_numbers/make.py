"""Numbers at the edges of float64, which come back to the last bit: zeros with a sign, denormals."""

from pathlib import Path

import joblib
import numpy as np
from sklearn.preprocessing import FunctionTransformer


def make(folder: Path) -> None:
    joblib.dump(FunctionTransformer(np.negative).fit(np.ones((3, 2))), folder / "model.joblib")
