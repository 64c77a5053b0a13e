"""Columns of vectors, which CatBoost calls embedding features, beside a category and a number."""

from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd


def make(folder: Path) -> dict[str, Any]:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 3))
    frame = pd.DataFrame(
        {"age": random.normal(size=60), "city": ["Rome", "Oslo", "Bern"] * 20, "face": vectors.tolist()}
    )
    pool = catboost.Pool(frame, vectors[:, 0] > 0, cat_features=["city"], embedding_features=["face"])
    model = catboost.CatBoostClassifier(
        iterations=10, random_seed=0, verbose=0, allow_writing_files=False, thread_count=1
    )
    model.fit(pool).save_model(str(folder / "model.cbm"))
    asked = pd.DataFrame({"age": [0.5, 0.25], "city": ["Rome", "Paris"], "face": [[1.0, 0.5, 0.25], [-1.0, 0.5, 0.25]]})
    return {"faces": model.predict(asked).tolist(), "probabilities": model.predict_proba(asked).tolist()}
