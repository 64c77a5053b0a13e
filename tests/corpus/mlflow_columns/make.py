"""A scikit-learn model that MLflow saved with a signature: other columns are left out, a `long` takes no fractions."""

import shutil
from pathlib import Path
from typing import Any

import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def make(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame({"city": ["Rome", "Oslo"] * 10, "age": range(20, 40)})
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough"), LogisticRegression()
    )
    model = pipeline.fit(frame, frame["age"] > 30)
    saved = folder / "saved"
    signature = infer_signature(frame, model.predict(frame))
    mlflow.sklearn.save_model(
        model, saved, signature=signature, pip_requirements=[], serialization_format="cloudpickle"
    )
    shutil.copytree(saved, folder, dirs_exist_ok=True)
    shutil.rmtree(saved)
    answer = mlflow.pyfunc.load_model(folder).predict(
        pd.DataFrame({"city": ["Rome", "Oslo"], "age": [25, 39], "zip": [1, 2]})
    )
    return {"more_columns": answer.tolist()}
