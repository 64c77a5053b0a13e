"""Numbers with gaps, texts, booleans, a pandas category and dates in one frame; labels are texts, three of them."""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

TIERS = ["x", "y", "z"]


def make(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame(
        {
            "age": [20.0, 30.0, None, 50.0] * 10,
            "visits": [1, 2, 3, 4] * 10,
            "city": ["a", "b", None, "c"] * 10,
            "member": [True, False, True, True] * 10,
            "tier": pd.Categorical(["x", "y", "x", "z"] * 10, categories=TIERS),
            "since": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-01", "2024-03-01"] * 10),
        }
    )
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["age", "visits"]),
            ("names", OneHotEncoder(handle_unknown="ignore"), ["city", "tier", "member"]),
            ("dates", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["since"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(frame, ["no", "yes", "maybe", "no"] * 10)
    joblib.dump(model, folder / "model.joblib")
    asked = pd.DataFrame(
        {
            "age": [20.0, 30.0],
            "visits": [1, 2],
            "city": ["a", "new"],
            "member": [True, False],
            "tier": pd.Categorical(["x", "z"], categories=TIERS),
            "since": pd.to_datetime(["2024-01-01", "2024-03-01"]),
        }
    )
    gaps = asked.assign(age=[None, 30.0], city=[None, "a"]).astype({"age": float})
    return {
        "rows": model.predict(asked).tolist(),
        "probabilities": model.predict_proba(asked).tolist(),
        "gaps": model.predict(gaps).tolist(),
    }
