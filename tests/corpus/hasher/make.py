"""Lists of texts, as FeatureHasher takes them."""

from pathlib import Path

import joblib
from sklearn.feature_extraction import FeatureHasher


def make(folder: Path) -> dict[str, list[list[float]]]:
    model = FeatureHasher(8, input_type="string")
    joblib.dump(model, folder / "model.joblib")
    return {"lists": model.transform([["a", "b"], ["a"]]).toarray().tolist()}
