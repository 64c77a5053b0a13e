"""A category whose whole numbers no float64 tells apart."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

IDS = [9007199254740992, 9007199254740993]


def make(folder: Path) -> None:
    frame = pd.DataFrame({"id": IDS * 20})
    joblib.dump(
        make_pipeline(OneHotEncoder(), LogisticRegression(C=1e3)).fit(frame, [0, 1] * 20), folder / "model.joblib"
    )
