"""A transformer whose answer holds numbers beside texts: numbers stay numbers."""

from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OrdinalEncoder


def make(folder: Path) -> None:
    frame = pd.DataFrame({"sex": ["f", "m"] * 5, "city": ["x", "y"] * 5})
    fill = SimpleImputer(strategy="constant", fill_value="?")
    model = ColumnTransformer([("n", OrdinalEncoder(), ["sex"]), ("t", fill, ["city"])]).fit(frame)
    joblib.dump(model, folder / "model.joblib")
