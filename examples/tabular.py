"""Models on scikit-learn's own data sets: iris flowers, tumours, diabetes, wines, handwritten digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SEED = 0


def sklearn_iris(folder: Path) -> None:
    """A logistic regression behind a scaler, fitted on a data frame: it knows its columns by name."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, target = load_iris(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    joblib.dump(model.fit(features, target), folder / "model.joblib")


def sklearn_forest(folder: Path) -> None:
    """200 trees on breast cancer cells: the heavy one."""
    import joblib
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    features, target = load_breast_cancer(return_X_y=True)
    model = RandomForestClassifier(n_estimators=200, n_jobs=1, random_state=SEED)
    joblib.dump(model.fit(features, target), folder / "model.joblib")


def xgboost_diabetes(folder: Path) -> None:
    """A booster that predicts how a disease goes on after a year, from a data frame."""
    import xgboost
    from sklearn.datasets import load_diabetes

    features, target = load_diabetes(return_X_y=True, as_frame=True)
    settings: dict[str, Any] = {"max_depth": 3, "eta": 0.1, "nthread": 1, "seed": SEED}
    booster = xgboost.train(settings, xgboost.DMatrix(features, target, nthread=1), num_boost_round=60)
    booster.save_model(folder / "model.ubj")


def lightgbm_wine(folder: Path) -> None:
    """A booster that tells three cultivars apart: a row gives three probabilities."""
    import lightgbm
    from sklearn.datasets import load_wine

    features, target = load_wine(return_X_y=True, as_frame=True)
    settings = {"objective": "multiclass", "num_class": 3, "num_leaves": 7, "num_threads": 1, "seed": SEED}
    settings |= {"deterministic": True, "verbose": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(features, target), num_boost_round=30)
    booster.save_model(folder / "model.txt")


def onnx_digits(folder: Path) -> None:
    """A small neural network that reads digits of 8 x 8 pixels, converted from scikit-learn."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    pixels, target = load_digits(return_X_y=True)
    network = MLPClassifier(hidden_layer_sizes=(32,), early_stopping=True, random_state=SEED)
    pixels = pixels.astype("float32")
    converted = to_onnx(network.fit(pixels, target), pixels[:1], options={"zipmap": False})
    (folder / "model.onnx").write_bytes(converted.SerializeToString())
