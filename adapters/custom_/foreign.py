"""Code of others that is called model.py, told by a word in it: a reason says more than what it lacks."""

from __future__ import annotations

#: what stands in the file -> what it is, and what to do
_MARKS = {
    b"class TritonPythonModel": "a model of Triton's Python backend: its execute becomes predict of a kserve.Model",
    b"apply_catboost_model": "CatBoost's export to Python: serve what save_model('model.cbm') writes",
    b"mlserver": "a runtime of MLServer's: its class becomes a kserve.Model",
    b"bentoml": "a service of BentoML's: its class becomes a kserve.Model",
    b"PythonModel": "an MLflow model's code: serve the folder that mlflow.pyfunc.save_model writes",
}


def kind_of(text: bytes) -> str:
    """What the file is, as the end of a sentence; "" where nothing tells."""
    return next((f"; it is {told}" for mark, told in _MARKS.items() if mark in text), "")
