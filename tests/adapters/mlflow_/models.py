"""Models of the user's own for the tests, as MLflow saves them."""

from __future__ import annotations

from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

FRAME = pd.DataFrame({"width": np.arange(30) / 7.0, "height": (np.arange(30) * 7 % 11) / 3.0})
LABELS = np.where(FRAME["width"] + FRAME["height"] > 3.5, "b", "a")


class Shop(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A data frame in, a data frame out."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        total = model_input["price"] * model_input["count"] * (params or {}).get("factor", 1.0)
        return pd.DataFrame({"total": total, "label": model_input["city"].str.upper()})


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Tells what it was given."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if isinstance(model_input, pd.DataFrame):
            kinds = [str(kind) for kind in model_input.dtypes]
            return [{"kinds": kinds, **row} for row in model_input.astype(object).to_dict("records")]
        if isinstance(model_input, dict):
            return {name: values * 2 for name, values in model_input.items()}
        return model_input


class Own(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator of nobody's library."""

    def fit(self, rows: Any, labels: Any) -> Own:
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows)[:, 0] * 2
