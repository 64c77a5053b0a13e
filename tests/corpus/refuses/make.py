"""A model that takes no request: its scaler learned fewer columns than it says."""

from pathlib import Path

import joblib
import numpy as np
from sklearn.preprocessing import StandardScaler


def make(folder: Path) -> None:
    model = StandardScaler().fit(np.arange(8.0).reshape(4, 2))
    model.n_features_in_ = 3
    joblib.dump(model, folder / "model.joblib")
