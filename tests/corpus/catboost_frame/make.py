"""Categories of texts and of whole numbers in CatBoost's file: a new one is as good as any; a text beside them."""

from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd


def make(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame(
        {
            "city": ["x", "y", "z", "none"] * 25,
            "zone": [10, 20, 30, 20] * 25,
            "size": np.random.default_rng(0).normal(size=100),
        }
    )
    model = catboost.CatBoostClassifier(
        iterations=10,
        cat_features=["city", "zone"],
        random_seed=0,
        verbose=0,
        allow_writing_files=False,
        thread_count=1,
    )
    model.fit(frame, ["low", "low", "high", "highest"] * 25).save_model(str(folder / "model.cbm"))
    asked = pd.DataFrame({"city": ["x", "never seen"], "zone": [10, 30], "size": [0.5, 1.0]})
    return {"rows": model.predict(asked).tolist(), "probabilities": model.predict_proba(asked).tolist()}
