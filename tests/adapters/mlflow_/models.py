"""Models of the user's own for the tests, as MLflow saves them."""

from __future__ import annotations

from typing import Any

import mlflow.pyfunc


class Shop(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A data frame in, a data frame out."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        import pandas as pd

        total = model_input["price"] * model_input["count"] * (params or {}).get("factor", 1.0)
        return pd.DataFrame({"total": total, "label": model_input["city"].str.upper()})
