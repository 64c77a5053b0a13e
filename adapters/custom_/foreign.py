"""Code of others, told by a word in it: a reason says more than what it lacks.

It stands where a model.py of KServe's would, or beside a model that it goes before and after elsewhere.
"""

from __future__ import annotations

from adapters.modeldir import ModelDir

_LIMIT = 1 << 20  #: bytes of a file that are looked at

#: what stands in the file -> what it is, and what to do
_MARKS = {
    b"class TritonPythonModel": "a model of Triton's Python backend: its execute becomes predict of a kserve.Model",
    b"apply_catboost_model": "CatBoost's export to Python: serve what save_model('model.cbm') writes",
    b"mlserver": "a runtime of MLServer's: its class becomes a kserve.Model",
    b"bentoml": "a service of BentoML's: its class becomes a kserve.Model",
    b"PythonModel": "an MLflow model's code: serve the folder that mlflow.pyfunc.save_model writes",
    b"import litserve": "an API of LitServe's: its class becomes a kserve.Model",
    b"class EndpointHandler": "a handler of Hugging Face's inference endpoints: its class becomes a kserve.Model",
    b"def model_fn(": "code of SageMaker's containers: its functions become the hooks of a kserve.Model",
    b"def predict_fn(": "code of SageMaker's containers: its functions become the hooks of a kserve.Model",
    b"def init():": "a scoring script of Azure ML's: its init and run become load and predict of a kserve.Model",
    b"def from_path(cls": "a predictor of Vertex AI's: its class becomes a kserve.Model",
    b"features_names": "a component of Seldon's: its class becomes a kserve.Model",
}


def kind_of(text: bytes) -> str:
    """What the file is, as the end of a sentence; "" where nothing tells."""
    return next((f"; it is {told}" for mark, told in _MARKS.items() if mark in text), "")


def not_run(model_dir: ModelDir) -> str:
    """What lies beside a model and would change its answers elsewhere, for the log; "" where there is no such code."""
    for name in model_dir.named(".py"):
        if kind := kind_of(model_dir.head(name, _LIMIT)):
            return f"{name} is not run{kind}, in model.py"
    return ""
