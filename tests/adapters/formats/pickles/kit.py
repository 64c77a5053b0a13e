"""Models and files for the tests of this package."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.svm import SVC

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] + 0.1 * RNG.normal(size=60) > 0).astype(int)

COMPRESSIONS = (0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3))


def fitted_models() -> dict[str, Any]:
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": ["x", "y"] * 30})
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), make_column_selector(dtype_include=np.number)),
            ("texts", OneHotEncoder(), frame[["c"]].columns),
        ]
    )
    models = {
        "logistic regression": LogisticRegression(),
        "forest": RandomForestClassifier(3),
        "boosting": GradientBoostingClassifier(n_estimators=2),
        "histogram boosting": HistGradientBoostingClassifier(max_iter=2, early_stopping=True),
        "neighbours": KNeighborsClassifier(metric="manhattan"),
        "support vectors": SVC(),
        "perceptron": MLPClassifier(2, max_iter=2),
        "gradient descent": SGDClassifier(loss="modified_huber"),
        "isolation forest": IsolationForest(n_estimators=2),
        "gaussian process": GaussianProcessClassifier(RBF() + WhiteKernel()),
        "calibrated": CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2),
        "voting": VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())]),
        "pipeline": make_pipeline(
            SplineTransformer(3), SelectKBest(f_classif), FunctionTransformer(np.log1p), GaussianNB()
        ),
        "grid search": GridSearchCV(
            GaussianNB(), {"var_smoothing": [1e-9]}, scoring=["f1", "roc_auc"], refit="f1", cv=2
        ),
        "random search": RandomizedSearchCV(
            RandomForestClassifier(2),
            {"max_depth": scipy.stats.randint(1, 9), "ccp_alpha": scipy.stats.loguniform(1e-6, 1e-3)},
            n_iter=1,
            cv=2,
        ),
    }
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # they are fitted to be quick, not good
        fitted = {name: model.fit(np.abs(X), Y) for name, model in models.items()}
    fitted["columns"] = make_pipeline(columns, LogisticRegression()).fit(frame, Y)
    fitted["three classes"] = GradientBoostingClassifier(n_estimators=2).fit(X, np.arange(60) % 3)
    categories = frame.assign(c=frame["c"].astype("category"))
    fitted["categories"] = HistGradientBoostingClassifier(max_iter=2).fit(categories, Y)
    fitted["texts"] = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
        ["good one", "bad two"] * 30, [0, 1] * 30
    )
    return fitted


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def dumped(model: Any, path: Path, compress: Any = 0, protocol: int | None = None) -> Path:
    joblib.dump(model, path, compress=compress, protocol=protocol)
    return path


def rows_for(name: str) -> Any:
    if name == "texts":
        return ["good", "bad thing"]
    if name == "columns":
        return pd.DataFrame({"a": [0.5, -1], "b": [1.0, 2.0], "c": ["y", "x"]})
    if name == "categories":
        return pd.DataFrame({"a": [0.5, -1], "b": [1.0, 2.0], "c": pd.Categorical(["y", "x"])})
    return np.abs(X[:5])
